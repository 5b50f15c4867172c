package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// Role says what a configuration is for.
type Role uint8

const (
	Clients    Role = iota // accepting clients
	Routes                 // accepting and dialing routes: always mutual
	Monitoring             // HTTPS: certificates of clients are never asked for
)

// ForRole returns a copy of a configuration for accepting clients, changed to fit role.
func ForRole(config *tls.Config, role Role) *tls.Config {
	c := config.Clone()
	switch role {
	case Routes:
		c.ClientAuth = tls.RequireAndVerifyClientCert
		if c.RootCAs == nil {
			c.RootCAs = c.ClientCAs
		}
	case Monitoring:
		c.ClientAuth = tls.NoClientCert
	}
	return c
}

// Holder is a TLS configuration that can be replaced while connections come and go: handshakes that
// begin later use the new one.
type Holder struct {
	role    Role
	current atomic.Pointer[tls.Config]
}

// NewHolder returns a Holder of config, as [ForRole] makes it.
func NewHolder(config *tls.Config, role Role) *Holder {
	h := &Holder{role: role}
	h.swap(config)
	return h
}

// swap replaces the configuration.
func (h *Holder) swap(config *tls.Config) { h.current.Store(ForRole(config, h.role)) }

// Current returns the configuration in use; nil of a nil Holder.
func (h *Holder) Current() *tls.Config {
	if h == nil {
		return nil
	}
	return h.current.Load()
}

// Accepting returns a configuration for [tls.Server] that asks for the current one at each
// handshake. Session tickets end with the configuration that issued them.
func (h *Holder) Accepting() *tls.Config {
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

// Dialing returns the configuration for connecting to a route at host, without port. The peer's
// certificate must be valid for it, or for one of the other names that the server there may have.
func (h *Holder) Dialing(host string, names ...string) *tls.Config {
	c := h.current.Load().Clone()
	c.ServerName = host
	if len(names) > 0 {
		c.ServerName = names[0] // an address is not sent
		verifyAnyOf(c, append([]string{host}, names...))
	}
	return c
}

// verifyAnyOf makes a client's configuration accept certificates that are valid for one of names.
// It replaces the verification of package crypto/tls, which knows one name, by the same with each.
func verifyAnyOf(c *tls.Config, names []string) {
	ofProgram, verifyRaw := c.VerifyConnection, c.VerifyPeerCertificate
	c.InsecureSkipVerify = true // else it would be verified before VerifyConnection, for one name
	c.VerifyPeerCertificate = nil
	c.VerifyConnection = func(state tls.ConnectionState) error {
		chains, err := verifyPeer(c, state.PeerCertificates, names)
		if err != nil {
			return err
		}
		if verifyRaw != nil {
			var raw [][]byte
			for _, cert := range state.PeerCertificates {
				raw = append(raw, cert.Raw)
			}
			if err := verifyRaw(raw, chains); err != nil {
				return err
			}
		}
		if ofProgram != nil {
			state.VerifiedChains = chains
			return ofProgram(state)
		}
		return nil
	}
}

// verifyPeer verifies the certificates of a server, for each name in turn until one fits. The error
// is that of the first.
func verifyPeer(c *tls.Config, certs []*x509.Certificate, names []string) (chains [][]*x509.Certificate, err error) {
	if len(certs) == 0 {
		return nil, errors.New("the server has no certificate")
	}
	opts := x509.VerifyOptions{Roots: c.RootCAs, Intermediates: x509.NewCertPool()}
	if c.Time != nil {
		opts.CurrentTime = c.Time()
	}
	for _, cert := range certs[1:] {
		opts.Intermediates.AddCert(cert)
	}
	for _, name := range names {
		opts.DNSName = name
		var wrong error
		if chains, wrong = certs[0].Verify(opts); wrong == nil {
			return chains, nil
		}
		if err == nil {
			err = wrong
		}
	}
	return nil, fmt.Errorf("%w; it is not valid for %s either", err, strings.Join(names[1:], ", "))
}

// Reload reads the files again for holders, of which there is at least one. It reports whether it
// replaced their certificates and authorities: not if these are those in use. Other settings stay, which
// a program may have changed. After an error, as when a certificate and a key do not belong together,
// everything stays.
func Reload(f *Files, holders ...*Holder) (replaced bool, err error) {
	config, err := Load(f)
	if err != nil || Same(config, holders[0].Current()) {
		return false, err
	}
	for _, h := range holders {
		h.swap(withFiles(h.Current(), config))
	}
	return true, nil
}
