package test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gnatsd/server"
	"gnatsd/test/wire"
)

// This file starts clusters and connects to them.

// clustered starts a broker with a cluster.
func clustered(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: anyPort}
	o.Cluster.Host, o.Cluster.Port = "127.0.0.1", anyPort
	if change != nil {
		change(o)
	}
	return Start(t, o)
}

func routesTo(urls ...*url.URL) func(*server.Options) {
	return func(o *server.Options) { o.Routes = urls }
}

func clusterURL(s *server.Server) *url.URL {
	return &url.URL{Scheme: "nats-route", Host: s.ClusterAddr().String()}
}

func known(t *testing.T, s *server.Server, subs int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d subscriptions", subs), func() bool { return s.NumSubscriptions() == uint32(subs) })
}

func routed(t *testing.T, s *server.Server, routes int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d routes", routes), func() bool { return s.NumRoutes() == routes })
}

// rawClient connects a client that asks for every INFO; its cid is the one in its first.
func rawClient(t *testing.T, s *server.Server) (c *wire.Client, cid uint64) {
	t.Helper()
	c = wire.Dial(t, s.Addr().String())
	c.Say(`CONNECT {"verbose":false,"protocol":1}`)
	c.Sync()
	return c, c.CID()
}

func infoOf(t *testing.T, line string) (info server.Info) {
	t.Helper()
	must(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info))
	return info
}

// profiles runs a test with a server of each kind.
func profiles(t *testing.T, run func(t *testing.T, old bool)) {
	t.Run("1.1.0", func(t *testing.T) { t.Parallel(); run(t, true) })
	t.Run("1.4.1", func(t *testing.T) { t.Parallel(); run(t, false) })
}

// mesh starts n brokers, each knowing the first.
func mesh(t *testing.T, n int, change func(i int, o *server.Options)) []*server.Server {
	t.Helper()
	var list []*server.Server
	for i := range n {
		list = append(list, clustered(t, func(o *server.Options) {
			if i > 0 {
				o.Routes = []*url.URL{clusterURL(list[0])}
			}
			if change != nil {
				change(i, o)
			}
		}))
	}
	full(t, list)
	return list
}

func full(t *testing.T, list []*server.Server) {
	t.Helper()
	eventually(t, "a full mesh", func() bool {
		return !slices.ContainsFunc(list, func(s *server.Server) bool { return s.NumRoutes() != len(list)-1 })
	})
}

// advertised returns the connect_urls of the INFO of a new client, sorted.
func advertised(t *testing.T, s *server.Server) []string {
	t.Helper()
	nc := wire.Open(t, s.Addr().String())
	urls := infoOf(t, nc.Hear("INFO ")).ClientConnectURLs
	nc.Close()
	slices.Sort(urls)
	return urls
}

// drained counts the messages that have come, by kind of id.
func drained(r *wire.Client) map[string]int {
	got := map[string]int{}
	r.Say("PING\r\n")
	for {
		l := r.Hear("")
		f := strings.Fields(l)
		switch {
		case l == "PONG\r\n":
			return got
		case len(f) > 2 && f[0] == "MSG":
			kind, _, _ := strings.Cut(f[2], ":")
			got[kind]++
		}
	}
}
