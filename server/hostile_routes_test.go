package server

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"testing"

	"gnatsd/test/check"
)

// This file lets anything connect to the port for routes of a server that has a route to another
// one: the clients of both must notice nothing of it.

// Identities of the two servers.
const (
	attackedID = "AAAAAAAAAAAAAAAAAAAAAA"
	peerID     = "BBBBBBBBBBBBBBBBBBBBBB"
)

// routeFragments are what scripts of FuzzRouteSequences are made of besides fragments.
var routeFragments = append(slices.Clone(fragments),
	`CONNECT {"echo":true,"verbose":false,"pedantic":false,"tls_required":false,"name":"X"}`+"\r\n",
	`CONNECT {"echo":true,"verbose":true,"pedantic":false,"tls_required":false,"name":"Y"}`+"\r\n",
	`CONNECT {"user":"r","pass":"guess","name":"X"}`+"\r\n", `CONNECT {"name":"`+peerID+`"}`+"\r\n", `CONNECT {"name":"`+attackedID+`"}`+"\r\n",
	`INFO {"server_id":"X","version":"1.4.1","proto":1,"host":"10.0.0.9","port":6222,"max_payload":1048576,"ip":"nats-route://10.0.0.9:6222/"}`+" \r\n",
	`INFO {"server_id":"X","version":"1.1.0","host":"10.0.0.9","port":6222,"max_payload":1048576}`+"\r\n",
	`INFO {"server_id":"X","version":"1.5.0","proto":1,"host":"10.0.0.9","port":6222,"headers":true,"pool_size":3,"pool_id":"p","compression":"s2_fast"}`+" \r\n",
	`INFO {"server_id":"X","version":"1.5.0","pool_id":"p","pool_member":1}`+"\r\n", `INFO {"server_id":"X","version":"1.5.0","pool_id":"p","pool_member":-1}`+"\r\n",
	`INFO {"server_id":"X","version":"1.5.0","compression":"accept"}`+"\r\n", `INFO {"server_id":"X","version":"1.5.0","system":true,"monitor":"http://:1"}`+"\r\n",
	`INFO {"server_id":"X","version":"1.5.0","export":{"allow":["own.>"],"deny":["own.x"]},"import":{"allow":["a"]}}`+"\r\n",
	`INFO {"server_id":"`+peerID+`","version":"1.5.0","lost":true}`+"\r\n", `INFO {"server_id":"`+peerID+`","duplicate":true}`+"\r\n",
	`INFO {"server_id":"`+attackedID+`","version":"1.5.0","lost":true}`+"\r\n", `INFO {"server_id":"`+attackedID+`","version":"1.5.0"}`+"\r\n",
	`INFO {"server_id":"V","version":"1.4.1","proto":1,"host":"10.0.0.8","port":6222,"ip":"nats-route://10.0.0.8:6222/","connect_urls":["10.0.0.8:4222"]}`+"\r\n",
	`INFO {"server_id":"V","lost":true}`+"\r\n", `INFO {"server_id":"X","client_id":7}`+"\r\n", `INFO {"server_id":""}`+"\r\n",
	"SUB own.x  RSID:9:1\r\n", "SUB own.>  RSID:9:2\r\n", "SUB > g QRSID:9:3\r\n", "SUB a.b g QRSID:9:4\r\n", "SUB $SYS.> SRSID:9:5\r\n", "UNSUB RSID:9:1\r\n", "UNSUB RSID:9:2 1\r\n", "UNSUB QRSID:9:3\r\n",
	"MSG a.b RSID:2:1 3\r\nbad\r\n", "MSG a.b QRSID:3:1 3\r\nbad\r\n", "MSG a.b QRSID:9:4 r 3\r\nbad\r\n", "MSG a.b QRSID:99999999999999999999:1 0\r\n\r\n", "HMSG a.b RSID:2:1 12 15\r\nNATS/1.0\r\n\r\nbad\r\n",
	"MSG $SYS.REQ.SERVER.PING RSID:2:1 r 0\r\n\r\n", "MSG a.b\r\n", "MSG a.b RSID:2:1 100\r\nshort",
	"LINK joined\r\n", "LINK mark\r\n", "LINK moved\r\n", "LINK wait 1 1\r\n", "LINK gone 1\r\n", "LINK s2\r\n", "LINK x\r\n", "LINK wait 0 9223372036854775807\r\n",
	"RS+ own.x\r\n", "RS- own.x\r\n", "RMSG $G own.x 2\r\nhi\r\n", "A+ $G\r\n", "LS+ own.x\r\n",
)

// startAttackedByRoutes starts two servers with a route between them. With secret, the route has a
// login that attackers do not know. The first one is attacked.
func startAttackedByRoutes(t testing.TB, secret bool) *attacked {
	t.Helper()
	n := newMemoryNet()
	start := func(id string, to *Server) *Server {
		o := memoryOptions(n)
		o.identity = id
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.MaxControlLine = 4096
		if secret {
			o.Cluster.Username, o.Cluster.Password, o.Cluster.AuthTimeout = "r", "secret", 60
		}
		if to != nil {
			u := &url.URL{Scheme: "nats-route", Host: to.ClusterAddr().String()}
			if secret {
				u.User = url.UserPassword("r", "secret")
			}
			o.Routes = []*url.URL{u}
		}
		return startInMemory(t, o)
	}
	s := start(attackedID, nil)
	peer := start(peerID, s)
	eventually(t, "there is a route", func() bool { return s.NumRoutes() == 1 && peer.NumRoutes() == 1 })
	a := &attacked{private: secret, dial: func() (net.Conn, error) { return n.Dial(s.ClusterAddr().String(), 0) }}
	a.shutdown = func() {
		peer.Shutdown()
		s.Shutdown()
	}
	for i := range 6 {
		server := i % 2
		nc, err := n.Dial([]*Server{s, peer}[server].Addr().String(), 0)
		okay(t, err)
		a.join(t, nc, server, `{"verbose":false,"pedantic":false}`)
	}
	publishers, plain, members := a.clients[:2], a.clients[2:4], a.clients[4:]
	for i := range 2 {
		plain[i].subscribe(t, "own.x", "")
		plain[i].subscribe(t, "own.>", "")
		members[i].subscribe(t, "own.q", "workers")
		members[i].subscribe(t, "own.end", "")
	}
	const subs = 8
	eventually(t, "the servers know all interest", func() bool { return s.NumSubscriptions() == subs && peer.NumSubscriptions() == subs })
	a.ready(0, 1)
	a.publish = func() {
		for _, p := range publishers {
			p.publish("own.x")
			p.publish("own.q")
		}
	}
	a.fence = func(t testing.TB) {
		for _, p := range publishers {
			p.publish("own.end")
			p.fence(t)
		}
		for _, c := range a.clients[2:] {
			for c.ends < len(publishers) {
				c.next(t)
			}
			c.ends = 0
			c.fence(t)
		}
	}
	a.settled = func() bool {
		s.cluster.mu.Lock()
		conns := len(s.cluster.routes)
		s.cluster.mu.Unlock()
		return conns == 1 && s.NumRoutes() == 1 && s.NumSubscriptions() == subs && s.NumClients() == 3 && s.io.Pending.Load() == 0
	}
	return a
}

// FuzzRouteSequences lets connections to the port for routes send what a script says, as clients do
// in FuzzClientSequences. The first byte says whether that port wants a login.
func FuzzRouteSequences(f *testing.F) {
	for _, secret := range []byte{0, 1} {
		seedScripts(f, routeFragments, byte(len(fragments)), secret)
		x := byte(len(fragments)) // CONNECT of X
		f.Add([]byte{secret, x, x + 5, scriptWrite, scriptOthers, 20, x + 21, x + 23, scriptWrite, scriptOthers, 255, x + 29, x + 26, scriptOthers, 255, scriptHalf})
		f.Add([]byte{secret, x, x + 7, scriptWrite, scriptSwitch, 1, x, x + 8, scriptWrite, scriptOthers, 255, x + 37, x + 38, scriptWrite, scriptSwitch, 0, x + 42})
	}
	oneThread()
	var servers [2]*attacked
	f.Cleanup(func() {
		for _, a := range servers {
			if a != nil {
				a.shutdown()
			}
		}
	})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 {
			return
		}
		secret := script[0] & 1
		if other := servers[1-secret]; other != nil && servers[secret] == nil {
			other.goroutines.first = 0 // there will be those of the servers that are started now
		}
		playOn(t, &servers[secret], routeFragments, script[1:], func(t testing.TB) *attacked { return startAttackedByRoutes(t, secret == 1) })
	})
}

// TestBystandersOfRoutesNotice checks that the judge sees what is lost between two servers.
func TestBystandersOfRoutesNotice(t *testing.T) {
	t.Parallel()
	a := startAttackedByRoutes(t, false)
	t.Cleanup(a.shutdown)
	a.publish()
	for _, c := range a.clients[:2] {
		c.flush(t, len(c.text))
	}
	a.fence(t)
	events := append(slices.Clone(a.events), check.Event{Kind: check.Quiet})
	if report := check.Judge(events); len(report.Faults) != 0 || report.Due < 12 {
		t.Errorf("%d messages had to arrive, faults %v", report.Due, report.Faults)
	}
	for i, e := range events {
		if e.Kind != check.Received {
			continue
		}
		if got := check.Judge(slices.Delete(slices.Clone(events), i, i+1)).Faults; len(got) == 0 {
			t.Errorf("%v can be left out", e)
		}
	}
}

// TestThePayloadLimitOfARouteIsInTheLog sends more than a route may: its limit is not that of clients.
func TestThePayloadLimitOfARouteIsInTheLog(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	peer, _ := manualPeer(t, s)
	log := newLineLog()
	s.SetLogger(log, false, false)
	peer.Say(fmt.Sprintf("MSG foo RSID:1:1 %d\r\n", routePayload+1))
	log.wait(t, fmt.Sprintf("maximum payload exceeded: %d vs %d", routePayload+1, routePayload))
}
