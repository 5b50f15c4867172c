package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gnatsd/server/internal/process"
)

// This file is the monitoring port: its listeners, its table of pages and how
// a page is answered. What a page says is in the file of its name.
//
// Pages are snapshots. Nothing here holds a lock for longer than it takes to
// copy a few fields, and one large page is made at a time, so that whoever asks
// for many of them waits rather than the messages.

// noMonitoring says that the monitoring port cannot be opened.
func noMonitoring(err error) error {
	return fmt.Errorf("Can't start monitoring: %w", err) //lint:ignore ST1005 a text of the classic broker
}

// monitor is the state of the monitoring port.
type monitor struct {
	requests [len(countedPaths)]atomic.Uint64
	large    *admission // to the making of a large page
	usage    *process.UsageSampler
	logins   *verifier
	metrics  func() prometheus.Gatherer // made when it is first asked for

	mu       sync.Mutex // guards what follows
	stopped  bool
	pages    http.Handler // nil until monitoring runs
	web      *webServer
	profiler *webServer
}

// webServer is an HTTP server and where it listens.
type webServer struct {
	http  *http.Server
	addr  *net.TCPAddr // nil if it listens on no TCP port
	serve sync.WaitGroup
}

// page is one path of the monitoring port.
type page struct {
	path  string
	open  bool // answers without a login: it tells nothing but that the server lives
	serve func(*Server, http.ResponseWriter, *http.Request)
}

// pages is every path there is but for the files of the dashboard. Others are
// 404, also with a slash at the end.
var pages = []page{
	{path: "/", serve: (*Server).HandleRoot},
	{path: "/varz", serve: (*Server).HandleVarz},
	{path: "/connz", serve: (*Server).HandleConnz},
	{path: "/routez", serve: (*Server).HandleRoutez},
	{path: "/subsz", serve: (*Server).HandleSubsz},
	{path: "/subscriptionsz", serve: (*Server).HandleSubsz},
	{path: "/stacksz", serve: (*Server).HandleStacksz},
	{path: "/metrics", serve: (*Server).HandleMetrics},
	{path: "/healthz", serve: (*Server).HandleHealthz, open: true},
}

// countedPaths are the keys of http_req_stats. Tools make a series of each, so
// there are never others.
var countedPaths = [...]string{"/", "/connz", "/routez", "/subsz", "/varz"}

// count notes a request for a counted path.
func (m *monitor) count(path string) {
	for i, p := range countedPaths {
		if p == path {
			m.requests[i].Add(1)
		}
	}
}

// counts returns how often each counted path was asked for.
func (m *monitor) counts() map[string]uint64 {
	all := make(map[string]uint64, len(countedPaths))
	for i, p := range countedPaths {
		all[p] = m.requests[i].Load()
	}
	return all
}

// newMonitor prepares the monitoring of s.
func newMonitor(s *Server) monitor {
	return monitor{metrics: sync.OnceValue(func() prometheus.Gatherer { return newMetrics(s) }), large: newAdmission(1), usage: process.NewUsageSampler(), logins: newVerifier(1)}
}

// handler finds the page of a request.
func (s *Server) handler() http.Handler {
	base := httpBase(s.options())
	byPath := make(map[string]*page)
	for i := range pages {
		byPath[base+pages[i].path] = &pages[i]
	}
	for _, f := range readUI() {
		byPath[base+"/"+f.path] = &page{path: "/" + f.path, serve: f.serve}
	}
	if base != "" {
		byPath[base] = &pages[0]
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		p := byPath[r.URL.Path]
		switch {
		case p == nil:
			http.NotFound(w, r)
		case p.open || s.admitted(r):
			p.serve(s, w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="gnatsd monitoring", charset="UTF-8"`)
			http.Error(w, "login required", http.StatusUnauthorized)
		}
	})
}

// httpBase returns what all paths begin with: "" or "/some/path".
func httpBase(o *Options) string {
	base := strings.Trim(o.HTTPBasePath, "/")
	if base == "" {
		return ""
	}
	return "/" + base
}

// StartMonitoring opens the monitoring port if one is set. [Server.Start] does
// it; calling it again changes nothing.
func (s *Server) StartMonitoring() error {
	o := s.options()
	if err := o.checkMonitoring(); err != nil {
		return err
	}
	if o.HTTPPort == 0 && o.HTTPSPort == 0 && o.HTTPSocket == "" {
		return nil
	}
	s.mon.mu.Lock()
	defer s.mon.mu.Unlock()
	if s.mon.stopped || s.mon.web != nil {
		return nil
	}
	listeners, err := s.monitorListeners(o)
	if err != nil {
		return fmt.Errorf("can't listen to the monitor port: %w", err)
	}
	s.mon.pages = s.handler()
	s.mon.web = s.serveHTTP(s.mon.pages, webTimeout, listeners)
	return nil
}

// checkMonitoring refuses settings with which there cannot be a monitoring port.
func (o *Options) checkMonitoring() error {
	switch {
	case o.HTTPPort != 0 && o.HTTPSPort != 0:
		return fmt.Errorf("can't specify both HTTP (%d) and HTTPs (%d) ports", o.HTTPPort, o.HTTPSPort)
	case o.HTTPSPort != 0 && o.TLSConfig == nil:
		return errors.New("TLS cert and key required for HTTPS")
	case o.HTTPSPort != 0 && o.HTTPVerify && o.TLSConfig.ClientCAs == nil:
		return errors.New("verifying clients of the monitoring port needs ca_file in the tls section")
	}
	return nil
}

// StartHTTPMonitoring is [Server.StartMonitoring].
//
// Deprecated: the name of gnatsd 1.0.
func (s *Server) StartHTTPMonitoring() { _ = s.StartMonitoring() }

// StartHTTPSMonitoring is [Server.StartMonitoring].
//
// Deprecated: the name of gnatsd 1.0.
func (s *Server) StartHTTPSMonitoring() { _ = s.StartMonitoring() }

// openMonitoring opens the monitoring and the profiling port, and logs why if it
// cannot.
func (s *Server) openMonitoring() error {
	if err := s.StartMonitoring(); err != nil {
		s.Fatalf("%v", noMonitoring(err))
		return fmt.Errorf("start monitoring: %w", err)
	}
	if err := s.startProfiler(); err != nil {
		s.Fatalf("Can't start profiling: %v", err)
		return fmt.Errorf("start profiling: %w", err)
	}
	return nil
}

// monitorListeners opens the port and the socket that the settings name.
func (s *Server) monitorListeners(o *Options) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(all)
		}
	}()
	scheme, port := "http", o.HTTPPort
	var config *tls.Config
	if o.HTTPSPort != 0 {
		scheme, port = "https", o.HTTPSPort
		config = s.monitorTLS(o)
	}
	if port != 0 {
		l, err := o.network.Listen(net.JoinHostPort(o.HTTPHost, strconv.Itoa(max(port, 0))))
		if err != nil {
			return nil, err
		}
		all = append(all, l)
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			port = tcp.Port
		}
		if config != nil {
			all[0] = tls.NewListener(&gatedListener{l, s.life, s.handshakes}, config)
		}
		s.Noticef("Starting %s monitor on %s", scheme, net.JoinHostPort(o.HTTPHost, strconv.Itoa(port)))
	}
	if o.HTTPSocket != "" {
		l, err := listenSocket(o.HTTPSocket)
		if err != nil {
			return all, err
		}
		all = append(all, l)
		s.Noticef("Starting http monitor on unix:%s", o.HTTPSocket)
	}
	return all, nil
}

// monitorTLS returns the configuration of the HTTPS port: the certificate of
// the client port, and certificates of its clients only if HTTPVerify asks for
// them.
func (s *Server) monitorTLS(o *Options) *tls.Config {
	choose := func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		holder := s.guard.Load().monitorTLS
		if holder == nil {
			return nil, errors.New("TLS was turned off")
		}
		c, err := holder.accepting().GetConfigForClient(hello)
		if err == nil && o.HTTPVerify {
			c = c.Clone()
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
		return c, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: choose}
}

// listenSocket listens on a Unix socket, in place of one that nobody listens
// on any more. Only the owner and the group may connect.
func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if nc, err := net.Dial("unix", path); err == nil {
			nc.Close()
			return nil, fmt.Errorf("somebody listens on %s already", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove old socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("restrict socket: %w", err)
	}
	return l, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// Time limits of the monitoring port. What is slower holds a connection for
// nothing; the slowest page is made in well under a second.
const (
	webHeaderTimeout = 10 * time.Second
	webIdleTimeout   = 2 * time.Minute
	webTimeout       = time.Minute // to make and write an answer
	webCloseTimeout  = time.Second // for answers under way at the end
)

// serveHTTP serves until close; write limits the time for an answer, 0 = none.
func (s *Server) serveHTTP(h http.Handler, write time.Duration, listeners []net.Listener) *webServer {
	w := &webServer{http: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: webHeaderTimeout,
		IdleTimeout:       webIdleTimeout,
		WriteTimeout:      write,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          log.New(debugWriter{s}, "", 0),
	}}
	for _, l := range listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			w.addr = tcp
		}
		w.serve.Add(1)
		go func() { // ends when close closes the listener, and waits for it
			defer w.serve.Done()
			if err := w.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				s.Errorf("Monitoring on %s ended: %v", l.Addr(), err)
			}
		}()
	}
	return w
}

// close stops listening, lets answers under way finish for a moment, and ends.
func (w *webServer) close() {
	if w == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), webCloseTimeout)
	defer cancel()
	if w.http.Shutdown(ctx) != nil {
		w.http.Close()
	}
	w.serve.Wait()
}

// debugWriter logs what net/http has to say, which is what strangers did wrong.
type debugWriter struct{ s *Server }

func (d debugWriter) Write(line []byte) (int, error) {
	d.s.Debugf("Monitoring: %s", bytes.TrimSpace(line))
	return len(line), nil
}

// stopMonitoring closes the monitoring port and the profiler.
func (s *Server) stopMonitoring() {
	s.mon.mu.Lock()
	web, profiler := s.mon.web, s.mon.profiler
	s.mon.stopped, s.mon.web, s.mon.profiler, s.mon.pages = true, nil, nil, nil
	s.mon.mu.Unlock()
	web.close()
	profiler.close()
}

// MonitorAddr returns the address of the monitoring port, nil if there is none.
func (s *Server) MonitorAddr() *net.TCPAddr {
	s.mon.mu.Lock()
	defer s.mon.mu.Unlock()
	return s.mon.web.address()
}

func (w *webServer) address() *net.TCPAddr {
	if w == nil {
		return nil
	}
	return w.addr
}

// HTTPHandler returns what serves the monitoring port, for a program that
// serves it elsewhere too. It is nil unless monitoring runs.
func (s *Server) HTTPHandler() http.Handler {
	s.mon.mu.Lock()
	defer s.mon.mu.Unlock()
	return s.mon.pages
}
