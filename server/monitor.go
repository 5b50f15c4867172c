package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/monitor"
)

// This file opens the monitoring and profiling ports, which package monitor serves. The table of
// pages is in monitor_pages.go.

// monitorShare is the share of GOMEMLIMIT that a page may have, as a divisor.
const monitorShare = 8

// newMonitor prepares the monitoring of s.
func newMonitor(s *Server, o *Options) *monitor.Monitor {
	return monitor.New(monitor.Config{
		Log:      s,
		Listen:   s.listenOn,
		ServerID: s.id,
		BasePath: o.HTTPBasePath,
		MaxConns: s.descriptors.monitor,
		MaxPage:  goMemoryLimit() / monitorShare,
		Settings: func() monitor.Settings { return s.options().monitorSettings() },
		Login:    s.monitorLogin,
		Pages:    s.monitorPages(),
		Health:   s.health,
		Note:     s.healthNote,
		Metrics:  s.metrics,
		Process:  processMetrics,
	})
}

// monitorSettings returns the settings of the monitoring port that a reload may change.
func (o *Options) monitorSettings() monitor.Settings {
	s := monitor.Settings{
		Login:         o.HTTPUsername != "",
		Certificates:  o.HTTPVerify,
		SameOrigin:    o.HTTPSameOrigin,
		MetricsPrefix: o.MetricsPrefix,
	}
	if o.HTTPSameOrigin {
		s.Hosts = o.hostNames()
	}
	return s
}

// StartMonitoring opens the monitoring port if one is set. [Server.Start] calls it; calling it
// again has no effect. It returns an error if the settings contradict each other, or the port
// cannot be opened.
func (s *Server) StartMonitoring() error {
	o := s.options()
	if err := o.checkMonitoring(); err != nil {
		return err
	}
	a := monitor.Address{Host: o.HTTPHost, Port: o.HTTPPort, Socket: o.HTTPSocket}
	if o.HTTPSPort != 0 {
		a.Port = o.HTTPSPort
		a.Secure = func(l net.Listener) net.Listener {
			return tls.NewListener(s.limiter.Listener(s.ctx, l), s.monitorTLS(o))
		}
	}
	if a.Port == 0 && a.Socket == "" {
		return nil
	}
	return s.monitor.Start(a)
}

// StartHTTPMonitoring is [Server.StartMonitoring].
//
// Deprecated: the name of gnatsd 1.0.
func (s *Server) StartHTTPMonitoring() { _ = s.StartMonitoring() }

// StartHTTPSMonitoring is [Server.StartMonitoring].
//
// Deprecated: the name of gnatsd 1.0.
func (s *Server) StartHTTPSMonitoring() { _ = s.StartMonitoring() }

// StartProfiler opens the profiling port if one is set. It serves profiles for `go tool pprof`
// under /debug/pprof/. [Server.Start] calls it. An error is logged.
func (s *Server) StartProfiler() { s.logFailedStart(s.startProfiler()) }

// startProfiler is StartProfiler, and returns the error.
func (s *Server) startProfiler() error {
	o := s.options()
	if o.ProfPort == 0 {
		return nil
	}
	if err := s.monitor.StartProfiler(o.Host, o.ProfPort); err != nil {
		return failedStart(fmt.Errorf("start profiling: %w", err), "Can't start profiling: %v%s", err, o.where("prof_port"))
	}
	return nil
}

// openMonitoring opens the monitoring and the profiling port.
func (s *Server) openMonitoring() error {
	if err := s.StartMonitoring(); err != nil {
		return failedStart(fmt.Errorf("start monitoring: %w", err),
			"%v%s", monitoringError(err), s.options().where("https_port", "http_port", "http_socket", "http_verify"))
	}
	return s.startProfiler()
}

// monitorTLS returns the configuration of the HTTPS port. It has the certificate of the client
// port; clients need one only with HTTPVerify.
func (s *Server) monitorTLS(o *Options) *tls.Config {
	choose := func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		holder := s.policy.Load().monitorTLS
		if holder == nil {
			return nil, errors.New("TLS was turned off")
		}
		c, err := holder.Accepting().GetConfigForClient(hello)
		if err == nil && o.HTTPVerify {
			c = c.Clone()
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
		return c, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: choose}
}

// monitorLogin reports whether user and password are those of the monitoring port. The time that it
// takes does not depend on either.
func (s *Server) monitorLogin(ctx context.Context, from admission.Source, user, password string) bool {
	o := s.options()
	if o.HTTPUsername == "" {
		return true
	}
	policy, _, err := access.NewPolicy(access.Settings{Username: o.HTTPUsername, Password: o.HTTPPassword}, s.verifier)
	if err != nil {
		return false
	}
	id, err := policy.Check(ctx, &access.Credentials{User: user, Password: password, From: from})
	if id == nil && err == nil {
		s.limiter.Failed(from)
	}
	return id != nil && err == nil
}

// MonitorAddr returns the address of the monitoring port, nil if there is none.
func (s *Server) MonitorAddr() *net.TCPAddr { return s.monitor.Addr() }

// ProfilerAddr returns the address of the profiling port, nil if there is none.
func (s *Server) ProfilerAddr() *net.TCPAddr { return s.monitor.ProfilerAddr() }

// HTTPHandler returns the handler of the monitoring pages, for programs that serve them elsewhere,
// too. It is nil unless monitoring runs. It is an [http.ServeMux], to which programs may add pages of
// their own: these are served at the monitoring port, and need the login if there is one.
func (s *Server) HTTPHandler() http.Handler { return s.monitor.Handler() }

// HandleRoot serves /: the dashboard to browsers, and a page of links to all others.
func (s *Server) HandleRoot(w http.ResponseWriter, r *http.Request) { s.monitor.ServePage("/", w, r) }

// HandleVarz serves /varz, the general state of the server.
func (s *Server) HandleVarz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/varz", w, r)
}

// HandleConnz serves /connz, the clients.
func (s *Server) HandleConnz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/connz", w, r)
}

// HandleRoutez serves /routez, the routes.
func (s *Server) HandleRoutez(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/routez", w, r)
}

// HandleSubsz serves /subsz and /subscriptionsz, the subscriptions.
func (s *Server) HandleSubsz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/subsz", w, r)
}

// HandleStacksz serves /stacksz, the stacks of all goroutines.
func (s *Server) HandleStacksz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/stacksz", w, r)
}

// HandleMetrics serves /metrics, for Prometheus.
func (s *Server) HandleMetrics(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/metrics", w, r)
}

// HandleHealthz serves /healthz: status 200 if the server accepts clients, else 503 and the reason.
// With the parameter routes=N it also needs N routes to be up.
func (s *Server) HandleHealthz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/healthz", w, r)
}
