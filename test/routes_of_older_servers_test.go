package test

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gnatsd/server"
	"gnatsd/test/wire"
)

const idPattern = `[0-9A-Za-z]{22}`

func TestGreetingOfADialingServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		client, cid := rawClient(t, s)
		client.Say("SUB a 1\r\nSUB b q 2\r\nSUB _SYS.x 3\r\nSUB a:b x:y\r\n")
		client.Sync()
		p := wire.Listen(t, "peer", old)
		r := p.Dial(s.ClusterAddr())
		want := regexp.MustCompile(`^INFO \{"server_id":"` + idPattern + `","version":"[0-9.]+","proto":1,("git_commit":"\w+",)?"go":"[^"]+",` +
			`"host":"127.0.0.1","port":\d+,"headers":true,"max_payload":1048576,"connect_urls":\["127.0.0.1:\d+"\],"pool_size":1\} \r\n$`)
		if !want.MatchString(r.Info) {
			t.Errorf("got %q, want %v", r.Info, want)
		}
		r.Sync()
		r.Say(p.Connect())
		r.Sync()
		r.Say(p.Info())
		got := map[string]bool{}
		for range 3 {
			got[r.Hear("SUB ")] = true
		}
		for _, l := range []string{"SUB a  RSID:%d:1\r\n", "SUB b q QRSID:%d:2\r\n", "SUB a:b  RSID:%d:x:y\r\n"} {
			if l := fmt.Sprintf(l, cid); !got[l] {
				t.Errorf("got %v, want %q among them", got, l)
			}
		}
		r.Sync()
	})
}

func TestGreetingOfADialedServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		p := wire.Listen(t, "dialed", old)
		u := p.URL()
		u.User = url.UserPassword("ru", "rp")
		s := clustered(t, routesTo(u))
		r, connect := p.Accept()
		want := fmt.Sprintf(`CONNECT {"echo":true,"verbose":false,"pedantic":false,"user":"ru","pass":"rp","tls_required":false,"name":"%s"}`, s.ID()) + "\r\n"
		if connect != want {
			t.Errorf("got %q, want %q", connect, want)
		}
		routed(t, s, 1)
		r.Sync()
	})
}

func TestInterestOverARoute(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		p := wire.Listen(t, "interest", old)
		r := p.Join(s.ClusterAddr())
		r.Sync()
		client, cid := rawClient(t, s)
		id := func(format string) string { return fmt.Sprintf(format, cid) + "\r\n" }
		next := func(want string) {
			t.Helper()
			if got := r.Hear(""); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
		client.Say("SUB foo 1\r\nSUB foo 1\r\nSUB bad..subject 2\r\nSUB bar g 3\r\nUNSUB 1\r\nUNSUB 3\r\n")
		client.Hear("-ERR 'Invalid Subject'")
		next(id("SUB foo  RSID:%d:1"))
		next(id("SUB bar g QRSID:%d:3"))
		next(id("UNSUB RSID:%d:1"))
		next(id("UNSUB QRSID:%d:3"))
		client.Say("SUB auto 4\r\nUNSUB 4 2\r\n")
		next("SUB auto" + id("  RSID:%d:4"))
		client.Sync()
		r.Say("PING\r\n")
		next("PONG\r\n") // nothing until the limit is reached
		client.Say("PUB auto 0\r\n\r\nPUB auto 0\r\n\r\n")
		next(id("UNSUB RSID:%d:4"))
		client.Say("SUB x 5\r\nSUB y 6\r\n")
		next(id("SUB x  RSID:%d:5"))
		next(id("SUB y  RSID:%d:6"))
		client.Close()
		got := map[string]bool{r.Hear("UNSUB "): true, r.Hear("UNSUB "): true}
		if !got[id("UNSUB RSID:%d:5")] || !got[id("UNSUB RSID:%d:6")] {
			t.Errorf("got %v when the client left", got)
		}
	})
}

func TestMessagesToAServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		p := wire.Listen(t, "to", old)
		r := p.Join(s.ClusterAddr())
		r.Say("SUB foo  RSID:1:1\r\nSUB foo.*  RSID:1:2\r\nSUB >  RSID:2:1\r\nSUB foo g QRSID:3:1\r\nSUB two RSID:9:9\r\n")
		known(t, s, 5)
		client, _ := rawClient(t, s)
		client.Say("PUB foo 2\r\nhi\r\nPUB foo.a reply 2\r\nho\r\n")
		got := map[string]bool{r.Hear("MSG foo "): true}
		r.Hear("hi")
		got[r.Hear("MSG foo ")] = true
		r.Hear("hi")
		if !got["MSG foo QRSID:3:1 2\r\n"] || !(got["MSG foo RSID:1:1 2\r\n"] || got["MSG foo RSID:2:1 2\r\n"]) {
			t.Errorf("got %v, want one message for the plain interest and one for the group", got)
		}
		if l := r.Hear("MSG foo.a "); l != "MSG foo.a RSID:1:2 reply 2\r\n" && l != "MSG foo.a RSID:2:1 reply 2\r\n" {
			t.Errorf("got %q", l)
		}
		r.Hear("ho")
		r.Sync()
		r.Say("UNSUB RSID:2:1\r\nUNSUB RSID:1:1 2\r\nUNSUB QRSID:3:1\r\nUNSUB RSID:77:7\r\n")
		known(t, s, 3)
		client.Say(strings.Repeat("PUB foo 0\r\n\r\n", 4))
		client.Sync()
		for range 2 - 1*b2i(strings.Contains(fmt.Sprint(got), "RSID:1:1")) {
			r.Hear("MSG foo RSID:1:1 0\r\n")
			r.Hear("\r\n")
		}
		r.Sync()
		known(t, s, 2)
	})
}

// TestALimitOverARouteCountsWhatFollows has a message and the limit of the member that it goes to in one
// read: the message came before.
func TestALimitOverARouteCountsWhatFollows(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"1", "4611686018427387905"} {
		s := clustered(t, nil)
		r := wire.Listen(t, "limits", true).Join(s.ClusterAddr())
		r.Say("SUB foo g QRSID:9:1\r\n")
		known(t, s, 1)
		client, cid := rawClient(t, s)
		client.Say("PUB foo 1\r\na\r\n")
		r.Hear("MSG foo QRSID:9:1 1")
		r.Hear("a")
		client.Say("SUB foo g 5\r\nUNSUB 5\r\n")
		client.Sync()
		r.Say(fmt.Sprintf("MSG foo QRSID:%d:5 1\r\nb\r\nUNSUB QRSID:9:1 %s\r\n", cid, limit))
		r.HearAfter("MSG foo QRSID:9:1 1")
		r.Hear("b")
		r.Sync()
		if limit == "1" {
			known(t, s, 0)
		} else {
			known(t, s, 1)
		}
	}
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
		p, q := wire.Listen(t, "from", old), wire.Listen(t, "other", !old)
		r := p.Join(s.ClusterAddr())
		routed(t, s, 1)
		o := q.Join(s.ClusterAddr())
		routed(t, s, 2)
		r.Hear("INFO ")
		r.Say("SUB foo  RSID:1:1\r\n")
		o.Say("SUB foo  RSID:1:1\r\n")
		known(t, s, 2)
		client, cid := rawClient(t, s)
		client.Say("SUB foo 1\r\nSUB foo 2\r\nSUB foo g 3\r\nSUB bar g a:b:c\r\nSUB big 5\r\n")
		client.Sync()
		for range 5 {
			r.Hear("SUB ")
			o.Hear("SUB ")
		}
		// A message goes to every plain local subscription, whatever id it names, and to
		// none else.
		r.Say("MSG foo RSID:99:x 2\r\nhi\r\n")
		got := map[string]bool{client.Hear("MSG foo "): true}
		client.Hear("hi")
		got[client.Hear("MSG foo ")] = true
		client.Hear("hi")
		if !got["MSG foo 1 2\r\n"] || !got["MSG foo 2 2\r\n"] {
			t.Errorf("got %v", got)
		}
		client.Sync()
		r.Sync()
		o.Sync()
		// Several subjects for one subscription keep their own.
		client.Say("SUB w.* 9\r\n")
		client.Sync()
		r.Hear("SUB w.* ")
		o.Hear("SUB w.* ")
		r.Say("MSG w.a RSID:1:9 1\r\nx\r\nMSG w.b RSID:1:9 2\r\nyy\r\nMSG w.b RSID:1:9 2\r\nyy\r\nMSG w.a RSID:1:9 re 1\r\nz\r\n")
		for _, l := range []string{"MSG w.a 9 1\r\n", "x\r\n", "MSG w.b 9 2\r\n", "yy\r\n", "MSG w.b 9 2\r\n", "yy\r\n", "MSG w.a 9 re 1\r\n", "z\r\n"} {
			client.Hear(l)
		}
		// A queue id names the one subscription that gets it.
		r.Say(fmt.Sprintf("MSG foo QRSID:%d:3 reply 1\r\nq\r\nMSG bar QRSID:%d:a:b:c 1\r\nr\r\n", cid, cid))
		client.Hear("MSG foo 3 reply 1\r\n")
		client.Hear("q")
		client.Hear("MSG bar a:b:c 1\r\n")
		client.Hear("r")
		// A malformed or unknown one, or a subject it does not match, is dropped.
		r.Say(fmt.Sprintf("MSG foo QRSID 1\r\nq\r\nMSG foo QRSIDx 1\r\nq\r\nMSG foo QRSID:x:3 1\r\nq\r\nMSG foo QRSID:%d:77 1\r\nq\r\nMSG other QRSID:%d:3 1\r\nq\r\nMSG foo QRSID:%d:1 1\r\nq\r\n", cid, cid, cid))
		r.Sync()
		client.Sync()
		// More than a client may publish.
		size := 2 << 20
		r.Say(fmt.Sprintf("MSG big RSID:%d:5 %d\r\n%s\r\n", cid, size, strings.Repeat("x", size)))
		client.Hear(fmt.Sprintf("MSG big 5 %d\r\n", size))
		r.Say("PUB foo 1\r\nx\r\n")
		r.End("-ERR 'Unknown Protocol Operation'")
		o.Sync()
	})
}

func TestControlBytesOverARoute(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"SUB evt.\x0b RSID:1:1", "SUB evt.x q\x0c QRSID:1:1", "SUB evt.x  RSID:1:\x00", "UNSUB RSID:1:\x7f", "UNSUB RSID:1:1 \x1f1",
		"MSG evt.x\x0b2 RSID:1:1 6\r\nforged", "MSG evt.x RSID:1:\x0c 6\r\nforged", "MSG evt.x RSID:1:1 re\x0bply 6\r\nforged",
		"HMSG evt.x\x7f RSID:1:1 12 12\r\nNATS/1.0\r\n\r\n",
	} {
		t.Run(strconv.Quote(line), func(t *testing.T) {
			t.Parallel()
			s := clustered(t, nil)
			client, _ := rawClient(t, s)
			client.Do("SUB evt.* 1")
			r := wire.Listen(t, "control", false).Join(s.ClusterAddr())
			r.Hear("SUB evt.* ")
			r.Say(line + "\r\n")
			r.End("-ERR 'Parser Error'")
			client.Sync()
		})
	}
}

func TestAbsentQueueMember(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		r := wire.Listen(t, "absent", old).Join(s.ClusterAddr())
		routed(t, s, 1)
		gone, cid := rawClient(t, s)
		gone.Say("SUB foo g 1\r\nSUB foo other 2\r\n")
		gone.Sync()
		r.Hear("SUB foo g ")
		r.Hear("SUB foo other ")
		gone.Say("UNSUB 1\r\n") // only now: what is gone before the initial sync of a route is not sent
		gone.Sync()
		r.Hear("UNSUB QRSID:")
		stays, _ := rawClient(t, s)
		stays.Say("SUB foo g 7\r\n")
		stays.Sync()
		r.Hear("SUB foo g ")
		r.Say(fmt.Sprintf("MSG foo QRSID:%d:1 1\r\nx\r\n", cid))
		stays.Hear("MSG foo 7 1\r\n")
		stays.Hear("x")
		stays.Close()
		r.Hear("UNSUB ")
		r.Say("SUB foo g QRSID:5:5\r\n")
		known(t, s, 2)
		r.Say(fmt.Sprintf("MSG foo QRSID:%d:1 1\r\ny\r\n", cid))
		r.Hear("MSG foo QRSID:5:5 1\r\n")
		r.Hear("y")
		gone.Sync()
		gone.Close()
		r.Hear("UNSUB ")
		r.Say(fmt.Sprintf("MSG foo QRSID:%d:2 1\r\nz\r\n", cid))
		r.Sync()
	})
}

func TestGossipOfAServer(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		first, second := wire.Listen(t, "first", !old), wire.Listen(t, "second", old)
		a := first.Join(s.ClusterAddr())
		routed(t, s, 1)
		second.Clients = "10.9.8.7:4222"
		b := second.Join(s.ClusterAddr())
		want := fmt.Sprintf(`INFO {"server_id":"%s","version":"1.4.1","proto":1,"go":"go1.11.5","host":"127.0.0.1","port":%d,"max_payload":1048576,`+
			`"ip":"nats-route://127.0.0.1:%d/","connect_urls":["10.9.8.7:4222"]}`, second.ID, second.Port(), second.Port()) + "\r\n"
		if old {
			want = fmt.Sprintf(`INFO {"server_id":"%s","version":"1.1.0","proto":0,"go":"","host":"127.0.0.1","port":%d,"max_payload":1048576,`+
				`"ip":"nats-route://127.0.0.1:%d/","connect_urls":["10.9.8.7:4222"]}`, second.ID, second.Port(), second.Port()) + "\r\n"
		}
		if got := a.Hear("INFO "); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		b.Sync()
		// A third server that a peer announces is dialed, unless it has no address.
		third := wire.Listen(t, "third", old)
		a.Say(strings.Replace(third.Info(), `"max_payload"`, `"ip":"","max_payload"`, 1))
		a.Say(strings.Replace(third.Info(), `"max_payload"`, fmt.Sprintf(`"ip":"nats-route://127.0.0.1:%d/","max_payload"`, third.Port()), 1))
		c, connect := third.Accept()
		if strings.Contains(connect, "user") {
			t.Errorf("got %q, want no credentials", connect)
		}
		routed(t, s, 3)
		a.Hear("INFO {\"server_id\":\"" + third.ID)
		b.Hear("INFO {\"server_id\":\"" + third.ID)
		c.Sync()
		// A server that leaves is never spoken of to 1.x.
		c.Close()
		routed(t, s, 2)
		a.Sync()
		b.Sync()
	})
}

func TestDuplicateRouteIsClosedAndTheFirstStays(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		s := clustered(t, nil)
		p := wire.Listen(t, "twice", old)
		first := p.Join(s.ClusterAddr())
		routed(t, s, 1)
		second := p.Join(s.ClusterAddr())
		second.End()
		first.Sync()
		routed(t, s, 1)
	})
}

func TestDuplicateIsExplainedToServersOfOurKind(t *testing.T) {
	t.Parallel()
	s := clustered(t, nil)
	p := wire.Listen(t, "~recent", false) // a larger id than that of s, which decides
	greeting := p.Connect() + strings.Replace(p.Info(), "1.4.1", "1.5.0", 1)
	first := p.Dial(s.ClusterAddr())
	first.Say(greeting)
	routed(t, s, 1)
	second := p.Dial(s.ClusterAddr())
	second.Say(greeting)
	if l := second.Hear("INFO "); !strings.Contains(l, fmt.Sprintf(`"server_id":%q`, s.ID())) || !strings.Contains(l, `"duplicate":true`) {
		t.Errorf("got %q, want an INFO that says that this is a duplicate", l)
	}
	second.End()
	first.Sync()
	routed(t, s, 1)
}

func TestRouteThatTheOtherEndPrefersSurvives(t *testing.T) {
	t.Parallel()
	profiles(t, func(t *testing.T, old bool) {
		p := wire.Listen(t, "crossing", old)
		s := clustered(t, routesTo(p.URL()))
		dialed, _ := p.Accept()
		routed(t, s, 1)
		mine := p.Join(s.ClusterAddr()) // the peer took this one first, and closes the other
		dialed.Close()
		mine.Say("SUB foo  RSID:1:1\r\n")
		known(t, s, 1)
		routed(t, s, 1)
		mine.Sync()
		mine.Close()
		again, _ := p.Accept() // it is configured: dialed again when lost
		again.Sync()
	})
}

func TestQuirksOf14(t *testing.T) {
	t.Parallel()
	s := clustered(t, nil)
	p := wire.Listen(t, "quirk", false)
	r := p.Join(s.ClusterAddr())
	routed(t, s, 1)
	// The INFO for clients that 1.4 sends after the first PING.
	r.Say(fmt.Sprintf(`INFO {"server_id":"%s","version":"1.4.1","proto":1,"go":"go1.11.5","host":"127.0.0.1","port":4222,"max_payload":1048576,"client_id":3}`, p.ID) + " \r\n")
	r.Sync()
	routed(t, s, 1)
	// An INFO about a third server without proto or ip.
	r.Say(`INFO {"server_id":"unknown","version":"1.1.0","git_commit":"","go":"","host":"127.0.0.1","port":1,"max_payload":1}` + "\r\n")
	r.Sync()
	r.Say("-ERR 'Some trouble'\r\n")
	r.End()
}

func TestRouteThatTalksLikeAClient(t *testing.T) {
	t.Parallel()
	s := clustered(t, nil)
	p := wire.Listen(t, "talk", false)
	r := p.Dial(s.ClusterAddr())
	r.Say("PING\r\n")
	r.Hear("PONG\r\n")
	r.Say(`CONNECT {"lang":"go"}` + "\r\n")
	r.End("-ERR 'attempted to connect to route port'")

	r = p.Dial(s.ClusterAddr())
	r.Say(strings.Replace(p.Connect(), `"verbose":false`, `"verbose":true`, 1))
	r.Hear("+OK")
	r.Say("SUB foo 1\r\nUNSUB 1\r\nSUB foo..bar 1\r\n")
	r.Hear("+OK")
	r.Hear("+OK")
	r.Hear("-ERR 'Invalid Subject'")

	r = p.Dial(s.ClusterAddr())
	r.Say(p.Info()) // no CONNECT is fine
	routed(t, s, 1)
}

func TestRouteCredentials(t *testing.T) {
	t.Parallel()
	s := clustered(t, func(o *server.Options) {
		o.Cluster.Username, o.Cluster.Password, o.Cluster.AuthTimeout = "ru", "rp", 0.3
	})
	p := wire.Listen(t, "auth", false)
	r := p.Dial(s.ClusterAddr())
	if !strings.Contains(r.Info, `"auth_required":true`) {
		t.Errorf("got %q", r.Info)
	}
	r.End("-ERR 'authorization timeout'")
	r = p.Dial(s.ClusterAddr())
	r.Say(p.Info())
	r.End("-ERR 'Authorization Violation'")
	r = p.Dial(s.ClusterAddr())
	r.Say(strings.Replace(p.Connect(), `"tls`, `"user":"ru","pass":"no","tls`, 1))
	r.End("-ERR 'Authorization Violation'")
	r = p.Dial(s.ClusterAddr())
	r.Say(strings.Replace(p.Connect(), `"tls`, `"user":"ru","pass":"rp","tls`, 1) + p.Info())
	routed(t, s, 1)
	// A server that others tell us of is shown our own credentials if it wants some.
	third := wire.Listen(t, "third", false)
	r.Say(strings.Replace(third.Info(), `"max_payload"`, fmt.Sprintf(`"auth_required":true,"ip":"nats-route://127.0.0.1:%d/","max_payload"`, third.Port()), 1))
	if _, connect := third.Accept(); !strings.Contains(connect, `"user":"ru","pass":"rp"`) {
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
			r := wire.Listen(t, "group", false).Join(s.ClusterAddr())
			routed(t, s, 1)
			r.Say("SUB foo g QRSID:1:1\r\nSUB foo g QRSID:1:2\r\n")
			client, _ := rawClient(t, s)
			client.Say("SUB foo g 1\r\nSUB foo g 2\r\nSUB last 3\r\n")
			client.Sync()
			known(t, s, 5)
			r.Hear("SUB ")
			r.Hear("SUB ")
			r.Hear("SUB ")
			pub, _ := rawClient(t, s)
			pub.Say(strings.Repeat("PUB foo 0\r\n\r\n", n))
			pub.Sync()
			got := map[string]int{}
			count := func(c *wire.Client) {
				for {
					l := c.Hear("")
					if l == "PONG\r\n" {
						return
					}
					got[strings.Fields(l)[2]]++
					c.Hear("\r\n")
				}
			}
			client.Say("PING\r\n")
			count(client)
			r.Say("PING\r\n")
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
