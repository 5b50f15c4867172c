package server

// This file is the table of ends: why a connection is closed, what its peer is
// told, what the log says and what /connz shows. The texts are interface facts
// of the classic broker; clients treat an unknown -ERR as fatal, so none is
// ever invented.

// closeReason says why a connection ends. The zero value means that it goes on.
type closeReason uint8

const (
	goOn closeReason = iota
	endClient
	endAuthTimeout
	endAuthFailure
	endTLSFailure
	endSlowPending
	endSlowDeadline
	endSlowTotal
	endWriteError
	endReadError
	endPeerError
	endStale
	endUnknownOp
	endBadArgs
	endBadProtocol
	endWrongPort
	endMaxConnections
	endMaxPayload
	endMaxControlLine
	endNoHeaders
	endNeedsHeaders
	endDuplicateRoute
	endRouteRemoved
	endRouteRenewed
	endShutdown
	endLameDuck
	endCount
)

// logLevel is how loud a line of the log is.
type logLevel uint8

const (
	levelNone logLevel = iota
	levelTrace
	levelDebug
	levelInfo
	levelWarn
	levelError
	levelFatal
)

// closeRow describes one reason: its name in /connz, the text of the -ERR that
// the peer gets ("" for none) and the line in the log ("" if whoever found the
// reason logs it with its details).
type closeRow struct {
	name  string
	wire  string
	log   string
	level logLevel

	// linger says that the peer gets a moment to read what it was sent last,
	// besides wire.
	linger bool
}

var closeRows = [endCount]closeRow{
	goOn:              {name: "Unknown State"},
	endClient:         {name: "Client"},
	endAuthTimeout:    {name: "Authentication Timeout", wire: "authorization timeout", log: "Authorization Timeout", level: levelDebug},
	endAuthFailure:    {name: "Authentication Failure", wire: "Authorization Violation"},
	endTLSFailure:     {name: "TLS Handshake Failure"},
	endSlowPending:    {name: "Slow Consumer (Pending Bytes)"},
	endSlowDeadline:   {name: "Slow Consumer (Write Deadline)"},
	endSlowTotal:      {name: "Slow Consumer (Pending Bytes)"},
	endWriteError:     {name: "Write Error"},
	endReadError:      {name: "Read Error"},
	endPeerError:      {name: "Parse Error"},
	endStale:          {name: "Stale Connection", wire: "Stale Connection", log: "Stale Client Connection - Closing", level: levelDebug},
	endUnknownOp:      {name: "Protocol Violation", wire: "Unknown Protocol Operation"},
	endBadArgs:        {name: "Protocol Violation", wire: "Parser Error"},
	endBadProtocol:    {name: "Bad Client Protocol Version", wire: "invalid client protocol", log: "invalid client protocol", level: levelError},
	endWrongPort:      {name: "Incorrect Port", wire: "attempted to connect to route port", log: "attempted to connect to route port", level: levelError},
	endMaxConnections: {name: "Maximum Connections Exceeded", wire: "maximum connections exceeded", log: "maximum connections exceeded", level: levelError},
	endMaxPayload:     {name: "Maximum Message Payload Exceeded", wire: "Maximum Payload Violation"},
	endMaxControlLine: {name: "Maximum Control Line Exceeded", wire: "Maximum Control Line Exceeded", log: "maximum control line exceeded", level: levelError},
	endNoHeaders:      {name: "Protocol Violation", log: "message headers not supported", level: levelError},
	endNeedsHeaders:   {name: "No Responders Requires Headers", wire: "no responders requires headers support", log: "no responders requires headers support", level: levelError},
	endDuplicateRoute: {name: "Duplicate Route", linger: true},
	endRouteRemoved:   {name: "Route Removed"},
	endRouteRenewed:   {name: "Duplicate Route"},
	endShutdown:       {name: "Server Shutdown"},
	endLameDuck:       {name: "Server Shutdown"},
}

// String is the name of the reason in /connz.
func (r closeReason) String() string { return closeRows[r].name }

// Texts of an -ERR that leaves the connection open.
const (
	wireInvalidSubject   = "Invalid Subject"
	wireInvalidPublish   = "Invalid Publish Subject"
	wireMaxSubscriptions = "maximum subscriptions exceeded"
	wirePublishDenied    = "Permissions Violation for Publish to %q"
	wireSubscribeDenied  = "Permissions Violation for Subscription to %q"
	wireLostSid          = " (sid %s)" // follows when a permission is lost
)
