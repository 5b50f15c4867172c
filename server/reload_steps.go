package server

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"gnatsd/conf"
	"gnatsd/logger"
	"gnatsd/server/internal/process"
)

// Effects of a reload: what is done when a row has changed. A change of a row marked conf.Fixed
// needs a restart.
const (
	onSnapshot    conf.Effect = "snapshot"    // nothing: the options are read when they are used
	onLogger      conf.Effect = "logger"      // open the new log
	onClients     conf.Effect = "clients"     // replace the policy for new clients
	onAuth        conf.Effect = "auth"        // revalidate every client
	onTLS         conf.Effect = "tls"         // replace the certificate for new handshakes
	onLimits      conf.Effect = "limits"      // disconnect clients above the limit
	onDeadline    conf.Effect = "deadline"    // set the deadline of every connection
	onBusyPoll    conf.Effect = "busy poll"   // turn busy polling on or off
	onPing        conf.Effect = "ping"        // set the ping timer of every connection
	onInfo        conf.Effect = "info"        // renew INFO
	onPidFile     conf.Effect = "pid file"    // write it
	onPortsFile   conf.Effect = "ports file"  // remove it and write the new one
	onCluster     conf.Effect = "cluster"     // renew the INFO for routes
	onRouteAuth   conf.Effect = "route auth"  // revalidate every accepted route
	onRouteTLS    conf.Effect = "route tls"   // replace the certificate for new handshakes of routes
	onRoutes      conf.Effect = "routes"      // dial added routes, close removed ones
	onPermissions conf.Effect = "permissions" // announce or withdraw interest
	onCompression conf.Effect = "compression" // compress routes, or change the level
	onPoolSize    conf.Effect = "pool size"   // add connections to pools, or close some
)

// reloadStep is a part of a reload, done once if a changed row has one of its effects.
type reloadStep struct {
	effects []conf.Effect
	prepare func(*Server, *change) error // does what may fail, before anything has changed; nil = nothing
	apply   func(*Server, *change)       // cannot fail; the options are the new ones already
	first   bool                         // apply precedes the log lines about the changes
}

// reloadSteps are all steps, in the order in which they are applied. INFO and policies are
// replaced before they are applied to the connections that exist, and before new routes are dialed: no
// connection is sent, or checked by, what a later step replaces.
var reloadSteps = []reloadStep{
	{effects: []conf.Effect{onSnapshot}, apply: func(*Server, *change) {}},
	{effects: []conf.Effect{onLimits}, apply: (*Server).applyMaxConn, first: true},
	{effects: []conf.Effect{onRoutes}, prepare: (*Server).prepareRoutes, apply: (*Server).removeRoutes, first: true},
	{effects: []conf.Effect{onClients, onAuth, onTLS}, prepare: (*Server).prepareClients, apply: (*Server).applyClients},
	{effects: []conf.Effect{onInfo, onAuth, onTLS}, apply: (*Server).applyInfo},
	{effects: []conf.Effect{onDeadline}, apply: (*Server).applyDeadline},
	{effects: []conf.Effect{onBusyPoll}, apply: (*Server).applyBusyPoll},
	{effects: []conf.Effect{onPing}, apply: (*Server).applyPing},
	{effects: []conf.Effect{onClients, onAuth, onTLS}, apply: (*Server).applyToClients},
	{effects: []conf.Effect{onInfo, onCluster, onRouteAuth, onRouteTLS, onPermissions, onPoolSize, onCompression}, prepare: (*Server).prepareRoutePolicy, apply: (*Server).applyRoutePolicy},
	{effects: []conf.Effect{onRoutes}, apply: (*Server).addRoutes},
	{effects: []conf.Effect{onPidFile}, apply: (*Server).applyPidFile},
	{effects: []conf.Effect{onPortsFile, onTLS, onRouteTLS}, apply: (*Server).applyPortsFile},
	{effects: []conf.Effect{onLogger}, prepare: (*Server).prepareLog, apply: (*Server).applyLog},
}

// requires reports whether a changed row has one of the effects of a step.
func (c *change) requires(step reloadStep) bool {
	for _, effect := range step.effects {
		if c.effects[effect] {
			return true
		}
	}
	return false
}

// applyMaxConn disconnects clients above the limit, chosen at random, and the newest ones of each
// address above its limit.
func (s *Server) applyMaxConn(c *change) {
	excess := s.clients.setLimit(c.new.MaxConn)
	for _, c := range excess {
		c.close(closeMaxConnections)
	}
	if len(excess) > 0 {
		s.Noticef("Closed %d connections to fall within max_connections", len(excess))
	}
	if c.old.MaxConnPerAddress != c.new.MaxConnPerAddress {
		s.closeAddressExcess(c.new.MaxConnPerAddress)
	}
}

func (s *Server) prepareRoutes(c *change) error { return s.cluster.checkRoutes(c.new) }

// removeRoutes closes the routes that are configured no more.
func (s *Server) removeRoutes(c *change) {
	s.configureRoutes(slices.DeleteFunc(slices.Clone(c.old.Routes), func(old *url.URL) bool {
		return !slices.ContainsFunc(c.new.Routes, func(u *url.URL) bool { return u.String() == old.String() })
	}))
}

// addRoutes dials the routes that are new.
func (s *Server) addRoutes(c *change) { s.configureRoutes(c.new.Routes) }

func (s *Server) configureRoutes(routes []*url.URL) {
	if s.cluster.ready() {
		s.cluster.solicit(routes)
	}
}

// prepareClients compiles the policy of clients. Parts that have not changed are those of the old
// policy, so that clients are not revalidated without need and TLS sessions can be resumed.
func (s *Server) prepareClients(c *change) (err error) {
	if c.clients, err = s.newClientPolicy(c.new); err != nil {
		return err
	}
	old := s.policy.Load()
	if !c.effects[onAuth] {
		c.clients.auth, c.clients.hook = old.auth, old.hook
	}
	if !c.effects[onTLS] && c.old.TLSMap == c.new.TLSMap {
		c.clients.tls, c.clients.monitorTLS = old.tls, old.monitorTLS
	}
	return nil
}

// applyClients makes the policy that of new clients.
func (s *Server) applyClients(c *change) { c.clientsBefore = s.policy.Swap(c.clients) }

// applyToClients applies the policy to the clients that are connected: those that may no longer
// connect are disconnected, subscriptions that are no longer allowed end.
func (s *Server) applyToClients(c *change) {
	var clients []*conn
	for _, c := range s.clients.all() {
		clients = append(clients, &c.conn)
	}
	s.policyReplaced(&c.clientsBefore.policy, &c.clients.policy, s.watchClientCerts, clients)
}

// applyInfo renews INFO for new connections. Connected clients are not sent it.
func (s *Server) applyInfo(c *change) {
	s.renewInfo() // first: clients are sent INFO when the addresses have changed
	if c.old.ClientAdvertise != c.new.ClientAdvertise {
		if err := s.readvertise(); err != nil {
			s.Errorf("Error setting server INFO with ClientAdvertise value of %s, err=%v", conf.Printable(c.new.ClientAdvertise), err)
		}
	}
}

func (s *Server) applyBusyPoll(c *change) { s.allowBusyPoll(!c.new.NoBusyPoll) }

func (s *Server) applyDeadline(c *change) {
	s.writeLimits.Store(newWriteLimits(c.new))
	for _, c := range s.clients.all() {
		c.setWriteLimits()
	}
	for _, r := range s.cluster.all() {
		r.out.SetLimits(r.writeLimits(c.new))
	}
	if s.system == nil {
		return
	}
	if service := s.system.conn.Load(); service != nil {
		service.out.SetLimits(s.systemWriteLimits())
	}
}

// applyPing sets the ping timer of every connection to between half of the new interval and all of
// it, so that not all PINGs are sent at once.
func (s *Server) applyPing(c *change) {
	soon := func() time.Duration { return c.new.PingInterval - rand.N(c.new.PingInterval/2+1) }
	for _, c := range s.clients.all() {
		c.resetPing(soon())
	}
	for _, r := range s.cluster.all() {
		r.resetPing(soon())
	}
}

// applyPidFile writes the new file. The old one is removed at shutdown.
func (s *Server) applyPidFile(c *change) {
	if err := s.files.WritePid(c.new.PidFile); err != nil {
		s.Errorf("Failed to write pidfile: %v", err)
	}
}

// applyPortsFile removes the old file and writes the new one, whose URLs may have another scheme.
func (s *Server) applyPortsFile(c *change) {
	if err := s.files.RemovePorts(); err != nil {
		s.Errorf("%v", err)
	}
	s.writePortsFile()
}

// prepareLog prepares the new log. It opens it if more than the levels has changed. If there is no
// logger, or one of an embedding program, that stays.
func (s *Server) prepareLog(c *change) error {
	now := s.log.sink.Load()
	if now == nil || c.new.NoLog {
		return nil
	}
	next := &logSink{to: now.to, debug: c.new.Debug, trace: c.new.Trace, keeps: true}
	if _, ours := now.to.(*logger.Logger); ours && c.reopensLog() {
		l, err := openLog(c.new)
		if err != nil {
			return &settingError{c.logKey(), err}
		}
		next.to, next.keeps = l, false
	}
	c.log, c.logBefore = next, now
	return nil
}

// reopensLog reports whether settings of the log other than the levels have changed.
func (c *change) reopensLog() bool {
	for _, row := range c.rows {
		if row.Row.Reload == onLogger && row.Row.Key != "debug" && row.Row.Key != "trace" {
			return true
		}
	}
	return false
}

// logKey returns the key of the setting that determines where the log is written.
func (c *change) logKey() string {
	switch logDestination(c.new, process.IsService()) {
	case toFile:
		return "log_file"
	case toRemoteSyslog:
		return "remote_syslog"
	}
	return "syslog"
}

// applyLog replaces the log. Queued lines of the old one are written first. A logger that the
// embedding program has set since prepareLog stays.
func (s *Server) applyLog(c *change) {
	if c.log == nil {
		return
	}
	if l, ours := c.logBefore.to.(*logger.Logger); ours && !c.log.keeps {
		l.Flush()
	}
	if !s.log.replace(c.logBefore, c.log) && !c.log.keeps {
		c.log.close()
	}
}
