//go:build unix

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gnatsd/test/wire"
)

// This file shows what reloads of the settings of files, monitoring and limits do.

// logged looks for a line among those that await has passed, and then waits for it.
func (p *process) logged(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for _, line := range p.seen {
		if m := re.FindStringSubmatch(line); m != nil {
			return m
		}
	}
	return p.await(t, pattern)
}

// spawnMonitored starts the binary with a monitoring port, whose URL it returns, and more in its
// file.
func spawnMonitored(t *testing.T, text string) (r *reloadable, url string) {
	t.Helper()
	r = spawnReloadable(t, "http: \"127.0.0.1:-1\"\n"+text)
	return r, "http://" + r.logged(t, `Starting http monitor on (\S+)$`)[1]
}

// monitored is reload for a broker with a monitoring port.
func (r *reloadable) monitored(t *testing.T, text string, lines ...string) {
	t.Helper()
	r.reload(t, "http: \"127.0.0.1:-1\"\n"+text, lines...)
}

var reloadedFiles = map[string]func(*testing.T){
	"pid_file": func(t *testing.T) {
		dir := t.TempDir()
		one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
		r := spawnReloadable(t, fmt.Sprintf("pid_file: %q", one))
		r.reload(t, fmt.Sprintf("pid_file: %q", two), "Reloaded: pid_file = "+two)
		for _, path := range []string{one, two} {
			if text, err := os.ReadFile(path); err != nil || string(text) != strconv.Itoa(r.cmd.Process.Pid) {
				t.Errorf("%s: got %q, %v", path, text, err)
			}
		}
		r.rewrite(t, fmt.Sprintf("pid_file: %q", dir+"/none/three"))
		r.signal(t, syscall.SIGHUP)
		r.await(t, `\[ERR\] Failed to write pidfile: open .*/none/three: no such file or directory$`)
		r.await(t, `Reloaded server configuration$`)
		r.reload(t, "")
		if line := r.seen[len(r.seen)-2]; strings.Contains(line, "Reloaded: pid_file") {
			t.Errorf("said %q of no pid file", line)
		}
		r.stop(t, syscall.SIGTERM)
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	},
	"ports_file_dir": func(t *testing.T) {
		one, two := t.TempDir(), t.TempDir()
		r := spawnReloadable(t, "")
		r.reload(t, fmt.Sprintf("ports_file_dir: %q", one), "Reloaded: ports_file_dir = "+one)
		portsFile(t, r.process, one)
		r.reload(t, fmt.Sprintf("ports_file_dir: %q", two), "Reloaded: ports_file_dir = "+two)
		portsFile(t, r.process, two)
		if left, _ := os.ReadDir(one); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		dir := certFiles(t)
		r.reload(t, fmt.Sprintf("ports_file_dir: %q\n", two)+tlsBlock(dir, "server", ""), "Reloaded: tls = enabled")
		if text := portsFile(t, r.process, two); !strings.Contains(text, `"nats":["tls://127.0.0.1:`) {
			t.Errorf("got %s", text)
		}
	},
	"client_advertise": func(t *testing.T) {
		r := spawnReloadable(t, "")
		old := quiet(t, r.addr)
		r.reload(t, `client_advertise: "c.example:77"`, "Reload: client_advertise = c.example:77")
		if info := greeting(t, r.addr); info.Host != "c.example" || info.Port != 77 {
			t.Errorf("got %s:%d in INFO", info.Host, info.Port)
		}
		r.refuses(t, `client_advertise: "c:d"`, "FILE:1:1: client_advertise: invalid ClientAdvertise value of c:d, err=")
		old.Say("PING")
		old.Want("PONG") // and no INFO
	},
	"http_user":     reloadedMonitorLogin,
	"http_password": reloadedMonitorLogin,
	"http_same_origin": func(t *testing.T) {
		r, url := spawnMonitored(t, "")
		wantPage(t, url+"/varz?callback=f", 200, "f({")
		r.monitored(t, "http_same_origin: true", "Reloaded: http_same_origin = true")
		if _, text := get(t, url+"/varz?callback=f"); strings.HasPrefix(text, "f(") {
			t.Error("another origin may read the page")
		}
	},
	"http_hosts": func(t *testing.T) {
		r, url := spawnMonitored(t, "http_same_origin: true")
		addr := strings.TrimPrefix(url, "http://")
		if got := statusFor(t, addr, "nats.example.com"); got != 421 {
			t.Errorf("got %d before, want 421", got)
		}
		r.monitored(t, "http_same_origin: true\nhttp_hosts: nats.example.com", "Reloaded: http_hosts = [\"nats.example.com\"]")
		if got := statusFor(t, addr, "nats.example.com"); got != 200 {
			t.Errorf("got %d, want 200", got)
		}
	},
	"metrics_prefix": func(t *testing.T) {
		r, url := spawnMonitored(t, "")
		r.monitored(t, "metrics_prefix: mine", "Reloaded: metrics_prefix = mine")
		wantPage(t, url+"/metrics", 200, "\nmine_")
	},
}

// reloadedMonitorLogin asks for the pages with one password, then another.
func reloadedMonitorLogin(t *testing.T) {
	r, url := spawnMonitored(t, "")
	status := func(password string) int {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/varz", nil)
		must(t, err)
		q.SetBasicAuth("anna", password)
		code, _ := fetch(t, http.DefaultClient, q)
		return code
	}
	wantPage(t, url+"/varz", 200, "")
	r.monitored(t, "http_user: anna\nhttp_password: a", "Reloaded: http_user = anna", "Reloaded: http_password")
	if a, b := status("a"), status("b"); a != 200 || b != 401 {
		t.Errorf("got %d and %d", a, b)
	}
	r.monitored(t, "http_user: anna\nhttp_password: b", "Reloaded: http_password")
	if a, b := status("a"), status("b"); a != 401 || b != 200 {
		t.Errorf("got %d and %d", a, b)
	}
}

var reloadedLimits = map[string]func(*testing.T){
	"max_connections": func(t *testing.T) {
		r, url := spawnMonitored(t, "")
		var clients []*wire.Client
		for range 6 {
			clients = append(clients, quiet(t, r.addr))
		}
		r.monitored(t, "max_connections: 2", "Closed 4 connections to fall within max_connections", "Reloaded: max_connections = 2")
		closed := 0
		for _, c := range clients {
			c.Say("PING")
			if line, err := c.Line(); err != nil || string(line) != "PONG\r\n" {
				closed++
				if got := string(line); err == nil && got != "-ERR 'maximum connections exceeded'\r\n" {
					t.Errorf("got %q", got)
				}
			}
		}
		if closed != 4 {
			t.Errorf("%d clients were closed, want 4", closed)
		}
		wire.Dial(t, r.addr).End("-ERR 'maximum connections exceeded'")
		r.monitored(t, "max_connections: 3", "Reloaded: max_connections = 3")
		quiet(t, r.addr)
		var page struct {
			MaxConnections int `json:"max_connections"`
		}
		_, text := get(t, url+"/varz")
		must(t, json.Unmarshal([]byte(text), &page))
		if page.MaxConnections != 3 {
			t.Errorf("got %d in /varz", page.MaxConnections)
		}
	},
	"max_connections_per_address": func(t *testing.T) {
		r := spawnReloadable(t, "")
		first, second := quiet(t, r.addr), quiet(t, r.addr)
		r.reload(t, "max_connections_per_address: 1", "Closed 1 connections to fall within max_connections_per_address", "Reloaded: max_connections_per_address = 1")
		second.End("-ERR 'maximum connections exceeded'")
		first.Sync()
		wire.Dial(t, r.addr).End("-ERR 'maximum connections exceeded'")
	},
	"max_logins_per_second_per_address": func(t *testing.T) {
		r := spawnReloadable(t, "")
		c := quiet(t, r.addr)
		r.reload(t, "max_logins_per_second_per_address: 1", "Reloaded: max_logins_per_second_per_address = 1")
		for line := "PONG\r\n"; line == "PONG\r\n"; { // a login of a connection counts each time
			c.Say(`CONNECT {"verbose":false}`, "PING")
			if line = c.Hear(""); line != "PONG\r\n" && line != "-ERR 'Connection throttling is active. Please try again later.'\r\n" {
				t.Errorf("got %q", line)
			}
		}
	},
	"max_control_line": func(t *testing.T) {
		r := spawnReloadable(t, "")
		c := quiet(t, r.addr)
		r.reload(t, "max_control_line: 20", "Reloaded: max_control_line = 20")
		c.Say("SUB " + strings.Repeat("x", 30) + " 1")
		c.End("-ERR 'Maximum Control Line Exceeded'")
	},
	"max_payload": func(t *testing.T) {
		r := spawnReloadable(t, "")
		c, d := quiet(t, r.addr), quiet(t, r.addr)
		r.reload(t, "max_payload: 5", "Reloaded: max_payload = 5")
		if info := greeting(t, r.addr); info.MaxPayload != 5 {
			t.Errorf("got %d in INFO", info.MaxPayload)
		}
		c.Say("PUB a 6", "123456")
		c.End("-ERR 'Maximum Payload Violation'")
		d.Say("PUB a 5", "12345", "PING")
		d.Want("PONG") // and no INFO
	},
	"ping_interval": func(t *testing.T) {
		r := spawnReloadable(t, "")
		c := quiet(t, r.addr)
		r.reload(t, `ping_interval: "50ms"`, "Reloaded: ping_interval = 50ms")
		c.Want("PING")
	},
	"ping_max": func(t *testing.T) {
		r := spawnReloadable(t, "ping_interval: \"50ms\"\nping_max: 100000")
		c := quiet(t, r.addr)
		c.Want("PING", "PING", "PING", "PING")
		r.reload(t, "ping_interval: \"50ms\"\nping_max: 1", "Reloaded: ping_max = 1")
		for {
			line, err := c.Line()
			must(t, err)
			if string(line) != "PING\r\n" {
				if got := string(line); got != "-ERR 'Stale Connection'\r\n" {
					t.Errorf("got %q", got)
				}
				return
			}
		}
	},
	"write_deadline": func(t *testing.T) {
		r := spawnReloadable(t, `write_deadline: "10m"`)
		deaf, talker := quiet(t, r.addr), quiet(t, r.addr)
		deaf.Say("SUB a 1", "PING")
		deaf.Want("PONG")
		r.reload(t, `write_deadline: "100ms"`, "Reloaded: write_deadline = 100ms")
		payload := strings.Repeat("x", 1<<20-100)
		for range 20 {
			talker.Say(fmt.Sprintf("PUB a %d", len(payload)), payload)
		}
		r.await(t, `Slow Consumer Detected: WriteDeadline of 100ms Exceeded`)
	},
}
