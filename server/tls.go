package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// TLSConfigOpts are the settings of one tls block, or of the --tls flags: both
// lead to the same configuration.
type TLSConfigOpts struct {
	CertFile         string
	KeyFile          string
	CaFile           string
	Verify           bool          // demand certificates from clients
	Timeout          float64       // seconds; 0 = the default. Not part of the tls.Config
	Ciphers          []uint16      // of TLS 1.2; nil = the default
	CurvePreferences []tls.CurveID // nil = the default
	MinVersion       string        // "1.2" or "1.3"; "" = 1.2
}

// GenTLSConfig reads the files of tc and returns the configuration for accepting
// clients: TLS 1.2 or later, no insecure cipher suite. With Verify, certificates
// are demanded and checked against CaFile, or the system's authorities without.
func GenTLSConfig(tc *TLSConfigOpts) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:       tls.VersionTLS12,
		CipherSuites:     defaultCiphers(),
		CurvePreferences: defaultCurves(),
	}
	if tc.Ciphers != nil {
		config.CipherSuites = tc.Ciphers
	}
	if tc.CurvePreferences != nil {
		config.CurvePreferences = tc.CurvePreferences
	}
	if tc.MinVersion == tls13 {
		config.MinVersion = tls.VersionTLS13
	}
	for _, id := range config.CipherSuites {
		if err := checkCipher(id); err != nil {
			return nil, err
		}
	}
	cert, err := readKeyPair(tc.CertFile, tc.KeyFile)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{cert}
	if tc.CaFile != "" {
		if config.ClientCAs, err = readPool(tc.CaFile); err != nil {
			return nil, err
		}
	}
	if tc.Verify {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// readKeyPair reads a certificate chain and its key.
func readKeyPair(certFile, keyFile string) (cert tls.Certificate, err error) {
	if certFile == "" {
		return cert, errors.New("TLS Server certificate must be present and valid")
	}
	if keyFile == "" {
		return cert, errors.New("TLS Server private key must be present and valid")
	}
	cert, err = tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return cert, fmt.Errorf("error parsing X509 certificate/key pair: %w", err)
	}
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return cert, fmt.Errorf("error parsing certificate: %w", err)
	}
	return cert, nil
}

// readPool reads certificate authorities.
func readPool(caFile string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("failed to parse root ca certificate")
	}
	return pool, nil
}

// withFlags returns the settings of a tls block, or none, with the flags that were
// typed in place of what it says. Ciphers and curves of the block stay.
func (tc TLSConfigOpts) withFlags(flags *Options) TLSConfigOpts {
	for _, f := range []struct {
		to   *string
		flag string
	}{{&tc.CertFile, flags.TLSCert}, {&tc.KeyFile, flags.TLSKey}, {&tc.CaFile, flags.TLSCaCert}} {
		if f.flag != "" {
			*f.to = f.flag
		}
	}
	tc.Verify = tc.Verify || flags.TLSVerify
	return tc
}

// sameCertificates reports whether two configurations, nil without TLS, show the
// same certificates and trust the same authorities.
func sameCertificates(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ClientCAs.Equal(b.ClientCAs) && slices.EqualFunc(a.Certificates, b.Certificates, func(x, y tls.Certificate) bool {
		return slices.EqualFunc(x.Certificate, y.Certificate, bytes.Equal)
	})
}

// tlsRole says what a configuration is for.
type tlsRole uint8

const (
	tlsClients    tlsRole = iota // accepting clients
	tlsRoutes                    // accepting and dialing routes: always mutual
	tlsMonitoring                // HTTPS: certificates of clients are never asked for
)

// forRole returns a copy of a client configuration, made by [GenTLSConfig] or
// by an embedder, changed to fit role.
func forRole(config *tls.Config, role tlsRole) *tls.Config {
	c := config.Clone()
	switch role {
	case tlsRoutes:
		c.ClientAuth = tls.RequireAndVerifyClientCert
		if c.RootCAs == nil {
			c.RootCAs = c.ClientCAs
		}
	case tlsMonitoring:
		c.ClientAuth = tls.NoClientCert
	}
	return c
}

// tlsHolder is a TLS configuration that can be replaced while connections come
// and go: handshakes that begin later use the new one.
type tlsHolder struct {
	role    tlsRole
	current atomic.Pointer[tls.Config]
}

// newTLSHolder returns a holder of config, as [forRole] makes it.
func newTLSHolder(config *tls.Config, role tlsRole) *tlsHolder {
	h := &tlsHolder{role: role}
	h.swap(config)
	return h
}

// swap replaces the configuration.
func (h *tlsHolder) swap(config *tls.Config) { h.current.Store(forRole(config, h.role)) }

// inUse returns the configuration of now, nil of a nil holder.
func (h *tlsHolder) inUse() *tls.Config {
	if h == nil {
		return nil
	}
	return h.current.Load()
}

// accepting returns the configuration to give to tls.Server once: it asks for
// the current one at each handshake. Session tickets die with the
// configuration that issued them.
func (h *tlsHolder) accepting() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c := h.current.Load()
			if c.GetConfigForClient == nil {
				return c, nil
			}
			chosen, err := c.GetConfigForClient(hello) // an embedder's
			if chosen == nil {
				chosen = c
			}
			return chosen, err
		},
	}
}

// dialing returns the configuration for connecting to a route whose URL names
// host, without port. The peer's certificate must be valid for it.
func (h *tlsHolder) dialing(host string) *tls.Config {
	c := h.current.Load().Clone()
	c.ServerName = host
	return c
}

// certNotAfter returns when the first certificate to expire does so, zero
// without one.
func certNotAfter(config *tls.Config) (first time.Time) {
	if config == nil {
		return first
	}
	for _, c := range config.Certificates {
		leaf := c.Leaf
		if leaf == nil && len(c.Certificate) > 0 {
			leaf, _ = x509.ParseCertificate(c.Certificate[0])
		}
		if leaf != nil && (first.IsZero() || leaf.NotAfter.Before(first)) {
			first = leaf.NotAfter.UTC()
		}
	}
	return first
}
