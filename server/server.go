package server

import (
	"context"
	"errors"
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
	"gnatsd/server/internal/grace"
	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/process"
	"gnatsd/server/internal/spacesaving"
	"gnatsd/sublist"
)

// Server is a message broker: it accepts connections of clients and other servers, keeps their
// subscriptions and delivers published messages. [NewServer] makes one, [Server.Start] or [Run]
// runs it.
type Server struct {
	// Set once.
	id          string
	start       time.Time
	ready       chan struct{}   // closed when clients can connect
	quit        chan struct{}   // closed when Shutdown begins
	done        chan struct{}   // closed when Shutdown has ended
	ctx         context.Context // canceled when Shutdown begins
	cancel      context.CancelFunc
	scratch     sync.Pool                 // of *readerScratch
	verifier    *access.Verifier          // of passwords, on all ports
	limiter     *admission.Limiter        // of TLS handshakes and password checks, of all ports
	gate        *admission.Gate           // of TLS handshakes of clients
	arrivals    *admission.Evictor[*conn] // clients that are not logged in yet
	descriptors descriptors
	monitor     *monitor.Monitor
	usage       *process.UsageSampler // of the process, for /varz

	// Set before Start.
	given *Options // that New was given; nil if NewServer was

	// Set before Run.
	notify process.Notifier        // of the service manager; does nothing unless [Run] set it
	record *process.SettingsRecord // for --diff; nil unless [Run] set it

	isProgram bool // the process ends with the server; set by [Run]
	exit      func(code int)

	// Snapshots.
	opts        atomic.Pointer[Options]
	writeLimits atomic.Pointer[writeLimits] // of clients
	info        atomic.Pointer[infoText]
	policy      atomic.Pointer[clientPolicy]
	log         logging
	configTime  atomic.Int64              // UnixNano when opts were loaded
	lastRead    atomic.Pointer[readFiles] // files of the last reload, successful or not; nil before the first

	// Safe for concurrent use.
	subs      *sublist.List[*subscription] // but for the system account
	system    *systemAccount               // nil if there is none
	users     userTable                    // those with limits
	grace     *grace.Periods
	helpers   flushHelpers
	io        netio.Shared // of all connections
	clients   registry
	cluster   *cluster
	slots     slots
	parking   parking
	sockets   sockets
	counters  counters
	latency   struct{ clients, routes latencies } // of messages, by kind of receiver
	nextID    atomic.Uint64                       // last connection id; clients and routes share it
	limiting  atomic.Bool                         // a goroutine is in limitPending
	memory    memoryLimit
	peak      memoryPeak
	lameDuck  atomic.Bool  // in lame duck mode
	leaving   atomic.Int64 // clients whose readers tear down
	leftovers leftovers
	closed    closedConns
	history   history
	rates     atomic.Pointer[rateSamples] // of clients; nil while they are not asked for

	askingPeers  oneAtATime               // the other servers, for /clusterz
	lastClusterz atomic.Pointer[Clusterz] // nil before the first

	goneSubjects *spacesaving.Sketch // of clients that are gone

	addresses   admission.Addresses            // of clients: what each has taken
	sourceLines logLimit                       // of log lines about addresses above their limits
	lastOptions atomic.Pointer[ConnectOptions] // of the client that connected last
	conns       sync.WaitGroup                 // connections, and other goroutines that Shutdown waits for

	reloading    oneAtATime         // reloads, opening of ports, log reopening, and the end of the server
	stopWatchdog func()             // guarded by reloading; nil without a watchdog
	files        process.Files      // guarded by reloading; after the last reload by Shutdown
	inherited    []*net.TCPListener // of the service manager, not in use yet; guarded by reloading

	mu        sync.Mutex // guards what follows
	started   bool
	stopping  bool
	listeners []net.Listener      // for clients, the first is that of Host and Port; nil if closed
	signals   *process.SignalLoop // nil while no signal is trapped
}

// NewServer returns a server that is not started yet. It copies opts; nil means the defaults. The
// error reports invalid settings, with their place if they are from a file, or certificates that
// cannot be loaded.
func NewServer(opts *Options) (*Server, error) {
	o := opts.Clone()
	if o == nil {
		o = &Options{}
	}
	s, err := newServer(o)
	if err != nil {
		return nil, o.place(err)
	}
	return s, nil
}

// newServer is NewServer. The server keeps o.
func newServer(o *Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		id:        o.identity,
		start:     time.Now(),
		ready:     make(chan struct{}),
		reloading: make(oneAtATime, 1),

		askingPeers: make(oneAtATime, 1),
		leftovers:   newLeftovers(),

		quit:   make(chan struct{}),
		done:   make(chan struct{}),
		subs:   sublist.New[*subscription](),
		system: newSystemAccount(o),
		grace:  grace.New(),
		exit:   os.Exit,

		limiter: admission.NewLimiter(admission.SpareProcessors()),
		gate:    admission.NewGate(),

		arrivals:    admission.NewEvictor[*conn](),
		descriptors: divideDescriptors(process.OpenFiles()),

		usage:  process.NewUsageSampler(),
		memory: newMemoryLimit(),

		goneSubjects: spacesaving.New(goneKeys, time.Now().UnixNano()),
	}
	s.verifier = access.NewVerifier(s.limiter) // one limiter: two together would leave no processor to the messages
	if s.id == "" {
		s.id = nuid.New().Next()
	}
	s.monitor = newMonitor(s, o)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.configTime.Store(s.start.UnixNano())
	s.closed.limit(o.MaxClosedClients)
	s.parking.init(s, o.idle)
	s.scratch.New = func() any { return newReaderScratch(s) }
	s.opts.Store(o)
	s.writeLimits.Store(newWriteLimits(o))
	p, err := s.newClientPolicy(o)
	if err != nil {
		return nil, err
	}
	s.policy.Store(p)
	s.info.Store(newInfoText(newInfo(s.id, o)))
	s.renewInfo()
	s.clients.limit, s.clients.maxSockets = o.MaxConn, s.descriptors.clients
	if s.cluster, err = newCluster(s, o); err != nil {
		return nil, err
	}
	return s, nil
}

// checkedFields are those that are checked as the settings of a file are if a program has set them. What
// others do with values that a file cannot have is no fault: a duration of years stands for "never", and
// a negative number mostly for "off".
var checkedFields = []string{
	"Port", "HTTPPort", "HTTPSPort", "ProfPort", "Cluster.Port", "MaxControlLine", "MaxPending", "ServerName", "LogFormat",
	"Cluster.Name", "Cluster.PoolSize", "Cluster.Compression", "MetricsPrefix", "HTTPUsername", "HTTPBasePath",
}

func (s *Server) options() *Options { return s.opts.Load() }

// oneAtATime is held by one goroutine at a time. Unlike a mutex it may be held for long, during I/O
// and logging.
type oneAtATime chan struct{}

func (o oneAtATime) begin() { o <- struct{}{} }

func (o oneAtATime) end() { <-o }

// ID returns the id of the server: 22 letters and digits, different for each server.
func (s *Server) ID() string { return s.id }

// Name returns the name of the server or, without one, its id.
func (s *Server) Name() string {
	if name := s.options().ServerName; name != "" {
		return name
	}
	return s.id
}

// ConfigTime returns when the settings in force were loaded.
func (s *Server) ConfigTime() time.Time { return time.Unix(0, s.configTime.Load()) }

// Start opens the listeners and serves until Shutdown. If a listener cannot be opened, it logs the
// error and returns, as it does if the server has been started before: each server can be started
// once. [Server.Run] also returns the error. Programs that embed a server start it in a goroutine:
//
//	go s.Start()
//	if !s.ReadyForConnections(10 * time.Second) { ... }
func (s *Server) Start() { _ = s.Run() }

// Run is Start, and returns the error that ended it, nil after Shutdown. Unless NoSigs is set it
// handles the signals of the process, and a signal that ends the server also ends the process.
func (s *Server) Run() error {
	if !s.begin() {
		s.Errorf("%v", errStartedBefore)
		return errStartedBefore
	}
	s.trapSignals()
	s.logStart()
	if err := s.logFailedStart(s.open()); err != nil {
		s.Shutdown()
		return err
	}
	<-s.done
	return nil
}

// startError is an error of a start with the line for the log.
type startError struct {
	error
	line string
}

// failedStart returns err with the line for the log. That is logged when the start holds nothing any more:
// the logger of a program may end the server then.
func failedStart(err error, format string, args ...any) error {
	return &startError{err, fmt.Sprintf(format, args...)}
}

// logFailedStart logs the error of a start, and returns it without its line.
func (s *Server) logFailedStart(err error) error {
	failed, ok := err.(*startError)
	if !ok {
		return err
	}
	s.Fatalf("%s", failed.line)
	return failed.error
}

// errStartedBefore is the error of a second start: what ends with a server cannot begin again.
var errStartedBefore = errors.New("the server has been started before: make a new one to start again")

// begin reports whether this is the first start.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.started
	s.started = true
	return first
}

// open writes the pid file, opens the listeners, and then notifies the service manager. Reloads
// wait until it returns.
func (s *Server) open() error {
	s.reloading.begin()
	defer s.reloading.end()
	if s.ended() {
		return nil
	}
	s.helpers.start(s, runtime.GOMAXPROCS(0)-1)
	s.conns.Add(1) // everyInterval calls Done
	go s.everyInterval()
	s.watchClientCerts()
	s.cluster.watchCerts()
	s.startSystem()
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

// everyInterval does what is done every few seconds. It runs until the server ends; Shutdown waits
// for it.
func (s *Server) everyInterval() {
	defer s.conns.Done()
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	s.history.add(s.sample(time.Now()))
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			s.history.add(s.sample(now))
			s.dropUnused(now)
		}
	}
}

// dropUnused gives up memory for what is not in use any more.
func (s *Server) dropUnused(now time.Time) {
	s.dropRates(now)
	s.subs.DropStale()
	if s.system != nil {
		s.system.table.DropStale()
	}
	s.limitPending() // connections that send half an operation cause nothing else that does
	s.giveBackMemory()
}

// logStart writes the first lines of the log.
func (s *Server) logStart() {
	s.Noticef("Starting nats-server version %s", Version)
	s.Debugf("Go build version %s", s.info.Load().info.GoVersion)
	commit := Commit()
	if commit == "" {
		commit = "not set"
	}
	s.Noticef("Git commit [%s]", commit)
	if name := s.options().ServerName; name != "" {
		s.Noticef("Server name is %s", name)
	}
	p := s.policy.Load()
	for _, w := range p.warnings {
		s.Warnf("%s", w.String())
	}
	if loaded := s.options().loaded; loaded != nil {
		for _, w := range loaded.warnings {
			s.Warnf("%s", w)
		}
	}
	s.logCertWarnings()
	if format, args := s.descriptors.warning(s.options().MaxConn); format != "" {
		s.Warnf(format, args...)
	}
}

// ClusterName returns the name of the cluster, "" if it has none.
func (s *Server) ClusterName() string { return s.options().Cluster.Name }

// Running reports whether the server has been started and has not begun to shut down.
func (s *Server) Running() bool { return s.listening() && !s.ended() }

// ReadyForConnections waits at most d until clients and routes can connect, and reports whether
// they can. Where routes are configured it gives them 25 ms of that to connect, as gnatsd 1.x does,
// which looks every 25 ms: programs that start a cluster then find its routes.
func (s *Server) ReadyForConnections(d time.Duration) bool {
	deadline := time.Now().Add(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.quit:
	case <-s.ready:
		if len(s.options().Routes) > 0 {
			timer.Reset(min(time.Until(deadline), firstRoutesTime))
			select {
			case <-s.quit:
			case <-timer.C:
			}
		}
	case <-timer.C:
	}
	return s.accepting()
}

// firstRoutesTime is how long ReadyForConnections lets configured routes connect.
const firstRoutesTime = 25 * time.Millisecond

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

// Shutdown shuts the server down gracefully: it closes the listeners and all connections, removes
// the pid and ports files, and closes the log if it is one of package logger. It returns when
// everything is done. It may be called more than once, and from any goroutine.
func (s *Server) Shutdown() {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	listeners := s.listeners
	s.mu.Unlock()
	if !first {
		<-s.done
		return
	}
	s.Noticef("Initiating Shutdown...")
	s.logNotifyError(s.notify.Stopping())
	close(s.quit)
	s.cancel()
	s.awaitReload()
	closeAll(listeners)
	s.announceShutdown()
	s.cluster.shutdown()
	for _, c := range s.clients.shutdown() {
		c.close(closeShutdown)
	}
	if s.stopWatchdog != nil {
		s.stopWatchdog()
	}
	s.conns.Wait()
	s.parking.close()
	s.monitor.Close()
	s.removeFiles()
	s.releaseSignals()
	s.Noticef("Server Exiting..")
	s.log.end()
	close(s.done)
}

// WaitForShutdown waits until Shutdown has ended.
func (s *Server) WaitForShutdown() { <-s.done }

// Addr returns the address of the listener for clients, nil if it is not open. If there are several
// it is that of the first.
func (s *Server) Addr() net.Addr {
	if addrs := s.clientAddrs(); len(addrs) > 0 {
		return addrs[0]
	}
	return nil
}

// clientAddrs returns the addresses of the open listeners for clients.
func (s *Server) clientAddrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	return addrsOf(s.listeners)
}

func addrsOf(listeners []net.Listener) (addrs []net.Addr) {
	for _, l := range listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

// ClientURL returns a URL for clients: with the address that the server listens on, or with
// 127.0.0.1 if it listens on all interfaces. It is "" if the listener is not open.
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

// NumClients returns the number of connected clients.
func (s *Server) NumClients() int { return s.clients.len() }

// NumSubscriptions returns the number of subscriptions, including those of other servers.
func (s *Server) NumSubscriptions() uint32 { return uint32(s.subs.Count()) }

// NumSlowConsumers returns the number of connections that were closed as slow consumers since the
// start.
func (s *Server) NumSlowConsumers() int64 { return s.counters.slowConsumers.Load() }

// openNetwork finds out what can be known of the network, and whether readers can poll. l is any
// open listener.
func (s *Server) openNetwork(l net.Listener) {
	s.io.Open(l, process.HasCPUQuota())
	if _, ok := l.(*net.TCPListener); ok {
		s.parking.open()
	}
	if s.options().NoBusyPoll { // else nothing is logged: the log begins as in gnatsd 1.x
		s.allowBusyPoll(false)
	}
}

// allowBusyPoll turns busy polling on or off.
func (s *Server) allowBusyPoll(on bool) {
	switch err := s.io.BusyPoll.Allow(on); {
	case !on:
		s.Debugf("Busy polling is off (no_busy_poll)")
	case err != nil:
		s.Debugf("Busy polling is not possible: %v", err)
	default:
		s.Debugf("Busy polling is on")
	}
}
