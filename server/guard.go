package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/tlsfiles"
)

// guard is who may come in by the client port, and how: the part of the options
// that is compiled before it is used. It does not change; a reload makes
// another, and setGuard puts it in the place of the old one.
type guard struct {
	auth        *access.Policy
	authTimeout time.Duration // for CONNECT, once INFO and TLS are done

	tls         *tlsfiles.Holder // of the client port; nil without TLS
	monitorTLS  *tlsfiles.Holder // the same for HTTPS
	tlsTimeout  time.Duration
	tlsFirst    bool          // INFO is sent inside TLS
	tlsFallback time.Duration // unless the client does not begin for so long; 0 = in any case
	tlsOptional bool          // a client may do without
	tlsVerify   bool          // certificates are demanded
	tlsFiles    *TLSConfigOpts
	warnings    []string           // for the log at start
	stopWatches context.CancelFunc // nil until the server runs; guarded by the reload lock
}

// newGuard checks and compiles what o says about who may come in. It has no
// effect before setGuard.
func (s *Server) newGuard(o *Options) (*guard, error) {
	auth, warnings, err := access.NewPolicy(clientLogin(o), s.verifier)
	if wrong, ok := errors.AsType[*access.SettingError](err); ok {
		return nil, &settingError{wrong.Setting, wrong.Err}
	}
	if err != nil {
		return nil, err
	}
	g := &guard{
		auth:        auth,
		authTimeout: seconds(o.AuthTimeout),
		tlsTimeout:  seconds(o.TLSTimeout),
		tlsFirst:    o.TLSHandshakeFirst,
		tlsFallback: o.TLSHandshakeFirstFallback,
		tlsOptional: o.AllowNonTLS,
		warnings:    warnings,
	}
	if err := g.prepareTLS(o); err != nil {
		return nil, err
	}
	return g, nil
}

// prepareTLS makes the holders of certificates.
func (g *guard) prepareTLS(o *Options) error {
	config, files := o.TLSConfig, o.tlsFiles
	if config == nil {
		if o.TLSMap {
			return &settingError{"tls.verify_and_map", errors.New("verify_and_map needs TLS on the client port")}
		}
		if o.TLSHandshakeFirst {
			return &settingError{"tls.handshake_first", errors.New("handshake_first needs TLS on the client port")}
		}
		if o.AllowNonTLS {
			return errors.New("allow_non_tls needs TLS on the client port")
		}
		return nil
	}
	if o.TLSMap {
		config = config.Clone()
		config.ClientAuth = tls.RequireAndVerifyClientCert
		if files != nil {
			mapped := *files
			mapped.Verify, files = true, &mapped
		}
	}
	if o.AllowNonTLS && (o.TLSMap || config.ClientAuth >= tls.RequireAnyClientCert || o.TLSHandshakeFirst && o.TLSHandshakeFirstFallback == 0) {
		return errors.New("allow_non_tls lets clients in without TLS: it cannot go with verify, verify_and_map or handshake_first: true")
	}
	g.tls, g.monitorTLS = tlsfiles.NewHolder(config, tlsfiles.Clients), tlsfiles.NewHolder(config, tlsfiles.Monitoring)
	g.tlsVerify = config.ClientAuth >= tls.RequireAnyClientCert
	g.tlsFiles = files
	return nil
}

// describe puts into INFO what the guard asks of clients.
func (g *guard) describe(info *Info) {
	info.AuthRequired = g.auth.Required()
	info.TLSRequired = g.tls != nil && !g.tlsOptional
	info.TLSAvailable = g.tls != nil && g.tlsOptional
	info.TLSVerify = g.tls != nil && g.tlsVerify
}

// setGuard puts g in the place of the guard before. INFO must be renewed too.
// Clients that g does not know are closed, what it forbids others ends.
func (s *Server) setGuard(g *guard) {
	before := s.guard.Swap(g)
	if before == nil {
		return // nobody is connected, and nothing runs
	}
	if before.stopWatches != nil {
		before.stopWatches()
		s.watchGuard(g)
	}
	for _, w := range g.warnings {
		if !slices.Contains(before.warnings, w) {
			s.Warnf("%s", w)
		}
	}
	if g.auth == before.auth {
		return
	}
	for _, c := range s.clients.all() {
		c.reauthorize(g)
	}
}

// watchGuard looks after the certificate files of g until it is replaced or the
// server ends.
func (s *Server) watchGuard(g *guard) {
	ctx, cancel := context.WithCancel(s.life)
	g.stopWatches = cancel
	s.watchCerts(ctx, g.tlsFiles, g.tls, g.monitorTLS)
}

// certExpiry warns of a certificate of which little is left.
func (g *guard) certExpiry(now time.Time) string {
	end := tlsfiles.NotAfter(g.tls.Current())
	switch left := end.Sub(now); {
	case end.IsZero() || left > certNotice:
		return ""
	case left <= 0:
		return fmt.Sprintf("The TLS certificate has expired on %s: clients will refuse it", end.Format(time.DateOnly))
	default:
		return fmt.Sprintf("The TLS certificate expires on %s", end.Format(time.DateOnly))
	}
}

// certNotice is how long before its end a certificate is warned of at start.
const certNotice = 14 * 24 * time.Hour
