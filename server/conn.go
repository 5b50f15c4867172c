package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"gnatsd/conf"
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
	reader     atomic.Uint32                      // readerState, of clients
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

// readerScratch is memory that a reader borrows while it acts on what it has read.
type readerScratch struct {
	op     op
	limits frameLimits
	batch  batch
	meter  meter
	watch  bool // each operation is traced or metered
}

func newReaderScratch(s *Server) *readerScratch {
	return &readerScratch{batch: batch{srv: s, rand: rand.New(rand.NewPCG(rand.Uint64(), 0)), known: recurring{past: 1}, fanoutOf: map[*sublist.Set[*subscription]]uint32{}}}
}

// work acts on the operations that have been read. When it returns, everything that they cause is
// in the write queues.
func (c *conn) work() closeReason {
	w := c.srv.scratch.Get().(*readerScratch)
	w.batch.begin(c)
	w.limits = c.frameLimits()
	w.watch = w.meter.begin(c.limited.Load(), c.srv.start) || c.tracing
	defer c.endWork(w)
	b, o := &w.batch, &w.op
	for !c.in.Incomplete() {
		if b.due() {
			b.flush()
		}
		unread := c.in.Unread()
		if c.unauthenticated {
			if r := c.beforeLogin(unread[0]); r != keepOpen {
				return r
			}
		}
		if b.recognizes() && !w.watch && !w.limits.single {
			if n := c.publishAgain(w, unread); n > 0 {
				c.in.Consume(n)
				continue
			}
		}
		n, want, keep, err := w.limits.next(unread, o)
		if err != frameOK {
			return c.badFrame(err, o)
		}
		if n == 0 {
			c.in.Need(want, keep)
			break
		}
		if w.watch {
			if n = c.watchOp(w, o, n); n == 0 {
				break // the reader pauses
			}
		}
		b.at = uint32(c.in.Offset())
		if r := c.ops.do(o, b); r != keepOpen {
			return r
		}
		c.in.Consume(n)
		if !verbRows[o.verb].payload {
			b.forgetLines()
			b.steps += controlSteps
		}
		switch o.verb {
		case verbConnect:
			w.limits = c.frameLimits()
			w.watch = w.meter.begin(c.limited.Load(), c.srv.start) || c.tracing
		case verbInfo:
			if c.undecided {
				return keepOpen
			}
			w.limits = c.frameLimits()
		case verbLink:
			c.ops.(*route).consumeCompressed()
		}
	}
	return keepOpen
}

// endWork flushes the batch and returns the scratch memory. A client that has said something is
// settled before it is answered: then it is not evicted any more. See also client.answerPing.
func (c *conn) endWork(w *readerScratch) {
	if c.entry != nil && c.spoke() {
		c.settle()
	}
	w.batch.end()
	c.adaptReads(w.batch.thin)
	w.meter.end()
	w.op = op{}
	c.srv.scratch.Put(w)
	c.srv.limitPending()
}

// frameLimits returns what the framing of the connection depends on at present.
func (c *conn) frameLimits() frameLimits {
	opts := c.srv.options()
	l := frameLimits{role: c.role, line: min(opts.MaxControlLine, maxName), payload: c.maxPayload(opts)}
	switch peer := c.ops.(type) {
	case *route:
		if !c.unauthenticated { // before the login the limits of clients apply
			l = routeFrameLimits(opts, peer.isDecided())
		}
	case *systemConn:
		l = systemFrameLimits
	}
	l.single = c.tracing || c.ops.answersEach()
	return l
}

// withoutJSON returns the text before the first brace or quote, if text looks like a misspelled
// CONNECT or begins with its JSON: what follows may be a password.
func withoutJSON(text []byte) []byte {
	at := bytes.IndexAny(text, `{"`)
	if at >= 0 && (at == 0 || upper(text[0]) == 'C') {
		return text[:at]
	}
	return text
}

// frameCloseReasons are the reasons to close a connection after a framing error.
var frameCloseReasons = [...]closeReason{
	frameUnknown:   closeUnknownOp,
	frameArgs:      closeBadArgs,
	frameSize:      closeBadArgs,
	frameHeader:    closeBadArgs,
	frameLineLimit: closeMaxControlLine,
	framePayload:   closeMaxPayload,
}

// badFrame logs a framing error and returns the reason to close the connection.
func (c *conn) badFrame(err frameError, o *op) closeReason {
	switch err {
	case frameUnknown:
		text := withoutJSON(c.in.Unread())
		c.errorf("%s parser ERROR, state=%d, i=%d: proto='%q...'", c.ops.label(), 0, 0, text[:min(len(text), 32)])
	case frameArgs:
		c.errorf("%s Parse Error: '%s'", parserNames[o.verb], printable(o.args))
	case frameSize:
		c.errorf("%s Bad or Missing Size: '%s'", parserNames[o.verb], printable(o.args))
	case frameHeader:
		c.errorf("%s Bad Headers: '%s'", parserNames[o.verb], printable(o.args))
	case framePayload:
		c.errorf("maximum payload exceeded: %s vs %d", printable(o.arg[o.argCount-1]), c.frameLimits().payload)
	}
	return frameCloseReasons[err]
}

// parserNames are the names of argument parsers in log lines of gnatsd 1.x.
var parserNames = [verbCount]string{
	verbHmsg:  "processRoutedHeaderMsgArgs",
	verbHpub:  "processHeaderPub",
	verbLink:  "processLink",
	verbMsg:   "processMsgArgs",
	verbPub:   "processPub",
	verbSub:   "processSub",
	verbUnsub: "processUnsub",
}

// maxPrinted bounds the bytes of a peer's text in a log line.
const maxPrinted = 128

// printable returns text for a log line: cut at maxPrinted bytes, with control bytes escaped.
func printable(text []byte) string {
	return conf.Printable(string(text[:min(len(text), maxPrinted)]))
}

// quotedStart returns text for a log line in quotes, cut at maxPrinted bytes.
func quotedStart(text string) string {
	if len(text) <= maxPrinted {
		return strconv.Quote(text)
	}
	return strconv.Quote(text[:maxPrinted]) + "..."
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

// markActive says that something else than messages was received.
func (c *conn) markActive() {
	now := time.Now().UnixNano()
	c.lastActive.Store(now)
	c.lastIn.Store(now)
}

// close asks the reader to end the connection, and does not wait for it. The first reason counts.
// Any goroutine may call it.
func (c *conn) close(r closeReason) {
	if c.ending.CompareAndSwap(0, uint32(r)) {
		c.wake()
	}
}

// wake ends what the reader waits for.
func (c *conn) wake() {
	c.out.End(c.finishTime())
	c.nc.SetReadDeadline(aLongTimeAgo)
	if c.unpark() {
		go c.serve() // ends with teardown
	}
	if cancel := c.abort.Load(); cancel != nil {
		(*cancel)()
	}
}

// finishTime is how long what is pending may take to be written when the connection has ended.
func (c *conn) finishTime() time.Duration {
	if closeRows[c.reason()].abrupt {
		return 0
	}
	return finishWait
}

// abortable returns a context that is canceled when the connection is closed, for the reader to
// wait for something other than the socket. It must call done afterwards.
func (c *conn) abortable() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.abort.Store(&cancel)
	c.link.EndTurn()
	if c.ended() {
		cancel()
	}
	return ctx, func() {
		c.abort.Store(nil)
		cancel()
	}
}

// resetLook is how often a connection that waits for something else is asked whether the peer has reset
// it.
const resetLook = 500 * time.Millisecond

// abortableByReset is abortable for a wait that may be long. It also ends, and the connection is
// closed, when the peer has reset the connection: the reader does not notice, as it does not read.
func (c *conn) abortableByReset() (ctx context.Context, done func()) {
	ctx, end := c.abortable()
	var timer atomic.Pointer[time.Timer]
	timer.Store(time.AfterFunc(resetLook, func() { // ends with ctx
		switch t := timer.Load(); {
		case ctx.Err() != nil || t == nil:
		case netio.PeerStateOf(c.nc) == netio.PeerReset:
			c.close(closeReadError)
		default:
			t.Reset(resetLook)
		}
	}))
	return ctx, func() {
		end()
		timer.Load().Stop()
	}
}

// startStepTimer closes the connection for a reason unless stopStepTimer is called within d.
func (c *conn) startStepTimer(d time.Duration, r closeReason) {
	c.stepTimer = admission.AfterFunc(d, func() { c.close(r) })
}

// stopStepTimer stops the timer, if there is one.
func (c *conn) stopStepTimer() {
	if c.stepTimer != nil {
		c.stepTimer.Stop()
		c.stepTimer = nil
	}
}

func (c *conn) ended() bool { return c.ending.Load() != 0 }

func (c *conn) reason() closeReason { return closeReason(c.ending.Load()) }

const (
	// finishWait bounds the time that teardown waits for the write queue to be written, and for what
	// the socket holds.
	finishWait = time.Second
	// lameDuckWait is how long it waits for what the socket holds in lame duck mode, until the server ends.
	lameDuckWait = 10 * time.Second
)

// teardown ends the connection. The reader calls it last.
func (c *conn) teardown() {
	cl, isClient := c.ops.(*client)
	if isClient {
		c.srv.leaving.Add(1)
		c.srv.clients.leave(cl) // before settle: a client that counts and cannot be evicted keeps others out
	}
	r := c.reason()
	row := &closeRows[r]
	c.stopPing()
	c.settle()
	taken := c.srv.memoryTaken()
	subs := c.dropSubs()
	c.srv.peak.note(taken + 2*subs.text)
	c.logClose(row)
	c.ops.unregister(r, &subs)
	c.passOn(row, &subs)
	if isClient {
		c.srv.leaving.Add(-1)
	}
	wait, begun := c.finishTime(), time.Now()
	if row.wire != "" && !c.omitErr {
		c.sendErr(row.wire)
	}
	c.out.Finish(wait)
	left, _ := c.out.Leave(0) // of what is given to no other
	left.Release()
	switch {
	case c.omitErr || c.srv.fewDescriptors(c.role):
	case row.linger:
		c.linger()
	case row.received:
		c.awaitReceived(begun)
	}
	if wait == 0 {
		c.nc.Close() // else TLS would wait to send close_notify to a peer that does not read
	}
	c.link.Close()
	if isSocket(c.nc) {
		c.srv.sockets.of(c.role).Add(-1)
	}
	c.in.Clear()
	c.srv.io.Hold(&c.in)
	c.reportLeftOut()
	c.debugf("%s connection closed", c.ops.label())
	c.srv.slots.give(c.slot)
	c.srv.conns.Done()
}

func (c *conn) logClose(row *closeRow) {
	switch row.level {
	case levelDebug:
		c.debugf("%s", row.log)
	case levelError:
		c.errorf("%s", row.log)
	}
}

// linger lets the peer read what it was sent last: closing a socket with unread input resets the
// connection, and the peer may lose what it has not read. So linger discards input for up to
// lingerTime. It is not for peers that send too much or do not answer: their next write must fail.
func (c *conn) linger() {
	nc := c.link.Conn()
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	nc.SetReadDeadline(time.Now().Add(lingerTime))
	var scrap [512]byte
	for n := 0; n < lingerBytes; {
		k, err := nc.Read(scrap[:])
		if err != nil {
			return
		}
		n += k
	}
}

// awaitReceived lets a peer that goes on to send receive what the socket holds, as far as that is known.
// Lame duck mode does not hurry, but the end of the server does.
func (c *conn) awaitReceived(begun time.Time) {
	c.out.AwaitReceived(func() bool {
		waited := time.Since(begun)
		return waited < finishWait || waited < lameDuckWait && c.reason() == closeLameDuck && !c.srv.ended()
	})
}

// Bounds of linger, in time and bytes.
const (
	lingerTime  = 200 * time.Millisecond
	lingerBytes = 256 << 10
)

// send queues text for the peer. Any goroutine may call it.
func (c *conn) send(text string) {
	c.sendAppended(func(b []byte) []byte { return append(b, text...) })
}

// sendAppended queues what add appends for the peer. Any goroutine may call it.
func (c *conn) sendAppended(add func(b []byte) []byte) {
	t := texts.Get().(*textBuffer)
	t.bytes = add(t.bytes[:0])
	t.segment[0].Bytes = t.bytes
	t.delivery = netio.Delivery{Segments: t.segment[:], Bytes: len(t.bytes)}
	c.out.Push(&t.delivery)
	if cap(t.bytes) <= maxTextBuffer {
		texts.Put(t)
	}
}

// push queues text for the peer. It reports false if the connection takes nothing any more.
func (c *conn) push(text []byte) bool {
	d := netio.Delivery{Segments: []netio.Segment{{Bytes: text}}, Bytes: len(text)}
	c.out.Push(&d)
	return !d.Refused
}

// maxTextBuffer bounds the memory that is kept for texts. INFO is the longest that is common.
const maxTextBuffer = 32 << 10

// textBuffer is memory for a text that is sent: a server whose clients all come at once would have
// to collect one of each.
type textBuffer struct {
	bytes    []byte
	segment  [1]netio.Segment
	delivery netio.Delivery
}

var texts = sync.Pool{New: func() any { return new(textBuffer) }}

// sendErr queues an -ERR.
func (c *conn) sendErr(text string) {
	if c.tracing {
		c.tracef("<<- [-ERR %s]", text)
	}
	c.send("-ERR '" + text + "'\r\n")
}

// SlowConsumer implements netio.Owner: the connection has exceeded a limit of its write queue.
func (c *conn) SlowConsumer(exceeded netio.Limit) {
	if exceeded == netio.LimitDeadline {
		c.slowConsumer(closeSlowDeadline)
		return
	}
	c.slowConsumer(closeSlowPending)
}

// slowConsumer closes a connection that does not keep up, and logs it.
func (c *conn) slowConsumer(r closeReason) {
	if c.ended() {
		return
	}
	stats := c.out.Stats()
	c.slowStats.CompareAndSwap(nil, &stats) // first: the record of the closed connection has it
	if !c.ending.CompareAndSwap(0, uint32(r)) {
		return
	}
	c.srv.counters.slow(c.role, r)
	c.logSlow(r, &stats)
	c.wake()
}

// Dropped implements netio.Owner: the connection has lost messages. The first of a backlog are
// logged.
func (c *conn) Dropped(lost netio.Lost, by netio.DropPolicy, first bool) {
	c.srv.counters.dropped[by].Add(lost.Messages)
	if !first {
		return
	}
	stats, policy := c.out.Stats(), access.SlowConsumer(slices.Index(dropPolicies[:], by))
	c.limitedf(levelWarn, "Slow Consumer: messages are dropped (%s, %s, %d bytes pending for %v%s)",
		policy, c.ops.describePeer(), stats.Pending, stats.Lag.Round(time.Millisecond), mostOn(stats.Subject))
}

// WriteFailed implements netio.Owner: a write to the socket failed.
func (c *conn) WriteFailed(err error) {
	if isTimeout(err) {
		return // SlowConsumer has been called
	}
	c.logBroken("Error flushing: %v", err)
	c.close(closeWriteError)
}

// isTimeout reports whether err says that a deadline has passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isEOF reports whether err says that the peer has closed the connection.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
