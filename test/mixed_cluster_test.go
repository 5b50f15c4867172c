package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"gnatsd/server"
	"gnatsd/test/wire"
)

// TestRequestsAndLimitsInAMixedCluster has two servers of ours, one of 1.1.0 and one of 1.4.1 in
// one mesh.
func TestRequestsAndLimitsInAMixedCluster(t *testing.T) {
	t.Parallel()
	ours := mesh(t, 2, nil)
	peers := []*wire.Server{wire.Listen(t, "v11", true), wire.Listen(t, "v14", false)}
	routes := map[*wire.Server][]*wire.Client{}
	for _, p := range peers {
		for _, s := range ours {
			routes[p] = append(routes[p], p.Join(s.ClusterAddr()))
		}
	}
	for _, s := range ours {
		routed(t, s, 3)
	}
	for i, p := range peers {
		for k, r := range routes[p] {
			r.Say(fmt.Sprintf("SUB svc.%d  RSID:7:1\r\nSUB lim.%d  RSID:7:2\r\nUNSUB RSID:7:2 2\r\nPING\r\n", i, i))
			r.HearAfter("PONG")

			// A request of a client of ours is answered by a client of theirs.
			nc := natsConnect(t, ours[k], nats.UseOldRequestStyle())
			answer := make(chan error, 1)
			go func() {
				m, err := nc.Request(fmt.Sprintf("svc.%d", i), []byte("ping"), patience)
				if err == nil && string(m.Data) != "pong" {
					err = fmt.Errorf("got %q", m.Data)
				}
				answer <- err
			}()
			request := strings.Fields(r.HearAfter(fmt.Sprintf("MSG svc.%d RSID:7:1 ", i)))
			if r.Hear("ping"); len(request) != 5 {
				t.Fatalf("got %q, want a request with a reply subject", request)
			}
			r.Say(fmt.Sprintf("MSG %s RSID:1:1 4\r\npong\r\n", request[3]))
			must(t, <-answer)

			// A limit that they announced is kept, whichever client publishes.
			for range 4 {
				must(t, nc.Publish(fmt.Sprintf("lim.%d", i), []byte("x")))
			}
			flush(t, nc)
			if n := drained(r)["RSID"]; n != 2 {
				t.Errorf("%s got %d messages of a subscription that ends after 2", p.ID, n)
			}
		}
	}
	// A limit of a client of ours: they get its UNSUB when it is reached, with messages of
	// both.
	c := quiet(t, ours[1].Addr().String())
	cid := c.CID()
	c.Say("SUB once 1\r\nUNSUB 1 2\r\n")
	c.Sync()
	for _, p := range peers {
		r := routes[p][1]
		r.HearAfter(fmt.Sprintf("SUB once  RSID:%d:1\r\n", cid))
		r.Say(fmt.Sprintf("MSG once RSID:%d:1 1\r\nx\r\n", cid))
		c.Hear("MSG once 1 1\r\n")
		c.Hear("x")
	}
	for _, p := range peers {
		routes[p][1].HearAfter(fmt.Sprintf("UNSUB RSID:%d:1\r\n", cid))
		routes[p][1].Say(fmt.Sprintf("MSG once RSID:%d:1 1\r\nx\r\n", cid))
		drained(routes[p][1])
	}
	c.Sync()
}

func TestMixedCluster(t *testing.T) {
	t.Parallel()
	v11, v14 := wire.Listen(t, "v110", true), wire.Listen(t, "v141", false)
	a := clustered(t, routesTo(v14.URL()))
	b := clustered(t, routesTo(clusterURL(a)))
	ra, _ := v14.Accept() // dialed by a
	routed(t, a, 2)
	// a sends b the INFO of the 1.4 server and the 1.4 server of b, whichever came later; the
	// 1.4 server ignores that.
	rb := routeTo14(t, v14, b)
	oa := v11.Join(a.ClusterAddr())
	ob := v11.Join(b.ClusterAddr())
	routed(t, a, 3)
	routed(t, b, 3)
	for i, r := range []*wire.Client{ra, oa} {
		r.Say(fmt.Sprintf("SUB foo  RSID:1:%d\r\nSUB foo g QRSID:2:%d\r\n", i, i))
	}
	for i, r := range []*wire.Client{rb, ob} {
		r.Say(fmt.Sprintf("SUB foo  RSID:1:%d\r\nSUB foo g QRSID:2:%d\r\n", i, i))
	}
	ca, cb := natsConnect(t, a), natsConnect(t, b)
	sa, sb := subscribe(t, ca, "foo"), subscribe(t, cb, "foo")
	_, err := ca.QueueSubscribeSync("foo", "g")
	must(t, err)
	flush(t, ca)
	known(t, a, 7)
	known(t, b, 7)
	const n = 100
	for range n {
		must(t, ca.Publish("foo", []byte("x")))
	}
	flush(t, ca)
	for range n {
		next(t, sa)
		next(t, sb)
	}
	plain, group := drained(ra), 0
	other := drained(oa)
	group = plain["QRSID"] + other["QRSID"]
	if plain["RSID"] != n || other["RSID"] != n || group == 0 || group >= n {
		t.Errorf("the 1.x servers got %v and %v of %d messages", plain, other, n)
	}
	if left, _, _ := sa.Pending(); left != 0 {
		t.Errorf("%d messages too many", left)
	}
	oa.Say("MSG foo RSID:5:5 1\r\nx\r\n")
	next(t, sa)
}

// routeTo14 is the connection between the 1.4 server and b, whichever dials first.
func routeTo14(t *testing.T, v14 *wire.Server, b *server.Server) *wire.Client {
	t.Helper()
	r := v14.Join(b.ClusterAddr())
	eventually(t, "b knows the 1.4 server", func() bool { return b.NumRoutes() >= 2 })
	return r
}
