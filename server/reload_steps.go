package server

import (
	"math/rand/v2"
	"time"

	"gnatsd/conf"
	"gnatsd/logger"
	"gnatsd/server/internal/process"
)

// What a reload has to do about a row that changed. Rows marked conf.Fixed
// cannot change.
const (
	onSnapshot    conf.Effect = "snapshot"    // nothing: users read the options
	onLogger      conf.Effect = "logger"      // open the new log
	onClients     conf.Effect = "guard"       // new connections
	onAuth        conf.Effect = "auth"        // check every client again
	onTLS         conf.Effect = "tls"         // new handshakes
	onLimits      conf.Effect = "limits"      // close connections that are too many
	onDeadline    conf.Effect = "deadline"    // of the next write of every connection
	onBusyPoll    conf.Effect = "busy poll"   // of everybody's next wait
	onPing        conf.Effect = "ping"        // set the timer of every connection
	onInfo        conf.Effect = "info"        // encode INFO again
	onPidFile     conf.Effect = "pid file"    // write it
	onPortsFile   conf.Effect = "ports file"  // move it
	onCluster     conf.Effect = "cluster"     // encode route INFO again
	onRouteAuth   conf.Effect = "route auth"  // check every route that was accepted again
	onRouteTLS    conf.Effect = "route tls"   // new handshakes of routes
	onRoutes      conf.Effect = "routes"      // dial the new ones, close the removed
	onPermissions conf.Effect = "permissions" // announce or withdraw interest
)

// reloadStep is something that a reload does, once, if a changed row has one of
// its effects.
type reloadStep struct {
	of []conf.Effect
	// prepare makes what may fail, before anything has changed; nil for nothing.
	prepare func(*Server, *change) error
	// apply cannot fail. The options are the new ones already.
	apply func(*Server, *change)
	// first steps are taken before the log tells of the changes.
	first bool
}

// reloadSteps are all steps, in the order in which they are taken.
var reloadSteps = []reloadStep{
	{of: []conf.Effect{onSnapshot}, apply: func(*Server, *change) {}},
	{of: []conf.Effect{onLimits}, apply: (*Server).applyMaxConn, first: true},
	{of: []conf.Effect{onRoutes}, prepare: (*Server).prepareRoutes, apply: (*Server).applyRoutes, first: true},
	{of: []conf.Effect{onClients, onAuth, onTLS}, prepare: (*Server).prepareClients, apply: (*Server).applyClients},
	{of: []conf.Effect{onInfo, onAuth, onTLS}, apply: (*Server).applyInfo},
	{of: []conf.Effect{onDeadline}, apply: (*Server).applyDeadline},
	{of: []conf.Effect{onBusyPoll}, apply: (*Server).applyBusyPoll},
	{of: []conf.Effect{onPing}, apply: (*Server).applyPing},
	{of: []conf.Effect{onInfo, onCluster, onRouteAuth, onRouteTLS, onPermissions}, prepare: (*Server).prepareRoutePolicy, apply: (*Server).applyRoutePolicy},
	{of: []conf.Effect{onPidFile}, apply: (*Server).applyPidFile},
	{of: []conf.Effect{onPortsFile, onTLS, onRouteTLS}, apply: (*Server).applyPortsFile},
	{of: []conf.Effect{onLogger}, prepare: (*Server).prepareLog, apply: (*Server).applyLog},
}

// callsFor reports whether a changed row has one of the effects of a step.
func (c *change) callsFor(step reloadStep) bool {
	for _, effect := range step.of {
		if c.effects[effect] {
			return true
		}
	}
	return false
}

// applyMaxConn closes clients, at random, that are more than may be.
func (s *Server) applyMaxConn(c *change) {
	excess := s.clients.setLimit(c.new.MaxConn)
	for _, c := range excess {
		c.close(closeMaxConnections)
	}
	if len(excess) > 0 {
		s.Noticef("Closed %d connections to fall within max_connections", len(excess))
	}
}

func (s *Server) prepareRoutes(c *change) error { return s.cluster.checkRoutes(c.new) }

// applyRoutes lets the mesh know which servers to dial.
func (s *Server) applyRoutes(c *change) {
	if s.cluster.ready() {
		s.cluster.solicit(c.new.Routes)
	}
}

// prepareClients compiles who may come in. What has not changed is taken over, so
// that no client is checked for nothing and TLS sessions can be resumed.
func (s *Server) prepareClients(c *change) (err error) {
	if c.clients, err = s.newClientPolicy(c.new); err != nil {
		return err
	}
	old := s.policy.Load()
	if !c.effects[onAuth] {
		c.clients.auth = old.auth
	}
	if !c.effects[onTLS] && c.old.TLSMap == c.new.TLSMap {
		c.clients.tls, c.clients.monitorTLS = old.tls, old.monitorTLS
	}
	return nil
}

func (s *Server) applyClients(c *change) { s.setClientPolicy(c.clients) }

// applyInfo makes INFO for new connections; others are not informed.
func (s *Server) applyInfo(c *change) {
	if c.old.ClientAdvertise != c.new.ClientAdvertise {
		if err := s.readvertise(); err != nil {
			s.Errorf("Error setting server INFO with ClientAdvertise value of %s, err=%v", c.new.ClientAdvertise, err)
		}
	}
	s.renewInfo()
}

func (s *Server) applyBusyPoll(c *change) { s.allowBusyPoll(!c.new.NoBusyPoll) }

func (s *Server) applyDeadline(c *change) {
	l := newWriteLimits(c.new)
	s.writeLimits.Store(l)
	for _, c := range s.clients.all() {
		c.out.SetLimits(l)
	}
	for _, r := range s.cluster.all() {
		r.out.SetLimits(routeWriteLimits(c.new))
	}
}

// applyPing lets every connection be asked within the new time, not all at once.
func (s *Server) applyPing(c *change) {
	soon := func() time.Duration { return c.new.PingInterval - rand.N(c.new.PingInterval/2+1) }
	for _, c := range s.clients.all() {
		c.resetPing(soon())
	}
	for _, r := range s.cluster.all() {
		r.resetPing(soon())
	}
}

// applyPidFile writes the new file; the old one is kept until the end.
func (s *Server) applyPidFile(c *change) {
	if err := s.files.WritePid(c.new.PidFile); err != nil {
		s.Errorf("Failed to write pidfile: %v", err)
	}
}

// applyPortsFile removes the old file and writes the new one, whose URLs say
// whether there is TLS.
func (s *Server) applyPortsFile(c *change) {
	if err := s.files.RemovePorts(); err != nil {
		s.Errorf("%v", err)
	}
	s.writePortsFile()
}

// prepareLog opens the log again if more has changed than what is written to it.
// An embedder's logger stays, and so does silence.
func (s *Server) prepareLog(c *change) error {
	now := s.log.sink.Load()
	if now == nil || c.new.NoLog {
		return nil
	}
	next := &logSink{to: now.to, debug: c.new.Debug, trace: c.new.Trace}
	if _, ours := now.to.(*logger.Logger); ours && c.logMoves() {
		l, err := openLog(c.new)
		if err != nil {
			return &settingError{c.logKey(), err}
		}
		next.to, next.opened = l, true
	}
	c.log = next
	return nil
}

// logMoves reports whether something has changed about the log that only opening
// it can do.
func (c *change) logMoves() bool {
	for _, row := range c.rows {
		if row.Row.Reload == onLogger && row.Row.Key != "debug" && row.Row.Key != "trace" {
			return true
		}
	}
	return false
}

// logKey is the setting that says where the log goes.
func (c *change) logKey() string {
	switch logDestination(c.new, process.IsService()) {
	case toFile:
		return "log_file"
	case toRemoteSyslog:
		return "remote_syslog"
	}
	return "syslog"
}

// applyLog puts the new log in the place of the old one, which is written to its
// end first.
func (s *Server) applyLog(c *change) {
	if c.log == nil {
		return
	}
	old := s.log.sink.Load()
	if !c.log.opened {
		s.log.sink.Store(c.log)
		return
	}
	if l, ours := old.to.(*logger.Logger); ours {
		l.Flush()
	}
	s.log.sink.Store(c.log)
	old.close()
}
