package server

import (
	"time"

	"gnatsd/sublist"
)

// This file has names that programs written for gnatsd 1.x and nats-server 2.x use, so that they
// compile when the import path is changed. test/embedding_test.go holds the list.

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

// New is [NewServer] for programs that have no use for its error: it panics.
//
// Deprecated: use NewServer.
func New(opts *Options) *Server {
	s, err := NewServer(opts)
	if err != nil {
		panic("server.New: " + err.Error() + " (server.NewServer returns the error)")
	}
	return s
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
