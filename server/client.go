package server

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/sublist"
)

// client is a connection to the client port. Its methods say what each verb means there.
type client struct {
	conn

	// Set once, before the reader starts.
	nonce     string // sent in INFO, to be signed by clients with an nkey; "" if no user has one
	inProcess bool   // without a socket, and without TLS

	// Owned by the reader.
	connected    bool // a CONNECT was accepted
	verbose      bool
	pedantic     bool
	unsubscribed bool            // it has sent UNSUB since the last PING
	refused      *ConnectOptions // with which it could not log in; nil unless that is so
	decisions    access.Cache    // about subjects that it publishes to
	ofAddress    bool            // it is counted for its address

	// Atomic.
	permissions atomic.Pointer[access.Permissions] // nil if it may do everything
	replies     atomic.Pointer[access.Replies]     // nil until one is noted

	// Guarded by registry.mu.
	leaves bool // it is being closed, and does not count any more

	// Guarded by conn.mu.
	pinged       bool  // the first PING has been answered
	infoPending  bool  // INFO changed before that, and has to be sent after it
	payloadLimit int32 // of the user, that INFO has or is going to have; 0 = none
	infoEnd      int64 // of the bytes pushed, where the last INFO ends at the latest; 0 = none was sent since the first PONG
}

// defaultConnectOptions are those of a client that has not sent CONNECT.
var defaultConnectOptions = ConnectOptions{Verbose: true, Pedantic: true, Echo: true}

// newClient prepares a client; serve runs it.
func newClient(s *Server, nc net.Conn) *client {
	c := &client{verbose: true, pedantic: true}
	c.conn.init(s, roleClient, nc, c)
	c.opts = &defaultConnectOptions
	if s.policy.Load().auth.Challenges() {
		c.nonce = access.NewNonce()
	}
	return c
}

func (c *client) label() string { return "Client" }

func (c *client) answersEach() bool { return c.verbose }

// describePeer returns the name and the user of the client, as far as they are known.
func (c *client) describePeer() string {
	return fmt.Sprintf("name %q, user %q", c.connectOptions().Name, c.user())
}

const (
	answerOK   = "+OK\r\n"
	answerPong = "PONG\r\n"
)

// do acts on one operation of a client.
func (c *client) do(o *op, b *batch) closeReason {
	if o.verb == verbPub {
		return c.pub(o, b)
	}
	switch o.verb {
	case verbHpub:
		if !c.opts.Headers {
			return closeNoHeaders
		}
		return c.pub(o, b)
	case verbConnect:
		return c.connect(o, b)
	case verbSub:
		return c.sub(o, b)
	case verbUnsub:
		return c.unsub(o, b)
	case verbPing:
		c.dropStale()
		c.noteAsked()
		return c.answerPing(b)
	case verbPong:
		c.dropStale()
		c.pong()
	case verbInfo:
		return c.info(o)
	case verbErr:
		c.errorf("Client Error %s", printable(o.args))
		return closePeerError
	}
	return keepOpen
}

// ok answers an accepted operation in verbose mode, before the messages that follow from it.
func (c *client) ok(b *batch) {
	if c.verbose {
		if c.deferred != nil {
			b.flush() // no grace period may wait for a batch that waits for it
			c.awaitReplies()
		}
		if c.tracing {
			c.tracef("<<- [OK]")
		}
		b.reply(answerOK)
	}
}

// refuse answers an operation that is not accepted but leaves the connection open.
func (c *client) refuse(b *batch, text string) {
	if c.tracing {
		c.tracef("<<- [-ERR %s]", text)
	}
	b.reply("-ERR '" + text + "'\r\n")
}

// connect handles CONNECT. Options that it does not mention keep their values.
func (c *client) connect(o *op, b *batch) closeReason {
	b.steps += connectSteps
	opts, err := c.opts.merge(o.args)
	if err != nil {
		c.errorf("%v", connectError(err))
		return closeBadArgs
	}
	if !c.mayLogIn() {
		if c.logsAddress() {
			c.errorf("max_logins_per_second_per_address exceeded")
		}
		return closeThrottled
	}
	if r := c.logIn(opts, b); r != keepOpen {
		c.refused = opts
		return r
	}
	if !c.enterAccount() {
		return closeAuthFailure
	}
	c.shareOptions(opts)
	if opts.Protocol != 0 && opts.Protocol != 1 {
		return closeBadProtocol
	}
	if opts.NoResponders && !opts.Headers {
		return closeNeedsHeaders
	}
	first := !c.connected
	if !first {
		b.flush()            // what was published before is for subscriptions as they were
		c.replies.Store(nil) // they may be another user's
	}
	c.freshStack = first
	c.connected = true
	c.verbose, c.pedantic, c.noEcho = opts.Verbose, opts.Pedantic, !opts.Echo
	c.headers.Store(opts.Headers)
	c.noteActive()
	if first {
		c.announceConnected()
	}
	c.ok(b)
	if first && opts.Lang != "" && opts.Protocol >= 1 {
		c.measureRTT()
	}
	return keepOpen
}

// merge returns a copy of the options in which those that a CONNECT mentions are replaced.
func (o *ConnectOptions) merge(text []byte) (*ConnectOptions, error) {
	merged := *o
	if err := json.Unmarshal(text, &merged); err != nil {
		return nil, err
	}
	return &merged, nil
}

// shareOptions replaces opts by equal options of the client that connected before, if there are
// any: often many clients connect with the same options. The caller has accepted the login; options
// of clients that did not log in are never kept or compared.
func (c *client) shareOptions(opts *ConnectOptions) {
	last := c.srv.lastOptions.Load()
	if last == nil || !last.equal(opts) {
		c.srv.lastOptions.Store(opts)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opts == opts {
		c.opts = last
	}
}

// equal reports whether two clients have the same options. It compares secrets in constant time.
func (o *ConnectOptions) equal(other *ConnectOptions) bool {
	a, b := *o, *other
	equal := subtle.ConstantTimeCompare([]byte(a.Password), []byte(b.Password)) &
		subtle.ConstantTimeCompare([]byte(a.Authorization), []byte(b.Authorization))
	a.Password, b.Password, a.Authorization, b.Authorization = "", "", "", ""
	return equal == 1 && a == b
}

// pub handles PUB and HPUB.
func (c *client) pub(o *op, b *batch) closeReason {
	b.inMsgs += int64(o.count)
	b.inBytes += int64(o.count) * int64(o.size)
	subject, reply := o.arg[0], o.reply()
	count, usual := o.count, true
	if c.pedantic && !sublist.ValidLiteral(string(subject)) {
		usual = false
		for range count {
			c.refuse(b, wireInvalidPublish)
		}
	}
	if d := c.mayPublish(subject); !d.Allowed() {
		usual = false
		if d.OfSystem() {
			if d = c.mayAsk(subject, d); d.Allowed() {
				c.askSystem(subject, reply, o, b)
				return keepOpen
			}
		}
		count = c.mayRespond(subject, count)
		for range o.count - count {
			c.denyPublish(subject, d, b)
		}
		if count == 0 {
			return keepOpen
		}
	}
	if c.verbose {
		c.ok(b)
	}
	b.pin()
	res := b.lookUp(subject)
	if res.Empty() {
		b.steps += count
		c.unheard(subject, reply, count, o.size, b, nil)
		return keepOpen
	}
	p := b.add(subject, reply, o)
	p.n = uint32(count)
	if usual {
		b.remember(p.line, o, res)
	}
	b.publishAll(res, subject, p)
	return keepOpen
}

// unheard counts n messages that have no receiver, and answers them if they are requests and the
// client wants to know. It flushes the batch when that is due, but keeps the line of p, if there is one.
func (c *client) unheard(subject, reply []byte, n, size int, b *batch, p *place) {
	b.noReceivers += int64(n)
	if b.readAt != 0 || b.unheard.seen == 0 {
		b.noteUnheard(subject, n, size)
	}
	if len(reply) > 0 && c.opts.NoResponders {
		reply = bytes.Clone(reply) // a flush may overwrite it
		for range n {
			b.noResponders(subject, reply)
			b.flushIfDue(p)
		}
	}
}

// sub handles SUB. Clients depend on the order of its checks.
func (c *client) sub(o *op, b *batch) closeReason {
	subject, queue, sid := o.subArgs()
	c.noteActive()
	p := c.permissions.Load()
	if !c.maySubscribe(p, o, b) {
		return keepOpen
	}
	if limit := c.srv.options().MaxSubs; limit > 0 && c.subCount() >= limit || c.subsFull() {
		c.refuseSub(b)
		return keepOpen
	}
	if c.subOf(sid) == nil {
		if !sublist.ValidSubject(string(subject)) {
			c.refuse(b, wireInvalidSubject)
			return keepOpen
		}
		sub := newSubscription(&c.conn, subject, queue, sid)
		sub.filter.Store(p.Filter(sub.subject(), sub.queue()))
		if c.subscribe(sub) {
			c.refuseSub(b)
			return keepOpen
		}
		b.newest = sub
		if c.permissions.Load() != p {
			c.recheck(b.reply) // a reload may have missed it
		}
	}
	c.ok(b)
	return keepOpen
}

// refuseSub refuses a subscription of which there are too many.
func (c *client) refuseSub(b *batch) {
	c.refuse(b, wireMaxSubscriptions)
	c.limitedf(levelError, "%s", wireMaxSubscriptions)
}

// unsub handles UNSUB. Without a limit, or with one that is not a positive number, the subscription
// ends at once.
func (c *client) unsub(o *op, b *batch) closeReason {
	c.noteActive()
	c.unsubscribed = true // a subscription that has ended already may still be in a batch
	if sub := c.subOf(o.arg[0]); sub != nil {
		limit := int64(0)
		if o.argCount == 2 {
			if b.mayHold(sub) {
				b.flush() // messages that were published before count
			}
			limit = unsubLimit(o.arg[1])
		}
		c.unsubscribeAfter(sub, limit)
	}
	c.ok(b)
	return keepOpen
}

// unsubLimit returns the limit in UNSUB, 0 if that is not a positive number: one without a sign, as in 1.x.
func unsubLimit(arg []byte) int64 {
	n, err := strconv.ParseUint(string(arg), 10, 63)
	if err != nil {
		return 0
	}
	return min(int64(n), endedBit-1)
}

// answerPing handles PING. A PONG after UNSUB promises that no message of the subscription follows:
// it is deferred while other batches may hold one. After the first PONG a client of protocol 1
// receives asynchronous INFO.
func (c *client) answerPing(b *batch) closeReason {
	if c.unsubscribed {
		c.unsubscribed = false
		b.flush() // other connections may be waiting for this batch
		if c.srv.grace.MayHold(c.slot) {
			c.deferReplies()
		}
	}
	if c.tracing {
		c.tracef("<<- [PONG]")
	}
	b.reply(answerPong)
	if c.pinged {
		return keepOpen
	}
	c.settle()
	c.awaitReplies()
	b.flush() // asynchronous INFO, which may be sent from now on, must follow PONG
	c.mu.Lock()
	c.pinged = true
	pending := c.infoPending
	c.infoPending = false
	c.mu.Unlock()
	if pending && c.opts.Protocol >= 1 {
		b.reply(string(c.appendInfo(nil)))
	}
	return keepOpen
}

// info handles INFO, which has no effect if a client sends it.
func (c *client) info(o *op) closeReason {
	if !json.Valid(o.args) {
		c.errorf("INFO: invalid JSON: '%s'", printable(o.args))
		return closeBadArgs
	}
	return keepOpen
}

// infoChanged sends INFO to the client, after its first PONG at the earliest.
func (c *client) infoChanged() {
	c.mu.Lock()
	ready := c.pinged && c.opts.Protocol >= 1
	c.infoPending = !c.pinged
	c.mu.Unlock()
	if !ready {
		return
	}
	c.sendAppended(c.appendInfo)
	end, _ := c.out.Progress()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.infoEnd = end
}

// renewInfo is infoChanged for INFO that may change often. It reports false, and sends nothing, while
// the client has not taken the INFO before: a client that does not read would have many pending, and be
// disconnected for them.
func (c *client) renewInfo() bool {
	c.mu.Lock()
	end := c.infoEnd
	c.mu.Unlock()
	if !c.out.Taken(end) {
		return false
	}
	c.infoChanged()
	return true
}

// unregister moves the client from the registry to the closed connections.
func (c *client) unregister(r closeReason, subs *subscriptions) {
	c.stopStepTimer()
	c.recordClosed(r, subs)
	c.srv.clients.remove(c)
	c.srv.parking.removeEnded()
	if sketch := c.subjects.Load(); sketch != nil {
		sketch.MergeInto(c.srv.goneSubjects, time.Now().UnixNano())
	}
	c.leaveAccount()
	c.leaveUser()
	c.leaveAddress()
	c.announceDisconnected(r)
}
