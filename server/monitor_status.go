package server

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/process"
)

// This file says what an operator should look at: a list of conditions, each a row of a table. The
// page /statusz, the line at the top of the dashboard and the metrics have the same list.

// Severity is how much a condition matters.
type Severity string

// Severities, and what [Statusz.Status] is without any condition.
const (
	StatusOK       Severity = "ok"
	StatusNotice   Severity = "notice"   // it may be meant to be so
	StatusWarning  Severity = "warning"  // it should be looked at
	StatusCritical Severity = "critical" // clients notice it
)

// severities are all severities, in rising order.
var severities = []Severity{StatusOK, StatusNotice, StatusWarning, StatusCritical}

// Condition is something that an operator should look at.
type Condition struct {
	Code     string   `json:"code"` // a row of the table
	Severity Severity `json:"severity"`
	Text     string   `json:"text"` // a sentence
	Link     string   `json:"link"` // the page that says more, or #section of the dashboard
}

// Statusz is the page /statusz: what an operator should look at.
type Statusz struct {
	ID         string       `json:"server_id"`
	ServerName string       `json:"server_name"`
	Now        time.Time    `json:"now"`
	Status     Severity     `json:"status"` // the highest of the conditions
	Conditions []Condition  `json:"conditions"`
	Routes     RouteCounts  `json:"routes"`
	Recent     RecentEvents `json:"recent"`
	System     *SystemStats `json:"system_stats,omitempty"`
}

// RouteCounts counts the other servers of the cluster.
type RouteCounts struct {
	Up       int `json:"up"`       // connected
	Expected int `json:"expected"` // those, and the addresses that should be connected and are not
}

// RecentEvents counts what happened during the last five minutes.
type RecentEvents struct {
	SlowConsumers int64 `json:"slow_consumers"`
	RefusedLogins int64 `json:"refused_logins"`
	NoReceivers   int64 `json:"messages_without_receivers"`
	LogLinesLost  int64 `json:"log_lines_lost"`
	EventsDropped int64 `json:"events_dropped"` // of the system account
}

// StatuszOptions are the parameters of [Server.Statusz]. There are none.
type StatuszOptions struct{}

func statuszOptions(*monitor.Params) *StatuszOptions { return nil }

func (z *Statusz) encode(w io.Writer, f monitor.Form) error { return monitor.Encode(w, f, z) }

// recently is how long ago counts as recent.
const recently = 5 * time.Minute

// condition is a row of the table: check returns why it holds, "" if it does not.
type condition struct {
	code     string
	severity Severity
	link     string
	check    func(*statusFacts) string
}

// statusFacts are what conditions are checked on, taken once for all of them.
type statusFacts struct {
	s       *Server
	o       *Options
	now     time.Time
	missing []string // addresses that should be connected by a route
	routes  RouteCounts
	recent  RecentEvents
	clients int
	mem     int64 // resident
}

// conditions is the table. The page lists those of the same severity in its order.
var conditions = []condition{
	{"lame_duck", StatusWarning, "#server", func(f *statusFacts) string {
		if !f.s.lameDuck.Load() {
			return ""
		}
		return "Lame duck mode: clients are moved to other servers, and then the server stops"
	}},
	{"routes_missing", StatusCritical, "#mesh", (*statusFacts).routesMissing},
	{"slow_consumers", StatusCritical, "#slow", func(f *statusFacts) string {
		return countText(f.recent.SlowConsumers, "slow consumer", "disconnected in the last 5 minutes")
	}},
	{"memory", StatusCritical, "#figures", (*statusFacts).memory},
	{"pending", StatusCritical, "#slow", func(f *statusFacts) string {
		return nearLimit("Pending bytes of all connections", f.s.io.Pending.Load(), f.o.MaxPendingTotal, bytesText)
	}},
	{"connections", StatusCritical, "#connections", func(f *statusFacts) string {
		return nearLimit("Connections", int64(f.clients), int64(max(f.o.MaxConn, 0)), plainText)
	}},
	{"descriptors", StatusCritical, "#connections", func(f *statusFacts) string {
		d := &f.s.descriptors
		if d.limit == 0 {
			return ""
		}
		if text := nearLimit("File descriptors for clients", f.s.sockets.clients.Load(), int64(d.clients), plainText); text != "" {
			return text
		}
		return nearLimit("File descriptors for routes", f.s.sockets.routes.Load(), int64(d.routes), plainText)
	}},
	{"reload_failed", StatusWarning, "#server", (*statusFacts).reloadFailed},
	{"certificate", StatusWarning, "#server", (*statusFacts).certificate},
	{"log_lines_lost", StatusWarning, "#server", func(f *statusFacts) string {
		return countText(f.recent.LogLinesLost, "line", "of the log lost in the last 5 minutes: its destination does not keep up, or fails")
	}},
	{"logins_refused", StatusWarning, "connz?state=closed&reason=Authentication", func(f *statusFacts) string {
		return countText(f.recent.RefusedLogins, "login", "refused in the last 5 minutes")
	}},
	{"events_dropped", StatusWarning, "#figures", func(f *statusFacts) string {
		return countText(f.recent.EventsDropped, "event", "of the system account dropped in the last 5 minutes")
	}},
	{"no_receivers", StatusNotice, "#top", func(f *statusFacts) string {
		return countText(f.recent.NoReceivers, "message", "without a receiver in the last 5 minutes")
	}},
}

// Statusz returns the page /statusz. The options may be nil. The error is always nil.
func (s *Server) Statusz(*StatuszOptions) (*Statusz, error) {
	f := s.statusFacts(time.Now())
	z := &Statusz{ID: s.id, ServerName: s.Name(), Now: f.now.UTC(), Status: StatusOK, Conditions: f.conditions(),
		Routes: f.routes, Recent: f.recent, System: s.system.stats()}
	if len(z.Conditions) > 0 {
		z.Status = z.Conditions[0].Severity
	}
	return z, nil
}

// statusFacts returns the facts of this moment.
func (s *Server) statusFacts(now time.Time) *statusFacts {
	f := &statusFacts{s: s, o: s.options(), now: now, clients: s.clients.len()}
	_, f.mem, _ = s.usage.Total() // zero if the operating system does not report it
	f.missing = s.missingRoutes()
	f.routes.Up = s.NumRemotes()
	f.routes.Expected = f.routes.Up + len(f.missing)
	n, before := s.events(), s.history.eventsBefore(now.Add(-recently))
	f.recent = RecentEvents{
		SlowConsumers: n.slowConsumers - before.slowConsumers,
		RefusedLogins: n.refused - before.refused,
		NoReceivers:   n.noReceivers - before.noReceivers,
		LogLinesLost:  n.linesLost - before.linesLost,
		EventsDropped: n.dropped - before.dropped,
	}
	return f
}

// conditions returns the conditions that hold, the most severe first.
func (f *statusFacts) conditions() []Condition {
	list := []Condition{}
	for _, c := range conditions {
		if text := c.check(f); text != "" {
			list = append(list, Condition{Code: c.code, Severity: c.severity, Text: text, Link: c.link})
		}
	}
	slices.SortStableFunc(list, func(a, b Condition) int {
		return slices.Index(severities, b.Severity) - slices.Index(severities, a.Severity)
	})
	return list
}

// missingRoutes returns the addresses of other servers that should be connected and are not, each
// once.
func (s *Server) missingRoutes() (list []string) {
	if s.cluster == nil {
		return nil
	}
	for _, t := range s.cluster.targetStates() {
		_, address, found := strings.Cut(t.url, "://")
		if !found {
			address = t.url
		}
		if _, host, login := strings.Cut(address, "@"); login {
			address = host
		}
		if !t.self && !t.connected && !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// maxMissing bounds the addresses in the text of a condition.
const maxMissing = 3

func (f *statusFacts) routesMissing() string {
	n := len(f.missing)
	if n == 0 {
		return ""
	}
	names := strings.Join(f.missing[:min(n, maxMissing)], ", ")
	if n > maxMissing {
		names += fmt.Sprintf(" and %d more", n-maxMissing)
	}
	return fmt.Sprintf("%d of %d routes connected, missing: %s", f.routes.Up, f.routes.Expected, printable([]byte(names)))
}

func (f *statusFacts) memory() string {
	if m := &f.s.memory; m.limit > 0 {
		live, _ := m.live()
		// Beyond memoryShare connections are disconnected.
		if text := nearLimit("Memory of the heap", live, m.limit/memoryParts*memoryShare, bytesText); text != "" {
			return text
		}
	}
	return nearLimit("Resident memory", f.mem, process.MemoryLimit(), bytesText)
}

// maxFailure bounds the text of a failed reload, in bytes.
const maxFailure = 300

func (f *statusFacts) reloadFailed() string {
	r := &f.s.counters.reloads
	failure := r.failure.Load()
	if failure == nil || !r.lastFailed.Load() {
		return ""
	}
	text, _, _ := strings.Cut(*failure, "\n")
	if len(text) > maxFailure {
		text = strings.ToValidUTF8(text[:maxFailure], "") + "..."
	}
	return fmt.Sprintf("The reload at %s failed: %s", time.Unix(0, r.last.Load()).Format("15:04:05"), text)
}

func (f *statusFacts) certificate() string {
	if list := f.s.certWarnings(f.now); len(list) > 0 {
		return list[0].text("")
	}
	return ""
}

// nearLimit returns a text if n is at least nine tenths of a limit, which is 0 if there is none.
func nearLimit(what string, n, limit int64, text func(int64) string) string {
	if limit <= 0 || n < limit-limit/10 || n == 0 {
		return ""
	}
	return fmt.Sprintf("%s near the limit: %s of %s", what, text(n), text(limit))
}

// countText returns a count with its noun and more, "" for none.
func countText(n int64, noun, more string) string {
	switch {
	case n <= 0:
		return ""
	case n == 1:
		return "1 " + noun + " " + more
	}
	return plainText(n) + " " + noun + "s " + more
}

func plainText(n int64) string { return fmt.Sprint(n) }

// bytesText returns a size in the unit that fits it.
func bytesText(n int64) string {
	size, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for size >= 1024 && len(units) > 1 {
		size, units = size/1024, units[1:]
	}
	return fmt.Sprintf("%.3g %s", size, units[0])
}
