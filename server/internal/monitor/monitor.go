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
	"sync/atomic"

	"gnatsd/server/internal/admission"
)

// Config is what a Monitor is made of. The functions are called from several goroutines at a time.
type Config struct {
	Log      Log
	ServerID string // a label of every metric
	BasePath string // precedes all paths; "" for none
	Pages    []Page // beside those that this package makes itself

	// MaxConns bounds the open connections to each port; 0 is a default. Where one more comes,
	// one that is idle is closed.
	MaxConns int

	// MaxPage bounds the bytes of a page, within minPage and maxPage; 0 is the latter. All pages that
	// are being written may have a third more.
	MaxPage int64

	// Listen opens a TCP port, any free one if port is negative, and returns which it is.
	Listen func(host string, port int) (l net.Listener, actual int, err error)
	// Settings returns the settings in force.
	Settings func() Settings
	// Login reports whether these are the user and the password that [Settings.Login] asks for.
	// from is where the request comes from.
	Login func(ctx context.Context, from admission.Source, user, password string) bool
	// Health returns why no clients should be sent here, "" if they may. At least that many
	// routes must be up.
	Health func(routes int) string
	// Note returns what else /healthz should say, "" for nothing.
	Note func() string
	// Metrics returns the metrics of the server as they are now. The result is changed.
	Metrics func() []Metric
	// Process returns those of the process, whose names are complete; nil for none.
	Process func() []Metric
}

// Settings are the settings that may change while the port is open.
type Settings struct {
	Login         bool     // whether all pages but /healthz need a login
	Certificates  bool     // whether clients need a certificate
	SameOrigin    bool     // whether web pages of other origins are kept from reading: no JSONP, no CORS, no foreign host names
	Hosts         []string // names of this server, which may be followed by a port; with SameOrigin
	MetricsPrefix string   // of the names on /metrics
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
	mux      *http.ServeMux // all paths, and those that programs add

	// Safe for concurrent use.
	requests map[string]*atomic.Uint64 // by counted path; the map never changes
	large    *admission.Limiter        // one large page is made at a time
	answers  answers                   // large pages that are being written
	web      endpoint
	profiler endpoint
}

// page is how one path is answered.
type page struct {
	open  bool // without a login and whatever the host name: it reveals only whether the server works
	serve http.HandlerFunc
}

// New prepares a Monitor.
func New(config Config) *Monitor {
	m := &Monitor{
		config:   config,
		requests: map[string]*atomic.Uint64{"/": {}},
		large:    admission.NewLimiter(1),
		answers:  answers{max: maxAnswers, page: maxPage, time: answerTime, stall: answerStall},
	}
	if n := max(config.MaxPage, minPage); config.MaxPage > 0 && n < maxPage {
		m.answers.max, m.answers.page = n/3, n
	}
	if base := strings.Trim(config.BasePath, "/"); base != "" {
		m.basePath = "/" + base
	}
	m.pages = map[string]page{
		"/":             {serve: m.serveRoot},
		"/stacksz":      {serve: m.serveStacks},
		"/metrics":      {serve: m.serveMetrics},
		"/healthz":      {serve: m.serveHealth, open: true},
		"/openapi.json": {serve: serveOpenAPI},
	}
	for _, p := range config.Pages {
		if !p.Uncounted {
			m.requests[p.Path] = new(atomic.Uint64)
		}
		for _, path := range append([]string{p.Path}, p.Aliases...) {
			m.pages[path] = page{serve: m.answering(p)}
		}
	}
	m.mux = http.NewServeMux()
	m.mux.Handle("/", m.handler())
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

// handler returns what serves every path there is, and those that were added to the mux. Others are
// 404, also with a slash at the end; one that is not in its shortest form, such as //varz, is
// redirected to that.
func (m *Monitor) handler() http.Handler {
	byPath := make(map[string]page, len(m.pages))
	for path, p := range m.pages {
		byPath[m.basePath+path] = p
	}
	files := dashboardFiles(m.basePath)
	if m.basePath != "" {
		byPath[m.basePath] = m.pages["/"]
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, found := byPath[r.URL.Path]
		switch short := shortest(r.URL.Path); {
		case short != r.URL.Path:
			p = page{open: true, serve: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, (&url.URL{Path: short, RawQuery: r.URL.RawQuery}).String(), http.StatusMovedPermanently)
			}}
		case !found && files()[r.URL.Path] != nil:
			p = page{serve: files()[r.URL.Path].serve}
		case !found:
			p = page{open: true, serve: http.NotFound}
			if _, pattern := m.mux.Handler(r); pattern != "/" {
				p = page{serve: m.mux.ServeHTTP}
			}
		}
		m.serveAllowed(w, r, p)
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

// alone calls work, which makes a large page, when no other large page is being made and there is
// room for it: many requests for them wait for each other, by address in turn, and the messages do
// not wait for them. The caller must call written when the page is written, or is not going to be.
// It is nil, and work was not called, if the request ended first.
func (m *Monitor) alone(r *http.Request, work func(*Body)) (written func()) {
	slot, err := m.large.Acquire(r.Context(), sourceOf(r))
	if err != nil {
		return nil
	}
	defer slot.Release()
	if m.answers.await(r.Context()) != nil {
		return nil
	}
	one := m.answers.begin(connOf(r))
	defer func() {
		if written == nil { // work has panicked
			m.answers.end(one)
		}
	}()
	work(&Body{room: one})
	one.made()
	return func() { m.answers.end(one) }
}
