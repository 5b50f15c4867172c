package server

import (
	"fmt"
	"net/http"

	"gnatsd/server/internal/process"
)

// This file checks whether the server accepts clients, for /healthz.

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
