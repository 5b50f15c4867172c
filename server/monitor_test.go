package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// monitored runs a server with a monitoring port until the test ends.
func monitored(t testing.TB, opts Options) *Server {
	t.Helper()
	opts.Host, opts.Port = "127.0.0.1", RandomPort
	if opts.HTTPPort == 0 && opts.HTTPSPort == 0 && opts.HTTPSocket == "" {
		opts.HTTPPort = RandomPort
	}
	s, err := New(&opts)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start() // ends with Shutdown
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not come up")
	}
	return s
}

// reply is an answer of the monitoring port.
type reply struct {
	status      int
	contentType string
	body        string
	header      http.Header
}

// ask requests a path of the monitoring port.
func ask(t testing.TB, s *Server, path string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+s.MonitorAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, http.DefaultClient, r)
}

func do(t testing.TB, c *http.Client, r *http.Request) reply {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Get("Content-Type"), string(body), resp.Header}
}

// decode requests a page and decodes it.
func decode[T any](t testing.TB, s *Server, path string) (v T) {
	t.Helper()
	r := ask(t, s, path)
	if r.status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// speaker is a client that says what a test tells it to.
type speaker struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

// dialPort connects to the client port.
func dialPort(t testing.TB, s *Server) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// speak connects a client, says lines and waits for the answer to a PING.
func speak(t testing.TB, s *Server, lines ...string) *speaker {
	t.Helper()
	nc := dialPort(t, s)
	c := &speaker{t: t, nc: nc, r: bufio.NewReader(nc)}
	c.say(lines...)
	return c
}

// say sends lines and waits for the answer to a PING after them.
func (c *speaker) say(lines ...string) {
	c.t.Helper()
	c.send(append(lines, "PING")...)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("no PONG: %v", err)
		}
		if line == "PONG\r\n" {
			return
		}
	}
}

func (c *speaker) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// hello is a CONNECT of a client with a name.
func hello(name string) string {
	return fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"name":%q,"lang":"go","version":"1.2","protocol":1}`, name)
}

func TestMonitorAnswersWithTheRightStatusAndType(t *testing.T) {
	s := monitored(t, Options{})
	speak(t, s, hello("one"), "SUB foo 1")
	const (
		js   = "application/json"
		html = "text/html; charset=utf-8"
		text = "text/plain; charset=utf-8"
	)
	for _, c := range []struct {
		path   string
		status int
		kind   string
		body   string // "" = any
	}{
		{"/", 200, html, ""},
		{"/varz", 200, js, ""},
		{"/connz", 200, js, ""},
		{"/routez", 200, js, ""},
		{"/subsz", 200, js, ""},
		{"/subscriptionsz", 200, js, ""},
		{"/stacksz", 200, js, ""},
		{"/healthz", 200, js, `{"status":"ok"}`},
		{"/healthz?js-enabled-only=true", 200, js, `{"status":"ok"}`},
		{"/healthz?js-server-only=true", 200, js, `{"status":"ok"}`},
		{"/healthz?routes=1", 503, js, `{"status":"unavailable","error":"0 of 1 routes are up"}`},
		{"/healthz?routes=x", 400, text, "Error decoding int for 'routes': strconv.Atoi: parsing \"x\": invalid syntax\n"},
		{"/varz/", 404, text, "404 page not found\n"},
		{"/healthz/", 404, text, "404 page not found\n"},
		{"/debug/pprof/", 404, text, "404 page not found\n"},
		{"/debug/vars", 404, text, "404 page not found\n"},
		{"/connz?auth=2", 400, text, "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"2\": invalid syntax\n"},
		{"/connz?subs=x", 400, text, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"x\": invalid syntax\n"},
		{"/connz?subs=detail", 200, js, ""},
		{"/connz?offset=abc", 400, text, "Error decoding int for 'offset': strconv.Atoi: parsing \"abc\": invalid syntax\n"},
		{"/connz?limit=1e3", 400, text, "Error decoding int for 'limit': strconv.Atoi: parsing \"1e3\": invalid syntax\n"},
		{"/connz?cid=-1", 400, text, "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax\n"},
		{"/connz?state=gone", 400, text, "error decoding state for gone\n"},
		{"/connz?state=CLOSED", 200, js, ""},
		{"/connz?state=Any", 200, js, ""},
		{"/connz?sort=Cid", 400, text, "invalid sorting option: Cid\n"},
		{"/connz?sort=stop", 400, text, "sort by stop only valid on closed connections\n"},
		{"/connz?sort=reason&state=all", 400, text, "sort by reason only valid on closed connections\n"},
		{"/connz?sort=reason&state=closed", 200, js, ""},
		{"/routez?subs=2", 400, text, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"2\": invalid syntax\n"},
		{"/subsz?test=foo.*", 400, text, "invalid test subject, must be valid publish subject: foo.*\n"},
		{"/subsz?subs=1&limit=x", 400, text, "Error decoding int for 'limit': strconv.Atoi: parsing \"x\": invalid syntax\n"},
	} {
		got := ask(t, s, c.path)
		if got.status != c.status || got.contentType != c.kind || c.body != "" && got.body != c.body {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.path, got.status, got.contentType, got.body, c.status, c.kind, c.body)
		}
	}
}

func TestMonitorCountsFivePathsAndNoOther(t *testing.T) {
	s := monitored(t, Options{})
	for _, path := range []string{
		"/", "/connz", "/connz?sort=nothing", "/connz?limit=x", "/routez", "/routez?subs=x",
		"/subsz", "/subscriptionsz", "/subsz?subs=x", "/stacksz", "/healthz", "/nothing", "/varz",
	} {
		ask(t, s, path)
	}
	got := decode[struct {
		Stats map[string]int `json:"http_req_stats"`
	}](t, s, "/varz")
	want := map[string]int{"/": 1, "/connz": 2, "/routez": 1, "/subsz": 3, "/varz": 2}
	if fmt.Sprint(got.Stats) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got.Stats, want)
	}
}

func TestMonitorObeysTheSettings(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   Options
		path   string
		status int
		kind   string
		origin string // that may read
	}{
		{"none", Options{}, "/varz?callback=f", 200, "application/javascript", "*"},
		{"same origin", Options{HTTPSameOrigin: true}, "/varz?callback=f", 200, "application/json", ""},
		{"a login", Options{HTTPUsername: "ops", HTTPPassword: "s3cret"}, "/varz", 401, "text/plain; charset=utf-8", ""},
		{"a base path", Options{HTTPBasePath: "/nats/one/"}, "/nats/one/varz", 200, "application/json", "*"},
		{"a base path, page outside", Options{HTTPBasePath: "nats/one"}, "/varz", 404, "text/plain; charset=utf-8", ""},
	} {
		got := ask(t, monitored(t, c.opts), c.path)
		if got.status != c.status || got.contentType != c.kind || got.header.Get("Access-Control-Allow-Origin") != c.origin {
			t.Errorf("%s: got %d %q %q, want %d %q %q", c.name, got.status, got.contentType, got.header.Get("Access-Control-Allow-Origin"), c.status, c.kind, c.origin)
		}
	}
}

func TestMonitorAddressesAndHandlerAreThereWhileItRuns(t *testing.T) {
	s := monitored(t, Options{ProfPort: RandomPort})
	if s.MonitorAddr() == nil || s.ProfilerAddr() == nil || s.HTTPHandler() == nil {
		t.Fatalf("got %v, %v, handler %v", s.MonitorAddr(), s.ProfilerAddr(), s.HTTPHandler() != nil)
	}
	resp, err := http.Get("http://" + s.ProfilerAddr().String() + "/debug/pprof/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("profiler: got %d", resp.StatusCode)
	}
	web := s.MonitorAddr().String()
	s.Shutdown()
	if s.MonitorAddr() != nil || s.ProfilerAddr() != nil || s.HTTPHandler() != nil {
		t.Error("addresses or handler survive Shutdown")
	}
	if nc, err := net.Dial("tcp", web); err == nil {
		nc.Close()
		t.Error("the port is open after Shutdown")
	}
}

func TestMonitorRefusesSettingsThatCannotWork(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, c := range []struct {
		name string
		opts Options
		want string
	}{
		{"both ports", Options{HTTPPort: 1, HTTPSPort: 2}, "can't specify both HTTP (1) and HTTPs (2) ports"},
		{"a socket that cannot be made", Options{HTTPSocket: "/missing/s"}, "can't listen to the monitor port: "},
		{"https without a certificate", Options{HTTPSPort: -1}, "TLS cert and key required for HTTPS"},
		{"a port in use", Options{HTTPPort: port}, "can't listen to the monitor port: "},
		{"a profiling port in use", Options{ProfPort: port}, "can't listen to the profiling port: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opts.Host, c.opts.Port = "127.0.0.1", RandomPort
			s, err := New(&c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
