package server

import (
	"errors"
	"slices"
	"strings"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/tlsfiles"
)

// A reload has two phases. First the settings are read again, compared with those
// in force, and everything that can fail is made: certificates are read, rules
// compiled, the log opened. Whatever is in the way is collected, and then nothing
// has happened. Otherwise the options are swapped and the steps that the changed
// rows call for are taken, each once; none of them can fail.

var (
	// errNoConfigFile is the answer to a reload where there is nothing to read.
	errNoConfigFile = errors.New("can only reload config when a file is provided using -c or --config")
	// errStopping is the answer to a reload that comes too late.
	errStopping = errors.New("the server is shutting down")
)

// A refusal is every reason why a reload changed nothing. It has at least one.
type refusal []error

// Error gives one reason a line.
func (r refusal) Error() string {
	lines := make([]string, len(r))
	for i, err := range r {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As and errors.Is see each reason.
func (r refusal) Unwrap() []error { return r }

// reasons returns the reasons for which a reload was refused.
func reasons(err error) []error {
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	return []error{err}
}

// logRefusedReload logs why a reload changed nothing, a line for each reason.
func (s *Server) logRefusedReload(err error) {
	for _, reason := range reasons(err) {
		s.Errorf("Failed to reload server configuration: %v", reason)
	}
}

// Reload reads the configuration file again and applies what has changed. Flags
// that were typed, and settings that a program made by itself, stay in force over
// the file. The error has a line for everything that is wrong, and then nothing
// has changed.
func (s *Server) Reload() error {
	s.reloading.begin()
	defer s.reloading.end()
	if s.ended() {
		return errStopping
	}
	s.logNotifyError(s.notify.Reloading())
	err := s.reload()
	s.counters.reloads.count(err)
	status := "Server is ready"
	if err != nil {
		status = "Server is ready; the last reload failed"
	}
	s.logNotifyError(s.notify.Ready(status))
	return err
}

// awaitReload waits until the reload under way, if any, is over.
func (s *Server) awaitReload() {
	s.reloading.begin()
	defer s.reloading.end()
}

// reload is Reload without the words to the service manager. The caller holds the
// reload lock.
func (s *Server) reload() error {
	if s.options().ConfigFile == "" {
		return errNoConfigFile
	}
	c, problems := s.prepareReload()
	if len(problems) > 0 {
		c.discard()
		return refusal(problems)
	}
	s.applyReload(c)
	return nil
}

// change is one reload under way.
type change struct {
	old, new *Options
	rows     []conf.Change[Options] // that differ
	effects  map[conf.Effect]bool   // that they call for

	// Prepared by steps; nil if they are not called for.
	clients *clientPolicy
	routes  *routePolicy
	log     *logSink
}

// prepareReload is the first phase. With problems the change, which may be nil,
// must be discarded.
func (s *Server) prepareReload() (c *change, problems []error) {
	old, files := s.options(), &readFiles{}
	next, problems := old.reloaded(files)
	s.attempted.Store(files)
	if next == nil {
		return nil, problems
	}
	c = s.compare(old, next)
	problems = append(problems, c.needRestart()...)
	problems = append(problems, next.conflicts()...)
	for _, step := range reloadSteps {
		if step.prepare == nil || !c.callsFor(step) {
			continue
		}
		if err := step.prepare(s, c); err != nil {
			problems = append(problems, next.place(err))
		}
	}
	return c, problems
}

// applyReload is the second phase. What it logs before the words about the log
// goes to the old one, the last line to the new.
func (s *Server) applyReload(c *change) {
	s.opts.Store(c.new)
	s.takeSteps(c, true)
	for _, w := range c.logLines() {
		s.Noticef("%s", w)
	}
	s.takeSteps(c, false)
	for _, w := range c.new.loaded.warnings {
		if c.old.loaded == nil || !slices.Contains(c.old.loaded.warnings, w) {
			s.Warnf("%s", w)
		}
	}
	s.recordSettings()
	s.configTime.Store(time.Now().UnixNano())
	s.Noticef("Reloaded server configuration")
}

// takeSteps takes those steps that come before the words about the changes, or
// those after.
func (s *Server) takeSteps(c *change, first bool) {
	for _, step := range reloadSteps {
		if step.first == first && c.callsFor(step) {
			step.apply(s, c)
		}
	}
}

// compare finds what has changed. Certificates count by what is in their files
// too, unless they are in use already.
func (s *Server) compare(old, next *Options) *change {
	c := &change{old: old, new: next, effects: map[conf.Effect]bool{}}
	for _, row := range optionTable().Compare(old, next) {
		if old.isSet(row.Row) || next.isSet(row.Row) { // or else it follows from another
			c.rows = append(c.rows, row)
			c.effects[row.Row.Reload] = true
		}
	}
	if !tlsfiles.Same(s.policy.Load().tls.Current(), next.TLSConfig) {
		c.effects[onTLS] = true
	}
	if !tlsfiles.Same(s.cluster.policy.Load().tls.Current(), next.Cluster.TLSConfig) {
		c.effects[onRouteTLS] = true
	}
	return c
}

// isSet reports whether a file, a flag or a program has set a row.
func (o *Options) isSet(r *row) bool {
	if slices.Contains(o.overrides, r) {
		return true
	}
	return o.loaded != nil && o.loaded.values.Origin(r.Key).Layer != conf.FromDefault
}

// discard releases what was prepared for a reload that is refused.
func (c *change) discard() {
	if c == nil || c.log == nil {
		return
	}
	c.log.close()
}
