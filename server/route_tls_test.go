package server

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gnatsd/test/certs"
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
