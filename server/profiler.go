package server

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// StartProfiler opens the profiling port if one is set: what `go tool pprof`
// asks for, under /debug/pprof/. [Server.Start] does it.
func (s *Server) StartProfiler() {
	if err := s.startProfiler(); err != nil {
		s.Fatalf("Can't start profiling: %v", err)
	}
}

func (s *Server) startProfiler() error {
	o := s.options()
	if o.ProfPort == 0 {
		return nil
	}
	s.mon.mu.Lock()
	defer s.mon.mu.Unlock()
	if s.mon.stopped || s.mon.profiler != nil {
		return nil
	}
	l, err := o.network.Listen(net.JoinHostPort(o.Host, strconv.Itoa(max(o.ProfPort, 0))))
	if err != nil {
		return fmt.Errorf("can't listen to the profiling port: %w", err)
	}
	port := o.ProfPort
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		port = tcp.Port
	}
	s.Noticef("profiling port: %d", port)
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	s.mon.profiler = s.serveHTTP(mux, 0, []net.Listener{l}) // a profile takes as long as it was asked for
	return nil
}

// ProfilerAddr returns the address of the profiling port, nil if there is none.
func (s *Server) ProfilerAddr() *net.TCPAddr {
	s.mon.mu.Lock()
	defer s.mon.mu.Unlock()
	return s.mon.profiler.address()
}
