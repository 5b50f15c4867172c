//go:build unix

package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// This file shows what the settings of the monitoring port do.

// get reads a page.
func get(t *testing.T, url string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	return fetch(t, http.DefaultClient, r)
}

// fetch reads the answer to a request.
func fetch(t *testing.T, c *http.Client, r *http.Request) (status int, text string) {
	t.Helper()
	answer, err := c.Do(r)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(body)
}

// monitored starts a broker with a file and returns the address of its monitoring port.
func monitored(t *testing.T, text string) string {
	t.Helper()
	p := spawn(t, "-c", writeConfig(t, text))
	return p.await(t, `Starting https? monitor on (\S+)$`)[1]
}

// wantPage fails the test unless a page has the status and holds the text.
func wantPage(t *testing.T, url string, status int, text string) {
	t.Helper()
	if code, got := get(t, url); code != status || !strings.Contains(got, text) {
		t.Errorf("%s: got %d, want %d and %q in %.200s", url, code, status, text, got)
	}
}

// tlsBlock is a tls block with a certificate, and what else is to be in it.
func tlsBlock(dir, name, more string) string {
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q, timeout: 20\n%s }\n",
		filepath.Join(dir, name+"-cert.pem"), filepath.Join(dir, name+"-key.pem"), more)
}

// overTLS is a client for the monitoring port with TLS, with a certificate of its own if it has a
// name.
func overTLS(t *testing.T, dir, name string) *http.Client {
	t.Helper()
	return &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(t, dir, name), DisableKeepAlives: true}}
}

// securePage reads /varz over TLS.
func securePage(t *testing.T, c *http.Client, addr string) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+"/varz", nil)
	must(t, err)
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("got status %s", answer.Status)
	}
	return nil
}

var monitorEffects = map[string]func(*testing.T){
	"http": func(t *testing.T) {
		addr := monitored(t, `http: "localhost:-1"`)
		if !strings.HasPrefix(addr, "localhost:") {
			t.Errorf("got monitoring on %s", addr)
		}
		wantPage(t, "http://"+addr+"/varz", 200, `"server_id"`)
	},
	"http_host": func(t *testing.T) {
		if addr := monitored(t, "http_host: localhost\nhttp_port: -1"); !strings.HasPrefix(addr, "localhost:") {
			t.Errorf("got monitoring on %s", addr)
		}
	},
	"http_port": func(t *testing.T) {
		port := freePort(t)
		if got, want := monitored(t, fmt.Sprintf("http_port: %d", port)), fmt.Sprintf("127.0.0.1:%d", port); got != want {
			t.Errorf("got monitoring on %s, want %s", got, want)
		}
	},
	"https": func(t *testing.T) {
		dir := certFiles(t)
		addr := monitored(t, `https: "localhost:-1"`+"\n"+tlsBlock(dir, "server", ""))
		must(t, securePage(t, overTLS(t, dir, ""), addr))
	},
	"https_port": func(t *testing.T) {
		dir, port := certFiles(t), freePort(t)
		addr := monitored(t, fmt.Sprintf("https_port: %d\n", port)+tlsBlock(dir, "server", ""))
		if want := fmt.Sprintf("127.0.0.1:%d", port); addr != want {
			t.Errorf("got monitoring on %s, want %s", addr, want)
		}
		must(t, securePage(t, overTLS(t, dir, ""), addr))
	},
	"http_verify": func(t *testing.T) {
		dir := certFiles(t)
		addr := monitored(t, "https_port: -1\nhttp_verify: true\n"+tlsBlock(dir, "server", fmt.Sprintf("ca_file: %q", filepath.Join(dir, "ca.pem"))))
		if securePage(t, overTLS(t, dir, ""), addr) == nil {
			t.Error("a client without a certificate was answered")
		}
		must(t, securePage(t, overTLS(t, dir, "client"), addr))
	},
	"http_base_path": func(t *testing.T) {
		addr := monitored(t, "http_port: -1\nhttp_base_path: /mine")
		wantPage(t, "http://"+addr+"/mine/varz", 200, `"server_id"`)
		wantPage(t, "http://"+addr+"/varz", 404, "")
	},
	"http_socket": func(t *testing.T) {
		path := filepath.Join(shortDir(t), "http")
		_, addr := configured(t, fmt.Sprintf("http_socket: %q", path))
		alive(t, addr)
		c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gnatsd/varz", nil)
		must(t, err)
		if status, text := fetch(t, c, r); status != 200 || !strings.Contains(text, `"server_id"`) {
			t.Errorf("got %d, %.200s", status, text)
		}
	},
	"http_user":     login,
	"http_password": login,
	"http_same_origin": func(t *testing.T) {
		for _, same := range []bool{false, true} {
			addr := monitored(t, fmt.Sprintf("http_port: -1\nhttp_same_origin: %v", same))
			_, text := get(t, "http://"+addr+"/varz?callback=mine")
			if got := strings.HasPrefix(text, "mine("); got == same {
				t.Errorf("http_same_origin %v: got a script %v", same, got)
			}
		}
	},
	"http_hosts": func(t *testing.T) {
		addr := monitored(t, "http_port: -1\nhttp_same_origin: true\nhttp_hosts: [\"nats.example.com\"]")
		for name, want := range map[string]int{addr: 200, "nats.example.com": 200, "NATS.example.com:8222": 200, "other.example.com": 421} {
			if got := statusFor(t, addr, name); got != want {
				t.Errorf("%s: got %d, want %d", name, got, want)
			}
		}
	},
	"metrics_prefix": func(t *testing.T) {
		addr := monitored(t, "http_port: -1\nmetrics_prefix: mine")
		wantPage(t, "http://"+addr+"/metrics", 200, "\nmine_varz_")
	},
}

// statusFor asks for /varz at an address, by a host name.
func statusFor(t *testing.T, addr, name string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/varz", nil)
	must(t, err)
	r.Host = name
	status, _ := fetch(t, http.DefaultClient, r)
	return status
}

// login has a client that shows a password and others that do not.
func login(t *testing.T) {
	addr := monitored(t, "http_port: -1\nhttp_user: me\nhttp_password: mine")
	for _, tc := range []struct {
		user, password string
		status         int
	}{{"me", "mine", 200}, {"me", "other", 401}, {"other", "mine", 401}, {"", "", 401}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/varz", nil)
		must(t, err)
		if tc.user != "" {
			r.SetBasicAuth(tc.user, tc.password)
		}
		if status, _ := fetch(t, http.DefaultClient, r); status != tc.status {
			t.Errorf("%s, %s: got %d, want %d", tc.user, tc.password, status, tc.status)
		}
	}
}
