package server

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/test/wire"
)

// monitored runs a server with a monitoring port until the test ends.
func monitored(t testing.TB, opts Options) *Server {
	t.Helper()
	opts.Host, opts.Port = "127.0.0.1", RandomPort
	opts.AuthTimeout, opts.TLSTimeout = cmp.Or(opts.AuthTimeout, loginTime), cmp.Or(opts.TLSTimeout, loginTime)
	if opts.HTTPPort == 0 && opts.HTTPSPort == 0 && opts.HTTPSocket == "" {
		opts.HTTPPort = RandomPort
	}
	s, err := NewServer(&opts)
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

// speak connects a client, sends lines and waits for the answer to a PING.
func speak(t testing.TB, s *Server, lines ...string) *wire.Client {
	t.Helper()
	c := openClient(t, s)
	c.Do(lines...)
	return c
}

// hello is a CONNECT of a client with a name.
func hello(name string) string {
	return fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"name":%q,"lang":"go","version":"1.2","protocol":1}`, name)
}

func TestMonitorObeysTheSettings(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
			s, err := NewServer(&c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Run(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// login asks for a page with a user and a password; "" as user is none.
func login(t testing.TB, s *Server, path, user, pass string) reply {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+s.MonitorAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, pass)
	}
	return do(t, http.DefaultClient, r)
}

func TestMonitorDemandsALogin(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]string{"plain": "s3cret", "bcrypt": string(hash)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := monitored(t, Options{HTTPUsername: "ops", HTTPPassword: password})
			for _, c := range []struct {
				user, pass string
				want       int
			}{
				{"", "", 401}, {"ops", "", 401}, {"ops", "S3cret", 401}, {"ops", password + " ", 401},
				{"root", "s3cret", 401}, {"ops", "s3cret", 200},
			} {
				if got := login(t, s, "/varz", c.user, c.pass); got.status != c.want {
					t.Errorf("as %q with %q: got %d, want %d", c.user, c.pass, got.status, c.want)
				}
			}
			if name == "bcrypt" {
				if got := login(t, s, "/varz", "ops", password); got.status != 401 {
					t.Errorf("the hash as password: got %d, want 401", got.status)
				}
			}
			if got := login(t, s, "/varz", "ops", "s3cret"); got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("pages behind a login are for all origins")
			}
		})
	}
}

func TestMonitorDemandsACertificate(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	config := mustTLS(t, certOpts(dir, "server"))
	s := monitored(t, Options{HTTPSPort: RandomPort, HTTPVerify: true, TLSConfig: config})
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	ask := func(pairs ...tls.Certificate) (int, error) {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: pairs}}}
		defer c.CloseIdleConnections()
		resp, err := c.Get("https://" + s.MonitorAddr().String() + "/varz")
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	own := certOpts(dir, "client")
	pair, err := tls.LoadX509KeyPair(own.CertFile, own.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := ask(pair); status != 200 || err != nil {
		t.Errorf("with a certificate: got %d, %v", status, err)
	}
	if status, err := ask(); err == nil {
		t.Errorf("without a certificate: got %d", status)
	}
	other := certOpts(certDir(t), "client")
	if pair, err = tls.LoadX509KeyPair(other.CertFile, other.KeyFile); err != nil {
		t.Fatal(err)
	}
	if status, err := ask(pair); err == nil {
		t.Errorf("with the certificate of another authority: got %d", status)
	}
	if text := plainAnswer(t, s.MonitorAddr().String()); !strings.Contains(text, "400 Bad Request") || !strings.Contains(text, "Client sent an HTTP request to an HTTPS server.") {
		t.Errorf("plain HTTP: got %q", text)
	}
}

// plainAnswer is all that a port says to a plain request.
func plainAnswer(t *testing.T, addr string) string {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "GET /varz HTTP/1.0\r\n\r\n")
	text, _ := io.ReadAll(nc)
	return string(text)
}
