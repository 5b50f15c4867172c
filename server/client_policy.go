package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/tlsfiles"
)

// clientPolicy decides who may connect to the client port, and how.
type clientPolicy struct {
	policy
	monitorTLS  *tlsfiles.Holder // the same certificates for HTTPS monitoring; nil without TLS
	tlsTimeout  time.Duration    // for the handshake
	tlsFirst    bool             // INFO is sent inside TLS
	tlsFallback time.Duration    // with tlsFirst: INFO is sent in clear to clients that do not begin TLS within this time; 0 = never
	tlsOptional bool             // clients may connect without TLS
	tlsVerify   bool             // clients must have a certificate
}

// newClientPolicy checks and compiles the settings of the client port.
func (s *Server) newClientPolicy(o *Options) (*clientPolicy, error) {
	if err := o.checkLimits(); err != nil {
		return nil, err
	}
	auth, warnings, err := access.NewPolicy(clientLogin(o), s.verifier)
	if e, ok := errors.AsType[*access.SettingError](err); ok {
		return nil, &settingError{e.Setting, e.Err}
	}
	if err != nil {
		return nil, err
	}
	p := &clientPolicy{
		policy:      policy{auth: auth, hook: o.clientHook, warnings: warnings, authTimeout: seconds(o.AuthTimeout)},
		tlsTimeout:  seconds(o.TLSTimeout),
		tlsFirst:    o.TLSHandshakeFirst,
		tlsFallback: o.TLSHandshakeFirstFallback,
		tlsOptional: o.AllowNonTLS,
	}
	if err := p.prepareTLS(o); err != nil {
		return nil, err
	}
	return p, nil
}

// prepareTLS checks the TLS settings and makes the holders of certificates.
func (p *clientPolicy) prepareTLS(o *Options) error {
	config, files := o.TLSConfig, o.tlsFiles
	if config == nil {
		if o.TLSMap {
			return &settingError{"tls.verify_and_map", errors.New("verify_and_map needs TLS on the client port")}
		}
		if o.TLSHandshakeFirst {
			return &settingError{"tls.handshake_first", errors.New("handshake_first needs TLS on the client port")}
		}
		if o.AllowNonTLS {
			return &settingError{"allow_non_tls", errors.New("allow_non_tls needs TLS on the client port")}
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
		return &settingError{"allow_non_tls", errors.New("allow_non_tls lets clients connect without TLS: it cannot be combined with verify, verify_and_map or handshake_first: true")}
	}
	p.tls, p.monitorTLS = tlsfiles.NewHolder(config, tlsfiles.Clients), tlsfiles.NewHolder(config, tlsfiles.Monitoring)
	p.tlsVerify = config.ClientAuth >= tls.RequireAnyClientCert
	p.tlsFiles = files
	return nil
}

// describe sets the fields of INFO that say what the server requires of clients.
func (p *clientPolicy) describe(info *Info) {
	info.AuthRequired = p.auth.Required()
	info.TLSRequired = p.tls != nil && !p.tlsOptional
	info.TLSAvailable = p.tls != nil && p.tlsOptional
	info.TLSVerify = p.tls != nil && p.tlsVerify
}

// watchClientCerts starts to watch the certificate files of the client port.
func (s *Server) watchClientCerts() {
	p := s.policy.Load()
	s.watch(&p.policy, p.tls, p.monitorTLS)
}

// A certWarning is about a certificate that has expired, or will soon, or is not valid yet.
type certWarning struct {
	of    string // what, if not of clients
	date  string // when it begins or ends
	state certState
	peers string // that will not accept it
	key   string // of the setting that names the file
}

type certState uint8

const (
	certExpires certState = iota
	certExpired
	certEarly
)

// certWarnings returns those about the certificates for clients and for other servers.
func (s *Server) certWarnings(now time.Time) (list []certWarning) {
	add := func(of, peers, key string, config *tls.Config) {
		if begin := tlsfiles.NotBefore(config); begin.After(now) {
			list = append(list, certWarning{of, begin.Format(time.DateTime), certEarly, peers, key})
		}
		switch end := tlsfiles.NotAfter(config); {
		case end.IsZero() || end.Sub(now) > certNotice:
		case end.After(now):
			list = append(list, certWarning{of, end.Format(time.DateOnly), certExpires, peers, key})
		default:
			list = append(list, certWarning{of, end.Format(time.DateOnly), certExpired, peers, key})
		}
	}
	add("", "clients", "tls.cert_file", s.policy.Load().tls.Current())
	add(" of the cluster", "other servers", "cluster.tls.cert_file", s.cluster.policy.Load().tls.Current())
	return list
}

// report passes the warning on, with the place of the setting.
func (w certWarning) report(where string, to func(format string, args ...any)) {
	switch w.state {
	case certExpires:
		to("The TLS certificate%s expires on %s%s", w.of, w.date, where)
	case certExpired:
		to("The TLS certificate%s expired on %s: %s will reject it%s", w.of, w.date, w.peers, where)
	case certEarly:
		to("The TLS certificate%s is not valid before %s UTC: %s will reject it%s", w.of, w.date, w.peers, where)
	}
}

// text returns the warning with the place of the setting.
func (w certWarning) text(where string) (text string) {
	w.report(where, func(format string, args ...any) { text = fmt.Sprintf(format, args...) })
	return text
}

// logCertWarnings logs them.
func (s *Server) logCertWarnings() {
	for _, w := range s.certWarnings(time.Now()) {
		w.report(s.options().where(w.key), s.Warnf)
	}
}

// certNotice is how long before a certificate expires the log warns of it at a start, or at a reload that changes it.
const certNotice = 14 * 24 * time.Hour
