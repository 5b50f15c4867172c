package server

// This file is the table of reasons to close a connection: the -ERR that the peer is sent, the line
// in the log and the text in /connz. The texts are those of gnatsd 1.x; clients treat an unknown
// -ERR as fatal, so there are no others.

// closeReason is why a connection is closed. The zero value means that it stays open.
type closeReason uint8

const (
	keepOpen closeReason = iota
	closeClient
	closeAuthTimeout
	closeAuthFailure
	closeTLSFailure
	closeSlowPending
	closeSlowDeadline
	closeSlowTotal
	closeSlowMemory
	closeWriteError
	closeReadError
	closePeerError
	closeStale
	closeUnknownOp
	closeBadArgs
	closeBadProtocol
	closeWrongPort
	closeMaxConnections
	closeEvicted
	closeUserConnections
	closeAddressLimit
	closeThrottled
	closeMaxPayload
	closeMaxControlLine
	closeNoHeaders
	closeNeedsHeaders
	closeDuplicateRoute
	closeRouteRemoved
	closeRouteRenewed
	closeRouteToSelf
	closeOtherCluster
	closeShutdown
	closeLameDuck
	closeKicked
	closeCount
)

// closeRow describes one reason.
type closeRow struct {
	name   string   // in /connz
	wire   string   // text of the -ERR that is sent; "" = none
	log    string   // line in the log; "" = none, or it was logged with details before
	level  logLevel // of log
	abrupt bool     // what is queued is dropped
	linger bool     // the peer gets time to read why, see conn.linger
	// received gives the peer time to receive what the socket holds, see conn.awaitReceived.
	received bool
}

var closeRows = [closeCount]closeRow{
	keepOpen:             {name: "Unknown State"},
	closeClient:          {name: "Client"},
	closeAuthTimeout:     {name: "Authentication Timeout", wire: "authorization timeout", log: "Authorization Timeout", level: levelDebug, linger: true},
	closeAuthFailure:     {name: "Authentication Failure", wire: "Authorization Violation", linger: true},
	closeTLSFailure:      {name: "TLS Handshake Failure"},
	closeSlowPending:     {name: "Slow Consumer (Pending Bytes)", abrupt: true},
	closeSlowDeadline:    {name: "Slow Consumer (Write Deadline)", abrupt: true},
	closeSlowTotal:       {name: "Slow Consumer (Pending Bytes)", abrupt: true},
	closeSlowMemory:      {name: "Slow Consumer (Pending Bytes)", abrupt: true},
	closeWriteError:      {name: "Write Error", abrupt: true},
	closeReadError:       {name: "Read Error"},
	closePeerError:       {name: "Parse Error"},
	closeStale:           {name: "Stale Connection", wire: "Stale Connection", log: "Stale Client Connection - Closing", level: levelDebug},
	closeUnknownOp:       {name: "Protocol Violation", wire: "Unknown Protocol Operation", linger: true},
	closeBadArgs:         {name: "Protocol Violation", wire: "Parser Error", linger: true},
	closeBadProtocol:     {name: "Bad Client Protocol Version", wire: "invalid client protocol", log: "invalid client protocol", level: levelError, linger: true},
	closeWrongPort:       {name: "Incorrect Port", wire: "attempted to connect to route port", log: "attempted to connect to route port", level: levelError, linger: true},
	closeEvicted:         {name: "Maximum Connections Exceeded", wire: "maximum connections exceeded", log: "maximum connections exceeded", level: levelError, abrupt: true},
	closeUserConnections: {name: "Maximum Connections Exceeded", wire: "maximum connections exceeded", linger: true},
	closeAddressLimit:    {name: "Maximum Connections Exceeded", wire: "maximum connections exceeded", linger: true},
	closeThrottled:       {name: "Maximum Connections Exceeded", wire: "Connection throttling is active. Please try again later.", linger: true},
	closeMaxConnections:  {name: "Maximum Connections Exceeded", wire: "maximum connections exceeded", log: "maximum connections exceeded", level: levelError, linger: true},
	closeMaxPayload:      {name: "Maximum Message Payload Exceeded", wire: "Maximum Payload Violation"},
	closeMaxControlLine:  {name: "Maximum Control Line Exceeded", wire: "Maximum Control Line Exceeded", log: "maximum control line exceeded", level: levelError},
	closeNoHeaders:       {name: "Protocol Violation", log: "message headers not supported", level: levelError},
	closeNeedsHeaders:    {name: "No Responders Requires Headers", wire: "no responders requires headers support", log: "no responders requires headers support", level: levelError, linger: true},
	closeDuplicateRoute:  {name: "Duplicate Route", linger: true},
	closeRouteRemoved:    {name: "Route Removed", received: true},
	closeRouteRenewed:    {name: "Duplicate Route", received: true},
	closeRouteToSelf:     {name: "Duplicate Route"},
	closeOtherCluster:    {name: "Cluster Name Conflict", linger: true},
	closeShutdown:        {name: "Server Shutdown", received: true},
	closeLameDuck:        {name: "Server Shutdown", received: true},
	closeKicked:          {name: "Kicked", received: true},
}

// String returns the name of the reason in /connz.
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
