//go:build unix

package test

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// This file shows what the settings of TLS for clients do.

// secured starts a broker with TLS and what else is to be in its file, and returns the directory of
// the certificates.
func secured(t *testing.T, inBlock, outside string) (p *process, addr, dir string) {
	t.Helper()
	dir = certFiles(t)
	p = spawn(t, "-c", writeConfig(t, tlsBlock(dir, "server", strings.ReplaceAll(inBlock, "DIR", dir))+outside))
	return p, p.addr(t), dir
}

// upgrade connects as a client that speaks TLS behind INFO, and answers a PING.
func upgrade(addr string, c *tls.Config) (state tls.ConnectionState, err error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return state, err
	}
	defer nc.Close()
	if _, err := wire.New(nc).Line(); err != nil {
		return state, err
	}
	return converse(tls.Client(nc, c))
}

// handshake connects as another server does, where nothing comes before TLS, and reads INFO.
func handshake(addr string, c *tls.Config) (state tls.ConnectionState, err error) {
	nc, err := tls.Dial("tcp", addr, c)
	if err != nil {
		return state, err
	}
	defer nc.Close()
	_, err = wire.New(nc).Line()
	return nc.ConnectionState(), err
}

// converse has a client say hello over TLS.
func converse(nc *tls.Conn) (state tls.ConnectionState, err error) {
	c := wire.New(nc)
	if err := c.Send("CONNECT {\"verbose\":false}\r\nPING\r\n"); err != nil {
		return state, err
	}
	for {
		line, err := c.Line()
		if err != nil || line == "PONG\r\n" {
			return nc.ConnectionState(), err
		}
	}
}

var tlsEffects = map[string]func(*testing.T){
	"tls.cert_file": presented,
	"tls.key_file":  presented,
	"tls.verify":    demanded,
	"tls.ca_file":   demanded,
	"tls.timeout": func(t *testing.T) {
		p, addr, _ := secured(t, "timeout: 0.01", "")
		wire.Open(t, addr)
		p.await(t, `\[ERR\] .* TLS handshake timeout$`)
	},
	"tls.cipher_suites": func(t *testing.T) {
		_, addr, dir := secured(t, `cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]`, "")
		c := clientTLS(t, dir, "")
		c.MaxVersion = tls.VersionTLS12
		state, err := upgrade(addr, c)
		if got := tls.CipherSuiteName(state.CipherSuite); err != nil || got != "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" {
			t.Errorf("got %s, %v", got, err)
		}
	},
	"tls.curve_preferences": func(t *testing.T) {
		_, addr, dir := secured(t, "curve_preferences: [CurveP384]", "")
		if state, err := upgrade(addr, clientTLS(t, dir, "")); err != nil || state.CurveID != tls.CurveP384 {
			t.Errorf("got %v, %v", state.CurveID, err)
		}
	},
	"tls.min_version": func(t *testing.T) {
		_, addr, dir := secured(t, `min_version: "1.3"`, "")
		c := clientTLS(t, dir, "")
		if _, err := upgrade(addr, c); err != nil {
			t.Error(err)
		}
		c.MaxVersion = tls.VersionTLS12
		if _, err := upgrade(addr, c); err == nil {
			t.Error("TLS 1.2 was spoken")
		}
	},
	"tls.verify_and_map": func(t *testing.T) {
		_, addr, dir := secured(t, "verify_and_map: true, ca_file: \"DIR/ca.pem\"", "authorization { users: [ { user: client@example.com } ] }")
		if _, err := upgrade(addr, clientTLS(t, dir, "client")); err != nil {
			t.Error(err)
		}
		if _, err := upgrade(addr, clientTLS(t, dir, "srva")); err == nil {
			t.Error("a certificate of no user was admitted")
		}
	},
	"tls.handshake_first": func(t *testing.T) {
		_, addr, dir := secured(t, "handshake_first: true", "")
		nc, err := tls.Dial("tcp", addr, clientTLS(t, dir, ""))
		must(t, err)
		wire.Of(t, nc).ReadInfo()
	},
	"cluster.tls":           routeTLS,
	"cluster.tls.cert_file": routeTLS,
	"cluster.tls.key_file":  routeTLS,
	"cluster.tls.ca_file":   routeTLS,
	"cluster.tls.verify":    routeTLS,
	"cluster.tls.timeout": func(t *testing.T) {
		p, addr, _ := securedRoutes(t, "timeout: 0.01")
		wire.Open(t, addr)
		p.await(t, `\[ERR\] .* - rid:1 - TLS route handshake error: .*i/o timeout$`)
	},
	"cluster.tls.cipher_suites": func(t *testing.T) {
		_, addr, dir := securedRoutes(t, `cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]`)
		c := clientTLS(t, dir, "srvb")
		c.MaxVersion = tls.VersionTLS12
		state, err := handshake(addr, c)
		if got := tls.CipherSuiteName(state.CipherSuite); err != nil || got != "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" {
			t.Errorf("got %s, %v", got, err)
		}
	},
	"cluster.tls.curve_preferences": func(t *testing.T) {
		_, addr, dir := securedRoutes(t, "curve_preferences: [CurveP384]")
		if state, err := handshake(addr, clientTLS(t, dir, "srvb")); err != nil || state.CurveID != tls.CurveP384 {
			t.Errorf("got %v, %v", state.CurveID, err)
		}
	},
	"cluster.tls.min_version": func(t *testing.T) {
		_, addr, dir := securedRoutes(t, `min_version: "1.3"`)
		c := clientTLS(t, dir, "srvb")
		c.MaxVersion = tls.VersionTLS12
		if _, err := handshake(addr, c); err == nil {
			t.Error("TLS 1.2 was spoken")
		}
	},
	"allow_non_tls": func(t *testing.T) {
		_, addr, dir := secured(t, "", "allow_non_tls: true")
		quiet(t, addr)
		if _, err := upgrade(addr, clientTLS(t, dir, "")); err != nil {
			t.Error(err)
		}
	},
	"--tls": func(t *testing.T) {
		dir := certFiles(t)
		p := spawn(t, "--tls", "--tlscert="+filepath.Join(dir, "server-cert.pem"), "--tlskey="+filepath.Join(dir, "server-key.pem"))
		p.await(t, `TLS required for client connections$`)
	},
}

// presented has a client look at the certificate.
func presented(t *testing.T) {
	_, addr, dir := secured(t, "", "")
	state, err := upgrade(addr, clientTLS(t, dir, ""))
	must(t, err)
	if got := state.PeerCertificates[0].Subject.CommonName; got != "server" {
		t.Errorf("got the certificate of %s", got)
	}
}

// demanded has clients with and without a certificate.
func demanded(t *testing.T) {
	_, addr, dir := secured(t, "verify: true, ca_file: \"DIR/ca.pem\"", "")
	if _, err := upgrade(addr, clientTLS(t, dir, "client")); err != nil {
		t.Error(err)
	}
	if _, err := upgrade(addr, clientTLS(t, dir, "")); err == nil {
		t.Error("a client without a certificate was let in")
	}
}

// securedRoutes starts a broker with TLS for routes, and returns the directory of the certificates.
func securedRoutes(t *testing.T, inBlock string) (p *process, addr, dir string) {
	t.Helper()
	dir = certFiles(t)
	p, _, addr = clusteredProcess(t, "", tlsBlock(dir, "srva", fmt.Sprintf("ca_file: %q\n", filepath.Join(dir, "ca.pem"))+inBlock))
	return p, addr, dir
}

// routeTLS has another server with a certificate, and one without.
func routeTLS(t *testing.T) {
	p, addr, dir := securedRoutes(t, "")
	other, _, _ := clusteredProcess(t, "debug: true", routeTo("", strings.Replace(addr, "127.0.0.1", "localhost", 1))+
		tlsBlock(dir, "srvb", fmt.Sprintf("ca_file: %q", filepath.Join(dir, "ca.pem"))))
	other.await(t, `Registering remote route "\w+"$`)
	if state, err := handshake(addr, clientTLS(t, dir, "srvb")); err != nil || state.PeerCertificates[0].Subject.CommonName != "srva" {
		t.Errorf("got %v, want the certificate of srva", err)
	}
	if _, err := handshake(addr, clientTLS(t, dir, "")); err == nil {
		t.Error("a server without a certificate was let in")
	}
	p.await(t, `TLS route handshake error`)
}
