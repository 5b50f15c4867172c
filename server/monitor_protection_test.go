package server

import (
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

// monitorPaths are the paths of all pages but the dashboard's files.
func monitorPaths(s *Server) []string {
	paths := []string{"/", "/stacksz", "/metrics", "/healthz"}
	for _, p := range s.monitorPages() {
		paths = append(append(paths, p.Path), p.Aliases...)
	}
	return paths
}

// TestNoPageHasASecret plants a word wherever a secret may stand and looks for
// it on every page, with every parameter.
func TestNoPageHasASecret(t *testing.T) {
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
	for _, path := range monitorPaths(s) {
		for _, query := range []string{"", "?subs=1&auth=1&state=all", "?subs=detail&auth=1", "?state=closed&auth=1&subs=1", "?callback=f"} {
			got := login(t, s, path+query, "ops", secret)
			if got.status == 401 || strings.Contains(got.body, secret) {
				t.Errorf("%s%s: status %d, has a secret: %v", path, query, got.status, strings.Contains(got.body, secret))
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
	for _, path := range monitorPaths(s) {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			r, err := http.NewRequest(method, "http://"+s.MonitorAddr().String()+path+"?cid=1&kick=1&reload=1", strings.NewReader("cid=1"))
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
