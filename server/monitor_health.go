package server

import (
	"fmt"
	"io"
	"net"
	"net/http"

	"gnatsd/server/internal/process"
)

// This file checks whether the server works: for /healthz, and for the watchdog of the service
// manager.

// health returns why the server is not healthy: it does not accept clients, or it has routes to
// fewer than routes servers. It returns "" if it is.
func (s *Server) health(routes int) string {
	switch {
	case s.ended():
		return "server is shutting down"
	case s.lameDuck.Load():
		return "server is in " + process.LameDuck
	case !s.listening():
		return "server is not ready for connections"
	}
	if up := s.NumRemotes(); up < routes {
		return fmt.Sprintf("%d of %d routes are up", up, routes)
	}
	return ""
}

// HealthzOptions are the parameters of [Server.Healthz]. Those that begin with JS have no effect:
// this server stores nothing.
type HealthzOptions struct {
	Routes        int // that must be up
	JSEnabledOnly bool
	JSServerOnly  bool
}

// HealthStatus is what /healthz reports.
type HealthStatus struct {
	Status     string `json:"status"` // "ok" or "unavailable"
	StatusCode int    `json:"-"`      // of HTTP: 200 or 503
	Error      string `json:"error,omitempty"`
	Note       string `json:"note,omitempty"` // of what does not make the server unhealthy
}

// Healthz reports whether clients can connect. opts may be nil.
func (s *Server) Healthz(opts *HealthzOptions) *HealthStatus {
	if opts == nil {
		opts = &HealthzOptions{}
	}
	h := &HealthStatus{Status: "ok", StatusCode: http.StatusOK, Note: s.healthNote()}
	if reason := s.health(opts.Routes); reason != "" {
		h.Status, h.StatusCode, h.Error = "unavailable", http.StatusServiceUnavailable, reason
	}
	return h
}

// healthNote returns what an operator should know of a server although it is healthy, "" if nothing.
func (s *Server) healthNote() string {
	if n := s.log.sink.Load().linesLost(); n > 0 {
		return fmt.Sprintf("%d lines of the log were lost: its destination does not keep up, or fails", n)
	}
	return ""
}

// selfCheck is a connection of the server to itself, in memory. It has a reader and a write queue
// like every connection, but no file descriptor, is not counted as a client, and answers only PING.
type selfCheck struct {
	conn
	peer net.Conn // the other end
}

// newSelfCheck opens a self-check. The caller must call end when it is done.
func newSelfCheck(s *Server) *selfCheck {
	here, there := net.Pipe()
	p := &selfCheck{peer: there}
	p.conn.init(s, roleClient, here, p)
	s.conns.Add(1)
	go p.serve() // ended by end; Shutdown waits for it
	return p
}

func (p *selfCheck) end() { p.close(closeShutdown) }

// answersEach implements operator.
func (p *selfCheck) answersEach() bool { return false }

// do implements operator.
func (p *selfCheck) do(o *op, b *batch) closeReason {
	if o.verb == verbPing {
		b.reply(answerPong)
	}
	return keepOpen
}

// leave implements operator.
func (p *selfCheck) unregister(closeReason, *subscriptions) { p.peer.Close() }

// identity implements operator.
func (p *selfCheck) describePeer() string { return "watchdog" }

// label implements operator.
func (p *selfCheck) label() string { return "Watchdog" }

// answers reports whether a PING is answered. It has no timeout.
func (p *selfCheck) answers() bool {
	if _, err := io.WriteString(p.peer, "PING\r\n"); err != nil {
		return false
	}
	answer := make([]byte, len(answerPong))
	_, err := io.ReadFull(p.peer, answer)
	return err == nil && string(answer) == answerPong
}

// healthy reports whether the server's locks can be taken and it answers p. If the server hangs, so
// does healthy.
func (s *Server) healthy(p *selfCheck) bool {
	s.Addr()
	s.NumClients()
	s.subs.Match([]byte("_"))
	return p.answers() && !s.ended()
}

// startWatchdog starts to send watchdog keepalives to the service manager, if it expects them.
func (s *Server) startWatchdog() {
	if !s.notify.WantsWatchdog() {
		return
	}
	p := newSelfCheck(s)
	stop := s.notify.StartWatchdog(func() bool { return s.healthy(p) })
	s.stopWatchdog = func() { stop(); p.end() }
}
