package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/tlsfiles"
)

// This file is the reload of the configuration. It has two phases. First the settings are read
// again and compared with those in force, and everything that can fail is prepared: certificates
// are read, permissions compiled, the log opened. If there are errors, all of them are returned and
// nothing has changed. Otherwise the options are swapped, and the steps that the changed rows
// require are applied, each once; none of them can fail.

var (
	// errNoConfigFile is the error of a reload without a configuration file.
	errNoConfigFile = errors.New("can only reload config when a file is provided using -c or --config")
	// errNoOptions is the error of ReloadOptions without options.
	errNoOptions = errors.New("no options to reload")
	// errStopping is the error of a reload during shutdown.
	errStopping = errors.New("the server is shutting down")
)

// refusal is the error of a reload that changed nothing. It has at least one reason.
type refusal []error

// Error returns the reasons, one a line.
func (r refusal) Error() string {
	lines := make([]string, len(r))
	for i, err := range r {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the reasons, for errors.As and errors.Is.
func (r refusal) Unwrap() []error { return r }

// reasons returns the reasons in the error of a reload.
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

// Reload reads the configuration file again and applies what has changed. Flags, and settings that
// a program has changed, take precedence over the file. After an error nothing has changed. The
// error has one line for each problem, with its place in the file: invalid settings, settings that
// need a restart, certificates that cannot be loaded. Other errors are that the server has no
// configuration file, or is shutting down.
func (s *Server) Reload() error {
	return s.reloadBy(func(old *Options) (*Options, []error) {
		if old.ConfigFile == "" {
			return nil, []error{errNoConfigFile}
		}
		files := &readFiles{}
		next, problems := old.reloaded(files)
		s.lastRead.Store(files)
		return next, problems
	})
}

// ReloadOptions applies what has changed in opts, which a program has set, as Reload does what has
// changed in the file. It copies opts. After an error nothing has changed. The error has one line
// for each problem: invalid settings, settings that need a restart, certificates that cannot be
// loaded, or that the server is shutting down.
func (s *Server) ReloadOptions(opts *Options) error {
	if opts == nil {
		return errNoOptions
	}
	return s.reloadBy(func(old *Options) (*Options, []error) { return old.replacedBy(opts) })
}

// reloadBy reloads: read returns the new options, nil if they cannot be read, and what is wrong
// with them.
func (s *Server) reloadBy(read func(old *Options) (next *Options, problems []error)) error {
	s.reloading.begin()
	defer s.reloading.end()
	if s.ended() {
		return errStopping
	}
	s.logNotifyError(s.notify.Reloading())
	err := s.reload(read)
	s.counters.reloads.count(err)
	status := "Server is ready"
	if err != nil {
		status = "Server is ready; the last reload failed"
	}
	s.logNotifyError(s.notify.Ready(status))
	return err
}

// awaitReload waits until the reload in progress, if any, has ended.
func (s *Server) awaitReload() {
	s.reloading.begin()
	defer s.reloading.end()
}

// reload is reloadBy without notifications to the service manager. The caller holds s.reloading.
func (s *Server) reload(read func(old *Options) (next *Options, problems []error)) error {
	next, problems := s.readOrRecover(read)
	if next == nil && len(problems) == 1 {
		return problems[0]
	}
	if next == nil {
		return refusal(problems)
	}
	c, more := s.prepareReload(next)
	if problems = append(problems, more...); len(problems) > 0 {
		c.discard()
		return refusal(problems)
	}
	s.applyReload(c)
	return nil
}

// readOrRecover calls read. It makes a panic an error: nothing has changed yet, and a file that this
// program cannot read must not end a broker that runs.
func (s *Server) readOrRecover(read func(old *Options) (next *Options, problems []error)) (next *Options, problems []error) {
	defer func() {
		if fault := recover(); fault != nil {
			next, problems = nil, []error{fmt.Errorf("a fault of this program (please report it): %v", fault)}
			s.Errorf("Panic while reading the settings: %v: %s", fault, debug.Stack())
		}
	}()
	return read(s.options())
}

// change is a reload in progress.
type change struct {
	old, new *Options
	rows     []conf.Change[Options] // that differ
	effects  map[conf.Effect]bool   // of these rows

	// Prepared by steps; nil if not required.
	clients *clientPolicy
	routes  *routePolicy
	log     *logSink

	clientsBefore *clientPolicy // the policy that clients has replaced
	logBefore     *logSink      // what log is to replace
}

// prepareReload is the first phase, from when the options have been read. If there are problems the
// caller must discard the change.
func (s *Server) prepareReload(next *Options) (c *change, problems []error) {
	c = s.compare(s.options(), next)
	problems = append(problems, c.needRestart()...)
	problems = append(problems, next.conflicts()...)
	if was, is := c.old.systemAccount(), next.systemAccount(); (was == "") != (is == "") {
		problems = append(problems, next.place(&settingError{"accounts", fmt.Errorf("config reload not supported for the system account: old=%q, new=%q", was, is)}))
	}
	for _, step := range reloadSteps {
		if step.prepare == nil || !c.requires(step) {
			continue
		}
		if err := step.prepare(s, c); err != nil {
			problems = append(problems, next.place(err))
		}
	}
	return c, problems
}

// applyReload is the second phase. It logs the changes to the old log, and the last line to the new
// one.
func (s *Server) applyReload(c *change) {
	s.opts.Store(c.new)
	s.applySteps(c, true)
	for _, line := range c.logLines() {
		s.Noticef("%s", line)
	}
	s.applySteps(c, false)
	c.logWarnings(s)
	c.logOpened(s)
	go c.new.printDeadlineWarning(os.Stdout) // ends when it is written: nothing may wait for a pipe that is not read
	if c.effects[onTLS] || c.effects[onRouteTLS] {
		s.logCertWarnings()
	}
	s.recordSettings()
	s.configTime.Store(time.Now().UnixNano())
	s.Noticef("Reloaded server configuration")
}

// logWarnings logs what was said about the file that was not said about the one before.
func (c *change) logWarnings(s *Server) {
	if c.new.loaded == nil {
		return
	}
	for _, w := range c.new.loaded.warnings {
		if c.old.loaded == nil || !slices.Contains(c.old.loaded.warnings, w) {
			s.Warnf("%s", w)
		}
	}
}

// logOpened logs a warning for each login that is no longer needed.
func (c *change) logOpened(s *Server) {
	was, is := c.old.logins(), c.new.logins()
	for i, l := range was {
		if l.required && !is[i].required {
			s.Warnf("%s", l.removed)
		}
	}
}

// applySteps applies the steps that precede the log lines about the changes (first), or those that
// follow them.
func (s *Server) applySteps(c *change, first bool) {
	for _, step := range reloadSteps {
		if step.first == first && c.requires(step) {
			step.apply(s, c)
		}
	}
}

// compare returns what has changed. Certificates have changed if the contents of their files are
// not those in use.
func (s *Server) compare(old, next *Options) *change {
	c := &change{old: old, new: next, effects: map[conf.Effect]bool{}}
	for _, row := range optionTable().Compare(old, next) {
		if s.samePort(row) || s.samePorts(row, old, next) {
			continue
		}
		if old.isSet(row.Row) || next.isSet(row.Row) { // else its default depends on another row
			c.rows = append(c.rows, row)
			c.effects[row.Row.Reload] = true
		}
	}
	// There are no rows for what programs set.
	if !reflect.DeepEqual(old.Nkeys, next.Nkeys) || !sameHook(old.clientHook, next.clientHook) {
		c.effects[onAuth] = true
	}
	if !sameHook(old.routerHook, next.routerHook) {
		c.effects[onRouteAuth] = true
	}
	if !tlsfiles.Same(s.policy.Load().tls.Current(), next.TLSConfig) || !tlsfiles.SameSettings(old.TLSConfig, next.TLSConfig) {
		c.effects[onTLS] = true
	}
	if !tlsfiles.Same(s.cluster.policy.Load().tls.Current(), next.Cluster.TLSConfig) || !tlsfiles.SameSettings(old.Cluster.TLSConfig, next.Cluster.TLSConfig) {
		c.effects[onRouteTLS] = true
	}
	return c
}

// openPorts are the rows of ports, and the addresses that are listened on because of them.
var openPorts = map[string]func(*Server) *net.TCPAddr{
	"port":         func(s *Server) *net.TCPAddr { addr, _ := s.Addr().(*net.TCPAddr); return addr },
	"cluster.port": (*Server).ClusterAddr,
	"http_port":    (*Server).MonitorAddr,
	"https_port":   (*Server).MonitorAddr,
	"prof_port":    (*Server).ProfilerAddr,
}

// samePort reports whether the values of a changed row mean the port that is open: one of them is
// RandomPort, and the other is the port that it became.
func (s *Server) samePort(c conf.Change[Options]) bool {
	open := openPorts[c.Row.Key]
	if open == nil {
		return false
	}
	addr := open(s)
	if addr == nil {
		return false
	}
	actual, random := strconv.Itoa(addr.Port), strconv.Itoa(RandomPort)
	return c.Old == random && c.New == actual || c.Old == actual && c.New == random
}

// samePorts is samePort for a list of further addresses.
func (s *Server) samePorts(c conf.Change[Options], old, next *Options) bool {
	var was, is []string
	var open []net.Addr
	switch c.Row.Key {
	case "also_listen":
		was, is, open = old.AlsoListen, next.AlsoListen, s.clientAddrs()
	case "cluster.also_listen":
		was, is, open = old.Cluster.AlsoListen, next.Cluster.AlsoListen, addrsOf(s.cluster.listening())
	}
	if len(was) != len(is) || len(open) != 1+len(was) {
		return false
	}
	for i := range was {
		addr, _ := open[i+1].(*net.TCPAddr)
		actual := func(text string) string {
			host, port, _ := hostAndPort(text, addr.Port) // that of the listener for RandomPort
			return net.JoinHostPort(host, strconv.Itoa(port))
		}
		if addr == nil || actual(was[i]) != actual(is[i]) {
			return false
		}
	}
	return true
}

// isSet reports whether a file, a flag or a program has set a row.
func (o *Options) isSet(r *row) bool {
	if slices.Contains(o.overrides, r) {
		return true
	}
	return o.loaded != nil && o.loaded.values.Origin(r.Key).Layer != conf.FromDefault
}

// discard releases what was prepared for a reload that has failed.
func (c *change) discard() {
	if c != nil && c.log != nil && !c.log.keeps {
		c.log.close()
	}
}
