package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"gnatsd/server"
)

// classic is a 1.x server as other servers see it: the test decides what it says, byte by byte.
type classic struct {
	t       *testing.T
	id      string
	old     bool // speaks as 1.1.0, not 1.4.1
	ln      net.Listener
	clients string // host:port it gives for clients, "" for none
}

// newClassic returns a 1.x server that listens for routes.
func newClassic(t *testing.T, id string, old bool) *classic {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	return &classic{t: t, id: fmt.Sprintf("%-22s", id), old: old, ln: ln}
}

// profiles runs a test with a server of each kind.
func profiles(t *testing.T, run func(t *testing.T, old bool)) {
	t.Run("1.1.0", func(t *testing.T) { t.Parallel(); run(t, true) })
	t.Run("1.4.1", func(t *testing.T) { t.Parallel(); run(t, false) })
}

func (c *classic) port() int { return c.ln.Addr().(*net.TCPAddr).Port }

func (c *classic) url() *url.URL { return &url.URL{Scheme: "nats-route", Host: c.ln.Addr().String()} }

// connect is the CONNECT of the server.
func (c *classic) connect() string {
	echo := `"echo":true,`
	if c.old {
		echo = ""
	}
	return fmt.Sprintf(`CONNECT {%s"verbose":false,"pedantic":false,"tls_required":false,"name":"%s"}`, echo, c.id) + "\r\n"
}

// info is the INFO of the server about itself.
func (c *classic) info() string {
	urls := ""
	if c.clients != "" {
		urls = fmt.Sprintf(`,"connect_urls":[%q]`, c.clients)
	}
	if c.old {
		return fmt.Sprintf(`INFO {"server_id":"%s","version":"1.1.0","git_commit":"","go":"","host":"127.0.0.1","port":%d,`+
			`"auth_required":false,"tls_required":false,"tls_verify":false,"max_payload":1048576%s}`, c.id, c.port(), urls) + "\r\n"
	}
	return fmt.Sprintf(`INFO {"server_id":"%s","version":"1.4.1","proto":1,"go":"go1.11.5","host":"127.0.0.1","port":%d,`+
		`"max_payload":1048576%s}`, c.id, c.port(), urls) + " \r\n"
}

// classicRoute is a connection of a 1.x server.
type classicRoute struct {
	t    *testing.T
	nc   net.Conn
	r    *bufio.Reader
	info string          // first INFO of the broker
	subs map[string]bool // SUB lines heard and not withdrawn
}

// dial connects to the broker and reads its INFO; greet goes on.
func (c *classic) dial(s *server.Server) *classicRoute {
	c.t.Helper()
	nc, err := net.Dial("tcp", s.ClusterAddr().String())
	must(c.t, err)
	r := c.route(nc)
	r.info = r.hear("INFO ")
	return r
}

// join connects to the broker as the server does, until all interest is known.
func (c *classic) join(s *server.Server) *classicRoute {
	c.t.Helper()
	r := c.dial(s)
	r.say(c.connect() + c.info())
	return r
}

// accept takes the next connection of the broker, reads its CONNECT and INFO, and registers it.
func (c *classic) accept() (r *classicRoute, connect string) {
	c.t.Helper()
	c.ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	nc, err := c.ln.Accept()
	must(c.t, err)
	r = c.route(nc)
	r.say(c.info())
	connect = r.hear("CONNECT ")
	r.info = r.hear("INFO ")
	return r, connect
}

func (c *classic) route(nc net.Conn) *classicRoute {
	c.t.Cleanup(func() { nc.Close() })
	return &classicRoute{t: c.t, nc: nc, r: bufio.NewReader(nc)}
}

func (r *classicRoute) say(text string) {
	r.t.Helper()
	_, err := r.nc.Write([]byte(text))
	must(r.t, err)
}

// line returns the next line; PINGs are answered and left out, and so is interest that is told a second time: a server takes
// that as told once, and one that joins while interest changes may hear it.
func (r *classicRoute) line() (string, error) {
	r.nc.SetReadDeadline(time.Now().Add(patience))
	for {
		text, err := r.r.ReadString('\n')
		switch {
		case err != nil:
			return text, err
		case text == "PING\r\n":
			r.nc.Write([]byte("PONG\r\n"))
		case !r.repeated(text):
			return text, nil
		}
	}
}

// repeated reports whether a line tells of interest that is known, and notes what it tells.
func (r *classicRoute) repeated(text string) bool {
	if id, ok := strings.CutPrefix(text, "UNSUB "); ok {
		for l := range r.subs {
			if strings.HasSuffix(l, " "+id) {
				delete(r.subs, l)
			}
		}
	}
	if !strings.HasPrefix(text, "SUB ") {
		return false
	}
	if r.subs == nil {
		r.subs = map[string]bool{}
	}
	known := r.subs[text]
	r.subs[text] = true
	return known
}

// hear reads a line that begins with prefix, and returns it.
func (r *classicRoute) hear(prefix string) string {
	r.t.Helper()
	text, err := r.line()
	must(r.t, err)
	if !strings.HasPrefix(text, prefix) {
		r.t.Fatalf("got %q, want %q", text, prefix)
	}
	return text
}

// silent checks that nothing more comes before the answer to a PING.
func (r *classicRoute) silent() {
	r.t.Helper()
	r.say("PING\r\n")
	r.hear("PONG\r\n")
}

// closed checks that the broker closes, after the given lines.
func (r *classicRoute) closed(lines ...string) {
	r.t.Helper()
	for _, l := range lines {
		r.hear(l)
	}
	if text, err := r.line(); err == nil || !isEnd(err) {
		r.t.Fatalf("got %q, %v, want the end", text, err)
	}
}

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

// rawClient connects a client that speaks bytes; its cid is the one in its INFO.
func rawClient(t *testing.T, s *server.Server) (c *classicRoute, cid uint64) {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	c = &classicRoute{t: t, nc: nc, r: bufio.NewReader(nc)}
	info := infoOf(t, c.hear("INFO "))
	c.say("CONNECT {\"verbose\":false,\"protocol\":1}\r\n")
	c.silent()
	return c, info.ClientID
}

func infoOf(t *testing.T, line string) (info server.Info) {
	t.Helper()
	must(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info))
	return info
}

const idPattern = `[0-9A-Za-z]{22}`

func TestGreetingOfADialingServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		client, cid := rawClient(t, s)
		client.say("SUB a 1\r\nSUB b q 2\r\nSUB _SYS.x 3\r\nSUB a:b x:y\r\n")
		client.silent()
		p := newClassic(t, "peer", old)
		r := p.dial(s)
		want := regexp.MustCompile(`^INFO \{"server_id":"` + idPattern + `","version":"[0-9.]+","proto":1,("git_commit":"\w+",)?"go":"[^"]+",` +
			`"host":"127.0.0.1","port":\d+,"headers":true,"max_payload":1048576,"connect_urls":\["127.0.0.1:\d+"\]\} \r\n$`)
		if !want.MatchString(r.info) {
			t.Errorf("got %q, want %v", r.info, want)
		}
		r.silent()
		r.say(p.connect())
		r.silent()
		r.say(p.info())
		got := map[string]bool{}
		for range 3 {
			got[r.hear("SUB ")] = true
		}
		for _, l := range []string{"SUB a  RSID:%d:1\r\n", "SUB b q QRSID:%d:2\r\n", "SUB a:b  RSID:%d:x:y\r\n"} {
			if l := fmt.Sprintf(l, cid); !got[l] {
				t.Errorf("got %v, want %q among them", got, l)
			}
		}
		r.silent()
	})
}

func TestGreetingOfADialedServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		p := newClassic(t, "dialed", old)
		u := p.url()
		u.User = url.UserPassword("ru", "rp")
		s := clustered(t, routesTo(u))
		r, connect := p.accept()
		want := fmt.Sprintf(`CONNECT {"echo":true,"verbose":false,"pedantic":false,"user":"ru","pass":"rp","tls_required":false,"name":"%s"}`, s.ID()) + "\r\n"
		if connect != want {
			t.Errorf("got %q, want %q", connect, want)
		}
		routed(t, s, 1)
		r.silent()
	})
}

func TestInterestOverARoute(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		p := newClassic(t, "interest", old)
		r := p.join(s)
		r.silent()
		client, cid := rawClient(t, s)
		id := func(format string) string { return fmt.Sprintf(format, cid) + "\r\n" }
		hears := func(want string) {
			t.Helper()
			if got := r.hear(""); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		client.say("SUB foo 1\r\nSUB foo 1\r\nSUB bad..subject 2\r\nSUB bar g 3\r\nUNSUB 1\r\nUNSUB 3\r\n")
		client.hear("-ERR 'Invalid Subject'")
		hears(id("SUB foo  RSID:%d:1"))
		hears(id("SUB bar g QRSID:%d:3"))
		hears(id("UNSUB RSID:%d:1"))
		hears(id("UNSUB QRSID:%d:3"))
		client.say("SUB auto 4\r\nUNSUB 4 2\r\n")
		hears("SUB auto" + id("  RSID:%d:4"))
		client.silent()
		r.say("PING\r\n")
		hears("PONG\r\n") // nothing until the limit is reached
		client.say("PUB auto 0\r\n\r\nPUB auto 0\r\n\r\n")
		hears(id("UNSUB RSID:%d:4"))
		client.say("SUB x 5\r\nSUB y 6\r\n")
		hears(id("SUB x  RSID:%d:5"))
		hears(id("SUB y  RSID:%d:6"))
		client.nc.Close()
		got := map[string]bool{r.hear("UNSUB "): true, r.hear("UNSUB "): true}
		if !got[id("UNSUB RSID:%d:5")] || !got[id("UNSUB RSID:%d:6")] {
			t.Errorf("got %v when the client left", got)
		}
	})
}

func TestMessagesToAServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		p := newClassic(t, "to", old)
		r := p.join(s)
		r.say("SUB foo  RSID:1:1\r\nSUB foo.*  RSID:1:2\r\nSUB >  RSID:2:1\r\nSUB foo g QRSID:3:1\r\nSUB two RSID:9:9\r\n")
		known(t, s, 5)
		client, _ := rawClient(t, s)
		client.say("PUB foo 2\r\nhi\r\nPUB foo.a reply 2\r\nho\r\n")
		got := map[string]bool{r.hear("MSG foo "): true}
		r.hear("hi")
		got[r.hear("MSG foo ")] = true
		r.hear("hi")
		if !got["MSG foo QRSID:3:1 2\r\n"] || !(got["MSG foo RSID:1:1 2\r\n"] || got["MSG foo RSID:2:1 2\r\n"]) {
			t.Errorf("got %v, want one message for the plain interest and one for the group", got)
		}
		if l := r.hear("MSG foo.a "); l != "MSG foo.a RSID:1:2 reply 2\r\n" && l != "MSG foo.a RSID:2:1 reply 2\r\n" {
			t.Errorf("got %q", l)
		}
		r.hear("ho")
		r.silent()
		r.say("UNSUB RSID:2:1\r\nUNSUB RSID:1:1 2\r\nUNSUB QRSID:3:1\r\nUNSUB RSID:77:7\r\n")
		known(t, s, 3)
		client.say(strings.Repeat("PUB foo 0\r\n\r\n", 4))
		client.silent()
		for range 2 - 1*b2i(strings.Contains(fmt.Sprint(got), "RSID:1:1")) {
			r.hear("MSG foo RSID:1:1 0\r\n")
			r.hear("\r\n")
		}
		r.silent()
		known(t, s, 2)
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestMessagesFromAServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		p, q := newClassic(t, "from", old), newClassic(t, "other", !old)
		r := p.join(s)
		routed(t, s, 1)
		o := q.join(s)
		routed(t, s, 2)
		r.hear("INFO ")
		r.say("SUB foo  RSID:1:1\r\n")
		o.say("SUB foo  RSID:1:1\r\n")
		known(t, s, 2)
		client, cid := rawClient(t, s)
		client.say("SUB foo 1\r\nSUB foo 2\r\nSUB foo g 3\r\nSUB bar g a:b:c\r\nSUB big 5\r\n")
		client.silent()
		for range 5 {
			r.hear("SUB ")
			o.hear("SUB ")
		}
		// A message goes to every plain local subscription, whatever id it names, and to nobody else.
		r.say("MSG foo RSID:99:x 2\r\nhi\r\n")
		got := map[string]bool{client.hear("MSG foo "): true}
		client.hear("hi")
		got[client.hear("MSG foo ")] = true
		client.hear("hi")
		if !got["MSG foo 1 2\r\n"] || !got["MSG foo 2 2\r\n"] {
			t.Errorf("got %v", got)
		}
		client.silent()
		r.silent()
		o.silent()
		// Several subjects for one subscription keep their own.
		client.say("SUB w.* 9\r\n")
		client.silent()
		r.hear("SUB w.* ")
		o.hear("SUB w.* ")
		r.say("MSG w.a RSID:1:9 1\r\nx\r\nMSG w.b RSID:1:9 2\r\nyy\r\nMSG w.b RSID:1:9 2\r\nyy\r\nMSG w.a RSID:1:9 re 1\r\nz\r\n")
		for _, l := range []string{"MSG w.a 9 1\r\n", "x\r\n", "MSG w.b 9 2\r\n", "yy\r\n", "MSG w.b 9 2\r\n", "yy\r\n", "MSG w.a 9 re 1\r\n", "z\r\n"} {
			client.hear(l)
		}
		// A queue id names the one subscription that gets it.
		r.say(fmt.Sprintf("MSG foo QRSID:%d:3 reply 1\r\nq\r\nMSG bar QRSID:%d:a:b:c 1\r\nr\r\n", cid, cid))
		client.hear("MSG foo 3 reply 1\r\n")
		client.hear("q")
		client.hear("MSG bar a:b:c 1\r\n")
		client.hear("r")
		// A malformed or unknown one, or a subject it does not match, is dropped.
		r.say(fmt.Sprintf("MSG foo QRSID:x:3 1\r\nq\r\nMSG foo QRSID:%d:77 1\r\nq\r\nMSG other QRSID:%d:3 1\r\nq\r\nMSG foo QRSID:%d:1 1\r\nq\r\n", cid, cid, cid))
		r.silent()
		client.silent()
		// More than a client may publish.
		size := 2 << 20
		r.say(fmt.Sprintf("MSG big RSID:%d:5 %d\r\n%s\r\n", cid, size, strings.Repeat("x", size)))
		client.hear(fmt.Sprintf("MSG big 5 %d\r\n", size))
		r.say("PUB foo 1\r\nx\r\n")
		r.closed("-ERR 'Unknown Protocol Operation'")
		o.silent()
	})
}

func TestAbsentQueueMember(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		r := newClassic(t, "absent", old).join(s)
		routed(t, s, 1)
		gone, cid := rawClient(t, s)
		gone.say("SUB foo g 1\r\nSUB foo other 2\r\n")
		gone.silent()
		r.hear("SUB foo g ")
		r.hear("SUB foo other ")
		gone.say("UNSUB 1\r\n") // only now: what is gone before a new route is told of it is not told
		gone.silent()
		r.hear("UNSUB QRSID:")
		stays, _ := rawClient(t, s)
		stays.say("SUB foo g 7\r\n")
		stays.silent()
		r.hear("SUB foo g ")
		r.say(fmt.Sprintf("MSG foo QRSID:%d:1 1\r\nx\r\n", cid))
		stays.hear("MSG foo 7 1\r\n")
		stays.hear("x")
		stays.nc.Close()
		r.hear("UNSUB ")
		r.say("SUB foo g QRSID:5:5\r\n")
		known(t, s, 2)
		r.say(fmt.Sprintf("MSG foo QRSID:%d:1 1\r\ny\r\n", cid))
		r.hear("MSG foo QRSID:5:5 1\r\n")
		r.hear("y")
		gone.silent()
		gone.nc.Close()
		r.hear("UNSUB ")
		r.say(fmt.Sprintf("MSG foo QRSID:%d:2 1\r\nz\r\n", cid))
		r.silent()
	})
}

func TestGossipOfAServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		first, second := newClassic(t, "first", !old), newClassic(t, "second", old)
		a := first.join(s)
		routed(t, s, 1)
		second.clients = "10.9.8.7:4222"
		b := second.join(s)
		want := fmt.Sprintf(`INFO {"server_id":"%s","version":"1.4.1","proto":1,"go":"go1.11.5","host":"127.0.0.1","port":%d,"max_payload":1048576,`+
			`"ip":"nats-route://127.0.0.1:%d/","connect_urls":["10.9.8.7:4222"]}`, second.id, second.port(), second.port()) + "\r\n"
		if old {
			want = fmt.Sprintf(`INFO {"server_id":"%s","version":"1.1.0","proto":0,"go":"","host":"127.0.0.1","port":%d,"max_payload":1048576,`+
				`"ip":"nats-route://127.0.0.1:%d/","connect_urls":["10.9.8.7:4222"]}`, second.id, second.port(), second.port()) + "\r\n"
		}
		if got := a.hear("INFO "); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		b.silent()
		// What a peer tells us of a third server is dialed, unless it has no address.
		third := newClassic(t, "third", old)
		a.say(strings.Replace(third.info(), `"max_payload"`, `"ip":"","max_payload"`, 1))
		a.say(strings.Replace(third.info(), `"max_payload"`, fmt.Sprintf(`"ip":"nats-route://127.0.0.1:%d/","max_payload"`, third.port()), 1))
		c, connect := third.accept()
		if strings.Contains(connect, "user") {
			t.Errorf("got %q, want no credentials", connect)
		}
		routed(t, s, 3)
		a.hear("INFO {\"server_id\":\"" + third.id)
		b.hear("INFO {\"server_id\":\"" + third.id)
		c.silent()
		// A server that leaves is never spoken of to 1.x.
		c.nc.Close()
		routed(t, s, 2)
		a.silent()
		b.silent()
	})
}

func TestDuplicateRouteIsClosedAndTheFirstStays(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		p := newClassic(t, "twice", old)
		first := p.join(s)
		routed(t, s, 1)
		second := p.join(s)
		second.closed()
		first.silent()
		routed(t, s, 1)
	})
}

func TestDuplicateIsExplainedToServersOfOurKind(t *testing.T) {
	t.Parallel()
	s := clustered(t, nil)
	p := newClassic(t, "~young", false) // a larger id than that of s, which decides
	greeting := p.connect() + strings.Replace(p.info(), "1.4.1", "1.5.0", 1)
	first := p.dial(s)
	first.say(greeting)
	routed(t, s, 1)
	second := p.dial(s)
	second.say(greeting)
	if l := second.hear("INFO "); !strings.Contains(l, fmt.Sprintf(`"server_id":%q`, s.ID())) || !strings.Contains(l, `"duplicate":true`) {
		t.Errorf("got %q, want to be told that this is a duplicate", l)
	}
	second.closed()
	first.silent()
	routed(t, s, 1)
}

func TestRouteThatTheOtherEndPrefersSurvives(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		p := newClassic(t, "crossing", old)
		s := clustered(t, routesTo(p.url()))
		dialed, _ := p.accept()
		routed(t, s, 1)
		mine := p.join(s) // the peer took this one first, and closes the other
		dialed.nc.Close()
		mine.say("SUB foo  RSID:1:1\r\n")
		known(t, s, 1)
		routed(t, s, 1)
		mine.silent()
		mine.nc.Close()
		again, _ := p.accept() // it is configured: dialed again when lost
		again.silent()
	})
}

func TestQuirksOf14(t *testing.T) {
	t.Parallel()
	s := clustered(t, nil)
	p := newClassic(t, "quirk", false)
	r := p.join(s)
	routed(t, s, 1)
	// The INFO for clients that 1.4 sends after the first PING.
	r.say(fmt.Sprintf(`INFO {"server_id":"%s","version":"1.4.1","proto":1,"go":"go1.11.5","host":"127.0.0.1","port":4222,"max_payload":1048576,"client_id":3}`, p.id) + " \r\n")
	r.silent()
	routed(t, s, 1)
	// An INFO about a third server without proto or ip.
	r.say(`INFO {"server_id":"nobody","version":"1.1.0","git_commit":"","go":"","host":"127.0.0.1","port":1,"max_payload":1}` + "\r\n")
	r.silent()
	r.say("-ERR 'Some trouble'\r\n")
	r.closed()
}

func TestRouteThatTalksLikeAClient(t *testing.T) {
	t.Parallel()
	s := clustered(t, nil)
	p := newClassic(t, "talk", false)
	r := p.dial(s)
	r.say("PING\r\n")
	r.hear("PONG\r\n")
	r.say(`CONNECT {"lang":"go"}` + "\r\n")
	r.closed("-ERR 'attempted to connect to route port'")

	r = p.dial(s)
	r.say(strings.Replace(p.connect(), `"verbose":false`, `"verbose":true`, 1))
	r.hear("+OK")
	r.say("SUB foo 1\r\nUNSUB 1\r\nSUB foo..bar 1\r\n")
	r.hear("+OK")
	r.hear("+OK")
	r.hear("-ERR 'Invalid Subject'")

	r = p.dial(s)
	r.say(p.info()) // no CONNECT is fine
	routed(t, s, 1)
}

func TestRouteCredentials(t *testing.T) {
	t.Parallel()
	s := clustered(t, func(o *server.Options) {
		o.Cluster.Username, o.Cluster.Password, o.Cluster.AuthTimeout = "ru", "rp", 0.3
	})
	p := newClassic(t, "auth", false)
	r := p.dial(s)
	if !strings.Contains(r.info, `"auth_required":true`) {
		t.Errorf("got %q", r.info)
	}
	r.closed("-ERR 'authorization timeout'")
	r = p.dial(s)
	r.say(p.info())
	r.closed("-ERR 'Authorization Violation'")
	r = p.dial(s)
	r.say(strings.Replace(p.connect(), `"tls`, `"user":"ru","pass":"no","tls`, 1))
	r.closed("-ERR 'Authorization Violation'")
	r = p.dial(s)
	r.say(strings.Replace(p.connect(), `"tls`, `"user":"ru","pass":"rp","tls`, 1) + p.info())
	routed(t, s, 1)
	// A server that others tell us of is shown our own credentials if it wants some.
	third := newClassic(t, "third", false)
	r.say(strings.Replace(third.info(), `"max_payload"`, fmt.Sprintf(`"auth_required":true,"ip":"nats-route://127.0.0.1:%d/","max_payload"`, third.port()), 1))
	if _, connect := third.accept(); !strings.Contains(connect, `"user":"ru","pass":"rp"`) {
		t.Errorf("got %q, want our own credentials", connect)
	}
}

func TestQueueGroupOverTheCluster(t *testing.T) {
	t.Parallel()
	const n = 3000
	for _, local := range []bool{false, true} {
		t.Run(fmt.Sprintf("prefer_local=%v", local), func(t *testing.T) {
			t.Parallel()
			s := clustered(t, func(o *server.Options) { o.Cluster.PreferLocal = local })
			r := newClassic(t, "group", false).join(s)
			routed(t, s, 1)
			r.say("SUB foo g QRSID:1:1\r\nSUB foo g QRSID:1:2\r\n")
			client, _ := rawClient(t, s)
			client.say("SUB foo g 1\r\nSUB foo g 2\r\nSUB last 3\r\n")
			client.silent()
			known(t, s, 5)
			r.hear("SUB ")
			r.hear("SUB ")
			r.hear("SUB ")
			pub, _ := rawClient(t, s)
			pub.say(strings.Repeat("PUB foo 0\r\n\r\n", n))
			pub.silent()
			got := map[string]int{}
			count := func(c *classicRoute) {
				for {
					c.nc.SetReadDeadline(time.Now().Add(patience))
					l := c.hear("")
					if l == "PONG\r\n" {
						return
					}
					got[strings.Fields(l)[2]]++
					c.hear("\r\n")
				}
			}
			client.say("PING\r\n")
			count(client)
			r.say("PING\r\n")
			count(r)
			for _, id := range []string{"1", "2", "QRSID:1:1", "QRSID:1:2"} {
				want := n / 4
				if local {
					want = n / 2 * b2i(len(id) == 1)
				}
				if d := got[id] - want; d < -150 || d > 150 {
					t.Errorf("%s got %d, want near %d", id, got[id], want)
				}
			}
		})
	}
}

func dialConn(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

// dialSilent connects a client that has said and read nothing yet.
func dialSilent(t *testing.T, s *server.Server) *classicRoute {
	t.Helper()
	nc := dialConn(t, s.Addr().String())
	return &classicRoute{t: t, nc: nc, r: bufio.NewReader(nc)}
}
