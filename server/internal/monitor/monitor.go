// Package monitor is the HTTP side of monitoring: the listeners, the login, how a page is answered
// (JSON, JSONP, CORS), the health check, the metrics for Prometheus, the dashboard, and the
// profiling port.
//
// It knows nothing of clients, routes and messages. What the pages and the metrics say is handed in
// by the server as tables ([Page], [Metric]). Requests change nothing, and no lock is held while
// something is listened to, logged or called.
package monitor

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a Monitor is made of. The functions are called from several goroutines at a time.
type Config struct {
	Log      Log
	ServerID string // a label of every metric
	BasePath string // precedes all paths; "" for none
	Pages    []Page // beside those that this package makes itself

	// Listen opens a TCP port, any free one if port is negative, and returns which it is.
	Listen func(host string, port int) (l net.Listener, actual int, err error)
	// Settings returns the settings in force.
	Settings func() Settings
	// Login reports whether these are the user and the password that [Settings.Login] asks for.
	Login func(ctx context.Context, user, password string) bool
	// Health returns why no clients should be sent here, "" if they may. At least that many
	// routes must be up.
	Health func(routes int) string
	// Metrics returns the metrics of the server as they are now.
	Metrics func() []Metric
}

// Settings are the settings that may change while the port is open.
type Settings struct {
	Login         bool   // whether all pages but /healthz need a login
	Certificates  bool   // whether clients need a certificate
	SameOrigin    bool   // whether web pages of other origins are kept from reading: no JSONP, no CORS
	MetricsPrefix string // of the names on /metrics
}

// Log is where log lines go.
type Log interface {
	Noticef(format string, v ...any)
	Errorf(format string, v ...any)
	Debugf(format string, v ...any)
}

// Monitor is the monitoring port and the profiling port of a server. Neither is open until it is
// started.
type Monitor struct {
	// Set once.
	config   Config
	basePath string // "" or "/some/path"
	pages    map[string]page
	gatherer func() prometheus.Gatherer // made when it is first asked for

	// Safe for concurrent use.
	requests map[string]*atomic.Uint64 // by counted path; the map never changes
	large    chan struct{}             // holds one value while a large page is made
	web      endpoint
	profiler endpoint
}

// page is how one path is answered.
type page struct {
	open  bool // without a login: it reveals only whether the server works
	serve http.HandlerFunc
}

// New prepares a Monitor.
func New(config Config) *Monitor {
	m := &Monitor{
		config:   config,
		requests: map[string]*atomic.Uint64{"/": {}, "/healthz": {}},
		large:    make(chan struct{}, 1),
	}
	if base := strings.Trim(config.BasePath, "/"); base != "" {
		m.basePath = "/" + base
	}
	m.gatherer = sync.OnceValue(m.newGatherer)
	m.pages = map[string]page{
		"/":        {serve: m.serveRoot},
		"/stacksz": {serve: m.serveStacks},
		"/metrics": {serve: m.serveMetrics},
		"/healthz": {serve: m.serveHealth, open: true},
	}
	for _, p := range config.Pages {
		m.requests[p.Path] = new(atomic.Uint64)
		for _, path := range append([]string{p.Path}, p.Aliases...) {
			m.pages[path] = page{serve: m.answering(p)}
		}
	}
	return m
}

// Requests returns how often each counted path was requested. Tools make a time series of each, so
// the set of paths never changes.
func (m *Monitor) Requests() map[string]uint64 {
	all := make(map[string]uint64, len(m.requests))
	for path, n := range m.requests {
		all[path] = n.Load()
	}
	return all
}

// ServePage answers a request with the page of a path, without a login.
func (m *Monitor) ServePage(path string, w http.ResponseWriter, r *http.Request) {
	m.pages[path].serve(w, r)
}

// handler returns what serves every path there is. Others are 404, also with a slash at the end;
// one that is not in its shortest form, such as //varz, is redirected to that.
func (m *Monitor) handler() http.Handler {
	byPath := make(map[string]page, len(m.pages))
	for path, p := range m.pages {
		byPath[m.basePath+path] = p
	}
	for _, f := range dashboardFiles() {
		byPath[m.basePath+"/"+f.path] = page{serve: f.serve}
	}
	if m.basePath != "" {
		byPath[m.basePath] = m.pages["/"]
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		p, found := byPath[r.URL.Path]
		switch short := shortest(r.URL.Path); {
		case short != r.URL.Path && r.Method != http.MethodConnect:
			http.Redirect(w, r, (&url.URL{Path: short, RawQuery: r.URL.RawQuery}).String(), http.StatusMovedPermanently)
		case !found:
			http.NotFound(w, r)
		case p.open || m.admits(r):
			p.serve(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="gnatsd monitoring", charset="UTF-8"`)
			http.Error(w, "login required", http.StatusUnauthorized)
		}
	})
}

// shortest returns the absolute form of a path without //, /./ and /../. A slash at its end stays.
func shortest(text string) string {
	short := path.Clean("/" + text)
	if strings.HasSuffix(text, "/") && short != "/" {
		short += "/"
	}
	return short
}

// admits reports whether no login is needed, or the request has it.
func (m *Monitor) admits(r *http.Request) bool {
	if !m.config.Settings().Login {
		return true
	}
	user, password, given := r.BasicAuth()
	return given && m.config.Login(r.Context(), user, password)
}

// alone calls work when no other large page is being made, so that many requests for them wait for
// each other and the messages do not wait for them. It reports false, and does not call work, if
// ctx ends first.
func (m *Monitor) alone(ctx context.Context, work func()) bool {
	select {
	case m.large <- struct{}{}:
		defer func() { <-m.large }()
		work()
		return true
	case <-ctx.Done():
		return false
	}
}
