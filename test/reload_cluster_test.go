package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gnatsd/server"
	"gnatsd/test/wire"
)

// reloadedServer is an embedded broker with a file that can be changed.
type reloadedServer struct {
	*server.Server
	t    *testing.T
	file string
	top  string // what stays outside of the cluster's block
}

// clusteredFile starts a broker whose file has this in its cluster block.
func clusteredFile(t *testing.T, inCluster string) *reloadedServer {
	t.Helper()
	s := &reloadedServer{t: t, file: filepath.Join(t.TempDir(), "gnatsd.conf")}
	s.write(inCluster)
	o, err := server.ProcessConfigFile(s.file)
	must(t, err)
	o.Host, o.Port, o.NoLog = "127.0.0.1", anyPort, true
	s.Server = Start(t, o)
	return s
}

func (s *reloadedServer) write(inCluster string) {
	s.t.Helper()
	text := s.top + "\ncluster {\nlisten: \"127.0.0.1:-1\"\n" + inCluster + "\n}\n"
	must(s.t, os.WriteFile(s.file, []byte(text), 0o600))
}

// change reloads with this in the cluster block.
func (s *reloadedServer) change(inCluster string) {
	s.t.Helper()
	s.write(inCluster)
	must(s.t, s.Reload())
}

func TestReloadOfClusterPermissionsReachesPeersOf14(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, `permissions { import: ["a", "b"], export: ["x", "y"] }`)
	c, cid := rawClient(t, s.Server)
	c.Say("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB c g 4\r\n")
	c.Sync()
	r := wire.Listen(t, "peer", false).Join(s.Server.ClusterAddr())
	sub := func(subject, queue, kind string, sid int) string {
		return fmt.Sprintf("SUB %s %s %sSID:%d:%d\r\n", subject, queue, kind, cid, sid)
	}
	r.WantInAnyOrder(sub("a", "", "R", 1), sub("b", "", "R", 2))
	r.Say("SUB x  RSID:1:1\r\nSUB y  RSID:1:2\r\n")
	r.Sync()
	known(t, s.Server, 6)

	s.change(`permissions { import: ["b", "c"], export: ["x", "z"] }`)
	if info := r.Hear("INFO "); !strings.HasSuffix(info, `"import":{"allow":["b","c"]},"export":{"allow":["x","z"]}} `+"\r\n") || !strings.Contains(info, infoOf(t, r.Info).ID) {
		t.Errorf("got %q", info)
	}
	r.WantInAnyOrder(sub("c", "", "R", 3), sub("c", "g", "QR", 4))
	r.Hear(fmt.Sprintf("UNSUB RSID:%d:1\r\n", cid))
	r.Sync()
	known(t, s.Server, 5) // y is not exported any more
	c.Say("PUB x 0\r\n\r\nPUB y 0\r\n\r\nUNSUB 1\r\nUNSUB 3\r\nSUB a 5\r\n")
	c.Sync()
	r.WantInAnyOrder("MSG x RSID:1:1 0\r\n", "\r\n", fmt.Sprintf("UNSUB RSID:%d:3\r\n", cid)) // and nothing of a
	r.Sync()

	s.change("")
	r.Hear("INFO ")
	r.Hear(sub("a", "", "R", 5))
	r.Sync()
	if s.NumRoutes() != 1 {
		t.Error("the route was closed")
	}
}

// TestPeerThatExportsMoreGetsInterestAgain has a 1.4 server change its permissions: what it dropped
// before must be announced again.
func TestPeerThatExportsMoreGetsInterestAgain(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "")
	c, cid := rawClient(t, s.Server)
	c.Say("SUB a 1\r\nSUB b 2\r\n")
	c.Sync()
	p := wire.Listen(t, "peer", false)
	exporting := func(list string) string {
		return strings.Replace(p.Info(), `"max_payload"`, `"export":{"allow":[`+list+`]},"max_payload"`, 1)
	}
	r := p.Dial(s.Server.ClusterAddr())
	r.Say(p.Connect() + exporting(`"a"`))
	r.Hear("SUB ")
	r.Hear("SUB ")
	r.Say(exporting(`"a"`))
	r.Sync()
	r.ForgetInterest() // a peer has dropped what it did not take
	r.Say(exporting(`"b"`))
	r.Hear(fmt.Sprintf("SUB b  RSID:%d:2\r\n", cid))
	r.Sync()
	r.ForgetInterest()
	r.Say(p.Info())
	r.Hear(fmt.Sprintf("SUB a  RSID:%d:1\r\n", cid))
	r.Sync()
}

// TestReloadOfClusterPermissionsMakesRoutesOf11Again has one that dialed us, which does not come
// back by itself, and one that we dial.
func TestReloadOfClusterPermissionsMakesRoutesOf11Again(t *testing.T) {
	t.Parallel()
	for _, dialed := range []bool{false, true} {
		t.Run(fmt.Sprintf("dialed=%v", dialed), func(t *testing.T) {
			t.Parallel()
			p := wire.Listen(t, "old", true)
			routes := ""
			if dialed {
				routes = fmt.Sprintf("routes: [%q]\n", p.URL())
			}
			s := clusteredFile(t, routes)
			c, cid := rawClient(t, s.Server)
			c.Say("SUB a 1\r\nSUB b 2\r\n")
			c.Sync()
			var r *wire.Client
			if dialed {
				r, _ = p.Accept()
			} else {
				r = p.Join(s.Server.ClusterAddr())
			}
			r.Hear("SUB ")
			r.Hear("SUB ")
			s.change(routes + "permissions { import: b }")
			r.End()
			r, _ = p.Accept()
			r.Hear(fmt.Sprintf("SUB b  RSID:%d:2\r\n", cid))
			r.Sync()
			routed(t, s.Server, 1)
		})
	}
}

func TestReloadOfClusterCredentials(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "authorization { user: u, password: p }")
	p, q := wire.Listen(t, "dials", false), wire.Listen(t, "other", false)
	with := func(c *wire.Server, pass string) string {
		return strings.Replace(c.Connect(), `"tls`, `"user":"u","pass":"`+pass+`","tls`, 1) + c.Info()
	}
	r := p.Dial(s.Server.ClusterAddr())
	r.Say(with(p, "p"))
	routed(t, s.Server, 1)
	s.change(`authorization { user: u, password: p, timeout: 5 }`)
	r.Sync()
	s.change(`authorization { user: u, password: p }` + fmt.Sprintf("\nroutes: [%q]", q.URL()))
	dialed, _ := q.Accept()
	routed(t, s.Server, 2)
	s.change(`authorization { user: u, password: x }` + fmt.Sprintf("\nroutes: [%q]", q.URL()))
	for { // gossip about the other server comes first
		line, err := r.Line()
		must(t, err)
		if line == "-ERR 'Authorization Violation'\r\n" {
			break
		}
		if !strings.HasPrefix(line, "INFO ") {
			t.Fatalf("got %q", line)
		}
	}
	r.End()
	dialed.Sync() // whom we dialed has nothing to prove
	r = p.Dial(s.Server.ClusterAddr())
	r.Say(with(p, "x"))
	routed(t, s.Server, 2)
	s.change(fmt.Sprintf("routes: [%q]", q.URL())) // no credentials are asked for any more
	r.Sync()
	s.change("authorization { user: u, password: x }" + fmt.Sprintf("\nroutes: [%q]", q.URL()))
	r.Sync() // it had shown that already
}

func TestReloadOfRoutes(t *testing.T) {
	t.Parallel()
	p, q := wire.Listen(t, "first", false), wire.Listen(t, "second", false)
	s := clusteredFile(t, fmt.Sprintf("routes: [%q]", p.URL()))
	r, _ := p.Accept()
	routed(t, s.Server, 1)
	s.change(fmt.Sprintf("routes: [%q]", q.URL()))
	r.End()
	second, _ := q.Accept()
	routed(t, s.Server, 1)
	s.change(fmt.Sprintf("routes: [%q, %q]", q.URL(), p.URL()))
	r, _ = p.Accept()
	second.Hear("INFO ") // about the first
	second.Sync()
	routed(t, s.Server, 2)
	s.change("")
	r.End()
	second.End()
	routed(t, s.Server, 0)
}

func TestReloadOfNoAdvertise(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "")
	p := wire.Listen(t, "peer", false)
	p.Clients = "1.2.3.4:5"
	p.Join(s.Server.ClusterAddr())
	routed(t, s.Server, 1)
	advertisesPeer := func() bool { return strings.Contains(strings.Join(advertised(t, s.Server), " "), p.Clients) }
	eventually(t, "the address of the peer in INFO", advertisesPeer)
	s.change("no_advertise: true")
	eventually(t, "INFO without it", func() bool { return !advertisesPeer() })
	if info := wire.Listen(t, "asks", false).Dial(s.Server.ClusterAddr()).Info; strings.Contains(info, "connect_urls") {
		t.Errorf("got %q, want no addresses of clients", info)
	}
	s.change("")
	eventually(t, "the address of the peer again", advertisesPeer)
}

func TestReloadOfAdvertisedAddresses(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "")
	p := wire.Listen(t, "peer", false)
	s.top = `client_advertise: "c.example:1"`
	s.change(`cluster_advertise: "r.example:2"`)
	info := infoOf(t, p.Dial(s.Server.ClusterAddr()).Info)
	if info.Host != "r.example" || info.Port != 2 || info.IP != "nats-route://r.example:2/" || fmt.Sprint(info.ClientConnectURLs) != "[c.example:1]" {
		t.Errorf("got %+v", info)
	}
	if c, _ := rawClientInfo(t, s.Server); c.Host != "c.example" || c.Port != 1 {
		t.Errorf("got %+v", c)
	}
}

// TestReloadOfAdvertisedAddressesReachesServersThatAreConnected has the clients of another server hear
// of the addresses of this one as the settings change, and of none when it advertises none.
func TestReloadOfAdvertisedAddressesReachesServersThatAreConnected(t *testing.T) {
	t.Parallel()
	for _, pool := range []string{"", "pool_size: 3\n"} {
		a := clusteredFile(t, pool)
		b := clusteredFile(t, pool+fmt.Sprintf("routes: [%q]", clusterURL(a.Server)))
		p := wire.Listen(t, "peer", false)
		r := p.Join(a.Server.ClusterAddr())
		eventually(t, "both peers", func() bool { return a.NumRemotes() == 2 && b.NumRemotes() >= 1 })
		own := "[" + a.Server.Addr().String() + "]"
		other := func(want string) {
			t.Helper()
			eventually(t, "addresses at the other server: "+want, func() bool {
				return fmt.Sprint(slices.DeleteFunc(advertised(t, b.Server), func(u string) bool { return u == b.Server.Addr().String() })) == want
			})
		}
		other(own)
		a.top = `client_advertise: "c.example:1"`
		a.change(pool)
		other("[c.example:1]")
		for { // others are about b
			if info := infoOf(t, r.HearAfter("INFO ")); info.ID == a.Server.ID() {
				if fmt.Sprint(info.ClientConnectURLs) != "[c.example:1]" {
					t.Errorf("got %+v", info)
				}
				break
			}
		}
		a.change(pool + "no_advertise: true")
		other("[]")
		a.change(pool + `cluster_advertise: "r.example:2"`)
		other("[c.example:1]")
	}
}

// rawClientInfo is the INFO that a client gets.
func rawClientInfo(t *testing.T, s *server.Server) (info server.Info, c *wire.Client) {
	t.Helper()
	c = wire.Dial(t, s.Addr().String())
	return infoOf(t, c.Info), c
}

// TestReloadOfPermissionsBetweenServersOfOurKind has interest follow the permissions on both sides,
// while clients come and go.
func TestReloadOfPermissionsBetweenServersOfOurKind(t *testing.T) {
	t.Parallel()
	a := clusteredFile(t, "")
	b := clusteredFile(t, fmt.Sprintf("routes: [%q]", clusterURL(a.Server)))
	routed(t, a.Server, 1)
	c := quiet(t, a.Server.Addr().String())
	const n = 500
	for i := range n {
		c.Say(fmt.Sprintf("SUB in.%d %d\r\nSUB out.%d %d\r\n", i, i, i, n+i))
	}
	c.Sync()
	known(t, b.Server, 2*n)
	done := make(chan struct{})
	go func() { // ends after its rounds; waited for below
		defer close(done)
		for i := range 3000 {
			c.Say(fmt.Sprintf("SUB out.x x%d\r\nUNSUB x%d\r\n", i, i))
		}
	}()
	routes := fmt.Sprintf("\nroutes: [%q]", clusterURL(a.Server))
	for range 3 {
		a.change(`permissions { import: "in.>" }`)
		known(t, b.Server, n)
		a.change(`permissions { import: ">" }`)
		eventually(t, "all again", func() bool { return b.NumSubscriptions() >= 2*n })
		b.change(`permissions { export: "out.>" }` + routes)
		eventually(t, "what b takes", func() bool { k := b.NumSubscriptions(); return k >= n && k <= n+1 })
		b.change(routes)
		eventually(t, "what b takes again", func() bool { return b.NumSubscriptions() >= 2*n })
	}
	<-done
	c.Sync()
	known(t, b.Server, 2*n)
}
