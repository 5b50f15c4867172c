package server

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// This file sends the interest of local clients to routes: one line for each subscription that is
// added or removed.
//
// A change of a subscription is queued for every route while the lock of its client is held, so
// that each route is sent the changes of a subscription in order. At the end of a batch, before any
// PONG, the queues are sent, many lines at a time: by the reader of the client, unless another
// goroutine is sending, and if the queue is too long for that by a goroutine, at the pace of the
// peer. Clients do not wait for it.
//
// A new route gets an initial sync: it is registered first, then every subscription is queued for
// it, under the lock of its client and if it still exists. So a line may be repeated, which the
// protocol permits, but none is missing, and none follows its withdrawal.
//
// A message must not arrive before the interest of its own publisher: a request may be answered at
// once, to an inbox that the other server must know. So changes have sequence numbers, a client
// stores that of its last one, and its messages to a route wait until that change has been sent, as
// long as the peer makes progress.

// interestQueue is the queue of interest that must be sent to a route.
type interestQueue struct {
	to *route

	waiting atomic.Int64 // lines queued and not sent yet
	sent    atomic.Int64 // sequence number: changes up to it have been sent
	synced  atomic.Bool  // the initial sync is queued; set under mu

	mu       sync.Mutex // guards what follows
	queue    []interestChange
	sending  bool          // a goroutine is sending
	progress chan struct{} // closed when more has been sent; nil if no goroutine waits for that
	closed   bool
}

// interestChange is interest that is added or removed: of one subscription, or of all that a client
// had.
type interestChange struct {
	sub     *subscription
	all     []*subscription // if sub is nil
	line    string          // without sub and all: a line to be sent
	removed bool
	initial bool // part of the initial sync, which is not traced
	// seq is a sequence number: when this change has been sent, all up to seq have been. It is
	// 0 during the initial sync, when earlier ones may be queued behind it.
	seq int64
}

const (
	// interestBytes is about how many bytes of lines are encoded at a time.
	interestBytes = 64 << 10
	// interestLimit bounds the lines queued for a route: some 300 MB, if the queue is the only
	// reference to each subscription.
	interestLimit = 2 << 20
	// syncStep is how many subscriptions the initial sync queues before it waits for the peer.
	syncStep = 4096
)

// interestChanged queues a change of a client's subscription for all routes. The caller holds
// conn.mu of the client.
func (k *cluster) interestChanged(sub *subscription, removed bool) {
	if !k.on || !k.policy.Load().announces(sub, removed) {
		return
	}
	routes := k.active()
	for _, r := range routes {
		r.interest.add(interestChange{sub: sub, removed: removed}, 1)
	}
	if !removed {
		sub.conn.announced = k.changes.Add(1)
	}
	if len(routes) == 0 {
		return
	}
	if removed && sub.queue() != "" {
		k.closed.remember(sub)
	}
}

// interestDropped queues the withdrawal of all subscriptions of a client. The caller holds conn.mu
// of the client.
func (k *cluster) interestDropped(subs *subscriptions) {
	routes := k.active()
	if len(routes) == 0 || subs.len() == 0 {
		return
	}
	all := make([]*subscription, 0, subs.len())
	p := k.policy.Load()
	for sub := range subs.all {
		if p.announces(sub, true) {
			all = append(all, sub)
		}
	}
	for _, r := range routes {
		r.interest.add(interestChange{all: all, removed: true}, len(all))
	}
}

// pushInterest sends what is queued, as far as routes keep up. When it returns, what was queued
// before has been sent or another goroutine is sending it.
func (k *cluster) pushInterest() {
	for _, r := range k.active() {
		if r.interest.waiting.Load() > 0 {
			r.interest.push()
		}
	}
}

// add queues a change that stands for n lines.
func (q *interestQueue) add(ch interestChange, n int) {
	if full := q.enqueue(ch, n); full {
		q.to.srv.counters.slow(roleRoute, closeSlowInterest)
		q.to.close(closeSlowInterest)
	}
}

func (q *interestQueue) enqueue(ch interestChange, n int) (full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || n == 0 {
		return false
	}
	if q.synced.Load() {
		ch.seq = q.to.srv.cluster.changes.Load()
	}
	q.queue = append(q.queue, ch)
	return q.waiting.Add(int64(n)) > interestLimit && !ch.removed
}

// push sends a part of the queue, and starts a goroutine for the rest. It does nothing if another
// goroutine is sending.
func (q *interestQueue) push() {
	if !q.startSending() {
		return
	}
	q.sendSome()
	if !q.stopSending() {
		go q.send() // ends when the queue is empty, or with the route
	}
}

// startSending reports whether the caller may send: no other goroutine does, and the queue is not
// empty.
func (q *interestQueue) startSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sending || q.closed || len(q.queue) == 0 {
		return false
	}
	q.sending = true
	return true
}

// stopSending ends what startSending began. It reports false if there is more to send: the caller
// must continue.
func (q *interestQueue) stopSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) > 0 && !q.closed {
		return false
	}
	q.sending = false
	return true
}

// send sends until the queue is empty, at the pace of the peer.
func (q *interestQueue) send() {
	for more := true; more; more = !q.stopSending() {
		q.await()
		q.sendSome()
	}
}

// await waits until the write queue of the route is no longer near full.
func (q *interestQueue) await() {
	resume := make(chan bool, 1)
	if q.to.out.NotifyResume(resume) {
		<-resume // the write queue gets shorter, or the route ends
	}
}

// take removes changes for about interestBytes of lines from the queue, and returns them with the
// sequence number up to which all changes have been sent after them; 0 during the initial sync.
func (q *interestQueue) take() (list []interestChange, upTo int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.queue), interestBytes/lineGuess)
	list = q.queue[:n:n]
	q.queue = q.queue[n:]
	switch {
	case !q.synced.Load():
	case len(q.queue) == 0:
		upTo = q.to.srv.cluster.changes.Load()
	default:
		upTo = list[n-1].seq
	}
	if len(q.queue) == 0 {
		q.queue = nil
	}
	return list, upTo
}

// sentUpTo sets the sequence number up to which changes have been sent.
func (q *interestQueue) sentUpTo(seq int64) {
	q.sent.Store(max(seq, q.sent.Load()))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.progressedLocked()
}

func (q *interestQueue) progressedLocked() {
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// behind reports whether changes up to a sequence number may still have to be sent.
func (q *interestQueue) behind(seq int64) bool {
	return seq > q.sent.Load() && (q.waiting.Load() > 0 || !q.synced.Load())
}

// next returns a channel that is closed when more has been sent or the queue is closed; nil if it
// is closed already.
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

// awaitSent waits until changes up to a sequence number have been sent, as long as the peer makes
// progress, but at most for limit. It reports whether they have been sent.
func (q *interestQueue) awaitSent(seq int64, limit time.Duration) bool {
	end, tick := time.NewTimer(limit), time.NewTicker(stallStep)
	defer end.Stop()
	defer tick.Stop()
	for {
		next := q.next() // first, so that no progress is missed
		if next == nil || !q.behind(seq) {
			return true
		}
		select {
		case <-next:
		case <-tick.C:
			if q.to.out.Blocked() {
				return false
			}
		case <-end.C:
			return false
		}
	}
}

// lineGuess is about the length of a line.
const lineGuess = 64

// sendSome sends a part of the queue. startSending has returned true to the caller.
func (q *interestQueue) sendSome() {
	list, upTo := q.take()
	text := make([]byte, 0, min(len(list)*lineGuess, interestBytes))
	lines := 0
	for _, ch := range list {
		all := ch.all
		if ch.sub != nil {
			all = []*subscription{ch.sub}
		}
		text = append(text, ch.line...)
		for _, sub := range all {
			at := len(text)
			text = appendInterest(text, sub, ch.removed)
			if q.to.tracing && !ch.initial {
				q.to.tracef("<<- [%s]", text[at:len(text)-len("\r\n")])
			}
			if len(text) >= interestBytes {
				q.to.push(text)
				text = text[:0]
			}
		}
		lines += len(all)
	}
	if q.to.pool != nil && len(list) > 0 {
		q.to.marks.Add(1)
		text = append(text, markLine...)
	}
	if len(text) == 0 || q.to.push(text) {
		q.sentUpTo(upTo) // else the route is lost; another member of its pool is sent everything
	}
	if lines > 0 {
		q.to.markActive()
		q.waiting.Add(int64(-lines))
	}
}

// close drops what is queued.
func (q *interestQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.queue = nil
	q.progressedLocked()
}

// sync is the initial sync: it queues all interest of local clients for a new route, and sends it
// at the pace of the peer.
func (q *interestQueue) sync() {
	defer q.to.srv.conns.Done()
	k := q.to.srv.cluster
	n := 0
	for e := range q.to.srv.subs.All {
		sub := e.Value
		if sub.conn.role != roleClient || !k.policy.Load().announces(sub, false) {
			continue
		}
		q.addCurrent(sub)
		if n++; n%syncStep == 0 {
			q.push()
			q.await()
			q.awaitShort()
		}
		if q.to.ended() {
			return
		}
	}
	q.endSync()
	q.push()
	q.to.debugf("Sent local subscriptions to route")
}

// endSync is called when the whole initial sync is queued.
func (q *interestQueue) endSync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.synced.Store(true)
	if q.to.pool != nil {
		q.queue = append(q.queue, interestChange{line: syncedLine, seq: q.to.srv.cluster.changes.Load()})
	}
	q.progressedLocked()
}

// awaitShort waits until another goroutine has sent most of the queue.
func (q *interestQueue) awaitShort() {
	for {
		next := q.next() // first, so that no progress is missed
		if next == nil || q.waiting.Load() <= syncStep {
			return
		}
		<-next // another goroutine is sending the queue, or the reader that queued it is about to
	}
}

// addCurrent queues a subscription if it still exists and is announced. It checks both under the
// lock of the client: a reload after which it is no longer announced has replaced the policy
// before, or withdraws the subscription afterwards.
func (q *interestQueue) addCurrent(sub *subscription) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.with(sub.sid()) == sub && q.to.srv.cluster.policy.Load().announces(sub, false) {
		q.add(interestChange{sub: sub, initial: true}, 1)
	}
}

// Prefixes of the ids of subscriptions on routes.
const (
	plainID = "RSID:"
	queueID = "QRSID:"
)

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
	if sub.queue() == "" {
		b = append(b, plainID...)
	} else {
		b = append(b, queueID...)
	}
	b = strconv.AppendUint(b, sub.conn.id, 10)
	b = append(b, ':')
	return append(b, sub.sid()...)
}
