package windows

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"gnatsd/test/certs"
	"gnatsd/test/wire"
)

// converse has a subscriber on one server, and a requester on another.
func converse(t *testing.T, subscriber, requester string) {
	t.Helper()
	s, r := wire.Dial(t, subscriber), wire.Dial(t, requester)
	s.Do(`CONNECT {"verbose":false}`, "SUB help 1")
	r.Do(`CONNECT {"verbose":false}`, "SUB _INBOX.1 2")
	eventually(t, "the interest arrives", func() bool {
		r.Say("PUB help 1", "?")
		r.Sync()
		return len(s.Drain()) > 0
	})
	s.Drain()
	r.Say("PUB help _INBOX.1 3", "why")
	for {
		if line := s.HearAfter("MSG help 1 "); strings.HasPrefix(line, "MSG help 1 _INBOX.1") {
			break
		}
	}
	s.Want("why")
	s.Say("PUB _INBOX.1 2", "so")
	r.Want("MSG _INBOX.1 2 2", "so")
}

// TestCluster has two brokers on Windows, and one on Linux.
func TestCluster(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	a := m.start(t, "--cluster", "nats://127.0.0.1:-1")
	routes := a.port("Listening for route connections on")
	b := m.start(t, "--cluster", "nats://127.0.0.1:-1", "--routes", "nats://"+routes)
	linux := launch(t, exec.Command(m.linux, "-a", "127.0.0.1", "-p", "-1", "-D", "--cluster", "nats://127.0.0.1:-1", "--routes", "nats://"+routes))
	t.Cleanup(func() { linux.cmd.Process.Kill() })
	addrs := []string{a.ready(), b.ready(), linux.ready()}
	for i, subscriber := range addrs {
		converse(t, subscriber, addrs[(i+1)%3])
		converse(t, subscriber, addrs[(i+2)%3])
	}
	b.press("kill")
	b.ended()
	converse(t, addrs[0], addrs[2])
	a.await("lost: closed by the other server")
}

// TestTLS has clients and a route with certificates.
func TestTLS(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	dir := m.folder(t)
	authority, err := certs.NewAuthority("Windows")
	must(t, err)
	m.write(t, dir+`\ca.pem`, string(authority.PEM()))
	pair := func(name string) certs.Pair {
		p, err := authority.Issue(certs.Request{Subject: pkix.Name{CommonName: name}, Hosts: certs.Local()})
		must(t, err)
		return p
	}
	must(t, pair("server").Write(m.unix(dir), "server"))
	files := fmt.Sprintf(`cert_file: '%[1]s\server-cert.pem', key_file: '%[1]s\server-key.pem', ca_file: '%[1]s\ca.pem', verify: true`, dir)
	m.write(t, dir+`\gnatsd.conf`, "tls { "+files+" }\ncluster { listen: \"127.0.0.1:-1\", tls { "+files+" } }\n")
	a := m.start(t, "-c", dir+`\gnatsd.conf`)
	routes := a.port("Listening for route connections on")
	b := m.start(t, "-c", dir+`\gnatsd.conf`, "--routes", "nats://"+routes)
	addrs := [2]string{a.ready(), b.ready()}

	client := pair("client")
	identity, err := tls.X509KeyPair(client.Cert, client.Key)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.PEM())
	secure := func(addr string, config *tls.Config) (*tls.Conn, error) {
		nc, err := net.Dial("tcp", addr)
		must(t, err)
		c := wire.Of(t, nc)
		if c.ReadInfo(); !strings.Contains(c.Info, `"tls_required":true`) {
			t.Errorf("INFO %s", c.Info)
		}
		conn := tls.Client(nc, config)
		if err := conn.Handshake(); err != nil {
			return nil, err
		}
		return conn, nil
	}
	var ends [2]*wire.Client
	for i, addr := range addrs {
		conn, err := secure(addr, &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{identity}})
		must(t, err)
		ends[i] = wire.Of(t, conn)
		ends[i].Say("CONNECT {\"verbose\":false}")
		ends[i].Sync()
	}
	ends[0].Do("SUB foo 1")
	eventually(t, "the interest arrives", func() bool {
		ends[1].Say("PUB foo 2", "hi")
		ends[1].Sync()
		return len(ends[0].Drain()) > 0
	})
	conn, err := secure(addrs[0], &tls.Config{RootCAs: pool, ServerName: "localhost"})
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("a client without a certificate is let in")
	}
}
