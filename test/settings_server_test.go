//go:build unix

package test

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gnatsd/server"
	"gnatsd/test/freeport"
	"gnatsd/test/wire"
)

// This file shows what the settings of the server itself and its limits do, each with a broker that
// runs as a program.

// configured starts a broker with a file and returns where clients connect.
func configured(t *testing.T, text string, args ...string) (*process, string) {
	t.Helper()
	p := spawn(t, append([]string{"-c", writeConfig(t, text)}, args...)...)
	return p, p.addr(t)
}

// unflagged starts a broker with a file and no flag besides.
func unflagged(t *testing.T, text string) *process {
	t.Helper()
	return launch(t, command(t, "-c", writeConfig(t, text)))
}

// freePort is a port for a program that must be told one.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Get()
	must(t, err)
	return port
}

// greeting is the INFO of a port for clients or routes.
func greeting(t *testing.T, addr string) (info server.Info) {
	t.Helper()
	return infoOf(t, wire.Dial(t, addr).Info)
}

// quiet is a client that receives nothing but what it asked for.
func quiet(t *testing.T, addr string) *wire.Client {
	t.Helper()
	c := wire.Dial(t, addr)
	c.Say(`CONNECT {"verbose":false}`, "PING")
	c.Want("PONG")
	return c
}

var serverEffects = map[string]func(*testing.T){
	"listen": func(t *testing.T) {
		port := freePort(t)
		unflagged(t, fmt.Sprintf("listen: localhost:%d", port)).await(t, fmt.Sprintf(`Listening for client connections on localhost:%d$`, port))
	},
	"also_listen": func(t *testing.T) {
		p := unflagged(t, "listen: [\"localhost:-1\", \"127.0.0.2:-1\"]")
		p.await(t, `Listening for client connections on localhost:[1-9]\d*$`)
		p.await(t, `Listening for client connections on 127\.0\.0\.2:[1-9]\d*$`)
		_, stderr, code := run(t, "-t", "-c", writeConfig(t, `listen: ["127.0.0.1:7", "0.0.0.0:7"]`))
		if want := `:1:25: listen: 0.0.0.0:7 overlaps with 127.0.0.1:7: only one of them can be listened on`; code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("-t: exit %d, %q; want %q", code, stderr, want)
		}
	},
	"host": func(t *testing.T) {
		unflagged(t, "host: localhost\nport: -1").await(t, `Listening for client connections on localhost:[1-9]\d*$`)
	},
	"port": func(t *testing.T) {
		port := freePort(t)
		unflagged(t, fmt.Sprintf("host: 127.0.0.1\nport: %d", port)).await(t, fmt.Sprintf(`Listening for client connections on 127\.0\.0\.1:%d$`, port))
	},
	"server_name": func(t *testing.T) {
		_, addr := configured(t, "server_name: anna")
		if got := greeting(t, addr).Name; got != "anna" {
			t.Errorf("got name %q in INFO", got)
		}
	},
	"client_advertise": func(t *testing.T) {
		_, _, routes := clusteredProcess(t, `client_advertise: "me.example:77"`, "")
		if got := greeting(t, routes).ClientConnectURLs; len(got) != 1 || got[0] != "me.example:77" {
			t.Errorf("got %q for clients of other servers", got)
		}
	},
	"lame_duck_duration": func(t *testing.T) {
		if took := lameDuckTook(t, `lame_duck_duration: "2s"`+"\n"+`lame_duck_grace_period: "1ms"`, 2, "Closing existing clients", "Initiating Shutdown"); took < time.Second/2 {
			t.Errorf("two clients left within %v, want half of a client's share of 2s at least", took)
		}
	},
	"lame_duck_grace_period": func(t *testing.T) {
		if took := lameDuckTook(t, `lame_duck_duration: "1ms"`+"\n"+`lame_duck_grace_period: "1500ms"`, 1, "Entering lame duck mode", "Closing existing clients"); took < 1500*time.Millisecond {
			t.Errorf("got %v between warning and closing, want 1.5s", took)
		}
	},
}

// lameDuckTook is the time between two lines of the log of a broker that its clients leave.
func lameDuckTook(t *testing.T, text string, clients int, from, to string) time.Duration {
	t.Helper()
	p, addr := configured(t, text)
	for range clients {
		quiet(t, addr)
	}
	p.signal(t, syscall.SIGUSR2)
	at := func(text string) time.Time {
		stamp := p.await(t, `^\[\d+\] (\S+ \S+) \[INF\] `+text)[1]
		when, err := time.Parse("2006/01/02 15:04:05.000000", stamp)
		must(t, err)
		return when
	}
	begin := at(from)
	return at(to).Sub(begin)
}

var limitEffects = map[string]func(*testing.T){
	"max_connections": func(t *testing.T) {
		_, addr := configured(t, "max_connections: 1")
		quiet(t, addr)
		wire.Dial(t, addr).End("-ERR 'maximum connections exceeded'")
	},
	"max_connections_per_address": func(t *testing.T) {
		_, addr := configured(t, "max_connections_per_address: 1")
		quiet(t, addr)
		wire.Dial(t, addr).End("-ERR 'maximum connections exceeded'")
	},
	"max_logins_per_second_per_address": func(t *testing.T) {
		_, addr := configured(t, "max_logins_per_second_per_address: 1")
		for admitted := 0; ; admitted++ { // the machine may be slow
			c := wire.Dial(t, addr)
			c.Say(`CONNECT {"verbose":false}`, "PING")
			if line := c.Hear(""); line != "PONG\r\n" {
				if admitted == 0 || line != "-ERR 'Connection throttling is active. Please try again later.'\r\n" {
					t.Errorf("got %q after %d logins", line, admitted)
				}
				return
			}
		}
	},
	"max_subscriptions": func(t *testing.T) {
		_, addr := configured(t, "max_subscriptions: 1")
		c := quiet(t, addr)
		c.Say("SUB a 1", "SUB b 2")
		c.Want("-ERR 'maximum subscriptions exceeded'")
	},
	"max_control_line": func(t *testing.T) {
		_, addr := configured(t, "max_control_line: 20")
		c := quiet(t, addr)
		c.Say("SUB " + strings.Repeat("a", 30) + " 1")
		c.End("-ERR 'Maximum Control Line Exceeded'")
	},
	"max_payload": func(t *testing.T) {
		_, addr := configured(t, "max_payload: 4")
		if got := greeting(t, addr).MaxPayload; got != 4 {
			t.Errorf("got %d in INFO", got)
		}
		c := quiet(t, addr)
		c.Say("PUB a 5")
		c.End("-ERR 'Maximum Payload Violation'")
	},
	"max_pending": func(t *testing.T) {
		deafClient(t, "max_pending: 1MB\nwrite_deadline: 1m", `MaxPending of 1048576 Exceeded`)
	},
	"max_pending_total": func(t *testing.T) {
		deafClient(t, "max_pending_total: 2MB\nwrite_deadline: 1m", `MaxPendingTotal of 2097152 Exceeded`)
	},
	"write_deadline": func(t *testing.T) { deafClient(t, `write_deadline: "50ms"`, `WriteDeadline of 50ms Exceeded`) },
	"ping_interval": func(t *testing.T) {
		_, addr := configured(t, `ping_interval: "10ms"`)
		wire.Dial(t, addr).Want("PING")
	},
	"ping_max": func(t *testing.T) {
		_, addr := configured(t, `ping_interval: "10ms"`+"\nping_max: 4")
		wire.Dial(t, addr).End("PING", "PING", "PING", "PING", "-ERR 'Stale Connection'")
	},
	"no_busy_poll": func(t *testing.T) {
		p := spawn(t, "-D", "-c", writeConfig(t, "no_busy_poll: true"))
		p.await(t, `\[DBG\] Busy polling is off \(no_busy_poll\)$`)
	},
	"max_closed_clients": func(t *testing.T) {
		p := spawn(t, "-c", writeConfig(t, "max_closed_clients: 2\nhttp: \"127.0.0.1:-1\""))
		monitor := p.await(t, `Starting http monitor on (\S+)$`)[1]
		addr := p.addr(t)
		for range 5 {
			quiet(t, addr).Close()
		}
		eventually(t, "the last two", func() bool {
			_, text := get(t, "http://"+monitor+"/connz?state=closed")
			var page struct {
				Total       int
				Connections []struct{ CID int }
			}
			must(t, json.Unmarshal([]byte(text), &page))
			return page.Total == 2 && page.Connections[1].CID == 5
		})
	},
}

// deafClient has a client that reads nothing of the 64 MB sent to it, and waits until the log says
// why it was disconnected.
func deafClient(t *testing.T, text, want string) {
	t.Helper()
	p, addr := configured(t, text)
	deaf := quiet(t, addr)
	deaf.Say("SUB a 1")
	deaf.Conn.Conn.(*net.TCPConn).SetReadBuffer(4096)
	payload := strings.Repeat("x", 1<<20-100)
	line := fmt.Sprintf("PUB a %d", len(payload))
	publisher := quiet(t, addr)
	go func() { // ends when all is sent, or with the test
		for range 64 {
			publisher.Say(line, payload)
		}
	}()
	p.await(t, `Slow Consumer Detected: `+regexp.QuoteMeta(want))
}
