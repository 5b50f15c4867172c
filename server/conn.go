package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/spacesaving"
	"gnatsd/sublist"
)

// conn is what clients and routes have in common: a socket, a reader, a write queue, subscriptions,
// login and teardown.
//
// The reader is the goroutine that runs serve: receive and work in turn, then teardown. It alone
// reads, acts on operations and tears down. Other goroutines may push to out, and ask the reader to
// end with close.
type conn struct {
	// Set once, before the reader starts.
	srv        *Server
	id         uint64
	slot       uint32 // small number, assigned to another connection after teardown
	role       role
	tracing    bool     // sampled when the connection was made
	ops        operator // acts on the operations of this role
	nc         net.Conn // the socket; link reads and writes it, with TLS if there is any
	link       netio.Link
	start      int64  // UnixNano
	routeGroup string // of the plain subscriptions of a route, see routeGroupPrefix
	pool       *pool  // whose anchor it is; else nil

	// Changed by the reader, once, at the login and so before there are subscriptions: what its
	// messages are matched with, and its own subscriptions are in. See systemAccount.
	table *sublist.List[*subscription]

	// Owned by the reader.
	in              netio.ReadBuffer
	readLimit       int                                   // bytes of one read
	got             int                                   // bytes of the last one
	cursor          *sublist.Cursor[*subscription]        // nil until it publishes
	noEcho          bool                                  // it does not receive its own messages
	freshStack      bool                                  // serve continues on a new goroutine
	undecided       bool                                  // what is read is not acted on: a route in standby
	unauthenticated bool                                  // only CONNECT is accepted
	quiet           bool                                  // one of many attempts at a route that failed in a row: its errors are for debugging
	omitErr         bool                                  // no -ERR is sent when it closes
	overRate        bool                                  // the next operation waits for the rate of its user
	stepTimer       *admission.Timer                      // limits the current step before the login; nil if there is none
	entry           *admission.Entry[*conn]               // among those that may be evicted; nil after the login
	deferred        *deferredReplies                      // nil while replies are sent at once
	routedTo        map[string]weak.Pointer[subscription] // by route id, of queues; see queueMember
	peerClosed      time.Duration                         // since the start of the server, when that was noticed; 0 before
	probed          time.Duration                         // since the start of the server, when its reader waited for a rate and a PING was last due
	paths           *path                                 // of its messages to other servers
	unsampled       subjectCounts

	// Guarded by mu.
	mu          sync.Mutex
	subs        subscriptions
	subsDropped bool // at teardown; none are added any more
	ping        pinger
	login       *access.Identity // what it is bound to; nil before its login
	// opts are the options of the last CONNECT; nil if a route has sent none. Only the reader
	// changes them, and may read them without mu; what opts points to never changes.
	opts *ConnectOptions
	// Set by the reader, once, when the TLS handshake is complete.
	tls                   *tls.Conn // nil without TLS, and before
	tlsVersion, tlsCipher uint16    // 0 without TLS

	// Atomic.
	paused     atomic.Bool                        // the reader waits for the rate of its user, or for room at receivers
	headers    atomic.Bool                        // the peer supports HMSG
	inSystem   atomic.Bool                        // its table is that of the system account
	limited    atomic.Pointer[limitedUser]        // nil unless its user has limits; changed with mu held
	ending     atomic.Uint32                      // closeReason; 0 while it is open
	reader     atomic.Uint32                      // readerRuns, readerAsked or readerParked; of clients
	abort      atomic.Pointer[context.CancelFunc] // cancels what the reader waits for, if not the socket
	slowStats  atomic.Pointer[netio.Stats]        // of out when it became a slow consumer; else nil
	inMsgs     atomic.Int64
	inBytes    atomic.Int64
	lastActive atomic.Int64 // UnixNano of messages or interest, not of pings
	lastIn     atomic.Int64 // the same, of those that were received
	logLimit   logLimit
	subjects   atomic.Pointer[spacesaving.Sketch] // that it publishes on; nil before the first sample

	out netio.WriteQueue
}

// operator acts on the operations of one role.
type operator interface {
	// do acts on one operation. Any result but keepOpen closes the connection.
	do(o *op, b *batch) closeReason
	// answersEach reports whether every single operation is answered.
	answersEach() bool
	// unregister is called once, by the reader, at teardown. subs are the subscriptions that
	// the connection had.
	unregister(reason closeReason, subs *subscriptions)
	// describePeer returns who the peer is, for the log.
	describePeer() string
	// label returns what the log calls connections of this role.
	label() string
}

// aLongTimeAgo is a deadline that ends a read which is waiting.
var aLongTimeAgo = time.Unix(1, 0)

// init prepares a connection. The constructor of its role sets the other fields.
func (c *conn) init(s *Server, r role, nc net.Conn, ops operator) {
	c.srv, c.role, c.ops = s, r, ops
	c.table = s.subs
	c.id = s.nextID.Add(1)
	c.slot = s.slots.take()
	c.start = time.Now().UnixNano()
	c.lastActive.Store(c.start)
	c.lastIn.Store(c.start)
	c.tracing = s.log.tracing()
	c.readLimit = netio.ReadSize
	c.nc, c.link = nc, netio.NewLink(nc, &s.io)
	c.out.Init(c.link, c, &s.io, s.writeLimits.Load()[access.Disconnect])
	if isSocket(nc) {
		s.sockets.of(r).Add(1)
	}
}

// peer returns the address of the peer, without brackets; "" if it has none.
func (c *conn) peer() (host string, port int) {
	tcp, ok := c.nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	return tcp.IP.String(), tcp.Port
}

// source returns where the connection comes from.
func (c *conn) source() admission.Source { return admission.SourceOf(c.nc.RemoteAddr()) }

// rank says what the connection has done before its login.
func (c *conn) rank(r admission.Rank) {
	if c.entry != nil {
		c.entry.Rank(r)
	}
}

// spoke reports whether a client is logged in and has sent a whole operation.
func (c *conn) spoke() bool {
	return c.role == roleClient && !c.unauthenticated && (len(c.in.Unread()) == 0 || c.opts != &defaultConnectOptions)
}

// settle says that the connection is logged in, or has ended: it is not evicted any more.
func (c *conn) settle() {
	if c.entry != nil {
		c.entry.Remove()
		c.entry = nil
	}
}

// serve is the reader: it runs the connection until it ends.
//
// INFO, TLS and CONNECT take much more stack than waiting does, and stacks shrink late. So after
// the first CONNECT serve continues, once, on a new goroutine, whose stack is small.
//
// The reader of an idle client ends without teardown, see parking.
func (c *conn) serve() {
	for {
		in := c.receive()
		if in == inputParked {
			return
		}
		if in == inputEnded {
			break
		}
		if r := c.work(); r != keepOpen {
			c.close(r)
			break
		}
		if c.freshStack {
			c.freshStack = false
			c.srv.parking.add(c.ops.(*client))
			go c.serve() // replaces this goroutine as the reader; ends with teardown, or parking
			return
		}
	}
	c.teardown()
}

// input is what a reader has, after it has waited for it.
type input uint8

const (
	inputEnded  input = iota // the connection has ended
	inputParked              // nothing, and the connection is not this reader's any more
	inputSome                // bytes, or the reader was woken
)

// receive reads until there may be a whole operation.
func (c *conn) receive() input {
	switch {
	case c.overRate && !c.awaitRate(), c.undecided && !c.ops.(*route).standBy():
		return inputEnded
	}
	in := inputSome
	for in == inputSome && c.in.Incomplete() {
		in = c.read()
	}
	return in
}

// read reads once.
func (c *conn) read() input {
	n, err := c.link.Recv(&c.in, c.readLimit)
	c.got = n
	if r, ok := c.ops.(*route); ok && n > 0 {
		r.noteReceived()
	}
	switch {
	case c.ended():
		return inputEnded
	case err == nil:
		c.rank(admission.Partial)
		return inputSome
	case isTimeout(err): // the reader was woken, see route.setDecided and parking
		return c.woken()
	case isEOF(err):
		c.close(closeClient)
	default:
		c.readFailed(err)
	}
	return inputEnded
}

// adaptReads decides how much the next read may hold. Thin says that little of what was read went to
// each connection that got some of it: what a write costs is then most of the cost of a message, and
// a longer read makes fewer writes. It takes what the socket holds already: nothing is waited for.
func (c *conn) adaptReads(thin bool) {
	switch {
	case c.readLimit < netio.ReadSize: // before the login
	case !thin || c.got < c.readLimit/4 || c.limited.Load() != nil: // one with limits may have to pause with what it has read
		c.readLimit = max(netio.ReadSize, c.readLimit/2)
	case c.got > c.readLimit/2:
		c.readLimit = min(netio.LongRead, 2*c.readLimit)
	}
}

// woken is what the reader does when it was woken without input.
func (c *conn) woken() input {
	c.nc.SetReadDeadline(time.Time{})
	switch {
	case c.ended():
		return inputEnded
	case c.reader.Load() == readerAsked && c.srv.parking.park(c.ops.(*client)):
		return inputParked
	}
	return inputSome
}

// readFailed closes the connection after a read that failed.
func (c *conn) readFailed(err error) {
	c.logBroken("Error reading: %v", err)
	c.close(closeReadError)
}

// logBroken logs why a socket is broken: an error of this machine for its operator, what peers and
// networks cause for those who debug.
func (c *conn) logBroken(format string, err error) {
	level := levelDebug
	if ofMachine(err) {
		level = levelError
	}
	c.logf(level, format, err)
}

// ofMachine reports whether an error of a socket is due to this machine, not to the network or the
// peer: memory, buffers, a filter that forbids it, a fault of the device.
func ofMachine(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains([]syscall.Errno{syscall.EIO, syscall.ENOMEM, syscall.ENOBUFS, syscall.EPERM,
		syscall.EACCES, syscall.EINVAL, syscall.EBADF}, errno)
}

// countIn counts the messages received in a batch that ended at now (UnixNano).
func (c *conn) countIn(msgs, bytes, now int64) {
	c.inMsgs.Add(msgs)
	c.inBytes.Add(bytes)
	c.srv.counters.in(c, msgs, bytes)
	c.lastActive.Store(now)
	c.lastIn.Store(now)
}

// match returns the subscriptions that a subject matches.
func (c *conn) match(subject []byte) *sublist.Result[*subscription] {
	if c.cursor == nil {
		c.cursor = new(sublist.Cursor[*subscription])
	}
	return c.cursor.Match(c.table, subject)
}

// slowMatches returns how many matches took long.
func (c *conn) slowMatches() uint32 {
	if c.cursor == nil {
		return 0
	}
	return c.cursor.Slow()
}

// flushCursor adds the matches counted by the cursor to the statistics.
func (c *conn) flushCursor() {
	if c.cursor != nil {
		c.cursor.Flush(c.table)
	}
}

// dropStale drops what the connection remembers of subscriptions that may have ended. It is called
// with each PING and PONG, one of which an idle peer sends from time to time.
func (c *conn) dropStale() {
	if c.cursor != nil {
		c.cursor.DropStale()
	}
}

// noteActive says that something else than messages was received.
func (c *conn) noteActive() {
	now := time.Now().UnixNano()
	c.lastActive.Store(now)
	c.lastIn.Store(now)
}

// isTimeout reports whether err says that a deadline has passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isEOF reports whether err says that the peer has closed the connection.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
