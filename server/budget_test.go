package server

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
)

// guardedHouse asks for logins, within wait, at both of its ports.
func guardedHouse(t *testing.T, secure bool, wait float64) *house {
	t.Helper()
	h := newHouse(t, true, secure)
	h.s.Shutdown()
	o := h.s.options().Clone()
	o.Port, o.Cluster.Port = RandomPort, RandomPort
	o.AuthTimeout, o.Cluster.AuthTimeout, o.TLSTimeout, o.Cluster.TLSTimeout = wait, wait, wait, wait
	s, err := New(o)
	okay(t, err)
	go s.Start() // ends with Shutdown
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	return &house{s: s, login: true, tls: h.tls}
}

// everyDoor calls f for each way to a server that asks for logins within wait.
func everyDoor(t *testing.T, wait float64, f func(t *testing.T, d *door)) {
	for _, secure := range []bool{false, true} {
		for _, route := range []bool{false, true} {
			d := &door{house: guardedHouse(t, secure, wait), route: route, secure: secure}
			t.Run(d.String(), func(t *testing.T) {
				t.Parallel()
				f(t, d)
			})
		}
	}
}

func TestBeforeTheLoginFewBytesAreTaken(t *testing.T) {
	t.Parallel()
	everyDoor(t, 60, func(t *testing.T, d *door) {
		for _, flood := range []string{
			"CONNECT {\"name\":\"" + strings.Repeat("x", 1<<20), "CONNECT" + strings.Repeat(" ", 1<<20), strings.Repeat("c", 1<<20), "PING" + strings.Repeat("x", 1<<20),
		} {
			nc, err := d.open()
			okay(t, err)
			go io.WriteString(nc, flood) // ends with nc
			if _, err := io.ReadAll(nc); isTimeout(err) {
				t.Errorf("not closed after %.20q...", flood)
			}
			nc.Close()
		}
		if limit := d.house.s.options().MaxControlLine; limit > 4096 {
			t.Errorf("the limit is %d", limit)
		}
	})
}

// TestLockedConnectionsAreSmall looks into connections that have sent half a
// CONNECT.
func TestLockedConnectionsAreSmall(t *testing.T) {
	t.Parallel()
	for _, role := range []role{roleClient, roleRoute} {
		s, err := New(&Options{MaxControlLine: 512, Users: []*User{{Username: "u", Password: "p"}}})
		okay(t, err)
		c := sunk(t, s)
		c.role, c.unauthenticated, c.readLimit = role, true, netio.SmallSize
		text := "CONNECT {" + strings.Repeat("x", 400)
		c.in.Filled(copy(c.in.Space(c.readLimit), text))
		if r := c.work(); r != keepOpen {
			t.Fatalf("role %d: ends with %v", role, r)
		}
		if held := cap(c.in.Bytes()); held > netio.SmallSize {
			t.Errorf("role %d: holds %d bytes, want %d at most", role, held, netio.SmallSize)
		}
		c.in.Filled(copy(c.in.Space(c.readLimit), strings.Repeat("x", 200)))
		if r := c.work(); r != closeMaxControlLine {
			t.Errorf("role %d: %v, want %v", role, r, closeMaxControlLine)
		}
	}
}

// TestSlowloris has many who come and say nothing, or a byte now and then.
func TestSlowloris(t *testing.T) {
	t.Parallel()
	everyDoor(t, 0.3, func(t *testing.T, d *door) {
		var wg sync.WaitGroup
		for i := range 40 {
			nc, err := d.open()
			if err != nil {
				continue // TLS took too long on a busy machine: it was cut, too
			}
			wg.Go(func() {
				defer nc.Close()
				if i%2 == 0 {
					go dribble(nc) // ends with nc
				}
				if _, err := io.Copy(io.Discard, nc); isTimeout(err) {
					t.Error("not closed in time")
				}
			})
		}
		wg.Wait()
		eventually(t, "all are gone", func() bool { return d.house.s.NumClients() == 0 && d.house.s.NumRoutes() == 0 })
	})
}

// dribble writes a CONNECT that never ends, byte by byte.
func dribble(w io.Writer) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, b := range []byte("CONNECT {\"name\":\"" + strings.Repeat("x", 4000)) {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		<-tick.C
	}
}

// TestNothingButConnectOpensTheDoor says every fragment first, at every listener
// that asks for a login, also where clients without one are let in as a visitor.
func TestNothingButConnectOpensTheDoor(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := newHouse(t, true, secure)
		for _, route := range []bool{false, true} {
			d := &door{house: h, route: route, secure: secure}
			for i := range fragments {
				d.play(t, []byte{byte(i), 36, 24, 46, 7}) // then PUB, SUB, MSG and an INFO
				d.play(t, []byte{byte(i), scriptWrite, 36, 24, 46, 7})
			}
		}
	}
}

func TestVisitorsAreLetInByThePortForClientsOnly(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) {
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.Users = []*User{{Username: "visitor", Password: "v", Permissions: &Permissions{Publish: list("hello"), Subscribe: list("hello")}}}
		o.NoAuthUser = "visitor"
		o.Cluster.Username, o.Cluster.Password = "u", "p"
	})
	w := dialClient(t, s)
	okay(t, w.Send("SUB other 1\r\nPUB other 0\r\n\r\nSUB hello 2\r\nPING\r\n"))
	for _, want := range []string{"-ERR 'Permissions Violation for Subscription to \"other\"'\r\n", "-ERR 'Permissions Violation for Publish to \"other\"'\r\n", "PONG\r\n"} {
		if got, err := w.Line(); err != nil || got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	for _, first := range []string{"PING\r\n", "CONNECT {}\r\n", `CONNECT {"user":"visitor","pass":"v"}` + "\r\n", `INFO {"server_id":"X"}` + "\r\n", "SUB > 1\r\n", "MSG hello RSID:1:2 0\r\n\r\n"} {
		nc, err := (&door{house: &house{s: s}, route: true}).open()
		okay(t, err)
		go io.WriteString(nc, first+"SUB > 1\r\nMSG hello RSID:1:2 0\r\n\r\n") // ends with nc
		if said, err := io.ReadAll(nc); isTimeout(err) || strings.Contains(string(said), "PONG") {
			t.Errorf("a route that begins with %q is let in: %q, %v", first, said, err)
		}
		nc.Close()
	}
	if got := w.Drain(); len(got) > 0 {
		t.Errorf("delivered %q", got[0].Subject)
	}
}

// TestNoByteOfASubscriptionBreaksARoute puts every byte into what a client
// subscribes to, and reads what a route would be told of it.
func TestNoByteOfASubscriptionBreaksARoute(t *testing.T) {
	t.Parallel()
	client, route := frameLimits{role: roleClient, line: 4096}, frameLimits{role: roleRoute, line: routeLine}
	for b := range 256 {
		for _, form := range []string{"SUB a@b 1", "SUB a q@r 1", "SUB a 1@2", "SUB @ 1", "SUB a q@ 1", "SUB a @"} {
			line := strings.ReplaceAll(form, "@", string([]byte{byte(b)})) + "\r\n"
			var o op
			n, _, _, err := client.next([]byte(line), &o)
			if err != frameOK || n == 0 {
				continue
			}
			queue := []byte(nil)
			if o.words == 3 {
				queue = o.word[1]
			}
			sub := newSubscription(&conn{id: 1}, o.word[0], queue, o.word[o.words-1])
			for _, gone := range []bool{false, true} {
				told := appendInterest(nil, sub, gone)
				var back op
				n, _, _, err := route.next(told, &back)
				if err != frameOK || n != len(told) || !gone && (string(back.word[0]) != sub.subject || string(back.word[1]) != sub.queue && sub.queue != "") {
					t.Fatalf("%q becomes %q on a route: %d bytes, %v", line, told, n, err)
				}
			}
		}
	}
}

func TestSizesBeyondAllLimits(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"680444720440", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551617", "99999999999999999999", "-1", "+1", "1048577", "0x10", "1e3"} {
		for _, verb := range []string{"PUB o ", "HPUB o 12 "} {
			var o op
			l := frameLimits{role: roleClient, line: 4096, payload: 1 << 20}
			line := []byte(verb + size + "\r\n")
			if n, _, _, err := l.next(line, &o); n != 0 || err != framePayload && err != frameSize {
				t.Errorf("%q is taken: %d bytes, %v", line, n, err)
			}
		}
	}
}
