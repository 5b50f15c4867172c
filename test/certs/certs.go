// Package certs makes certificates for tests and for trying the examples of the README. Keys are
// made when they are needed; none is ever committed.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority is a certificate authority that exists for one test.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// Request says what a certificate is to hold.
type Request struct {
	Subject    pkix.Name
	Hosts      []string      // DNS names and IP addresses
	Emails     []string      // subject alternative names
	ValidFor   time.Duration // from now on; 0 = a year, negative = expired
	RawSubject []byte        // DER; used instead of Subject if set
}

// Pair is a certificate and its key, in PEM.
type Pair struct {
	Cert, Key []byte
}

// notBefore is when all certificates begin: early enough for testing/synctest, whose clock starts
// with the year 2000.
func notBefore() time.Time { return time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) }

// lifetime is how long certificates are valid unless asked otherwise.
const lifetime = 365 * 24 * time.Hour

// NewAuthority makes an authority with that common name.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             notBefore(),
		NotAfter:              time.Now().Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key, encode("CERTIFICATE", der)}, nil
}

// PEM returns the authority's own certificate.
func (a *Authority) PEM() []byte { return a.pem }

// Issue makes a certificate that is good for servers, clients and routes.
func (a *Authority) Issue(r Request) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if r.ValidFor == 0 {
		r.ValidFor = lifetime
	}
	template := &x509.Certificate{
		SerialNumber:   serial(),
		Subject:        r.Subject,
		RawSubject:     r.RawSubject,
		NotBefore:      notBefore(),
		NotAfter:       time.Now().Add(r.ValidFor),
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		EmailAddresses: r.Emails,
	}
	for _, h := range r.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER)}, nil
}

// Local are the hosts of certificates for servers of tests.
func Local() []string { return []string{"localhost", "127.0.0.1", "::1"} }

// WriteAll makes one authority and writes the files that the README's examples name into dir:
// ca.pem, and for each of server, client, srva and srvb a NAME-cert.pem and a NAME-key.pem, valid
// for localhost.
func WriteAll(dir string) error {
	a, err := NewAuthority("gnatsd test authority")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), a.PEM(), 0o644); err != nil {
		return err
	}
	for _, name := range []string{"server", "client", "srva", "srvb"} {
		r := Request{
			Subject: pkix.Name{CommonName: name, Organization: []string{"gnatsd test"}},
			Hosts:   Local(),
		}
		if name == "client" {
			r.Emails = []string{"client@example.com"}
		}
		p, err := a.Issue(r)
		if err != nil {
			return fmt.Errorf("issue %s: %w", name, err)
		}
		if err := p.Write(dir, name); err != nil {
			return err
		}
	}
	return nil
}

// Write writes p into dir as NAME-cert.pem and NAME-key.pem.
func (p Pair) Write(dir, name string) error {
	if err := os.WriteFile(filepath.Join(dir, name+"-cert.pem"), p.Cert, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+"-key.pem"), p.Key, 0o600)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// serial returns a random serial number.
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	return new(big.Int).SetBytes(b[1:])
}
