package server

import (
	"sync"
	"sync/atomic"

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
// and reports whether it did. They are for the route to, and index is that of their path, if the route is
// in a pool.
func (q *interestQueue) follow(from *conn, d *netio.Delivery, to *route, index uint32) (queued bool) {
	if q.clients.Load() == 0 || from.role != roleClient || from.ended() {
		return false
	}
	if q.after != nil {
		<-q.after // soon: at the end of the teardown of a lost carrier, which waits for no reader that waits
	}
	if q.enqueue(from, d, to, index) {
		return true
	}
	if c := q.successor(); c != nil {
		return c.interest.follow(from, d, to, index)
	}
	return false
}

// enqueue is follow for a queue that is open, and not empty.
func (q *interestQueue) enqueue(from *conn, d *netio.Delivery, to *route, index uint32) (queued bool) {
	q.syncEarly(from)
	if !q.has(from) {
		return false
	}
	if !d.Reserved {
		d.Keep()
		d.Reserved = true
		to.out.Reserve(d.Bytes)
	}
	if !q.addMessages(from, &flowOther{messages: *d, to: to, index: index}) {
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
				if c.interest.enqueue(from, &m.messages, m.to, m.index) {
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
