package monitor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/admission"
)

// This file opens and closes the monitoring port and the profiling port.

// Address is where the pages are served.
type Address struct {
	Host   string
	Port   int                             // TCP port, 0 for none, negative for any free one
	Secure func(net.Listener) net.Listener // makes the port HTTPS; nil for HTTP
	Socket string                          // path of a Unix socket; "" for none
}

// Start opens the monitoring port. It does nothing if the port is open already, or if m is closed.
func (m *Monitor) Start(a Address) error {
	return m.web.start(func() (*webServer, error) {
		listeners, err := m.listen(a)
		if err != nil {
			return nil, fmt.Errorf("can't listen to the monitor port: %w", err)
		}
		return m.serve(m.handler(), webTimeout, listeners...), nil // the mux would redirect otherwise
	})
}

// What the profiles of mutexes and of blocking sample once the profiling port is open; without them
// they are empty.
const (
	mutexFraction = 10     // one in so many contentions
	blockRate     = 10_000 // one event for so many nanoseconds blocked
)

// StartProfiler opens the profiling port: what `go tool pprof` asks for, under /debug/pprof/. It
// does nothing if the port is open already, or if m is closed.
func (m *Monitor) StartProfiler(host string, port int) error {
	return m.profiler.start(func() (*webServer, error) {
		l, port, err := m.config.Listen(host, port)
		if err != nil {
			return nil, fmt.Errorf("can't listen to the profiling port: %w", err)
		}
		m.config.Log.Noticef("profiling port: %d", port)
		runtime.SetMutexProfileFraction(mutexFraction)
		runtime.SetBlockProfileRate(blockRate)
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serveAllowed(w, r, page{serve: mux.ServeHTTP}) })
		return m.serve(guarded, 0, m.bounded()(l)), nil // a profile takes as long as it was asked for
	})
}

// Close closes both ports. Answers under way may finish for a second.
func (m *Monitor) Close() {
	m.web.close()
	m.profiler.close()
}

// Addr returns the TCP address of the monitoring port, nil if there is none.
func (m *Monitor) Addr() *net.TCPAddr { return m.web.addr() }

// ProfilerAddr returns the address of the profiling port, nil if there is none.
func (m *Monitor) ProfilerAddr() *net.TCPAddr { return m.profiler.addr() }

// Handler returns a handler of all pages, nil if the monitoring port is not open. It is an
// [http.ServeMux]: what is added to it is served at the port too, behind the login.
func (m *Monitor) Handler() http.Handler {
	if m.web.running() == nil {
		return nil
	}
	return m.mux
}

// listen opens the port and the socket of a.
func (m *Monitor) listen(a Address) (all []net.Listener, err error) {
	bounded := m.bounded()
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	if a.Port != 0 {
		l, port, err := m.config.Listen(a.Host, a.Port)
		if err != nil {
			return nil, err
		}
		scheme := "http"
		l = bounded(l)
		if a.Secure != nil {
			scheme, l = "https", a.Secure(l)
		}
		all = append(all, l)
		m.config.Log.Noticef("Starting %s monitor on %s", scheme, net.JoinHostPort(a.Host, strconv.Itoa(port)))
	}
	if a.Socket != "" {
		l, err := listenSocket(a.Socket)
		if err != nil {
			return all, err
		}
		all = append(all, bounded(l))
		m.config.Log.Noticef("Starting http monitor on unix:%s", a.Socket)
	}
	return all, nil
}

// listenSocket listens on a Unix socket, in place of one that is left over from a process that
// ended. Only the owner and the group may connect.
func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if nc, err := net.Dial("unix", path); err == nil {
			nc.Close()
			return nil, fmt.Errorf("another process listens on %s", path)
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

// endpoint is a port that is opened and closed once. No lock is held meanwhile.
type endpoint struct {
	starting sync.WaitGroup // what start does

	mu     sync.Mutex // guards what follows
	used   bool       // open, or about to be
	closed bool
	web    *webServer // nil unless open
}

// start opens the port by open, unless that was done already or the endpoint is closed. After an
// error it may be tried again.
func (e *endpoint) start(open func() (*webServer, error)) error {
	if !e.claim() {
		return nil
	}
	defer e.starting.Done()
	w, err := open()
	e.opened(w)
	return err
}

// claim reports whether the caller is the one to open the port.
func (e *endpoint) claim() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.used || e.closed {
		return false
	}
	e.used = true
	e.starting.Add(1)
	return true
}

// opened notes what claim led to, nil for a failure.
func (e *endpoint) opened(w *webServer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.web, e.used = w, w != nil
}

// close closes the port, also one that is being opened, for good.
func (e *endpoint) close() {
	e.end()
	e.starting.Wait()
	if w := e.take(); w != nil {
		w.close()
	}
}

// end keeps start from opening the port.
func (e *endpoint) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}

// take returns the server of the port, and forgets it.
func (e *endpoint) take() *webServer {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.web
	e.web = nil
	return w
}

// running returns the server of the port, nil unless it is open.
func (e *endpoint) running() *webServer {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.web
}

func (e *endpoint) addr() *net.TCPAddr {
	if w := e.running(); w != nil {
		return w.addr
	}
	return nil
}

// webServer is an HTTP server and where it listens.
type webServer struct {
	http    *http.Server
	addr    *net.TCPAddr // nil if it listens on no TCP port
	serving sync.WaitGroup
}

// Time limits of both ports. What is slower holds a connection for nothing; the slowest page is
// made in well under a second.
const (
	webHeaderTimeout = 10 * time.Second // for a request, also for the body that it should not have
	webIdleTimeout   = 2 * time.Minute
	webTimeout       = time.Minute // to make and write an answer
	webCloseTimeout  = time.Second // for answers under way at the end
)

const (
	webHeaderBytes = 64 << 10 // of a request
	webConns       = 256      // open connections to a port, if the configuration does not say it
)

// bounded returns a function that bounds the connections of the listeners of one port, together.
func (m *Monitor) bounded() func(net.Listener) net.Listener {
	conns := admission.NewEvictor[*webConn]()
	most := cmp.Or(m.config.MaxConns, webConns)
	return func(l net.Listener) net.Listener { return &webListener{l, most, conns, m.config.Log} }
}

// serve serves until close; write limits the time for an answer, 0 = none.
func (m *Monitor) serve(h http.Handler, write time.Duration, listeners ...net.Listener) *webServer {
	w := &webServer{http: &http.Server{
		Handler:           serving(h),
		ConnContext:       withConn,
		ConnState:         connState,
		ReadTimeout:       webHeaderTimeout,
		ReadHeaderTimeout: webHeaderTimeout,
		IdleTimeout:       webIdleTimeout,
		WriteTimeout:      write,
		MaxHeaderBytes:    webHeaderBytes,
		ErrorLog:          log.New(debugWriter{m.config.Log}, "", 0),
	}}
	for _, l := range listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			w.addr = tcp
		}
		w.serving.Add(1)
		go func() { // ends when close closes the listener, and waits for it
			defer w.serving.Done()
			if err := w.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				m.config.Log.Errorf("Monitoring on %s ended: %v", l.Addr(), err)
			}
		}()
	}
	return w
}

// close stops listening, lets answers under way finish for a moment, and ends.
func (w *webServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), webCloseTimeout)
	defer cancel()
	if w.http.Shutdown(ctx) != nil {
		w.http.Close()
	}
	w.serving.Wait()
}

// debugWriter logs the errors of net/http, which are faults of its clients.
type debugWriter struct{ log Log }

func (d debugWriter) Write(line []byte) (int, error) {
	d.log.Debugf("Monitoring: %s", conf.Printable(string(bytes.TrimSpace(line))))
	return len(line), nil
}
