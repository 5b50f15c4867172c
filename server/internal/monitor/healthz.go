package monitor

import (
	"encoding/json"
	"net/http"
)

// healthStatus is the body of /healthz.
type healthStatus struct {
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
	Note   string `json:"note,omitempty"` // of what does not make it unhealthy
}

// serveHealth answers /healthz: 200 if clients may be sent here, else 503 and why not. With
// routes=N at least N routes must be up.
func (m *Monitor) serveHealth(w http.ResponseWriter, r *http.Request) {
	p := Params{values: r.URL.Query()}
	routes := p.Number("routes")
	if p.err != nil {
		http.Error(w, p.err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	status, code := healthStatus{Status: "ok"}, http.StatusOK
	if reason := m.config.Health(routes); reason != "" {
		status, code = healthStatus{Status: "unavailable", Error: reason}, http.StatusServiceUnavailable
	}
	status.Note = m.config.Note()
	text, err := json.Marshal(status)
	if err != nil {
		panic("health cannot be encoded: " + err.Error()) // no field can fail
	}
	Answer(w, r, code, text, m.config.Settings())
}
