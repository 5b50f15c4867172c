package server

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"gnatsd/server/internal/monitor"
	"gnatsd/sublist"
)

// This file has names that programs written for gnatsd 1.x and nats-server 2.x use, so that they
// compile when the import path is changed. test/embedding_test.go holds the list, and
// util/README.md has what is left out.

// Names of constants in gnatsd 1.x and nats-server 2.x.
const (
	// VERSION is [Version].
	//
	// Deprecated: use Version.
	VERSION = Version
	// PROTO is the version of the client protocol in INFO.
	//
	// Deprecated: INFO has it.
	PROTO = protoVersion

	// DEFAULT_HOST is [DefaultHost].
	//
	// Deprecated: use DefaultHost.
	DEFAULT_HOST = DefaultHost
	// DEFAULT_PORT is [DefaultPort].
	//
	// Deprecated: use DefaultPort.
	DEFAULT_PORT = DefaultPort
	// RANDOM_PORT is [RandomPort].
	//
	// Deprecated: use RandomPort.
	RANDOM_PORT = RandomPort
	// DEFAULT_HTTP_PORT is [DefaultHTTPPort].
	//
	// Deprecated: use DefaultHTTPPort.
	DEFAULT_HTTP_PORT = DefaultHTTPPort
)

// Limits of the protocol in gnatsd 1.x, and what it calls the two kinds of connections and of
// routes, the two versions of the client protocol, and the lines INFO and CONNECT.
//
// Deprecated: they have no use outside of the broker.
const (
	CR_LF              = "\r\n"
	LEN_CR_LF          = len(CR_LF)
	MAX_MSG_ARGS       = 4
	MAX_PUB_ARGS       = 3
	PROTO_SNIPPET_SIZE = 32

	CLIENT = 0
	ROUTER = 1

	ClientProtoZero = 0
	ClientProtoInfo = 1

	InfoProto = "INFO %s" + CR_LF
	ConProto  = "CONNECT %s" + CR_LF

	Implicit RouteType = 0
	Explicit RouteType = 1
)

// RouteType says whether a route is configured ([Explicit]) or was learned from another server.
//
// Deprecated: [RouteInfo] has IsConfigured.
type RouteType int

// Defaults of [Options], which [Defaults] returns.
//
// Deprecated: use Defaults.
const (
	MAX_CONTROL_LINE_SIZE      = 4096
	MAX_PAYLOAD_SIZE           = 1 << 20
	MAX_PENDING_SIZE           = 64 << 20
	DEFAULT_MAX_CONNECTIONS    = 64 << 10
	DEFAULT_MAX_CLOSED_CLIENTS = 10000
	DEFAULT_PING_INTERVAL      = 2 * time.Minute
	DEFAULT_PING_MAX_OUT       = 2
	DEFAULT_FLUSH_DEADLINE     = 2 * time.Second
	DEFAULT_LAME_DUCK_DURATION = 30 * time.Second
	TLS_TIMEOUT                = 500 * time.Millisecond
	AUTH_TIMEOUT               = time.Second
)

// Pauses and intervals of gnatsd 1.x.
//
// Deprecated: no option sets them.
const (
	ACCEPT_MIN_SLEEP             = 10 * time.Millisecond
	ACCEPT_MAX_SLEEP             = time.Second
	DEFAULT_ROUTE_CONNECT        = time.Second
	DEFAULT_ROUTE_RECONNECT      = time.Second
	DEFAULT_ROUTE_DIAL           = time.Second
	DEFAULT_REMOTE_QSUBS_SWEEPER = 30 * time.Second
)

// Errors of gnatsd 1.4 and nats-server 2.x, for what they say: no function returns them.
//
// Deprecated: the texts are in the log and in -ERR.
var (
	ErrConnectionClosed           = errors.New("connection closed")
	ErrAuthorization              = errors.New("authorization error")
	ErrAuthentication             = errors.New("authentication error")
	ErrAuthTimeout                = errors.New("authorization timeout")
	ErrMaxPayload                 = errors.New("maximum payload exceeded")
	ErrMaxControlLine             = errors.New("maximum control line exceeded")
	ErrReservedPublishSubject     = errors.New("reserved internal subject")
	ErrBadClientProtocol          = errors.New("invalid client protocol")
	ErrTooManyConnections         = errors.New("maximum connections exceeded")
	ErrTooManySubs                = errors.New("maximum subscriptions exceeded")
	ErrClientConnectedToRoutePort = errors.New("attempted to connect to route port")
	ErrServerNotRunning           = errors.New("server is not running")
	ErrNotFound                   = errors.New("sublist: No Matches Found")
)

// ErrInvalidSubject is the error of package sublist.
//
// Deprecated: use that of package sublist.
var ErrInvalidSubject = sublist.ErrInvalidSubject

// ClosedState is why a client was closed. Its text is the Reason of [ConnInfo].
//
// Deprecated: compare the texts.
type ClosedState int

// Reasons in gnatsd 1.4.
//
// Deprecated: compare the texts.
const (
	ClientClosed ClosedState = iota + 1
	AuthenticationTimeout
	AuthenticationViolation
	TLSHandshakeError
	SlowConsumerPendingBytes
	SlowConsumerWriteDeadline
	WriteError
	ReadError
	ParseError
	StaleConnection
	ProtocolViolation
	BadClientProtocolVersion
	WrongPort
	MaxConnectionsExceeded
	MaxPayloadExceeded
	MaxControlLineExceeded
	DuplicateRoute
	RouteRemoved
	ServerShutdown
)

// closedStates are the reasons of this broker, by what gnatsd 1.4 calls them.
var closedStates = [...]closeReason{
	ClientClosed:              closeClient,
	AuthenticationTimeout:     closeAuthTimeout,
	AuthenticationViolation:   closeAuthFailure,
	TLSHandshakeError:         closeTLSFailure,
	SlowConsumerPendingBytes:  closeSlowPending,
	SlowConsumerWriteDeadline: closeSlowDeadline,
	WriteError:                closeWriteError,
	ReadError:                 closeReadError,
	ParseError:                closePeerError,
	StaleConnection:           closeStale,
	ProtocolViolation:         closeUnknownOp,
	BadClientProtocolVersion:  closeBadProtocol,
	WrongPort:                 closeWrongPort,
	MaxConnectionsExceeded:    closeMaxConnections,
	MaxPayloadExceeded:        closeMaxPayload,
	MaxControlLineExceeded:    closeMaxControlLine,
	DuplicateRoute:            closeDuplicateRoute,
	RouteRemoved:              closeRouteRemoved,
	ServerShutdown:            closeShutdown,
}

// String returns the text of the reason in /connz.
func (r ClosedState) String() string {
	if r < 0 || int(r) >= len(closedStates) {
		return keepOpen.String()
	}
	return closedStates[r].String()
}

// Paths of the monitoring pages.
const (
	RootPath    = "/"
	VarzPath    = "/varz"
	ConnzPath   = "/connz"
	RoutezPath  = "/routez"
	SubszPath   = "/subsz"
	StackszPath = "/stacksz"
	HealthzPath = "/healthz"
)

// Numbers of entries on a page of /connz and /subsz that does not say how many it wants.
const (
	DefaultConnListSize = defaultPage
	DefaultSubListSize  = defaultPage
)

// New is [NewServer] for programs that have no use for its error: it panics. As in gnatsd 1.x,
// options that are not set are set to their defaults, a Port of [RandomPort] to 0, and [Server.Start]
// replaces it and other ports that are RandomPort by those it has opened: programs look there for the
// port.
//
// Deprecated: use NewServer.
func New(opts *Options) *Server {
	s, err := NewServer(opts)
	if err != nil {
		panic("server.New: " + err.Error() + " (server.NewServer returns the error)")
	}
	if opts != nil {
		opts.fill()
		if opts.Port == RandomPort {
			opts.Port = 0
		}
		s.given = opts
	}
	return s
}

// tellPorts sets the random ports in the options that [New] was given.
func (s *Server) tellPorts() {
	o := s.given
	if o == nil {
		return
	}
	client, _ := s.Addr().(*net.TCPAddr)
	for _, p := range []struct {
		port *int
		addr *net.TCPAddr
	}{
		{&o.Port, client}, {&o.Cluster.Port, s.ClusterAddr()}, {&o.HTTPPort, s.MonitorAddr()},
		{&o.HTTPSPort, s.MonitorAddr()}, {&o.ProfPort, s.ProfilerAddr()},
	} {
		if (*p.port == RandomPort || *p.port == 0 && p.port == &o.Port) && p.addr != nil {
			*p.port = p.addr.Port
		}
	}
}

// SetLoggerV2 is [Server.SetLogger]. There is no system account whose messages sysTrace could
// trace.
//
// Deprecated: use SetLogger.
func (s *Server) SetLoggerV2(l Logger, debug, trace, sysTrace bool) { s.SetLogger(l, debug, trace) }

// IsValidSubject reports whether a client may subscribe to a subject.
func IsValidSubject(subject string) bool { return sublist.ValidSubject(subject) }

// IsValidLiteralSubject reports whether a subject is valid and has no wildcards.
func IsValidLiteralSubject(subject string) bool { return sublist.ValidLiteral(subject) }

// NoErrOnUnknownFields makes unknown keys of a configuration file no errors in nats-server 2.x. Here
// they are warnings in any case.
//
// Deprecated: it has no effect.
func NoErrOnUnknownFields(noError bool) {}

// ResponseHandler answers a request for a page of a program with JSON, or with a call of the
// function that the parameter callback names (JSONP).
func ResponseHandler(w http.ResponseWriter, r *http.Request, data []byte) {
	monitor.Answer(w, r, http.StatusOK, data, monitor.Settings{})
}

// RemoveSelfReference returns the routes without those that lead to an address of this machine at
// the port. The error is about a route without a valid port.
//
// Deprecated: a server finds routes to itself, and ignores them.
func RemoveSelfReference(clusterPort int, routes []*url.URL) ([]*url.URL, error) {
	local, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	own := func(address string) bool {
		ip := net.ParseIP(address)
		return ip.IsLoopback() || slices.ContainsFunc(local, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		})
	}
	var others []*url.URL
	for _, r := range routes {
		port, err := strconv.Atoi(r.Port())
		if err != nil {
			return nil, err
		}
		if port == clusterPort {
			// A name without an address is not one of this machine.
			if found, err := net.LookupHost(r.Hostname()); err == nil && slices.ContainsFunc(found, own) {
				continue
			}
		}
		others = append(others, r)
	}
	return others, nil
}
