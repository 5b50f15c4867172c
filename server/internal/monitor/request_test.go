package monitor

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = 2 * time.Minute

// raw connects to a port and sends text.
func raw(t *testing.T, addr net.Addr, text string) net.Conn {
	t.Helper()
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
	return nc
}

// answerOn reads the status line of an answer on a connection.
func answerOn(t *testing.T, nc net.Conn) string {
	t.Helper()
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestOnlyWhatReadsIsAnswered(t *testing.T) {
	t.Parallel()
	m := started(t, Settings{}, nil)
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "OPTIONS": 200, "POST": 405, "PUT": 405, "DELETE": 405, "PATCH": 405, "TRACE": 405, "BREW": 405} {
		for _, path := range []string{"/figures", "/healthz", "/", "/ui/main.js"} {
			r, err := http.NewRequest(method, "http://"+m.Addr().String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := do(t, http.DefaultClient, r)
			if got.status != want || want == 405 && got.header.Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Errorf("%s %s: got %d, Allow %q, want %d", method, path, got.status, got.header.Get("Allow"), want)
			}
		}
	}
}

// TestABodyThatNeverComesHoldsNothing has requests with bodies of which nothing comes: each is
// answered at once, and its connection ends.
func TestABodyThatNeverComesHoldsNothing(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]Settings{"an open port": {}, "a login": {Login: true}} {
		m := started(t, s, nil)
		for _, c := range []struct{ request, want string }{
			{"POST /figures HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", "405"},
			{"POST /figures HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of it", "405"},
			{"PUT /figures HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "405"},
			{"POST /figures HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n", "405"},
			{"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", "200"},
			{"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", "404"},
		} {
			nc := raw(t, m.Addr(), c.request)
			if got := answerOn(t, nc); !strings.HasPrefix(got, "HTTP/1.1 "+c.want) {
				t.Errorf("%s: %q: got %q, want %s", name, c.request, got, c.want)
			}
			nc.SetReadDeadline(time.Now().Add(webHeaderTimeout / 2)) // long before a limit would end it
			if _, err := io.Copy(io.Discard, nc); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s: %q: the connection stays", name, c.request)
			}
		}
	}
}

func TestForeignHostNamesAreRefusedWithSameOrigin(t *testing.T) {
	t.Parallel()
	s := Settings{SameOrigin: true, Hosts: []string{"nats-1.example.com:4222", "Other.example.com"}}
	m := started(t, s, nil)
	if err := m.StartProfiler("127.0.0.1", -1); err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{m.Addr().String(): "/figures", m.ProfilerAddr().String(): "/debug/pprof/"}
	status := func(addr, path, host string) int {
		r, err := http.NewRequest("GET", "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		return do(t, http.DefaultClient, r).status
	}
	for _, c := range []struct {
		host string
		want int
	}{
		{"", 200}, // the address
		{"127.0.0.1:8222", 200}, {"10.1.2.3", 200}, {"[::1]:8222", 200}, {"[fe80::1%25eth0]", 200},
		{"localhost:8222", 200}, {"LOCALHOST.", 200}, {"a.localhost", 200}, // curl, browsers
		{"gnatsd:8222", 200}, {"gnatsd.default.svc:8222", 200}, {"gnatsd-0.gnatsd.default.svc.cluster.local:8222", 200}, // containers
		{"broker.lan", 200}, {"nats-1.example.com:8222", 200}, {"NATS-1.Example.com", 200}, {"other.example.com:1", 200},
		{"evil.example.com", 421}, {"evil.com:8222", 421}, {"127.0.0.1.nip.io:8222", 421}, {"localhost.evil.com", 421},
		{"nats-1.example.com.evil.com", 421}, {"evilnats-1.example.com", 421}, {"localhost..evil.com", 421},
	} {
		for addr, path := range ports {
			if got := status(addr, path, c.host); got != c.want {
				t.Errorf("%s%s as %q: got %d, want %d", addr, path, c.host, got, c.want)
			}
		}
	}
	if got := status(m.Addr().String(), "/healthz", "probes.example.org"); got != 200 {
		t.Errorf("/healthz by any name: got %d, want 200", got)
	}
	without := raw(t, m.Addr(), "GET /figures HTTP/1.0\r\n\r\n") // as HAProxy asks
	if got := answerOn(t, without); !strings.Contains(got, " 200 ") {
		t.Errorf("without a name: got %q, want 200", got)
	}
	open := started(t, Settings{}, nil)
	if got := status(open.Addr().String(), "/figures", "evil.com"); got != 200 {
		t.Errorf("without http_same_origin: got %d, want 200", got)
	}
	// A browser does not send the login to a page that only has the address.
	secret := started(t, Settings{SameOrigin: true, Login: true}, nil)
	r, err := http.NewRequest("GET", "http://"+secret.Addr().String()+"/figures", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "nats.example.org"
	if got := do(t, http.DefaultClient, r); got.status != 401 {
		t.Errorf("without the login: got %d, want 401", got.status)
	}
	r.SetBasicAuth("ops", "s3cret")
	if got := do(t, http.DefaultClient, r); got.status != 200 {
		t.Errorf("with the login: got %d, want 200", got.status)
	}
}

func TestTheProfilingPortNeedsTheLogin(t *testing.T) {
	t.Parallel()
	m := newTest(t, Settings{Login: true}, nil)
	if err := m.StartProfiler("127.0.0.1", -1); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/symbol", "/debug/pprof/nothing"} {
		for _, c := range []struct {
			password string
			denied   bool
		}{{"", true}, {"wrong", true}, {"s3cret", false}} {
			r, err := http.NewRequest("GET", "http://"+m.ProfilerAddr().String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.password != "" {
				r.SetBasicAuth("ops", c.password)
			}
			if got := do(t, http.DefaultClient, r).status; (got == 401) != c.denied {
				t.Errorf("%s with password %q: got %d, want denied %v", path, c.password, got, c.denied)
			}
		}
	}
}
