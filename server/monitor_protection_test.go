package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

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
			for _, p := range pages {
				for _, c := range []struct {
					user, pass string
					want       int
				}{
					{"", "", 401}, {"ops", "", 401}, {"ops", "S3cret", 401}, {"ops", password + " ", 401},
					{"root", "s3cret", 401}, {"ops", "s3cret", 200},
				} {
					if p.open {
						c.want = 200
					}
					got := login(t, s, p.path, c.user, c.pass)
					if got.status != c.want {
						t.Errorf("%s as %q with %q: got %d, want %d", p.path, c.user, c.pass, got.status, c.want)
					}
					if got.status == 401 && (!strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") || got.body != "login required\n") {
						t.Errorf("%s: got %v %q", p.path, got.header, got.body)
					}
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
			if got := login(t, s, "/nothing", "", ""); got.status != 404 {
				t.Errorf("a page that is not there: got %d, want 404", got.status)
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
	stranger := certOpts(certDir(t), "client")
	if pair, err = tls.LoadX509KeyPair(stranger.CertFile, stranger.KeyFile); err != nil {
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

func TestMonitorListensOnAUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "g") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close() // somebody died and left it behind
	s := monitored(t, Options{HTTPSocket: path})
	if s.MonitorAddr() != nil {
		t.Errorf("a port is open: %v", s.MonitorAddr())
	}
	c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	defer c.CloseIdleConnections()
	r, err := http.NewRequest("GET", "http://unix/varz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, c, r); got.status != 200 || !strings.Contains(got.body, s.ID()) {
		t.Errorf("got %d %s", got.status, got.body)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("got %v, %v, want -rw-rw----", info.Mode(), err)
	}
	other, err := New(&Options{Host: "127.0.0.1", Port: RandomPort, HTTPSocket: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(); err == nil || !strings.Contains(err.Error(), "somebody listens") {
		t.Errorf("a second server: got %v", err)
	}
	s.Shutdown()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket survives Shutdown")
	}
}

// TestNoPageTellsASecret plants a word wherever a secret may stand and looks for
// it on every page, with every parameter.
func TestNoPageTellsASecret(t *testing.T) {
	t.Parallel()
	const secret = "canary"
	seed := startServer(t, func(o *Options) { o.Cluster.Username, o.Cluster.Password = "router", secret })
	from := routeTo(t, seed)
	from.User = url.UserPassword("router", secret)
	s := startServer(t, func(o *Options) {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", RandomPort
		o.HTTPUsername, o.HTTPPassword = "ops", secret
		o.Cluster.Username, o.Cluster.Password = "router", secret
		o.Users = []*User{{Username: "anna", Password: secret}}
		o.Routes = []*url.URL{from, {Scheme: "nats-route", Host: "127.0.0.1:1", User: url.UserPassword("router", secret)}}
	})
	meshed(t, s, seed)
	speak(t, s, `CONNECT {"verbose":false,"user":"anna","pass":"canary","auth_token":"canary","jwt":"canary","sig":"canary","nkey":"canary","name":"n"}`, "SUB foo 1")
	refused := dialPort(t, s)
	io.WriteString(refused, `CONNECT {"user":"anna","pass":"wrongcanary"}`+"\r\n")
	io.Copy(io.Discard, refused)
	eventually(t, "the refused client is filed, a route has failed", func() bool {
		return s.closed.count(closeAuthFailure) == 1 && strings.Contains(login(t, s, "/routez", "ops", secret).body, `"last_error"`)
	})
	for _, p := range pages {
		for _, query := range []string{"", "?subs=1&auth=1&state=all", "?subs=detail&auth=1", "?state=closed&auth=1&subs=1", "?callback=f"} {
			got := login(t, s, p.path+query, "ops", secret)
			if got.status == 401 || strings.Contains(got.body, secret) {
				t.Errorf("%s%s: status %d, tells a secret: %v", p.path, query, got.status, strings.Contains(got.body, secret))
			}
		}
	}
}

// TestMonitorChangesNothing asks every page with every method and compares what
// the server is before and after.
func TestMonitorChangesNothing(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	speak(t, s, hello("one"), "SUB foo 1")
	before := s.opts.Load()
	state := func() string {
		z := scrapeOf(t, s)
		maps.DeleteFunc(z, func(name string, _ float64) bool {
			own := strings.HasPrefix(name, "gnatsd_")
			moves := strings.Contains(name, "http_req_stats") || strings.HasPrefix(name, "gnatsd_varz_cpu") || strings.HasPrefix(name, "gnatsd_varz_mem")
			return !own || moves
		})
		return fmt.Sprint(map[string]float64(z))
	}
	was := state()
	for _, p := range pages {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			r, err := http.NewRequest(method, "http://"+s.MonitorAddr().String()+p.path+"?cid=1&kick=1&reload=1", strings.NewReader("cid=1"))
			if err != nil {
				t.Fatal(err)
			}
			do(t, http.DefaultClient, r)
		}
	}
	if now := state(); now != was || s.opts.Load() != before {
		t.Errorf("got\n%s\nwant\n%s", now, was)
	}
}
