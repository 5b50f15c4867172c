package server

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/netio"
)

// This file sends the interest of local clients to routes: one line for each subscription that is
// added or removed.
//
// A change of a subscription is queued for every route while the lock of its client is held. At the
// end of a batch, before any PONG, the queues are sent, a piece of some lines at a time: one piece
// by the reader of the client, unless another goroutine is sending, and the rest by a goroutine, at
// the pace of the peer. Clients do not wait for it.
//
// Each client has its own queue ([flow]) on each route, for as long as something is in it, and the
// flows take turns: a client with a million subscriptions delays the others by one turn. A message
// must not arrive before the interest of its own publisher: a request may be answered at once, to
// an inbox that the other server must know. So what a client publishes goes through its flow, too,
// while there is one.
//
// What waits is bounded by what exists: a SUB that waits refers to the subscription, and is dropped
// when that ends; an UNSUB waits only for a subscription that the peer has been sent. A route that
// never reads is sent window bytes of interest.
//
// A new route gets an initial sync: it is registered first, then every subscription is queued for
// it, under the lock of its client and if it still exists. So a line may be repeated, which the
// protocol permits, but none is missing, and none follows its withdrawal. What a client publishes
// to the route meanwhile follows the subscriptions of the client, which come first then.

const (
	// interestPiece is about how many bytes of lines are encoded and pushed at a time.
	interestPiece = 64 << 10
	// maxRemembered is how many queue subscriptions of a client that ends are remembered: those of
	// others are to be remembered, too.
	maxRemembered = 10_000
	// maxTurns is how many flows share a piece.
	maxTurns = 8
)

// interestQueue is the interest that must be sent to a route, and messages that must not overtake
// it.
type interestQueue struct {
	to *route

	waiting atomic.Int64 // lines of interest queued and not pushed yet
	clients atomic.Int64 // flows; and one during the initial sync
	sending atomic.Bool  // a goroutine is sending; changed with mu held

	mu       sync.Mutex // guards what follows
	flows    map[*conn]*flow
	fresh    []*flow        // have had no turn yet
	turns    []*flow        // wait for their next
	taken    []*flow        // in the piece that is being pushed
	early    map[*conn]bool // during the initial sync: clients whose subscriptions are queued
	unsynced int            // flows that have something of the initial sync, when all of it is queued
	bytes    int64          // of lines queued
	inFlight interestInFlight
	senders  sync.WaitGroup // the goroutine that is sending, and clients whose flows are set aside
	earlyAdd sync.WaitGroup // clients whose subscriptions are being queued early
	progress chan struct{}  // closed when more has been sent; nil if no goroutine waits for that
	closed   bool

	replaced chan struct{} // closed when what was left in a closed queue is in that of another carrier
	after    chan struct{} // replaced of the carrier before; nil if there was none
}

// interestChanged queues a change of a client's subscription for all routes. The caller holds
// conn.mu of the client.
func (k *cluster) interestChanged(sub *subscription, removed bool) {
	if !k.on || !k.policy.Load().announces(sub, removed) {
		return
	}
	routes := k.active()
	for _, r := range routes {
		r.interest.add(sub, removed)
	}
	if removed && sub.queue() != "" && len(routes) > 0 {
		k.closed.remember(sub)
	}
}

// pushInterest sends a piece of what is queued for each route. When it returns, the rest is being
// sent by another goroutine.
func (k *cluster) pushInterest() {
	for _, r := range k.active() {
		if r.interest.clients.Load() > 0 {
			r.interest.push()
		}
	}
}

// takes reports whether the interest of a client is for the peer: that of the system account is only
// if it has such an account.
func (q *interestQueue) takes(c *conn) bool { return !c.inSystem.Load() || q.to.hasSystem.Load() }

// add queues a change of a subscription. The caller holds conn.mu of its client.
func (q *interestQueue) add(sub *subscription, removed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || !q.takes(sub.conn) {
		return
	}
	f := q.flowLocked(sub.conn)
	if removed && q.bytes > interestPiece && f.cancel(sub) { // less is sent soon anyway
		q.countLocked(-1, -lineSize(sub))
		q.emptiedLocked(f)
		return
	}
	f.add(flowItem{sub: sub, removed: removed})
	q.countLocked(1, lineSize(sub))
}

// addCurrent queues a subscription that the route may have been sent before, if it still exists and
// is announced. It checks both under the lock of the client: a reload after which it is no longer
// announced has replaced the policy before, or withdraws the subscription afterwards.
func (q *interestQueue) addCurrent(sub *subscription) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.with(sub.sid()) == sub && q.to.srv.cluster.policy.Load().announces(sub, false) {
		q.addAgain(sub)
	}
}

// addAgain queues a subscription that the route may have been sent before.
func (q *interestQueue) addAgain(sub *subscription) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || !q.takes(sub.conn) {
		return
	}
	f := q.flowLocked(sub.conn)
	if _, queued := f.find(sub); queued {
		q.emptiedLocked(f)
		return
	}
	f.add(flowItem{sub: sub, again: true})
	q.countLocked(1, lineSize(sub))
}

// follow queues messages behind the interest of their publisher, if some of it has not been sent,
// and reports whether it did. They are for the route to, and turn is that of their path, if the route is
// in a pool.
func (q *interestQueue) follow(from *conn, d *netio.Delivery, to *route, turn uint32) (queued bool) {
	if q.clients.Load() == 0 || from.role != roleClient || from.ended() {
		return false
	}
	if q.after != nil {
		<-q.after // soon: at the end of the teardown of a lost carrier, which waits for no reader that waits
	}
	if q.enqueue(from, d, to, turn) {
		return true
	}
	if c := q.successor(); c != nil {
		return c.interest.follow(from, d, to, turn)
	}
	return false
}

// enqueue is follow for a queue that is open, and not empty.
func (q *interestQueue) enqueue(from *conn, d *netio.Delivery, to *route, turn uint32) (queued bool) {
	q.syncEarly(from)
	if !q.has(from) {
		return false
	}
	if !d.Reserved {
		d.Keep()
		d.Reserved = true
		to.out.Reserve(d.Bytes)
	}
	if !q.addMessages(from, &flowOther{messages: *d, to: to, turn: turn}) {
		return false // everything has been sent meanwhile
	}
	q.push() // unless another goroutine is sending, as is usual
	return true
}

// has reports whether something of a client is queued.
func (q *interestQueue) has(c *conn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.flows[c] != nil
}

// addMessages queues messages of a client behind what else is queued of it. It reports false if
// that is nothing.
func (q *interestQueue) addMessages(c *conn, m *flowOther) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.flows[c]
	if f == nil {
		return false
	}
	f.add(flowItem{other: m})
	return true
}

// flowLocked returns the flow of a client, making it if need be.
func (q *interestQueue) flowLocked(c *conn) *flow {
	f := q.flows[c]
	if f == nil {
		f = q.newFlowLocked(c)
		q.fresh = append(q.fresh, f)
	}
	return f
}

// newFlowLocked makes the flow of a client, which has no turn.
func (q *interestQueue) newFlowLocked(c *conn) *flow {
	if q.flows == nil {
		q.flows = map[*conn]*flow{}
	}
	f := &flow{from: c}
	q.flows[c] = f
	q.clients.Add(1)
	return f
}

// emptiedLocked forgets a flow that was made for nothing. One that has become empty otherwise is
// forgotten at its turn.
func (q *interestQueue) emptiedLocked(f *flow) {
	if k := len(q.fresh) - 1; f.len() == 0 && k >= 0 && q.fresh[k] == f {
		q.fresh[k], q.fresh = nil, q.fresh[:k]
		q.forgetLocked(f)
	}
}

func (q *interestQueue) forgetLocked(f *flow) {
	delete(q.flows, f.from)
	q.clients.Add(-1)
}

// countLocked counts lines that are queued, or no longer.
func (q *interestQueue) countLocked(lines int64, bytes int) {
	q.waiting.Add(lines)
	q.bytes += int64(bytes)
}

// push sends a piece of the queue, and has a goroutine send the rest. It does nothing if another
// goroutine is sending.
func (q *interestQueue) push() {
	if q.sending.Load() || !q.startSending() {
		return
	}
	if q.room() {
		q.sendPiece()
	}
	if !q.stopSending() {
		go q.send() // ends when the queue is empty, or with the route
	}
}

// startSending reports whether the caller may send: no other goroutine does, and there is something to
// send.
func (q *interestQueue) startSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sending.Load() || q.closed || !q.readyLocked() {
		return false
	}
	q.sending.Store(true)
	q.senders.Add(1)
	return true
}

// stopSending ends what startSending began. It reports false if there is more to send: the caller
// must continue.
func (q *interestQueue) stopSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.readyLocked() && !q.closed {
		return false
	}
	q.sending.Store(false)
	q.senders.Done()
	return true
}

// readyLocked reports whether a flow waits for its turn.
func (q *interestQueue) readyLocked() bool { return len(q.fresh)+len(q.turns) > 0 }

// send sends until the queue is empty, at the pace of the peer.
func (q *interestQueue) send() {
	for more := true; more; more = !q.stopSending() {
		q.awaitRoom()
		q.sendPiece()
	}
}

// sendPiece sends some lines, and messages between them. startSending has returned true to the
// caller.
func (q *interestQueue) sendPiece() {
	list, size := q.take()
	text := make([]byte, 0, min(size, interestPiece))
	lines, before := int64(0), 0 // bytes of lines that are pushed already
	var one [1]*subscription
	for i := range list {
		it := &list[i]
		subs := one[:]
		if one[0] = it.sub; it.sub == nil {
			subs = it.other.removed
		}
		for _, sub := range subs {
			at := len(text)
			text = appendInterest(text, sub, it.removed || it.sub == nil)
			if q.to.tracing && !it.again {
				q.to.tracef("<<- [%s]", text[at:len(text)-len("\r\n")])
			}
		}
		lines += int64(len(subs))
		switch {
		case len(subs) > 0:
		case !it.other.isEnd():
			before += len(text)
			text = q.pushMessages(text, it.other)
		case q.endReached():
			text = append(text, syncedLine...)
		}
	}
	if before+len(text) > 0 && q.mark(before, len(text)) {
		if q.to.tracing {
			q.to.tracef("<<- [PING]")
		}
		q.to.pings.Add(1)
		text = append(text, "PING\r\n"...)
	}
	q.pushLines(text)
	if lines > 0 {
		q.to.lastActive.Store(time.Now().UnixNano())
	}
	q.pushed(lines)
}

// pushMessages pushes lines, and then messages. It returns the memory for more lines.
func (q *interestQueue) pushMessages(text []byte, m *flowOther) []byte {
	text = q.pushLines(text)
	if p := q.to.pool; p != nil && m.to != q.to {
		m.to.push(appendWait(nil, q.to.number, q.to.marks.Load()))
	}
	q.deliver(m)
	return text
}

// deliver pushes messages to the connection that they are for, or another one if it takes nothing.
func (q *interestQueue) deliver(m *flowOther) {
	if m.to.out.Push(&m.messages); m.messages.Refused && (q.to.pool == nil || !q.to.pool.resend(m)) {
		m.messages.Drop()
	}
}

// pushLines pushes lines and returns the memory for more. In a pool a mark follows them.
func (q *interestQueue) pushLines(text []byte) []byte {
	if len(text) == 0 {
		return text
	}
	if q.to.pool != nil {
		text = append(text, markLine...)
		q.to.pushMark(text)
	} else {
		q.to.push(text)
	}
	return text[:0]
}

// endReached counts a flow of which everything that the initial sync has queued is sent. It reports
// whether that was the last one.
func (q *interestQueue) endReached() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unsynced--
	return q.unsynced == 0
}

// take removes a piece from the queue: some of each of several flows, new ones first. It returns
// about how many bytes its lines have.
func (q *interestQueue) take() (list []flowItem, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn := interestPiece / max(1, min(maxTurns, len(q.flows)))
	for all := 0; all < interestPiece; {
		f := q.nextFlowLocked(all)
		if f == nil {
			break
		}
		if f.ending {
			f.resting = true
			continue
		}
		var lines, messages int
		list, lines, messages = f.take(list, turn)
		all += lines + messages
		size += lines
		q.bytes -= int64(lines)
		q.taken = append(q.taken, f)
	}
	return list, size
}

// nextFlowLocked returns the flow whose turn it is. New flows come first, but have no more than
// half of a piece.
func (q *interestQueue) nextFlowLocked(taken int) (f *flow) {
	list := &q.fresh
	if len(q.fresh) == 0 || taken >= interestPiece/2 && len(q.turns) > 0 {
		list = &q.turns
	}
	if len(*list) == 0 {
		return nil
	}
	f = (*list)[0]
	(*list)[0] = nil // the array stays for a while
	*list = (*list)[1:]
	return f
}

// pushed is called when a piece has been pushed: flows that are empty end.
func (q *interestQueue) pushed(lines int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting.Add(-lines)
	for _, f := range q.taken {
		switch {
		case q.closed:
		case f.ending:
			f.resting = true
		case f.len() > 0:
			q.turns = append(q.turns, f)
		default:
			q.forgetLocked(f)
		}
	}
	clear(q.taken)
	q.taken = q.taken[:0]
	q.progressedLocked()
}

func (q *interestQueue) progressedLocked() {
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// next returns a channel that is closed when more has been sent, the peer has acted on it, or the
// queue is closed; nil if it is closed already.
func (q *interestQueue) next() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	if q.progress == nil {
		q.progress = make(chan struct{})
	}
	return q.progress
}

// resend sends messages that were left in a closed queue on other connections to the same server, if
// there are any: behind all interest of their publisher, which another carrier is sent. If there are
// none, it leaves them in the write queue of the route. It waits for the readers of clients that have
// ended and work on their flows, which wait for nothing.
func (q *interestQueue) resend(left map[*conn]*flow) {
	defer close(q.replaced)
	q.senders.Wait()
	for from, f := range left {
		for m := range f.messages {
			if c := q.to.carrier(); c != q.to && c != nil {
				if c.interest.enqueue(from, &m.messages, m.to, m.turn) {
					continue
				}
			}
			q.deliver(m)
		}
	}
}

// successor returns the carrier that has taken the place of one whose queue is closed. It waits
// until what was left there is queued behind the interest of the new one. It returns nil if the
// queue is open, or there is no other carrier.
func (q *interestQueue) successor() *route {
	if q.to.pool == nil || !q.isClosed() {
		return nil
	}
	<-q.replaced // soon: at the end of the teardown, which waits for no reader that waits
	if c := q.to.carrier(); c != q.to {
		return c
	}
	return nil
}

func (q *interestQueue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// close closes the queue and returns what was in it, for resend.
func (q *interestQueue) close() map[*conn]*flow {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.flows
	q.closed = true
	q.flows, q.fresh, q.turns = nil, nil, nil
	if q.to.pool != nil {
		q.clients.Add(1) // so that publishers look here, and find the successor
	}
	q.progressedLocked()
	return left
}

// Prefixes of the ids of subscriptions on routes.
const (
	plainID = "RSID:"
	queueID = "QRSID:"

	// Those of the system account begin like that of a queue: what comes over routes most is
	// told apart by one comparison. Peers without such an account are never sent one.
	systemID      = queueID + "$"
	systemQueueID = systemID + "q"
)

// lineSize returns about how long the line of a subscription is.
func lineSize(sub *subscription) int {
	return len("UNSUB  "+queueID+"12345:\r\n") + len(sub.text)
}

// appendInterest appends the line that announces or withdraws a subscription. Without a queue two
// blanks follow the subject, as in gnatsd 1.x.
func appendInterest(b []byte, sub *subscription, removed bool) []byte {
	if removed {
		b = append(b, "UNSUB "...)
	} else {
		b = append(b, "SUB "...)
		b = append(b, sub.subject()...)
		b = append(b, ' ')
		b = append(b, sub.queue()...)
		b = append(b, ' ')
	}
	b = appendRouteSID(b, sub)
	return append(b, '\r', '\n')
}

// appendRouteSID appends the id of a subscription on routes.
func appendRouteSID(b []byte, sub *subscription) []byte {
	switch {
	case sub.conn.inSystem.Load() && sub.queue() == "":
		b = append(b, systemID...)
	case sub.conn.inSystem.Load():
		b = append(b, systemQueueID...)
	case sub.queue() == "":
		b = append(b, plainID...)
	default:
		b = append(b, queueID...)
	}
	return appendClientSID(b, sub.conn.id, sub.sid())
}

// appendClientSID appends what names a subscription among those of all clients.
func appendClientSID[S string | []byte](b []byte, cid uint64, sid S) []byte {
	b = strconv.AppendUint(b, cid, 10)
	b = append(b, ':')
	return append(b, sid...)
}
