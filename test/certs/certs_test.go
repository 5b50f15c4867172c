package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWrittenCertificatesAreGoodForServersAndClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := WriteAll(dir); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for _, name := range []string{"server", "client", "srva", "srvb"} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+"-cert.pem"), filepath.Join(dir, name+"-key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range Local() {
			for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
					t.Errorf("%s for %s: %v", name, host, err)
				}
			}
		}
	}
}

func TestExpiredCertificatesCanBeMade(t *testing.T) {
	t.Parallel()
	a, err := NewAuthority("x")
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Issue(Request{Subject: pkix.Name{CommonName: "old"}, ValidFor: -time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	if !pair.Leaf.NotAfter.Before(time.Now()) {
		t.Errorf("valid until %v", pair.Leaf.NotAfter)
	}
}
