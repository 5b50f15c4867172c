package server

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
)

// startWithLogin asks for logins, within wait, at both of its ports.
func startWithLogin(t *testing.T, secure bool, wait float64) *underTest {
	t.Helper()
	h := startUnderTest(t, nil, true, secure)
	h.s.Shutdown()
	o := h.s.options().Clone()
	o.Port, o.Cluster.Port = RandomPort, RandomPort
	o.AuthTimeout, o.Cluster.AuthTimeout, o.TLSTimeout, o.Cluster.TLSTimeout = wait, wait, wait, wait
	s, err := NewServer(o)
	okay(t, err)
	go s.Start() // ends with Shutdown
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	return &underTest{s: s, login: true, tls: h.tls}
}

// everyPort calls f for each way to a server that asks for logins within wait.
func everyPort(t *testing.T, wait float64, f func(t *testing.T, d *testPort)) {
	for _, secure := range []bool{false, true} {
		for _, route := range []bool{false, true} {
			d := &testPort{underTest: startWithLogin(t, secure, wait), route: route, secure: secure}
			t.Run(d.String(), func(t *testing.T) {
				t.Parallel()
				f(t, d)
			})
		}
	}
}

func TestFewBytesAreTakenBeforeTheLogin(t *testing.T) {
	t.Parallel()
	everyPort(t, 60, func(t *testing.T, d *testPort) {
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
		if limit := d.underTest.s.options().MaxControlLine; limit > 4096 {
			t.Errorf("the limit is %d", limit)
		}
	})
}

// TestUnauthenticatedConnectionsAreSmall looks into connections that have sent half a CONNECT.
func TestUnauthenticatedConnectionsAreSmall(t *testing.T) {
	t.Parallel()
	for _, role := range []role{roleClient, roleRoute} {
		s, err := NewServer(&Options{MaxControlLine: 512, Users: []*User{{Username: "u", Password: "p"}}})
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

// TestSlowloris has many connections that send nothing, or a byte now and then.
func TestSlowloris(t *testing.T) {
	t.Parallel()
	everyPort(t, 0.3, func(t *testing.T, d *testPort) {
		var wg sync.WaitGroup
		for i := range 40 {
			nc, err := d.open()
			if err != nil {
				continue // TLS took too long on a busy machine: it was closed, too
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
		eventually(t, "all are gone", func() bool { return d.underTest.s.NumClients() == 0 && d.underTest.s.NumRoutes() == 0 })
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

// TestNothingButConnectLogsIn says every fragment first, at every listener that asks for a login,
// also where clients without one have a no_auth_user.
func TestNothingButConnectLogsIn(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := startUnderTest(t, nil, true, secure)
		for _, route := range []bool{false, true} {
			d := &testPort{underTest: h, route: route, secure: secure}
			for i := range fragments {
				d.play(t, []byte{byte(i), 36, 24, 46, 7}) // then PUB, SUB, MSG and an INFO
				d.play(t, []byte{byte(i), scriptWrite, 36, 24, 46, 7})
			}
		}
	}
}

func TestNoAuthUserIsForClientsOnly(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) {
		o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
		o.Users = []*User{{Username: "guest", Password: "v", Permissions: &Permissions{Publish: list("hello"), Subscribe: list("hello")}}}
		o.NoAuthUser = "guest"
		o.Cluster.Username, o.Cluster.Password = "u", "p"
	})
	w := dialClient(t, s)
	okay(t, w.Send("SUB other 1\r\nPUB other 0\r\n\r\nSUB hello 2\r\nPING\r\n"))
	for _, want := range []string{"-ERR 'Permissions Violation for Subscription to \"other\"'\r\n", "-ERR 'Permissions Violation for Publish to \"other\"'\r\n", "PONG\r\n"} {
		if got, err := w.Line(); err != nil || got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	for _, first := range []string{"PING\r\n", "CONNECT {}\r\n", `CONNECT {"user":"guest","pass":"v"}` + "\r\n", `INFO {"server_id":"X"}` + "\r\n", "SUB > 1\r\n", "MSG hello RSID:1:2 0\r\n\r\n"} {
		nc, err := (&testPort{underTest: &underTest{s: s}, route: true}).open()
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
