package test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gnatsd/server"
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

// hears wants exactly these lines, in any order.
func (r *classicRoute) hears(want ...string) {
	r.t.Helper()
	left := map[string]int{}
	for _, l := range want {
		left[l]++
	}
	for range want {
		if l := r.hear(""); left[l] > 0 {
			left[l]--
		} else {
			r.t.Fatalf("got %q, want one of %q", l, want)
		}
	}
}

func TestReloadOfClusterPermissionsTellsPeersOf14(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, `permissions { import: ["a", "b"], export: ["x", "y"] }`)
	c, cid := rawClient(t, s.Server)
	c.say("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB c g 4\r\n")
	c.silent()
	r := newClassic(t, "peer", false).join(s.Server)
	sub := func(subject, queue, kind string, sid int) string {
		return fmt.Sprintf("SUB %s %s %sSID:%d:%d\r\n", subject, queue, kind, cid, sid)
	}
	r.hears(sub("a", "", "R", 1), sub("b", "", "R", 2))
	r.say("SUB x  RSID:1:1\r\nSUB y  RSID:1:2\r\n")
	r.silent()
	known(t, s.Server, 6)

	s.change(`permissions { import: ["b", "c"], export: ["x", "z"] }`)
	if info := r.hear("INFO "); !strings.HasSuffix(info, `"import":{"allow":["b","c"]},"export":{"allow":["x","z"]}} `+"\r\n") || !strings.Contains(info, infoOf(t, r.info).ID) {
		t.Errorf("got %q", info)
	}
	r.hears(sub("c", "", "R", 3), sub("c", "g", "QR", 4))
	r.hear(fmt.Sprintf("UNSUB RSID:%d:1\r\n", cid))
	r.silent()
	known(t, s.Server, 5) // y is not exported any more
	c.say("PUB x 0\r\n\r\nPUB y 0\r\n\r\nUNSUB 1\r\nUNSUB 3\r\nSUB a 5\r\n")
	c.silent()
	r.hears("MSG x RSID:1:1 0\r\n", "\r\n", fmt.Sprintf("UNSUB RSID:%d:3\r\n", cid)) // and nothing of a
	r.silent()

	s.change("")
	r.hear("INFO ")
	r.hear(sub("a", "", "R", 5))
	r.silent()
	if s.NumRoutes() != 1 {
		t.Error("the route was closed")
	}
}

// TestPeerThatExportsMoreIsToldAgain has a 1.4 server change its permissions: what it dropped before must be announced again.
func TestPeerThatExportsMoreIsToldAgain(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "")
	c, cid := rawClient(t, s.Server)
	c.say("SUB a 1\r\nSUB b 2\r\n")
	c.silent()
	p := newClassic(t, "peer", false)
	exporting := func(list string) string {
		return strings.Replace(p.info(), `"max_payload"`, `"export":{"allow":[`+list+`]},"max_payload"`, 1)
	}
	r := p.dial(s.Server)
	r.say(p.connect() + exporting(`"a"`))
	r.hear("SUB ")
	r.hear("SUB ")
	r.say(exporting(`"a"`))
	r.silent()
	clear(r.subs) // a peer has dropped what it did not take
	r.say(exporting(`"b"`))
	r.hear(fmt.Sprintf("SUB b  RSID:%d:2\r\n", cid))
	r.silent()
	clear(r.subs)
	r.say(p.info())
	r.hear(fmt.Sprintf("SUB a  RSID:%d:1\r\n", cid))
	r.silent()
}

// TestReloadOfClusterPermissionsMakesRoutesOf11Again has one that dialed us, which does not come back by itself, and one that we dial.
func TestReloadOfClusterPermissionsMakesRoutesOf11Again(t *testing.T) {
	t.Parallel()
	for _, dialed := range []bool{false, true} {
		t.Run(fmt.Sprintf("dialed=%v", dialed), func(t *testing.T) {
			t.Parallel()
			p := newClassic(t, "old", true)
			routes := ""
			if dialed {
				routes = fmt.Sprintf("routes: [%q]\n", p.url())
			}
			s := clusteredFile(t, routes)
			c, cid := rawClient(t, s.Server)
			c.say("SUB a 1\r\nSUB b 2\r\n")
			c.silent()
			var r *classicRoute
			if dialed {
				r, _ = p.accept()
			} else {
				r = p.join(s.Server)
			}
			r.hear("SUB ")
			r.hear("SUB ")
			s.change(routes + "permissions { import: b }")
			r.closed()
			r, _ = p.accept()
			r.hear(fmt.Sprintf("SUB b  RSID:%d:2\r\n", cid))
			r.silent()
			routed(t, s.Server, 1)
		})
	}
}

func TestReloadOfClusterCredentials(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "authorization { user: u, password: p }")
	p, q := newClassic(t, "dials", false), newClassic(t, "other", false)
	with := func(c *classic, pass string) string {
		return strings.Replace(c.connect(), `"tls`, `"user":"u","pass":"`+pass+`","tls`, 1) + c.info()
	}
	r := p.dial(s.Server)
	r.say(with(p, "p"))
	routed(t, s.Server, 1)
	s.change(`authorization { user: u, password: p, timeout: 5 }`)
	r.silent()
	s.change(`authorization { user: u, password: p }` + fmt.Sprintf("\nroutes: [%q]", q.url()))
	dialed, _ := q.accept()
	routed(t, s.Server, 2)
	s.change(`authorization { user: u, password: x }` + fmt.Sprintf("\nroutes: [%q]", q.url()))
	for { // what is told of the other server comes first
		line, err := r.line()
		must(t, err)
		if line == "-ERR 'Authorization Violation'\r\n" {
			break
		}
		if !strings.HasPrefix(line, "INFO ") {
			t.Fatalf("got %q", line)
		}
	}
	r.closed()
	dialed.silent() // whom we dialed has nothing to prove
	r = p.dial(s.Server)
	r.say(with(p, "x"))
	routed(t, s.Server, 2)
	s.change(fmt.Sprintf("routes: [%q]", q.url())) // nobody is asked any more
	r.silent()
	s.change("authorization { user: u, password: x }" + fmt.Sprintf("\nroutes: [%q]", q.url()))
	r.silent() // it had shown that already
}

func TestReloadOfRoutes(t *testing.T) {
	t.Parallel()
	p, q := newClassic(t, "first", false), newClassic(t, "second", false)
	s := clusteredFile(t, fmt.Sprintf("routes: [%q]", p.url()))
	r, _ := p.accept()
	routed(t, s.Server, 1)
	s.change(fmt.Sprintf("routes: [%q]", q.url()))
	r.closed()
	second, _ := q.accept()
	routed(t, s.Server, 1)
	s.change(fmt.Sprintf("routes: [%q, %q]", q.url(), p.url()))
	r, _ = p.accept()
	second.hear("INFO ") // about the first
	second.silent()
	routed(t, s.Server, 2)
	s.change("")
	r.closed()
	second.closed()
	routed(t, s.Server, 0)
}

func TestReloadOfNoAdvertise(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "")
	p := newClassic(t, "peer", false)
	p.clients = "1.2.3.4:5"
	p.join(s.Server)
	routed(t, s.Server, 1)
	advertisesPeer := func() bool { return strings.Contains(strings.Join(advertised(t, s.Server), " "), p.clients) }
	eventually(t, "the address of the peer in INFO", advertisesPeer)
	s.change("no_advertise: true")
	eventually(t, "INFO without it", func() bool { return !advertisesPeer() })
	if info := newClassic(t, "asks", false).dial(s.Server).info; strings.Contains(info, "connect_urls") {
		t.Errorf("got %q, want no addresses of clients", info)
	}
	s.change("")
	eventually(t, "the address of the peer again", advertisesPeer)
}

func TestReloadOfAdvertisedAddresses(t *testing.T) {
	t.Parallel()
	s := clusteredFile(t, "")
	p := newClassic(t, "peer", false)
	s.top = `client_advertise: "c.example:1"`
	s.change(`cluster_advertise: "r.example:2"`)
	info := infoOf(t, p.dial(s.Server).info)
	if info.Host != "r.example" || info.Port != 2 || info.IP != "nats-route://r.example:2/" || fmt.Sprint(info.ConnectURLs) != "[c.example:1]" {
		t.Errorf("got %+v", info)
	}
	if c, _ := rawClientInfo(t, s.Server); c.Host != "c.example" || c.Port != 1 {
		t.Errorf("got %+v", c)
	}
}

// rawClientInfo is the INFO that a client gets.
func rawClientInfo(t *testing.T, s *server.Server) (info server.Info, c *classicRoute) {
	t.Helper()
	c = &classicRoute{t: t, nc: dialConn(t, s.Addr().String())}
	c.r = bufio.NewReader(c.nc)
	return infoOf(t, c.hear("INFO ")), c
}

// TestReloadOfPermissionsBetweenServersOfOurKind has interest follow the permissions on both sides, while clients come and go.
func TestReloadOfPermissionsBetweenServersOfOurKind(t *testing.T) {
	t.Parallel()
	a := clusteredFile(t, "")
	b := clusteredFile(t, fmt.Sprintf("routes: [%q]", clusterURL(a.Server)))
	routed(t, a.Server, 1)
	c, _ := rawClient(t, a.Server)
	const n = 500
	for i := range n {
		c.say(fmt.Sprintf("SUB in.%d %d\r\nSUB out.%d %d\r\n", i, i, i, n+i))
	}
	c.silent()
	known(t, b.Server, 2*n)
	done := make(chan struct{})
	go func() { // ends after its rounds; waited for below
		defer close(done)
		for i := range 3000 {
			fmt.Fprintf(c.nc, "SUB out.x x%d\r\nUNSUB x%d\r\n", i, i)
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
	c.silent()
	known(t, b.Server, 2*n)
}
