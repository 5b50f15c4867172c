package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/monitor"
)

// This file connects the server to its monitoring port (package monitor). Which
// pages there are is in monitor_pages.go, and what a page says in the file of its
// name.

// newMonitor prepares the monitoring of s.
func newMonitor(s *Server, o *Options) *monitor.Monitor {
	return monitor.New(monitor.Config{
		Log:      s,
		Listen:   func(host string, port int) (net.Listener, int, error) { return listenOn(o.network, host, port) },
		ServerID: s.id,
		BasePath: o.HTTPBasePath,
		Settings: func() monitor.Settings { return s.options().monitorSettings() },
		Login:    s.monitorLogin,
		Pages:    s.monitorPages(),
		Health:   s.health,
		Metrics:  s.metrics,
	})
}

// monitorSettings are the settings of the monitoring port that a reload may change.
func (o *Options) monitorSettings() monitor.Settings {
	return monitor.Settings{
		Login:         o.HTTPUsername != "",
		Certificates:  o.HTTPVerify,
		SameOrigin:    o.HTTPSameOrigin,
		MetricsPrefix: o.MetricsPrefix,
	}
}

// StartMonitoring opens the monitoring port if one is set. [Server.Start] does
// it; calling it again changes nothing.
func (s *Server) StartMonitoring() error {
	o := s.options()
	if err := o.checkMonitoring(); err != nil {
		return err
	}
	a := monitor.Address{Host: o.HTTPHost, Port: o.HTTPPort, Socket: o.HTTPSocket}
	if o.HTTPSPort != 0 {
		a.Port = o.HTTPSPort
		a.Secure = func(l net.Listener) net.Listener {
			return tls.NewListener(s.limiter.Listener(s.life, l), s.monitorTLS(o))
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

// StartProfiler opens the profiling port if one is set: what `go tool pprof`
// asks for, under /debug/pprof/. [Server.Start] does it.
func (s *Server) StartProfiler() { _ = s.startProfiler() }

// startProfiler is StartProfiler with its error, which is logged.
func (s *Server) startProfiler() error {
	o := s.options()
	if o.ProfPort == 0 {
		return nil
	}
	if err := s.monitor.StartProfiler(o.Host, o.ProfPort); err != nil {
		s.Fatalf("Can't start profiling: %v", err)
		return fmt.Errorf("start profiling: %w", err)
	}
	return nil
}

// openMonitoring opens the monitoring and the profiling port, and logs why if it
// cannot.
func (s *Server) openMonitoring() error {
	if err := s.StartMonitoring(); err != nil {
		s.Fatalf("%v", monitoringError(err))
		return fmt.Errorf("start monitoring: %w", err)
	}
	return s.startProfiler()
}

// monitorTLS returns the configuration of the HTTPS port: the certificate of
// the client port, and certificates of its clients only if HTTPVerify asks for
// them.
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

// monitorLogin reports whether user and password are the login of the monitoring
// port. The time that takes says nothing about either; bcrypt hashes are checked
// one at a time.
func (s *Server) monitorLogin(ctx context.Context, user, password string) bool {
	o := s.options()
	if o.HTTPUsername == "" {
		return true
	}
	policy, _, err := access.NewPolicy(access.Settings{Username: o.HTTPUsername, Password: o.HTTPPassword}, s.monitorLogins)
	if err != nil {
		return false
	}
	id, err := policy.Check(ctx, &access.Credentials{User: user, Password: password})
	return id != nil && err == nil
}

// MonitorAddr returns the address of the monitoring port, nil if there is none.
func (s *Server) MonitorAddr() *net.TCPAddr { return s.monitor.Addr() }

// ProfilerAddr returns the address of the profiling port, nil if there is none.
func (s *Server) ProfilerAddr() *net.TCPAddr { return s.monitor.ProfilerAddr() }

// HTTPHandler returns what serves the monitoring port, for a program that
// serves it elsewhere too. It is nil unless monitoring runs.
func (s *Server) HTTPHandler() http.Handler { return s.monitor.Handler() }

// HandleRoot answers /: to browsers with the dashboard, to all others with the
// page of links.
func (s *Server) HandleRoot(w http.ResponseWriter, r *http.Request) { s.monitor.ServePage("/", w, r) }

// HandleVarz answers /varz.
func (s *Server) HandleVarz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/varz", w, r)
}

// HandleConnz answers /connz.
func (s *Server) HandleConnz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/connz", w, r)
}

// HandleRoutez answers /routez.
func (s *Server) HandleRoutez(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/routez", w, r)
}

// HandleSubsz answers /subsz and /subscriptionsz.
func (s *Server) HandleSubsz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/subsz", w, r)
}

// HandleStacksz answers /stacksz: what every goroutine does.
func (s *Server) HandleStacksz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/stacksz", w, r)
}

// HandleMetrics answers /metrics.
func (s *Server) HandleMetrics(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/metrics", w, r)
}

// HandleHealthz answers /healthz: 200 if clients may be sent here, else 503 and
// why not. With routes=N at least N routes must be up.
func (s *Server) HandleHealthz(w http.ResponseWriter, r *http.Request) {
	s.monitor.ServePage("/healthz", w, r)
}
