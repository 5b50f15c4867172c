package server

import (
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gnatsd/test/certs"
	"gnatsd/test/wire"
)

// TestServersThatLearnOfEachOtherByAddressVerifyTheName has certificates with a name only, and a
// seed that is configured by this name. The others learn each other's addresses.
func TestServersThatLearnOfEachOtherByAddressVerifyTheName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority, err := certs.NewAuthority("authority of the cluster")
	okay(t, err)
	okay(t, os.WriteFile(filepath.Join(dir, "ca.pem"), authority.PEM(), 0o600))
	pair, err := authority.Issue(certs.Request{Hosts: []string{"localhost"}})
	okay(t, err)
	files := TLSConfigOpts{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CaFile: filepath.Join(dir, "ca.pem"), Verify: true}
	okay(t, os.WriteFile(files.CertFile, pair.Cert, 0o600))
	okay(t, os.WriteFile(files.KeyFile, pair.Key, 0o600))
	config := mustTLS(t, files)
	secure := func(o *Options) { o.Cluster.TLSConfig, o.Cluster.TLSTimeout = config, 10 }
	seed := startServer(t, secure)
	byName := &url.URL{Scheme: "nats-route", Host: strings.Replace(seed.ClusterAddr().String(), "127.0.0.1", "localhost", 1)}
	servers := []*Server{seed}
	for range 2 {
		servers = append(servers, startServer(t, func(o *Options) { secure(o); o.Routes = []*url.URL{byName} }))
	}
	meshed(t, servers...)
}

// TestASecondRouteOverTLSIsPromoted has a connection in standby: waking its reader must not break
// TLS.
func TestASecondRouteOverTLSIsPromoted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority, err := certs.NewAuthority("authority of the cluster")
	okay(t, err)
	pair, err := authority.Issue(certs.Request{Hosts: []string{"localhost"}})
	okay(t, err)
	files := TLSConfigOpts{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CaFile: filepath.Join(dir, "ca.pem")}
	okay(t, os.WriteFile(files.CaFile, authority.PEM(), 0o600))
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	okay(t, err)
	okay(t, os.WriteFile(files.CertFile, pair.Cert, 0o600))
	okay(t, os.WriteFile(files.KeyFile, pair.Key, 0o600))
	s := startServer(t, func(o *Options) { o.Cluster.TLSConfig, o.Cluster.TLSTimeout, o.identity = mustTLS(t, files), 10, "z" })
	peer := &peerInfo{Info: Info{ID: "a", Version: VERSION, Host: "127.0.0.1", Port: 1, Proto: 1}}
	dial := func() *wire.Client {
		nc, err := tls.Dial("tcp", s.ClusterAddr().String(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}})
		okay(t, err)
		t.Cleanup(func() { nc.Close() })
		c := wire.Of(t, nc)
		c.ReadInfo()
		c.Say(peer.line(true))
		return c
	}
	first := dial()
	eventually(t, "the route is there", func() bool { return s.NumRoutes() == 1 })
	second := dial()
	eventually(t, "the second is in standby", func() bool {
		for _, r := range s.cluster.all() {
			if r.inStandby.Load() {
				return true
			}
		}
		return false
	})
	second.Say("SUB foo 1\r\n")
	okay(t, first.Close())
	interested(t, s, 1)
	second.Say("SUB bar 2\r\nPING\r\n")
	interested(t, s, 2)
	second.Hear("PONG")
}
