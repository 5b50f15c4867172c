package server

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// healthStatus is the body of /healthz.
type healthStatus struct {
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// HandleHealthz answers /healthz: 200 if clients may be sent here, else 503 and
// why not. With routes=N at least N routes must be up.
func (s *Server) HandleHealthz(w http.ResponseWriter, r *http.Request) {
	p := params{values: r.URL.Query()}
	want := p.number("routes")
	if p.err != nil {
		badRequest(w, p.err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	status := healthStatus{Status: "ok"}
	if trouble := s.health(want); trouble != "" {
		status = healthStatus{Status: "unavailable", Error: trouble}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	text, err := json.Marshal(status)
	if err != nil {
		panic("health cannot be encoded: " + err.Error()) // no field can fail
	}
	w.Write(text)
}

// health returns why no clients should be sent here, "" if they may.
func (s *Server) health(routes int) string {
	switch {
	case s.ended():
		return "server is shutting down"
	case s.lameDuck.Load():
		return "server is in lame duck mode"
	case !s.listening():
		return "server is not ready for connections"
	}
	if up := s.NumRoutes(); up < routes {
		return fmt.Sprintf("%d of %d routes are up", up, routes)
	}
	return ""
}

// listening reports whether clients can connect.
func (s *Server) listening() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}
