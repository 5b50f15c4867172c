package test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
	"gnatsd/test/certs"
	"gnatsd/test/wire"
)

func TestRequestsOverTheCluster(t *testing.T) {
	t.Parallel()
	list := mesh(t, 3, nil)
	var answered [3]atomic.Int64
	for i, s := range list[:2] {
		nc := natsConnect(t, s)
		for range 2 {
			_, err := nc.QueueSubscribe("help", "workers", func(m *nats.Msg) {
				answered[i].Add(1)
				m.Respond([]byte("done"))
			})
			must(t, err)
		}
		flush(t, nc)
	}
	known(t, list[2], 4)
	nc := natsConnect(t, list[2], nats.UseOldRequestStyle())
	for range 200 {
		m, err := nc.Request("help", nil, patience)
		must(t, err)
		if string(m.Data) != "done" {
			t.Fatalf("got %q", m.Data)
		}
	}
	if a, b := answered[0].Load(), answered[1].Load(); a+b != 200 || a < 50 || b < 50 {
		t.Errorf("answered %d and %d of 200 requests", a, b)
	}
	for _, s := range list {
		known(t, s, 4) // no inbox is left anywhere
	}
}

func TestClientsLearnOfOtherServers(t *testing.T) {
	t.Parallel()
	alone := clustered(t, nil)
	if got := advertised(t, alone); got != nil {
		t.Errorf("alone: got %q, want none", got)
	}
	recent, _ := rawClient(t, alone)
	old := wire.Open(t, alone.Addr().String())
	old.Hear("INFO ")
	old.Say("CONNECT {\"verbose\":false}\r\nPING\r\n")
	old.Hear("PONG")
	late := wire.Open(t, alone.Addr().String())
	late.Hear("INFO ")
	late.Say("CONNECT {\"verbose\":false,\"protocol\":1}\r\n")

	p, q := wire.Listen(t, "p", false), wire.Listen(t, "q", true)
	p.Clients, q.Clients = "10.0.0.7:4222", "10.0.0.7:4222"
	a := p.Join(alone.ClusterAddr())
	want := []string{"10.0.0.7:4222", alone.Addr().String()}
	info := infoOf(t, recent.Hear("INFO "))
	if info.ClientConnectURLs[0] != alone.Addr().String() {
		t.Errorf("got %q, want our own first", info.ClientConnectURLs)
	}
	slices.Sort(info.ClientConnectURLs)
	if !slices.Equal(info.ClientConnectURLs, want) {
		t.Errorf("got %q, want %q", info.ClientConnectURLs, want)
	}
	old.Sync()
	late.Say("PING\r\n")
	late.Hear("PONG\r\n")
	late.Hear("INFO ")
	late.Sync()

	// Two servers give one address: it stays until both are gone.
	b := q.Join(alone.ClusterAddr())
	routed(t, alone, 2)
	a.Close()
	routed(t, alone, 1)
	if got := advertised(t, alone); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	recent.Sync()
	b.Close()
	if got, want := infoOf(t, recent.Hear("INFO ")).ClientConnectURLs, []string{alone.Addr().String()}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAdvertisedAddresses(t *testing.T) {
	t.Parallel()
	t.Run("client_advertise stands for our own, and port 0 for the real one", func(t *testing.T) {
		t.Parallel()
		s := clustered(t, func(o *server.Options) { o.ClientAdvertise = "me.example" })
		r := wire.Listen(t, "p", false).Join(s.ClusterAddr())
		_, port, _ := strings.Cut(s.Addr().String(), ":")
		if got := infoOf(t, r.Info).ClientConnectURLs; !slices.Equal(got, []string{"me.example:" + port}) {
			t.Errorf("got %q", got)
		}
		c := wire.Open(t, s.Addr().String())
		if info := infoOf(t, c.Hear("INFO ")); info.Host != "me.example" {
			t.Errorf("got host %q", info.Host)
		}
	})
	t.Run("no_advertise neither gives nor takes addresses", func(t *testing.T) {
		t.Parallel()
		s := clustered(t, func(o *server.Options) { o.Cluster.NoAdvertise = true })
		p := wire.Listen(t, "p", false)
		p.Clients = "10.0.0.7:4222"
		r := p.Join(s.ClusterAddr())
		routed(t, s, 1)
		if strings.Contains(r.Info, "connect_urls") {
			t.Errorf("got %q", r.Info)
		}
		if got := advertised(t, s); got != nil {
			t.Errorf("got %q", got)
		}
	})
	t.Run("cluster_advertise stands in host, port and ip", func(t *testing.T) {
		t.Parallel()
		s := clustered(t, func(o *server.Options) { o.Cluster.Advertise = "me.example:6000" })
		r := wire.Listen(t, "p", false).Join(s.ClusterAddr())
		if i := infoOf(t, r.Info); i.Host != "me.example" || i.Port != 6000 || i.IP != "nats-route://me.example:6000/" {
			t.Errorf("got %q", r.Info)
		}
	})
	t.Run("a bad client_advertise ends the start", func(t *testing.T) {
		t.Parallel()
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: anyPort, NoSigs: true, NoLog: true, ClientAdvertise: "a:b:c"})
		must(t, err)
		if err := s.Run(); err == nil {
			t.Error("it started")
		}
	})
}

func TestClientsFailOverToAServerTheyLearned(t *testing.T) {
	t.Parallel()
	list := mesh(t, 3, nil)
	back := make(chan string, 1)
	nc := natsConnect(t, list[1], nats.ReconnectWait(10*time.Millisecond), nats.ReconnectHandler(func(nc *nats.Conn) { back <- nc.ConnectedUrl() }))
	eventually(t, "the client knows all servers", func() bool { return len(nc.Servers()) == 3 })
	sub := subscribe(t, nc, "foo")
	list[1].Shutdown()
	select {
	case u := <-back:
		if u == list[1].ClientURL() {
			t.Errorf("reconnected to %s", u)
		}
	case <-time.After(patience):
		t.Fatal("no reconnection")
	}
	flush(t, nc)
	rest := []*server.Server{list[0], list[2]}
	full(t, rest)
	known(t, list[0], 1)
	known(t, list[2], 1)
	for _, s := range rest {
		pub := natsConnect(t, s)
		must(t, pub.Publish("foo", []byte("x")))
		flush(t, pub)
		next(t, sub)
	}
	if n := len(nc.DiscoveredServers()); n == 0 {
		t.Errorf("%d discovered servers", n)
	}
}

func TestRouteTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, certs.WriteAll(dir))
	config, err := server.GenTLSConfig(&server.TLSConfigOpts{
		CertFile: filepath.Join(dir, "server-cert.pem"), KeyFile: filepath.Join(dir, "server-key.pem"), CaFile: filepath.Join(dir, "ca.pem"), Verify: true,
	})
	must(t, err)
	list := mesh(t, 3, func(_ int, o *server.Options) {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = config, 5
		o.Cluster.Username, o.Cluster.Password = "ru", "rp"
		for _, u := range o.Routes {
			u.User = url.UserPassword("ru", "rp")
		}
	})
	sub := subscribe(t, natsConnect(t, list[0]), "foo")
	for _, s := range list {
		known(t, s, 1)
		nc := natsConnect(t, s)
		must(t, nc.Publish("foo", nil))
		flush(t, nc)
		next(t, sub)
	}
	plain := clustered(t, routesTo(clusterURL(list[0])))
	r := wire.Listen(t, "plain", false)
	nc := r.Route(wire.Open(t, list[0].ClusterAddr().String()))
	nc.Say(r.Connect() + r.Info())
	nc.End()
	if plain.NumRoutes() != 0 || list[0].NumRoutes() != 2 {
		t.Errorf("a route without TLS")
	}
}

func TestClusterPermissions(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, func(o *server.Options) {
			o.Cluster.Permissions = &server.RoutePermissions{
				Import: &server.SubjectPermission{Allow: []string{"imp.>"}, Deny: []string{"imp.no"}},
				Export: &server.SubjectPermission{Allow: []string{"exp.>"}, Deny: []string{"exp.no"}},
			}
		})
		r := wire.Listen(t, fmt.Sprint("perm", old), old).Join(s.ClusterAddr())
		want := `"import":{"allow":["imp.\u003e"],"deny":["imp.no"]},"export":{"allow":["exp.\u003e"],"deny":["exp.no"]}} ` + "\r\n"
		if !strings.HasSuffix(r.Info, want) {
			t.Errorf("got %q, want it to end %q", r.Info, want)
		}
		before := s.NumSubscriptions()
		r.Say("SUB exp.a  RSID:1:1\r\nSUB exp.no  RSID:1:2\r\nSUB other  RSID:1:3\r\nSUB exp.*  RSID:1:4\r\n")
		r.Sync()
		if got := s.NumSubscriptions() - before; got != 2 {
			t.Errorf("%d subscriptions were accepted, want 2", got)
		}
		c, cid := rawClient(t, s)
		c.Say("SUB other 1\r\nSUB imp.no 2\r\nSUB imp.x 3\r\nPUB exp.no 0\r\n\r\nPUB exp.b 0\r\n\r\n")
		for {
			l := r.Hear("")
			if strings.HasPrefix(l, "SUB") && strings.Contains(l, fmt.Sprintf(":%d:", cid)) {
				if l != fmt.Sprintf("SUB imp.x  RSID:%d:3\r\n", cid) {
					t.Errorf("got %q", l)
				}
			}
			if strings.HasPrefix(l, "MSG") {
				if l != "MSG exp.b RSID:1:4 0\r\n" {
					t.Errorf("got %q", l)
				}
				break
			}
		}
	})
}

func TestRouteToAPortForClients(t *testing.T) {
	t.Parallel()
	other := clustered(t, nil)
	s := clustered(t, routesTo(clusterURL(other)))
	full(t, []*server.Server{s, other})
	mistaken := clustered(t, func(o *server.Options) {
		u := clusterURL(other)
		u.Host = other.Addr().String()
		o.Routes = append(o.Routes, u)
	})
	eventually(t, "the mistake is logged", func() bool {
		z, err := mistaken.Routez(nil)
		must(t, err)
		return len(z.Expected) == 1 && strings.HasSuffix(z.Expected[0].LastError, "is a port for clients, not for routes")
	})
	if n := mistaken.NumRoutes() + s.NumRoutes() + other.NumRoutes(); n != 2 {
		t.Errorf("%d ends of routes, want 2", n)
	}
}
