package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/access"
	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/netio"
	"gnatsd/sublist"
)

// conn is what a client and a route have in common: a socket, a reader that
// owns it, a way out, subscriptions and the end.
//
// Its life is serve: receive, work, and again; then teardown. The goroutine
// that runs serve is the only one that reads, acts and tears down. Everybody
// else may push to out, or ask for the end with close.
type conn struct {
	// Set once, before the reader starts.
	srv        *Server
	id         uint64
	slot       uint32 // index in the registry; free for another after teardown
	role       role
	ops        operator      // what this role does with operations
	auth       authenticator // the login of this role; nil if it has none
	nc         net.Conn      // the socket; what goes over it, TLS included, is link's
	link       netio.Link
	start      int64  // UnixNano
	tracing    bool   // sampled when the connection was made
	routeGroup string // of the plain subscriptions of a route, see routeGroupPrefix

	// Owned by the reader.
	in        netio.ReadBuffer
	readLimit int                            // bytes asked for in one read
	cursor    *sublist.Cursor[*subscription] // nil until it publishes
	noEcho    bool                           // its own messages do not come back
	moving    bool                           // set up: the reader moves to a small stack
	locked    bool                           // nothing but CONNECT is listened to
	mute      bool                           // it ends without a word
	limit     *admission.Timer               // of the step of its way in that it is at; nil if there is none
	deferred  *deferredReplies               // nil while replies go out at once
	routedTo  map[string]*subscription       // by route id, of queues; see queueMember
	announced int64                          // number of its latest subscription that routes are told; 0 = none

	// Guarded by mu.
	mu    sync.Mutex
	subs  map[string]*subscription // by sid
	gone  bool                     // subscriptions were dropped, none may come
	ping  pinger
	login *access.Identity // what it is bound to; nil before its login
	// opts is what the peer showed in CONNECT; nil before. Only the reader changes it, and may
	// read it without mu; what it points to never changes.
	opts *ConnectOptions
	// Set by the reader, once, when the TLS handshake is complete.
	tls                   *tls.Conn // nil without TLS, and before
	tlsVersion, tlsCipher uint16    // 0 without it

	// Atomic.
	headers    atomic.Bool                        // the peer takes HMSG
	ending     atomic.Uint32                      // closeReason; 0 while it lives
	abort      atomic.Pointer[context.CancelFunc] // what the reader waits for, if not the socket
	lag        atomic.Pointer[netio.Stats]        // how far behind a slow consumer was
	inMsgs     atomic.Int64
	inBytes    atomic.Int64
	lastActive atomic.Int64 // UnixNano of messages or interest, not of pings

	out netio.WriteQueue
}

// operator is a role: it acts on framed operations.
type operator interface {
	// do acts on one operation. Any other result than keepOpen closes the connection.
	do(o *op, b *batch) closeReason
	// answersEach reports whether every single operation has to be answered.
	answersEach() bool
	// leave is called once, by the reader, when the connection has ended. had are
	// the subscriptions it had until then.
	leave(reason closeReason, had map[string]*subscription)
	// identity says who the peer is, for the log: name and user.
	identity() string
	// label is the word for the role's connections in the log.
	label() string
}

// aLongTimeAgo is a deadline that wakes whoever waits.
var aLongTimeAgo = time.Unix(1, 0)

// init prepares a connection. The role's fields are set by its constructor.
func (c *conn) init(s *Server, r role, nc net.Conn, ops operator) {
	c.srv, c.role, c.ops = s, r, ops
	c.id = s.nextID.Add(1)
	c.slot = s.slots.take()
	c.start = time.Now().UnixNano()
	c.lastActive.Store(c.start)
	c.tracing = s.log.tracing()
	c.readLimit = netio.ReadSize
	c.nc, c.link = nc, netio.NewLink(nc, &s.io)
	c.out.Init(c.link, c, &s.io, s.writeLimits.Load())
}

// peer returns the address of the peer, without brackets; "" if it has none.
func (c *conn) peer() (host string, port int) {
	tcp, ok := c.nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return "", 0
	}
	return tcp.IP.String(), tcp.Port
}

// serve runs the connection until it ends.
//
// Setting up a connection (INFO, TLS, CONNECT) takes much more stack than
// waiting does, and stacks shrink late. So once the connection is set up it
// goes on, one time, on a goroutine that starts small.
func (c *conn) serve() {
	for c.receive() {
		if r := c.work(); r != keepOpen {
			c.close(r)
			break
		}
		if c.moving {
			c.moving = false
			go c.serve() // the reader from here on; this one ends
			return
		}
	}
	c.teardown()
}

// receive waits for bytes that are worth looking at. It reports false when the
// connection has ended.
func (c *conn) receive() bool {
	for {
		_, err := c.link.Recv(&c.in, c.readLimit)
		switch {
		case c.ended():
			return false
		case err == nil:
			if !c.in.Incomplete() {
				return true
			}
		case isEOF(err):
			c.close(closeClient)
			return false
		default:
			c.close(closeReadError)
			return false
		}
	}
}

// readerScratch is what a reader borrows while it acts on what it has read.
type readerScratch struct {
	op     op
	limits frameLimits
	batch  batch
}

func newReaderScratch(s *Server) *readerScratch {
	return &readerScratch{batch: batch{srv: s, groupOf: map[*sublist.Set[*subscription]]uint32{}}}
}

// work acts on the operations that have been read. Everything they cause has been handed over
// when it returns.
func (c *conn) work() closeReason {
	c.srv.io.BusyPoll.Begin()
	w := c.srv.scratch.Get().(*readerScratch)
	w.batch.begin(c)
	w.limits = c.frameLimits()
	defer c.endWork(w)
	b, o := &w.batch, &w.op
	for !c.in.Incomplete() {
		unread := c.in.Unread()
		if c.locked {
			if r := c.beforeLogin(unread[0]); r != keepOpen {
				return r
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
		if c.tracing {
			c.traceIn(o)
		}
		b.at = uint32(c.in.Offset())
		if r := c.ops.do(o, b); r != keepOpen {
			return r
		}
		c.in.Consume(n)
		if o.verb == verbConnect {
			w.limits = c.frameLimits()
		}
		if b.due() {
			b.flush()
		}
	}
	return keepOpen
}

// endWork flushes the batch and gives the scratch memory back.
func (c *conn) endWork(w *readerScratch) {
	w.batch.end()
	w.op = op{}
	c.srv.scratch.Put(w)
	c.flushCursor()
	c.srv.shed()
	c.srv.io.BusyPoll.End()
}

// frameLimits are what the framing of the connection depends on now.
func (c *conn) frameLimits() frameLimits {
	opts := c.srv.options()
	l := frameLimits{role: c.role, line: opts.MaxControlLine, payload: opts.MaxPayload}
	if c.role == roleRoute && !c.locked { // before the login a route may cost no more than a client
		l = routeFrameLimits(opts)
	}
	l.single = c.tracing || c.ops.answersEach()
	return l
}

// withoutJSON returns what precedes an opening brace or quote in what looks like
// a misspelled CONNECT, or its JSON alone: what follows may be a password.
func withoutJSON(text []byte) []byte {
	at := bytes.IndexAny(text, `{"`)
	if at >= 0 && (at == 0 || upper(text[0]) == 'C') {
		return text[:at]
	}
	return text
}

// frameEnds says how each framing error ends a connection.
var frameEnds = [...]closeReason{
	frameUnknown:   closeUnknownOp,
	frameArgs:      closeBadArgs,
	frameSize:      closeBadArgs,
	frameHeader:    closeBadArgs,
	frameLineLimit: closeMaxControlLine,
	framePayload:   closeMaxPayload,
}

// badFrame logs bytes that are no operation, and says how that ends.
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
		c.errorf("maximum payload exceeded: %s vs %d", printable(o.word[o.words-1]), c.srv.options().MaxPayload)
	}
	return frameEnds[err]
}

// parserNames are what the classic broker calls its argument parsers in logs.
var parserNames = [verbCount]string{
	verbHmsg:  "processRoutedHeaderMsgArgs",
	verbHpub:  "processHeaderPub",
	verbMsg:   "processMsgArgs",
	verbPub:   "processPub",
	verbSub:   "processSub",
	verbUnsub: "processUnsub",
}

// maxPrinted bounds how much of a peer's text goes into an error line.
const maxPrinted = 128

// printable returns text for a log line: control bytes escaped, cut.
func printable(text []byte) string {
	return conf.Printable(string(text[:min(len(text), maxPrinted)]))
}

// counted adds the messages of a batch that ended at now (UnixNano).
func (c *conn) counted(msgs, bytes, now int64) {
	c.inMsgs.Add(msgs)
	c.inBytes.Add(bytes)
	c.srv.counters.in(msgs, bytes)
	c.lastActive.Store(now)
}

// match returns who is subscribed to a subject.
func (c *conn) match(subject []byte) *sublist.Result[*subscription] {
	if c.cursor == nil {
		c.cursor = new(sublist.Cursor[*subscription])
	}
	return c.cursor.Match(c.srv.subs, subject)
}

// flushCursor adds what was matched to the statistics.
func (c *conn) flushCursor() {
	if c.cursor != nil {
		c.cursor.Flush(c.srv.subs)
	}
}

// active notes that the connection did something that matters.
func (c *conn) active() { c.lastActive.Store(time.Now().UnixNano()) }

// close asks the connection to end. The first reason counts. It may be called
// from anywhere and does not wait.
func (c *conn) close(r closeReason) {
	if c.ending.CompareAndSwap(0, uint32(r)) {
		c.wake()
	}
}

// wake ends whatever the reader waits for.
func (c *conn) wake() {
	c.nc.SetReadDeadline(aLongTimeAgo)
	if cancel := c.abort.Load(); cancel != nil {
		(*cancel)()
	}
}

// abortable returns a context that ends when the connection is closed, for
// waiting on something else than its socket. done must be called.
func (c *conn) abortable() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.abort.Store(&cancel)
	if c.ended() {
		cancel()
	}
	return ctx, func() {
		c.abort.Store(nil)
		cancel()
	}
}

// setLimit ends the connection for a reason unless endLimit is called in time.
func (c *conn) setLimit(d time.Duration, r closeReason) {
	c.limit = c.srv.limiter.AfterFunc(d, func() { c.close(r) })
}

// endLimit ends what setLimit began, if anything.
func (c *conn) endLimit() {
	if c.limit != nil {
		c.limit.Stop()
		c.limit = nil
	}
}

func (c *conn) ended() bool { return c.ending.Load() != 0 }

func (c *conn) reason() closeReason { return closeReason(c.ending.Load()) }

// finishWait bounds how long what is queued may take to go out at the end.
const finishWait = time.Second

// teardown ends the connection. It is the reader's last act.
func (c *conn) teardown() {
	r := c.reason()
	row := &closeRows[r]
	c.stopPing()
	had := c.dropSubs()
	c.flushCursor()
	c.logEnd(row)
	c.ops.leave(r, had)
	wait := finishWait
	if r == closeSlowPending || r == closeSlowDeadline || r == closeSlowTotal || r == closeWriteError {
		wait = 0
	}
	words := row.wire != "" && !c.mute
	if words {
		c.sendErr(row.wire)
	}
	c.out.Finish(wait)
	if words || row.linger {
		c.linger()
	}
	if wait == 0 {
		c.nc.Close() // TLS would want to say goodbye, to a peer that does not listen
	}
	c.link.Conn().Close()
	c.in.Clear()
	c.debugf("%s connection closed", c.ops.label())
	c.srv.slots.give(c.slot)
	c.srv.conns.Done()
}

func (c *conn) logEnd(row *closeRow) {
	switch row.level {
	case levelDebug:
		c.debugf("%s", row.log)
	case levelError:
		c.errorf("%s", row.log)
	}
}

// linger lets the peer read the last words: closing a socket with unread input
// resets it, and may take them away again. It reads on for a moment.
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

// Bounds of linger.
const (
	lingerTime  = 200 * time.Millisecond
	lingerBytes = 4 << 20
)

// send queues text for the peer from any goroutine.
func (c *conn) send(text string) {
	c.out.Push(&netio.Delivery{Segments: []netio.Segment{{Bytes: []byte(text)}}, Bytes: len(text)})
}

// sendErr queues an -ERR.
func (c *conn) sendErr(text string) {
	if c.tracing {
		c.tracef("<<- [-ERR %s]", text)
	}
	c.send("-ERR '" + text + "'\r\n")
}

// SlowConsumer ends a connection that has exceeded a limit of its write queue.
func (c *conn) SlowConsumer(exceeded netio.Limit) {
	if exceeded == netio.LimitDeadline {
		c.slowConsumer(closeSlowDeadline)
		return
	}
	c.slowConsumer(closeSlowPending)
}

// slowConsumer ends a connection that does not take what it subscribed to.
func (c *conn) slowConsumer(r closeReason) {
	if c.ended() {
		return
	}
	stats := c.out.Stats()
	c.lag.CompareAndSwap(nil, &stats) // before the end: the closed record tells it
	if !c.ending.CompareAndSwap(0, uint32(r)) {
		return
	}
	c.srv.counters.slow(c.role, r)
	c.logSlow(r, &stats)
	c.wake()
}

// WriteFailed ends a connection whose socket is broken.
func (c *conn) WriteFailed(err error) {
	if isTimeout(err) {
		return // the slow consumer it is has been closed
	}
	c.debugf("Error flushing: %v", err)
	c.close(closeWriteError)
}

// isTimeout reports whether err is a deadline that passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isEOF reports whether err says that the peer closed.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
