package wire

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Server is an older server as others see it. It says of itself what its version would, unless a
// test changes that.
type Server struct {
	ID      string       // 22 bytes
	Old     bool         // of version 1.1.0, not 1.4.1
	Routes  net.Listener // where it listens for routes
	Clients string       // host:port that it gives for clients, "" for none

	t testing.TB
}

// Listen returns a server that listens for routes. Its ID is id and blanks.
func Listen(t testing.TB, id string, old bool) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &Server{ID: fmt.Sprintf("%-22s", id), Old: old, Routes: l, t: t}
}

// Port returns the port for routes.
func (s *Server) Port() int { return s.Routes.Addr().(*net.TCPAddr).Port }

// URL returns what a broker that dials the server is given.
func (s *Server) URL() *url.URL {
	return &url.URL{Scheme: "nats-route", Host: s.Routes.Addr().String()}
}

// Connect is the CONNECT of the server.
func (s *Server) Connect() string {
	echo := `"echo":true,`
	if s.Old {
		echo = ""
	}
	return fmt.Sprintf(`CONNECT {%s"verbose":false,"pedantic":false,"tls_required":false,"name":"%s"}`, echo, s.ID) + "\r\n"
}

// Info is the INFO of the server about itself.
func (s *Server) Info() string {
	urls := ""
	if s.Clients != "" {
		urls = fmt.Sprintf(`,"connect_urls":[%q]`, s.Clients)
	}
	if s.Old {
		return fmt.Sprintf(`INFO {"server_id":"%s","version":"1.1.0","git_commit":"","go":"","host":"127.0.0.1","port":%d,`+
			`"auth_required":false,"tls_required":false,"tls_verify":false,"max_payload":1048576%s}`, s.ID, s.Port(), urls) + "\r\n"
	}
	return fmt.Sprintf(`INFO {"server_id":"%s","version":"1.4.1","proto":1,"go":"go1.11.5","host":"127.0.0.1","port":%d,`+
		`"max_payload":1048576%s}`, s.ID, s.Port(), urls) + " \r\n"
}

// Dial connects to the port for routes of a broker, and reads its INFO. To be registered it has to
// say more.
func (s *Server) Dial(addr net.Addr) *Client {
	s.t.Helper()
	r := s.Route(Open(s.t, addr.String()))
	r.ReadInfo()
	return r
}

// Join connects to the port for routes of a broker as the server does.
func (s *Server) Join(addr net.Addr) *Client {
	s.t.Helper()
	r := s.Dial(addr)
	r.Say(s.Connect(), s.Info())
	return r
}

// Accept takes the next connection of a broker, reads its CONNECT and INFO, and registers it.
func (s *Server) Accept() (r *Client, connect string) {
	s.t.Helper()
	s.Routes.(*net.TCPListener).SetDeadline(time.Now().Add(Patience))
	nc, err := s.Routes.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	r = s.Route(Of(s.t, nc))
	r.Say(s.Info())
	connect = r.Hear("CONNECT ")
	r.ReadInfo()
	return r, connect
}

// Route has a connection behave as a route: it answers PING, and passes over interest that it
// knows. A server takes that as said once, and one that joins while interest changes may hear it
// twice.
func (s *Server) Route(c *Client) *Client {
	c.ForgetInterest()
	c.passOver = func(line string) bool {
		if line == "PING\r\n" {
			c.Send("PONG\r\n")
			return true
		}
		if id, ok := strings.CutPrefix(line, "UNSUB "); ok {
			maps.DeleteFunc(c.known, func(sub string, _ bool) bool { return strings.HasSuffix(sub, " "+id) })
		}
		if !strings.HasPrefix(line, "SUB ") {
			return false
		}
		known := c.known[line]
		c.known[line] = true
		return known
	}
	return c
}

// ForgetInterest has a route hear interest again, as a server does that has dropped what it did not
// take.
func (c *Client) ForgetInterest() { c.known = map[string]bool{} }
