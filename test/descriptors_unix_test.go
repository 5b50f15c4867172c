//go:build unix

package test

import (
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// TestFewDescriptorsAreDivided runs a broker that may open 256 files, and clients that open as many
// connections as they can, in the ways in which these stay open: the health check is always
// answered, a page is, and a client gets in.
func TestFewDescriptorsAreDivided(t *testing.T) {
	t.Parallel()
	run := command(t, "-a", "127.0.0.1", "-p", "-1", "-m", "-1")
	limited := exec.Command("sh", append([]string{"-c", `ulimit -n 256 && exec "$0" "$@"`, run.Path}, run.Args[1:]...)...)
	limited.Dir = run.Dir
	p := launch(t, limited)
	p.await(t, `\[WRN\] The limit of open files is 256: only [0-9]+ clients can connect at a time, fewer than max_connections \(65536\)$`)
	pages := p.await(t, `Starting http monitor on (\S+)$`)[1]
	clients := p.addr(t)
	for _, attack := range []struct{ name, addr, text string }{
		{"connections to the monitoring port that say nothing", pages, ""},
		{"those that stay open after an answer", pages, "GET /varz HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"those with a body that never comes", pages, "POST /varz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"},
		{"clients that say nothing", clients, ""},
		{"clients in the middle of CONNECT", clients, `CONNECT {"verbose":`},
	} {
		for range 300 {
			nc, err := net.DialTimeout("tcp", attack.addr, patience)
			must(t, err)
			t.Cleanup(func() { nc.Close() })
			nc.Write([]byte(attack.text)) // it may have been closed already
		}
		for _, path := range []string{"/healthz", "/varz"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+pages+path, nil)
			must(t, err)
			fresh := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
			if status, text := fetch(t, fresh, r); status != 200 {
				t.Errorf("%s beside %s: got %d, %.100s", path, attack.name, status, text)
			}
		}
		c := wire.Dial(t, clients)
		c.Say(`CONNECT {"verbose":false}`, "PING")
		if line, err := c.Line(); err != nil || strings.TrimSpace(line) != "PONG" {
			t.Errorf("a client beside %s: got %q, %v, want PONG", attack.name, line, err)
		}
		c.Close()
	}
}
