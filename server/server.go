package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nuid"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/process"
	"gnatsd/sublist"
)

// Server is a message broker: it accepts clients, keeps their subscriptions
// and hands published messages on.
type Server struct {
	// Set once.
	id      string
	start   time.Time
	ready   chan struct{} // closed once clients can connect
	quit    chan struct{} // closed when the end begins
	done    chan struct{} // closed when everything has ended
	scratch sync.Pool     // of readers

	// Set once, too: what outlives reloads.
	life          context.Context // ends when the end begins
	die           context.CancelFunc
	verifier      *access.Verifier   // of passwords
	limiter       *admission.Limiter // of TLS handshakes of all ports, and of password checks of clients
	monitor       *monitor.Monitor
	monitorLogins *access.Verifier      // of the password of the monitoring port
	usage         *process.UsageSampler // of the process, for /varz

	// Set before Run.
	notify process.Notifier        // does nothing unless the server is the process
	record *process.SettingsRecord // for --diff; nil unless the server is the process
	exit   func(code int)

	// Snapshots.
	opts        atomic.Pointer[Options]
	writeLimits atomic.Pointer[netio.Limits] // of clients
	info        atomic.Pointer[infoText]
	policy      atomic.Pointer[clientPolicy]
	log         logging
	configTime  atomic.Int64              // UnixNano of the moment opts were loaded
	attempted   atomic.Pointer[readFiles] // by the last reload; nil before the first

	// Safe for concurrent use.
	subs     *sublist.List[*subscription]
	grace    *gracePeriods
	helpers  flushHelpers
	io       netio.Shared // of all connections
	clients  registry
	cluster  *cluster
	slots    slots
	counters counters
	latency  struct{ clients, routes latencies } // of messages, to whom
	nextID   atomic.Uint64                       // last connection id; clients and routes share it
	limiting atomic.Bool                         // limitPending is under way
	lameDuck atomic.Bool                         // clients are sent away, none may come
	closed   closedConns

	lastOptions atomic.Pointer[ConnectOptions] // of the client that connected last
	conns       sync.WaitGroup

	reloading    oneAtATime    // a reload, the opening of ports and of the log, the end
	stopWatchdog func()        // set while the ports are opened; nil without a watchdog
	files        process.Files // guarded by reloading; after the last reload, Shutdown's

	mu       sync.Mutex // guards what follows
	stopping bool
	listener net.Listener
	signals  *process.SignalLoop // nil while no signal is trapped
}

// New prepares a server. It copies opts; nil means the defaults.
func New(opts *Options) (*Server, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.noteOverrides()
	o.fill()
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := o.readTLS(); err != nil {
		return nil, err
	}
	s := &Server{
		id:        o.identity,
		start:     time.Now(),
		ready:     make(chan struct{}),
		reloading: make(oneAtATime, 1),
		quit:      make(chan struct{}),
		done:      make(chan struct{}),
		subs:      sublist.New[*subscription](),
		grace:     newGracePeriods(),
		exit:      os.Exit,

		limiter: admission.NewLimiter(admission.SpareProcessors()),

		monitorLogins: access.NewVerifier(admission.NewLimiter(1)),
		usage:         process.NewUsageSampler(),
	}
	s.verifier = access.NewVerifier(s.limiter) // one limiter: two together would leave no processor to the messages
	if s.id == "" {
		s.id = nuid.New().Next()
	}
	s.monitor = newMonitor(s, &o)
	s.life, s.die = context.WithCancel(context.Background())
	s.configTime.Store(s.start.UnixNano())
	s.closed.limit(o.MaxClosedClients)
	s.scratch.New = func() any { return newReaderScratch(s) }
	s.opts.Store(&o)
	s.writeLimits.Store(newWriteLimits(&o))
	g, err := s.newClientPolicy(&o)
	if err != nil {
		return nil, err
	}
	s.setClientPolicy(g)
	s.info.Store(newInfoText(newInfo(s.id, &o)))
	s.renewInfo()
	s.clients.limit = o.MaxConn
	if s.cluster, err = newCluster(s, &o); err != nil {
		return nil, err
	}
	return s, nil
}

// check reports what is wrong with settings that were made by a program.
func (o *Options) check() error {
	if o.Port > 65535 || o.Port < RandomPort {
		return fmt.Errorf("port %d is not between 0 and 65535 (or -1 for any free port)", o.Port)
	}
	return nil
}

func (s *Server) options() *Options { return s.opts.Load() }

// oneAtATime lets one goroutine at a time do something that takes long. It is no mutex: files are
// read and lines are logged meanwhile.
type oneAtATime chan struct{}

func (o oneAtATime) begin() { o <- struct{}{} }

func (o oneAtATime) end() { <-o }

// ID returns the identity of the server: 22 letters and digits, new for each.
func (s *Server) ID() string { return s.id }

// name returns the name of the server or, without one, its id.
func (s *Server) name() string {
	if name := s.options().ServerName; name != "" {
		return name
	}
	return s.id
}

// ConfigTime returns when the settings were loaded last.
func (s *Server) ConfigTime() time.Time { return time.Unix(0, s.configTime.Load()) }

// Start opens the listeners and serves until Shutdown. It returns early if a
// listener cannot be opened; the log then says why. Use [Server.Run] for the
// error, and a goroutine for a server inside a program:
//
//	go s.Start()
//	if !s.ReadyForConnections(10 * time.Second) { ... }
func (s *Server) Start() { _ = s.Run() }

// Run is Start with the error that ended it, nil after Shutdown. The log has the
// error too. Unless NoSigs is set, the server obeys the signals of the process
// from here on, and a signal that ends the server ends the process.
func (s *Server) Run() error {
	s.trapSignals()
	s.announce()
	if err := s.open(); err != nil {
		s.Shutdown()
		return err
	}
	<-s.done
	return nil
}

// open makes the server reachable, and says so to whoever waits for it. A reload
// waits until that is done.
func (s *Server) open() error {
	s.reloading.begin()
	defer s.reloading.end()
	if s.ended() {
		return nil
	}
	s.helpers.start(s, runtime.GOMAXPROCS(0)-1)
	s.watchClientCerts()
	s.cluster.watchCerts()
	if err := s.writePidFile(); err != nil {
		return err
	}
	if err := s.openMonitoring(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	s.notifyOpen()
	s.recordSettings()
	s.watchConfig()
	return nil
}

// announce writes the first lines of the log.
func (s *Server) announce() {
	s.Noticef("Starting nats-server version %s", Version)
	s.Debugf("Go build version %s", s.info.Load().info.GoVersion)
	commit := Commit()
	if commit == "" {
		commit = "not set"
	}
	s.Noticef("Git commit [%s]", commit)
	g := s.policy.Load()
	for _, w := range g.warnings {
		s.Warnf("%s", w)
	}
	if loaded := s.options().loaded; loaded != nil {
		for _, w := range loaded.warnings {
			s.Warnf("%s", w)
		}
	}
	if w := g.certExpiry(time.Now()); w != "" {
		s.Warnf("%s", w)
	}
}

// ReadyForConnections waits at most d until clients can connect, and reports
// whether they can.
func (s *Server) ReadyForConnections(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.quit:
	case <-s.ready:
	case <-timer.C:
	}
	return s.accepting()
}

// accepting reports whether clients can connect now.
func (s *Server) accepting() bool { return s.listening() && !s.ended() && !s.lameDuck.Load() }

// listening reports whether the ports for clients and routes have been opened.
func (s *Server) listening() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

func (s *Server) ended() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// Shutdown stops listening, closes all connections in order, removes the pid and
// ports files, and closes the log if it is one of package logger. It waits until
// all that is done. It may be called more than once, from anywhere.
func (s *Server) Shutdown() {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	listener := s.listener
	s.mu.Unlock()
	if !first {
		<-s.done
		return
	}
	s.Noticef("Initiating Shutdown...")
	s.logNotifyError(s.notify.Stopping())
	close(s.quit)
	s.die()
	s.awaitReload()
	if listener != nil {
		listener.Close()
	}
	s.cluster.shutdown()
	for _, c := range s.clients.shutdown() {
		c.close(closeShutdown)
	}
	if s.stopWatchdog != nil {
		s.stopWatchdog()
	}
	s.conns.Wait()
	s.monitor.Close()
	s.removeFiles()
	s.releaseSignals()
	s.Noticef("Server Exiting..")
	s.closeLog()
	close(s.done)
}

// WaitForShutdown waits until the server has ended.
func (s *Server) WaitForShutdown() { <-s.done }

// Addr returns the address clients connect to, nil when not listening.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil || s.stopping {
		return nil
	}
	return s.listener.Addr()
}

// ClientURL returns an address for clients on this machine or, if the server
// listens on one address only, for those who reach it. It is "" before Start.
func (s *Server) ClientURL() string {
	addr, ok := s.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

// NumClients returns how many clients are connected.
func (s *Server) NumClients() int { return s.clients.len() }

// NumSubscriptions returns how many subscriptions there are, those of other
// servers included.
func (s *Server) NumSubscriptions() uint32 { return uint32(s.subs.Count()) }

// NumSlowConsumers returns how many connections were cut since the start
// because they did not keep up.
func (s *Server) NumSlowConsumers() int64 { return s.counters.slowConsumers.Load() }

// openBusyPoll finds out whether readers can poll. l is any listener that the runtime waits for.
func (s *Server) openBusyPoll(l net.Listener) {
	s.io.BusyPoll.Open(l)
	if s.options().NoBusyPoll { // otherwise the log begins as in 1.x
		s.allowBusyPoll(false)
	}
}

// allowBusyPoll lets readers poll, or not.
func (s *Server) allowBusyPoll(on bool) {
	switch hindrance := s.io.BusyPoll.Allow(on); {
	case !on:
		s.Debugf("Busy polling is off (no_busy_poll)")
	case hindrance != nil:
		s.Debugf("Busy polling is not possible: %v", hindrance)
	default:
		s.Debugf("Busy polling is on")
	}
}
