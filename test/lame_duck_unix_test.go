//go:build unix

package test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/test/wire"
)

// member starts a broker of a cluster that leaves in 1 s at most, and returns where clients and
// routes connect.
func member(t *testing.T, routes string) (p *process, clients, peers string) {
	t.Helper()
	p = spawn(t, "-c", writeConfig(t, `
lame_duck_duration: "1s"
lame_duck_grace_period: "200ms"
cluster { listen: "127.0.0.1:-1", routes: [`+routes+`] }`))
	clients = p.addr(t)
	return p, clients, p.await(t, `Listening for route connections on (\S+)$`)[1]
}

// moved is a Go client that has to leave and finds another broker.
type moved struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	warned atomic.Bool
	back   chan string // the broker it came back to
	errs   chan error  // other errors
}

func newMoved(t *testing.T, url string) *moved {
	t.Helper()
	m := &moved{back: make(chan string, 8), errs: make(chan error, 8)}
	nc, err := goClient(url,
		nats.LameDuckModeHandler(func(*nats.Conn) { m.warned.Store(true) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { m.back <- nc.ConnectedAddr() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { m.errs <- err }),
		nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	must(t, err)
	t.Cleanup(nc.Close)
	m.nc = nc
	m.sub = subscribe(t, nc, "news")
	return m
}

// TestLameDuckSendsGoClientsElsewhere has clients that know one broker only, and learn of the other
// from it.
func TestLameDuckSendsGoClientsElsewhere(t *testing.T) {
	t.Parallel()
	stays, staysAt, routes := member(t, "")
	leaves, leavesAt, _ := member(t, fmt.Sprintf("%q", "nats-route://"+routes))
	stays.await(t, `Route connection created$`)
	leaves.await(t, `Route connection created$`)
	eventually(t, "an INFO with the other address", func() bool {
		nc, err := goClient("nats://" + leavesAt)
		must(t, err)
		defer nc.Close()
		return len(nc.DiscoveredServers()) > 0
	})
	const n = 10
	clients := make([]*moved, n)
	for i := range clients {
		clients[i] = newMoved(t, "nats://"+leavesAt)
	}
	begin := time.Now()
	leaves.signal(t, syscall.SIGUSR2)
	leaves.await(t, `\[INF\] Entering lame duck mode, stop accepting new clients$`)
	eventually(t, "refusal of new clients", func() bool {
		c, err := net.Dial("tcp", leavesAt)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	leaves.await(t, `\[INF\] Closing existing clients$`)
	for i, c := range clients {
		if at := await(t, c.back, "reconnect"); at != staysAt {
			t.Errorf("client %d: got back to %s, want %s", i, at, staysAt)
		}
		if !c.warned.Load() {
			t.Errorf("client %d: closed without warning", i)
		}
		if len(c.errs) > 0 {
			t.Errorf("client %d: got error %v", i, <-c.errs)
		}
		flush(t, c.nc) // its subscription has moved
	}
	// Nine pauses of 50 to 100 ms, after the grace period.
	if took := time.Since(begin); took < 200*time.Millisecond+9*50*time.Millisecond {
		t.Errorf("got all clients back after %v, want them spread", took)
	}
	if code, log := leaves.finish(); code != 0 || !strings.HasSuffix(log[len(log)-1], "Server Exiting..") {
		t.Errorf("got exit %d and %q, want 0 and the end", code, log)
	}
	must(t, clients[0].nc.Publish("news", []byte("hello")))
	for _, c := range clients {
		next(t, c.sub)
	}
}

func TestLameDuckAnnouncesTheOtherServersOnly(t *testing.T) {
	t.Parallel()
	stays, staysAt, routes := member(t, "")
	leaves, leavesAt, _ := member(t, fmt.Sprintf("%q", "nats-route://"+routes))
	stays.await(t, `Route connection created$`)
	leaves.await(t, `Route connection created$`)
	classic, recent := wire.Dial(t, leavesAt), wire.Dial(t, leavesAt)
	classic.Say(`CONNECT {"verbose":false}`, "PING")
	classic.Want("PONG")
	recent.Say(`CONNECT {"verbose":false,"protocol":1}`, "PING")
	recent.Want("PONG")
	leaves.signal(t, syscall.SIGUSR2)
	var last string
	for {
		line, err := recent.Line()
		if err != nil {
			break
		}
		last = line
	}
	want := `^INFO \{.*"client_id":\d+,.*"connect_urls":\["` + regexp.QuoteMeta(staysAt) + `"\],"ldm":true\} \r\n$`
	if !regexp.MustCompile(want).MatchString(last) {
		t.Errorf("got %q last, want a match of %s", last, want)
	}
	must(t, classic.Ended()) // a client of protocol 0
	if code, _ := leaves.finish(); code != 0 {
		t.Errorf("got exit %d, want 0", code)
	}
}

// TestInterruptEndsLameDuck sends SIGTERM right behind the signal for lame duck mode, as Kubernetes
// does when the preStop command has returned: that does not cut it short. SIGINT does.
func TestInterruptEndsLameDuck(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-c", writeConfig(t, `lame_duck_duration: "1h"`+"\n"+`lame_duck_grace_period: "1s"`))
	addr := p.addr(t)
	for range 3 {
		c := wire.Dial(t, addr)
		c.Say("PING")
		c.Want("PONG")
	}
	p.signal(t, syscall.SIGUSR2)
	p.signal(t, syscall.SIGTERM)
	p.await(t, `\[INF\] SIGTERM is ignored in lame duck mode, which ends with a shutdown; SIGINT stops at once$`)
	p.await(t, `Closing existing clients$`)
	p.signal(t, syscall.SIGTERM)
	p.await(t, `\[INF\] SIGTERM is ignored in lame duck mode`)
	code, log := p.stop(t, syscall.SIGINT)
	if code != 0 || len(log) != 2 || !strings.HasSuffix(log[1], "Server Exiting..") {
		t.Errorf("got exit %d and %q, want 0 and the two lines of a stop", code, log)
	}
}

// TestNoSignalSpoilsTheEndOfLameDuck sends signals until the broker has ended, as Kubernetes sends
// SIGTERM at any moment after its preStop command.
func TestNoSignalSpoilsTheEndOfLameDuck(t *testing.T) {
	t.Parallel()
	for range 5 {
		p := spawn(t, "-c", writeConfig(t, `lame_duck_duration: "1s"`+"\n"+`lame_duck_grace_period: "0s"`))
		p.addr(t)
		p.signal(t, syscall.SIGUSR2)
		p.await(t, `Initiating Shutdown\.\.\.$`)
		var code int
		var log []string
		over := make(chan struct{})
		go func() { // ends with the broker
			defer close(over)
			code, log = p.finish()
		}()
		for ended := false; !ended; {
			select {
			case <-over:
				ended = true
			default:
				_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended
			}
		}
		if code != 0 || len(log) == 0 || !strings.HasSuffix(log[len(log)-1], "Server Exiting..") {
			t.Errorf("got exit %d and %q", code, log)
		}
	}
}
