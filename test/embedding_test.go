//lint:file-ignore SA1019 the names are those of programs for other versions
package test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/conf"
	"gnatsd/logger"
	"gnatsd/server"
)

// This file uses what programs that embed gnatsd 1.4.1 or nats-server 2.x use: that it compiles is
// the promise.

// namesOf14 are functions, constants and types of gnatsd 1.4.1, with the types they have there.
func namesOf14() {
	var _ string = server.VERSION
	var _ []int = []int{
		server.DEFAULT_PORT, server.RANDOM_PORT, server.DEFAULT_HTTP_PORT, server.MAX_CONTROL_LINE_SIZE, server.MAX_PAYLOAD_SIZE,
		server.DEFAULT_MAX_CONNECTIONS, server.MAX_PENDING_SIZE, server.DEFAULT_PING_MAX_OUT, server.DEFAULT_MAX_CLOSED_CLIENTS,
		server.DefaultConnListSize, server.DefaultSubListSize, server.PROTO,
	}
	var _ []time.Duration = []time.Duration{
		server.TLS_TIMEOUT, server.AUTH_TIMEOUT, server.DEFAULT_PING_INTERVAL, server.DEFAULT_FLUSH_DEADLINE, server.DEFAULT_LAME_DUCK_DURATION,
		server.ACCEPT_MIN_SLEEP, server.ACCEPT_MAX_SLEEP, server.DEFAULT_ROUTE_CONNECT, server.DEFAULT_ROUTE_RECONNECT, server.DEFAULT_ROUTE_DIAL,
		server.DEFAULT_REMOTE_QSUBS_SWEEPER,
	}
	var _ string = server.CR_LF
	var _ []int = []int{server.LEN_CR_LF, server.MAX_MSG_ARGS, server.MAX_PUB_ARGS, server.PROTO_SNIPPET_SIZE,
		server.CLIENT, server.ROUTER, server.ClientProtoZero, server.ClientProtoInfo}
	var _ []server.RouteType = []server.RouteType{server.Implicit, server.Explicit}
	var _ []error = []error{server.ErrConnectionClosed, server.ErrAuthorization, server.ErrAuthTimeout, server.ErrMaxPayload, server.ErrMaxControlLine,
		server.ErrReservedPublishSubject, server.ErrBadClientProtocol, server.ErrTooManyConnections, server.ErrClientConnectedToRoutePort,
		server.ErrTooManySubs, server.ErrInvalidSubject, server.ErrNotFound}
	var _ []fmt.Stringer = []fmt.Stringer{server.ClientClosed, server.AuthenticationTimeout, server.AuthenticationViolation, server.TLSHandshakeError,
		server.SlowConsumerPendingBytes, server.SlowConsumerWriteDeadline, server.WriteError, server.ReadError, server.ParseError, server.StaleConnection,
		server.ProtocolViolation, server.BadClientProtocolVersion, server.WrongPort, server.MaxConnectionsExceeded, server.MaxPayloadExceeded,
		server.MaxControlLineExceeded, server.DuplicateRoute, server.RouteRemoved, server.ServerShutdown}
	var _ []string = []string{
		server.DEFAULT_HOST, server.RootPath, server.VarzPath, server.ConnzPath, server.RoutezPath, server.SubszPath, server.StackszPath,
	}
	var _ func(*server.Options) *server.Server = server.New
	var _ func(*server.Server) error = server.Run
	var _ func(*flag.FlagSet, []string, func(), func(), func()) (*server.Options, error) = server.ConfigureOptions
	var _ func(string) (*server.Options, error) = server.ProcessConfigFile
	var _ func(a, b *server.Options) *server.Options = server.MergeOptions
	var _ func(*server.TLSConfigOpts) (*tls.Config, error) = server.GenTLSConfig
	var _ func(server.Command, string) error = server.ProcessSignal
	var _ func(*flag.FlagSet) (bool, bool, error) = server.ProcessCommandLineArgs
	var _ func(string) []*url.URL = server.RoutesFromStr
	var _ func(int, []*url.URL) ([]*url.URL, error) = server.RemoveSelfReference
	var _ func(http.ResponseWriter, *http.Request, []byte) = server.ResponseHandler
	var _ func(string) = server.SetProcessName
	var _ func(*server.Options) *server.Options = (*server.Options).Clone
	var _ func(*server.Options, string) error = (*server.Options).ProcessConfigFile
	var _ func(*logger.Logger) error = (*logger.Logger).Close
	var _ func(*logger.Logger, int64) error = (*logger.Logger).SetSizeLimit
	_ = server.TLSConfigOpts{CertFile: "", KeyFile: "", CaFile: "", Verify: false, Timeout: 0.5, Ciphers: []uint16{}, CurvePreferences: []tls.CurveID{}}
	_ = server.Info{ID: "", Version: "", Proto: 1, GitCommit: "", GoVersion: "", Host: "", Port: 0, AuthRequired: false, TLSRequired: false,
		TLSVerify: false, MaxPayload: 0, IP: "", CID: 0, ClientConnectURLs: nil, Nonce: "", LameDuckMode: false}
	var _ []string = []string{server.InfoProto, server.ConProto}
	_ = server.Varz{ID: "", TotalConnections: 0, ClientConnectURLs: nil}
	_ = server.ConnzOptions{Sort: server.ByCid, Username: false, Subscriptions: false, Offset: 0, Limit: 0, CID: 0, State: server.ConnOpen}
	var _ []func(string) = []func(string){server.PrintAndDie}
	var _ []func() = []func(){server.PrintServerAndExit, server.PrintTLSHelpAndDie}
	var _ []func(string) bool = []func(string) bool{server.IsValidSubject, server.IsValidLiteralSubject}
	var _ []server.Command = []server.Command{server.CommandStop, server.CommandQuit, server.CommandReopen, server.CommandReload}
	var _ []server.SortOpt = []server.SortOpt{server.ByCid, server.BySubs, server.ByPending, server.ByOutMsgs, server.ByInMsgs,
		server.ByOutBytes, server.ByInBytes, server.ByLast, server.ByIdle, server.ByUptime, server.ByStart, server.ByStop, server.ByReason}
	var _ []server.ConnState = []server.ConnState{server.ConnOpen, server.ConnClosed, server.ConnAll}
	var _ func(time, debug, trace, colors, pid bool) *logger.Logger = logger.NewStdLogger
	var _ func(filename string, time, debug, trace, pid bool) *logger.Logger = logger.NewFileLogger
	var _ func(debug, trace bool) *logger.SysLogger = logger.NewSysLogger
	var _ func(fqn string, debug, trace bool) *logger.SysLogger = logger.NewRemoteSysLogger
	var _ func() string = logger.GetSysLoggerTag
	var _ func(string) = logger.SetSyslogName
	var _ []func(string) (map[string]any, error) = []func(string) (map[string]any, error){conf.Parse, conf.ParseFile}
	var _ func(string) (*server.Server, *server.Options) = RunServerWithConfig
	var _ func(string) *server.Options = LoadConfig
	var _ func(*server.Options) *server.Server = RunServer
	var _ func() *server.Server = RunDefaultServer
	_ = DefaultTestOptions
}

// optionsOf14 are all options of gnatsd 1.4.1, and of the types in them.
var optionsOf14 = server.Options{
	ConfigFile: "", Host: "", Port: 0, ClientAdvertise: "", Trace: false, Debug: false, NoLog: false, NoSigs: false, Logtime: false,
	MaxConn: 0, MaxSubs: 0, Users: []*server.User{{Username: "", Password: "", Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{}, Deny: []string{}},
		Subscribe: &server.SubjectPermission{},
	}}},
	Username: "", Password: "", Authorization: "", PingInterval: time.Minute, MaxPingsOut: 0, HTTPHost: "", HTTPPort: 0, HTTPSPort: 0,
	AuthTimeout: 0.5, MaxControlLine: 0, MaxPayload: 0, MaxPending: int64(0),
	Cluster: server.ClusterOpts{Host: "", Port: 0, Username: "", Password: "", AuthTimeout: 0.5,
		Permissions: &server.RoutePermissions{Import: &server.SubjectPermission{}, Export: &server.SubjectPermission{}},
		TLSTimeout:  0.5, TLSConfig: nil, ListenStr: "", Advertise: "", NoAdvertise: false, ConnectRetries: 0},
	ProfPort: 0, PidFile: "", PortsFileDir: "", LogFile: "", Syslog: false, RemoteSyslog: "", Routes: nil, RoutesStr: "",
	TLSTimeout: 0.5, TLS: false, TLSVerify: false, TLSCert: "", TLSKey: "", TLSCaCert: "", TLSConfig: nil, WriteDeadline: time.Second,
	RQSubsSweep: 0, MaxClosedClients: 0, LameDuckDuration: time.Second, CustomClientAuthentication: nil, CustomRouterAuthentication: nil,
}

// serverOf14 has the methods of a server of gnatsd 1.4.1.
type serverOf14 interface {
	Start()
	Shutdown()
	ConfigureLogger() error
	ReadyForConnections(time.Duration) bool
	ID() string
	Addr() net.Addr
	MonitorAddr() *net.TCPAddr
	ClusterAddr() *net.TCPAddr
	ProfilerAddr() *net.TCPAddr
	PortsInfo(time.Duration) *server.Ports
	NumClients() int
	NumRoutes() int
	NumRemotes() int
	NumSubscriptions() uint32
	NumSlowConsumers() int64
	ConfigTime() time.Time
	Reload() error
	SetLogger(l server.Logger, debugFlag, traceFlag bool)
	ReOpenLogFile()
	Noticef(format string, v ...any)
	Warnf(format string, v ...any)
	Errorf(format string, v ...any)
	Fatalf(format string, v ...any)
	Debugf(format string, v ...any)
	Tracef(format string, v ...any)
	StartMonitoring() error
	StartHTTPMonitoring()
	StartHTTPSMonitoring()
	StartProfiler()
	HTTPHandler() http.Handler
	HandleRoot(http.ResponseWriter, *http.Request)
	HandleVarz(http.ResponseWriter, *http.Request)
	HandleConnz(http.ResponseWriter, *http.Request)
	HandleRoutez(http.ResponseWriter, *http.Request)
	HandleSubsz(http.ResponseWriter, *http.Request)
	HandleStacksz(http.ResponseWriter, *http.Request)
	Varz(*server.VarzOptions) (*server.Varz, error)
	Connz(*server.ConnzOptions) (*server.Connz, error)
	Routez(*server.RoutezOptions) (*server.Routez, error)
	Subsz(*server.SubszOptions) (*server.Subsz, error)
}

// serverOf2 has the methods of a server of nats-server 2.x that a broker without JetStream and
// accounts has.
type serverOf2 interface {
	serverOf14
	nats.InProcessConnProvider
	Name() string
	ClusterName() string
	ClientURL() string
	Running() bool
	WaitForShutdown()
	LameDuckShutdown()
	SetLoggerV2(l server.Logger, debugFlag, traceFlag, sysTrace bool)
	ReloadOptions(*server.Options) error
	DisconnectClientByID(uint64) error
	Healthz(*server.HealthzOptions) *server.HealthStatus
	HandleHealthz(http.ResponseWriter, *http.Request)
}

// namesOf2 are names of nats-server 2.x.
func namesOf2() {
	var _ func(*server.Options) (*server.Server, error) = server.NewServer
	var _ serverOf2 = (*server.Server)(nil)
	var _ server.Authentication = serverAuth{}
	_ = server.Options{
		ServerName: "", DontListen: true, Nkeys: []*server.NkeyUser{{Nkey: "", Permissions: &server.Permissions{}}}, NoAuthUser: "",
		HTTPBasePath: "", LogSizeLimit: 0, MaxTracedMsgLen: 0, AllowNonTLS: false, LameDuckGracePeriod: time.Second,
		Cluster: server.ClusterOpts{Name: ""},
	}
	_ = server.Options{NoSystemAccount: true, DisableShortFirstPing: true, TLSMap: true, TLSHandshakeFirst: true}
	var _ func(bool) = server.NoErrOnUnknownFields
	var _ []error = []error{server.ErrAuthentication, server.ErrServerNotRunning}
	var _ func(*server.Options, func(*server.Server)) *server.Server = RunServerCallback
	_ = server.Permissions{Response: &server.ResponsePermission{MaxMsgs: 1, Expires: time.Second}}
	_ = server.ClusterOptsVarz{Name: "", Host: "", Port: 0, AuthTimeout: 0, URLs: nil, TLSTimeout: 0}
	_ = server.RoutezOptions{Subscriptions: true, SubscriptionsDetail: true}
	_ = server.ConnzOptions{Sort: server.ByRTT, Username: true, Subscriptions: true, SubscriptionsDetail: true, Offset: 0, Limit: 0, CID: 1, State: server.ConnAll}
	_ = server.SubszOptions{Offset: 0, Limit: 0, Subscriptions: true, Test: ""}
	_ = server.HealthzOptions{JSEnabledOnly: true, JSServerOnly: true}
	var _ string = server.HealthzPath
}

// What follows does with the broker what public programs do: it compiles as they do, and is run.

// commandLineOfStreaming is how nats-streaming-server takes the flags of the broker with its own.
func commandLineOfStreaming(args []string) (*server.Options, error) {
	fs := flag.NewFlagSet("streaming", flag.ContinueOnError)
	cluster := fs.String("cluster_id", "", "of the program")
	opts, err := server.ConfigureOptions(fs, args, func() {}, fs.Usage, server.PrintTLSHelpAndDie)
	if err != nil || *cluster == "" {
		return nil, fmt.Errorf("got cluster %q, %w", *cluster, err)
	}
	return opts, nil
}

// loggerOfStreaming is a logger that is chosen by the options.
func loggerOfStreaming(opts *server.Options, pid bool) server.Logger {
	switch {
	case opts.LogFile != "":
		return logger.NewFileLogger(opts.LogFile, opts.Logtime, opts.Debug, opts.Trace, pid)
	case opts.RemoteSyslog != "":
		return logger.NewRemoteSysLogger(opts.RemoteSyslog, opts.Debug, opts.Trace)
	case opts.Syslog:
		return logger.NewSysLogger(opts.Debug, opts.Trace)
	}
	return logger.NewStdLogger(opts.Logtime, opts.Debug, opts.Trace, true, pid)
}

// TestProgramsAddTheirFlagsLoggersAndPages runs a broker as nats-streaming-server does: with flags,
// a logger and monitoring pages of its own.
func TestProgramsAddTheirFlagsLoggersAndPages(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	opts, err := commandLineOfStreaming([]string{"-cluster_id", "mine", "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "-l", log, "-DV"})
	must(t, err)
	opts = opts.Clone()
	opts.NoSigs = true
	s := server.New(opts)
	s.SetLogger(loggerOfStreaming(opts, true), opts.Debug, opts.Trace)
	go s.Start() // ends with Shutdown
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	fileHas(t, log, `\[INF\] Server is ready$`)
	mux, ok := s.HTTPHandler().(*http.ServeMux)
	if !ok {
		t.Fatalf("got a handler %T, want one to which pages can be added", s.HTTPHandler())
	}
	mux.HandleFunc("/streaming", func(w http.ResponseWriter, r *http.Request) { server.ResponseHandler(w, r, []byte(`{"a": 1}`)) })
	mux.HandleFunc("/streaming/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	base := "http://" + s.MonitorAddr().String()
	for path, want := range map[string]string{
		"/streaming":            `{"a": 1}`,
		"/streaming?callback=f": `f({"a": 1})`,
		"//streaming":           `{"a": 1}`,
		"/streaming/more":       "/streaming/more",
		"/varz":                 `"server_id": "` + s.ID() + `"`,
		"/nothing":              "404 page not found",
	} {
		if _, got := get(t, base+path); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestAddedPagesNeedTheLogin(t *testing.T) {
	t.Parallel()
	s := Start(t, &server.Options{HTTPHost: "127.0.0.1", HTTPPort: anyPort, HTTPUsername: "me", HTTPPassword: "secret"})
	s.HTTPHandler().(*http.ServeMux).HandleFunc("/mine", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "mine") })
	for login, want := range map[string]int{"": http.StatusUnauthorized, "me:secret@": http.StatusOK} {
		if got, text := get(t, "http://"+login+s.MonitorAddr().String()+"/mine"); got != want || (text == "mine") != (want == http.StatusOK) {
			t.Errorf("%q: got %d, %q, want %d", login, got, text, want)
		}
	}
}

// TestClustersOfOtherSuites is how the suites of the Go client make clusters.
func TestClustersOfOtherSuites(t *testing.T) {
	t.Parallel()
	first := DefaultTestOptions
	first.Port, first.Cluster = server.RANDOM_PORT, server.ClusterOpts{Name: "testing", Host: "127.0.0.1", Port: server.RANDOM_PORT}
	a := RunServer(&first)
	defer a.Shutdown()
	second := DefaultTestOptions
	second.Port, second.Cluster = server.RANDOM_PORT, server.ClusterOpts{Name: "testing", Host: "127.0.0.1", Port: server.RANDOM_PORT}
	second.Routes = server.RoutesFromStr(fmt.Sprintf("nats-route://127.0.0.1:%d", a.ClusterAddr().Port))
	called := false
	b := RunServerCallback(&second, func(s *server.Server) { called = !s.Running() })
	defer b.Shutdown()
	if !called || second.Port == server.RANDOM_PORT {
		t.Errorf("got called before the start %v, port %d", called, second.Port)
	}
	routed(t, a, 1)
	routed(t, b, 1)
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", first.Port))
	must(t, err)
	nc.Close()
}

func TestRoutesToThisMachineAreRemoved(t *testing.T) {
	t.Parallel()
	routes := server.RoutesFromStr("nats://localhost:4248, nats://127.0.0.1:4248,nats://[::1]:4248,nats://localhost:4249,nats://192.0.2.1:4248")
	others, err := server.RemoveSelfReference(4248, routes)
	if got := fmt.Sprint(others); err != nil || got != "[nats://localhost:4249 nats://192.0.2.1:4248]" {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := server.RemoveSelfReference(4248, server.RoutesFromStr("nats://localhost")); err == nil {
		t.Error("got no error for a route without a port")
	}
}

// TestReasonsOfClosedConnections compares what programs have in their sources with /connz.
func TestReasonsOfClosedConnections(t *testing.T) {
	t.Parallel()
	s := Start(t, nil)
	nc, err := nats.Connect(s.ClientURL())
	must(t, err)
	nc.Close()
	eventually(t, "the client is gone", func() bool { return s.NumClients() == 0 })
	eventually(t, "its record is there", func() bool {
		z, err := s.Connz(&server.ConnzOptions{State: server.ConnClosed})
		return err == nil && len(z.Conns) == 1 && z.Conns[0].Reason == server.ClientClosed.String()
	})
	for r, want := range map[server.ClosedState]string{
		0: "Unknown State", server.ClientClosed: "Client", server.AuthenticationTimeout: "Authentication Timeout",
		server.SlowConsumerPendingBytes: "Slow Consumer (Pending Bytes)", server.StaleConnection: "Stale Connection",
		server.MaxPayloadExceeded: "Maximum Message Payload Exceeded", server.ServerShutdown: "Server Shutdown", 1000: "Unknown State", -1: "Unknown State",
	} {
		if r.String() != want {
			t.Errorf("%d: got %q, want %q", r, r, want)
		}
	}
}

// serverAuth decides who may connect, as programs do.
type serverAuth struct{}

func (serverAuth) Check(c server.ClientAuthentication) bool {
	o, state, addr := c.GetOpts(), c.GetTLSConnectionState(), c.RemoteAddress()
	if o.Username == "" || state != nil || addr == nil {
		return false
	}
	c.RegisterUser(&server.User{Username: o.Username})
	return true
}

func TestNamesOfOtherVersionsMeanWhatTheyMeant(t *testing.T) {
	t.Parallel()
	namesOf14()
	namesOf2()
	o := server.Defaults()
	got := fmt.Sprint(server.VERSION, server.DEFAULT_HOST, server.DEFAULT_PORT, server.MAX_CONTROL_LINE_SIZE, server.MAX_PAYLOAD_SIZE,
		server.MAX_PENDING_SIZE, server.DEFAULT_MAX_CONNECTIONS, server.DEFAULT_MAX_CLOSED_CLIENTS, server.DEFAULT_PING_INTERVAL,
		server.DEFAULT_PING_MAX_OUT, server.DEFAULT_FLUSH_DEADLINE, server.DEFAULT_LAME_DUCK_DURATION, server.TLS_TIMEOUT.Seconds(), server.AUTH_TIMEOUT.Seconds())
	want := fmt.Sprint(server.Version, o.Host, o.Port, o.MaxControlLine, o.MaxPayload,
		o.MaxPending, o.MaxConn, o.MaxClosedClients, o.PingInterval,
		o.MaxPingsOut, o.WriteDeadline, o.LameDuckDuration, o.TLSTimeout, o.AuthTimeout)
	if got != want {
		t.Errorf("got %s, want the defaults %s", got, want)
	}
	empty := server.Options{}
	if server.New(&empty); empty.Host != server.DEFAULT_HOST || empty.Port != server.DEFAULT_PORT || empty.MaxPayload != server.MAX_PAYLOAD_SIZE {
		t.Errorf("got %s:%d, want options with their defaults", empty.Host, empty.Port)
	}
	anyPort := server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true}
	s := server.New(&anyPort)
	if anyPort.Port != 0 {
		t.Errorf("before it listens the port is %d, want 0", anyPort.Port)
	}
	go s.Start() // ends with Shutdown
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) || anyPort.Port != s.Addr().(*net.TCPAddr).Port {
		t.Errorf("when it listens the port is %d, want that of %v", anyPort.Port, s.Addr())
	}
	if got := server.ErrInvalidSubject.Error() + ", " + server.ErrNotFound.Error(); got != "sublist: Invalid Subject, sublist: No Matches Found" {
		t.Errorf("the errors of subjects are %q", got)
	}
	if s := server.New(&optionsOf14); s.Running() || s.Name() != s.ID() {
		t.Errorf("got a server that runs (%v) and is called %q; want one that has not been started", s.Running(), s.Name())
	}
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "Port: want an integer from -1 to 65535, have integer 70000") {
			t.Errorf("got %v for options that are wrong, want a panic that says so", r)
		}
	}()
	server.New(&server.Options{Port: 70000})
}

// TestProgramsInTheSameProcessNeedNoSocket connects today's Go client to a broker that listens on no
// port, with a login and with TLS that does not concern it.
func TestProgramsInTheSameProcessNeedNoSocket(t *testing.T) {
	t.Parallel()
	files := certFiles(t)
	s, err := server.NewServer(&server.Options{
		DontListen: true, NoSigs: true, Username: "me", Password: "secret", ServerName: "inside",
		TLS: true, TLSCert: filepath.Join(files, "server-cert.pem"), TLSKey: filepath.Join(files, "server-key.pem"),
	})
	must(t, err)
	if _, err := s.InProcessConn(); err == nil {
		t.Error("got a connection to a server that has not been started, want an error")
	}
	go s.Start() // ends with Shutdown
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	if s.Addr() != nil || s.ClientURL() != "" {
		t.Errorf("got the address %v and %q, want none", s.Addr(), s.ClientURL())
	}
	connect := func(opts ...nats.Option) (*nats.Conn, error) {
		return nats.Connect("", append(opts, nats.InProcessServer(s), nats.MaxReconnects(0))...)
	}
	if _, err := connect(nats.UserInfo("me", "wrong")); err == nil || !strings.Contains(err.Error(), "Authorization Violation") {
		t.Errorf("got %v with a wrong password, want a refusal", err)
	}
	nc, err := connect(nats.UserInfo("me", "secret"))
	must(t, err)
	defer nc.Close()
	sub := subscribe(t, nc, "foo")
	must(t, nc.Publish("foo", []byte(strings.Repeat("x", 1<<20))))
	if got := next(t, sub); len(got.Data) != 1<<20 {
		t.Errorf("got %d bytes, want 1 MB", len(got.Data))
	}
	closed := make(chan bool)
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	z, err := s.Connz(nil)
	if err != nil || len(z.Conns) != 1 || z.Conns[0].IP != "" {
		t.Fatalf("got %+v, %v; want one client without an address", z, err)
	}
	must(t, s.DisconnectClientByID(z.Conns[0].Cid))
	<-closed
	if err := s.DisconnectClientByID(1 << 40); err == nil {
		t.Error("got no error for a client that is not there")
	}
	s.Shutdown()
	if _, err := s.InProcessConn(); err == nil || s.Running() {
		t.Errorf("got %v, running %v after the shutdown; want an error", err, s.Running())
	}
}

func TestLameDuckModeOfAServerWithoutAPort(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, LameDuckDuration: time.Millisecond, LameDuckGracePeriod: time.Millisecond})
	must(t, err)
	go s.Start() // ends with LameDuckShutdown
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	s.LameDuckShutdown()
	s.WaitForShutdown()
}

// TestOptionsAreReloadedByPrograms changes options of a running broker that has no file.
func TestOptionsAreReloadedByPrograms(t *testing.T) {
	t.Parallel()
	opts := &server.Options{Host: "127.0.0.1", Port: anyPort, NoSigs: true, Username: "me", Password: "one"}
	s := Start(t, opts)
	connect := func(password string) error {
		nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("me", password), nats.MaxReconnects(0))
		if err == nil {
			nc.Close()
		}
		return err
	}
	must(t, connect("one"))
	next := opts.Clone()
	next.Password, next.MaxPayload = "two", 100
	must(t, s.ReloadOptions(next))
	if err := connect("one"); err == nil {
		t.Error("the old password is still taken")
	}
	must(t, connect("two"))
	if v, err := s.Varz(nil); err != nil || v.MaxPayload != 100 {
		t.Errorf("got %+v, %v; want the new max_payload", v, err)
	}
	next.Port, next.MaxPayload = s.Addr().(*net.TCPAddr).Port, 200 // the port that it became
	must(t, s.ReloadOptions(next))
	for name, change := range map[string]func(*server.Options){
		"Host":       func(o *server.Options) { o.Host = "127.0.0.2" },
		"ServerName": func(o *server.Options) { o.ServerName = "other" },
		"DontListen": func(o *server.Options) { o.DontListen = true },
		"Port":       func(o *server.Options) { o.Port = 70000 },
	} {
		wrong := next.Clone()
		wrong.MaxPayload = 300
		change(wrong)
		if err := s.ReloadOptions(wrong); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
	}
	if err := s.ReloadOptions(nil); err == nil {
		t.Error("got no error without options")
	}
	if v, err := s.Varz(nil); err != nil || v.MaxPayload != 200 {
		t.Errorf("got %+v, %v; want nothing changed by what was refused", v, err)
	}
}

func TestNkeysOfPrograms(t *testing.T) {
	t.Parallel()
	first, firstSeed := newNkey(t)
	second, secondSeed := newNkey(t)
	only := &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"foo"}}}
	opts := &server.Options{Host: "127.0.0.1", Port: anyPort, NoSigs: true, Nkeys: []*server.NkeyUser{{Nkey: first, Permissions: only}}}
	s := Start(t, opts)
	connect := func(seed string) error {
		nc, err := nats.Connect(s.ClientURL(), withNkey(t, seed), nats.MaxReconnects(0))
		if err == nil {
			nc.Close()
		}
		return err
	}
	must(t, connect(firstSeed))
	if connect(secondSeed) == nil {
		t.Error("an nkey that is not in the list was let in")
	}
	next := opts.Clone()
	next.Nkeys[0].Nkey = second
	must(t, s.ReloadOptions(next))
	must(t, connect(secondSeed))
	if connect(firstSeed) == nil {
		t.Error("an nkey that was taken off the list was let in")
	}
}

// TestServersOfConfigurationFiles does what suites for other brokers do with a file: they read the
// ports from the options afterwards.
func TestServersOfConfigurationFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "server.conf")
	must(t, os.WriteFile(file, []byte("listen: 127.0.0.1:-1\nhttp: 127.0.0.1:-1\ncluster { listen: 127.0.0.1:-1 }\n"), 0o600))
	s, opts := RunServerWithConfig(file)
	defer s.Shutdown()
	if opts.Port != s.Addr().(*net.TCPAddr).Port || opts.HTTPPort != s.MonitorAddr().Port || opts.Cluster.Port != s.ClusterAddr().Port {
		t.Errorf("got the ports %d, %d and %d, want those that are open", opts.Port, opts.HTTPPort, opts.Cluster.Port)
	}
	nc, err := nats.Connect(fmt.Sprintf("nats://%s:%d", opts.Host, opts.Port))
	must(t, err)
	nc.Close()
	given := server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true}
	older := server.New(&given)
	go older.Start() // ends with Shutdown
	defer older.Shutdown()
	if !older.ReadyForConnections(readyIn) || given.Port != older.Addr().(*net.TCPAddr).Port {
		t.Errorf("got the port %d of %v in the options that New was given", given.Port, older.Addr())
	}
	defer func() {
		if recover() == nil {
			t.Error("got no panic for a file that is missing")
		}
	}()
	LoadConfig(file + ".missing")
}
