package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"gnatsd/test/certs"
)

// handshake connects two configurations and returns what each side says.
func handshake(t testing.TB, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() { // ends with the handshake or the deadline; received below
		err := s.Handshake()
		if err != nil {
			a.Close()
		}
		done <- err
	}()
	if clientErr = c.Handshake(); clientErr == nil {
		go io.Copy(io.Discard, c) // takes session tickets or the alert; ends with Close
	} else {
		b.Close()
	}
	if serverErr = <-done; serverErr == nil {
		state = s.ConnectionState()
	}
	a.Close()
	b.Close()
	return state, serverErr, clientErr
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	server, verify := files(dir, "server"), files(dir, "server")
	verify.Verify = true
	foreign := files(certDir(t), "client")
	plain, mutual := mustLoad(t, server), mustLoad(t, verify)
	client := func(f *Files, max uint16) *tls.Config {
		c := &tls.Config{RootCAs: plain.ClientCAs, ServerName: "localhost", MaxVersion: max}
		if f != nil {
			c.Certificates = mustLoad(t, *f).Certificates
		}
		return c
	}
	known := files(dir, "client")
	for _, tt := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
		version        string
	}{
		{"TLS 1.3 is on", NewHolder(plain, Clients).Accepting(), client(nil, 0), true, "1.3"},
		{"TLS 1.2 is on", NewHolder(plain, Clients).Accepting(), client(nil, tls.VersionTLS12), true, "1.2"},
		{"TLS 1.1 is not", NewHolder(plain, Clients).Accepting(), client(nil, tls.VersionTLS11), false, ""},
		{"verify demands a certificate", NewHolder(mutual, Clients).Accepting(), client(nil, 0), false, ""},
		{"verify accepts one of the authority", NewHolder(mutual, Clients).Accepting(), client(&known, 0), true, "1.3"},
		{"verify refuses one of another", NewHolder(mutual, Clients).Accepting(), client(&foreign, 0), false, ""},
		{"monitoring never demands one", NewHolder(mutual, Monitoring).Accepting(), client(nil, 0), true, "1.3"},
		{"routes always demand one", NewHolder(plain, Routes).Accepting(), client(nil, 0), false, ""},
		{"routes are mutual", NewHolder(plain, Routes).Accepting(), NewHolder(plain, Routes).Dialing("127.0.0.1"), true, "1.3"},
		{"routes check the host they dial", NewHolder(plain, Routes).Accepting(), NewHolder(plain, Routes).Dialing("example.com"), false, ""},
		{"routes accept another name", NewHolder(plain, Routes).Accepting(), NewHolder(plain, Routes).Dialing("10.0.0.1", "example.com", "localhost"), true, "1.3"},
		{"routes accept the address beside other names", NewHolder(plain, Routes).Accepting(), NewHolder(plain, Routes).Dialing("127.0.0.1", "example.com"), true, "1.3"},
		{"routes check every name", NewHolder(plain, Routes).Accepting(), NewHolder(plain, Routes).Dialing("10.0.0.1", "example.com", "example.org"), false, ""},
		{"routes check the authority for every name", NewHolder(mustLoad(t, foreign), Routes).Accepting(), NewHolder(plain, Routes).Dialing("10.0.0.1", "localhost"), false, ""},
		{"routes check the authority", NewHolder(mustLoad(t, foreign), Routes).Accepting(), NewHolder(plain, Routes).Dialing("localhost"), false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, serverErr, clientErr := handshake(t, tt.server, tt.client)
			if ok := serverErr == nil && clientErr == nil; ok != tt.ok {
				t.Fatalf("server %v, client %v, want success: %v", serverErr, clientErr, tt.ok)
			}
			if tt.ok && VersionName(state.Version) != tt.version {
				t.Errorf("version %s, want %s", VersionName(state.Version), tt.version)
			}
		})
	}
}

func TestAChoiceByTheProgramIsKept(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	base, refusal := mustLoad(t, files(dir, "server")), errors.New("not you")
	client := &tls.Config{RootCAs: base.ClientCAs, ServerName: "localhost"}
	base.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != "localhost" {
			return nil, refusal
		}
		return nil, nil
	}
	if _, err, _ := handshake(t, NewHolder(base, Clients).Accepting(), client); err != nil {
		t.Error(err)
	}
	client.ServerName, client.InsecureSkipVerify = "other", true
	if _, err, _ := handshake(t, NewHolder(base, Clients).Accepting(), client); !errors.Is(err, refusal) {
		t.Errorf("error %v, want %v", err, refusal)
	}
}

func TestReloadUsesOnlyFilesThatFit(t *testing.T) {
	t.Parallel()
	f := files(certDir(t), "server")
	old := mustLoad(t, f).ClientCAs
	h, web := NewHolder(mustLoad(t, f), Clients), NewHolder(mustLoad(t, f), Monitoring)
	config := h.Accepting() // made before the files change
	if replaced, err := Reload(&f, h, web); replaced || err != nil {
		t.Errorf("unchanged files: %v, %v", replaced, err)
	}

	a, err := certs.NewAuthority("new authority")
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Issue(certs.Request{Subject: pkix.Name{CommonName: "new"}, Hosts: certs.Local()})
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.Cert, p.Cert) // the key does not fit yet
	if replaced, err := Reload(&f, h, web); replaced || err == nil {
		t.Errorf("half replaced: %v, %v", replaced, err)
	}
	if _, _, err := handshake(t, config, &tls.Config{RootCAs: old, ServerName: "localhost"}); err != nil {
		t.Errorf("the old pair is not kept: %v", err)
	}

	write(t, f.Key, p.Key)
	if replaced, err := Reload(&f, h, web); !replaced || err != nil {
		t.Errorf("replaced: %v, %v", replaced, err)
	}
	fresh := x509.NewCertPool()
	fresh.AppendCertsFromPEM(a.PEM())
	for what, config := range map[string]*tls.Config{"clients": config, "monitoring": web.Accepting()} {
		if _, _, err := handshake(t, config, &tls.Config{RootCAs: fresh, ServerName: "localhost"}); err != nil {
			t.Errorf("%s: the new pair is not used: %v", what, err)
		}
	}
	if replaced, err := Reload(&f, h, web); replaced || err != nil {
		t.Errorf("after the change: %v, %v", replaced, err)
	}
	if err := os.Remove(f.Key); err != nil {
		t.Fatal(err)
	}
	if replaced, err := Reload(&f, h, web); replaced || err == nil {
		t.Errorf("without the key: %v, %v", replaced, err)
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
