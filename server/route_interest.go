package server

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// This file is how the interest of local clients reaches routes: one line per
// subscription that comes or goes.
//
// A change of a subscription is queued for every route while the lock of its
// client is held, so that a route sees the changes of one subscription in their
// order. At the end of a batch, before any PONG, what is queued is encoded and
// pushed, many lines at a time. For a route that lags a goroutine pushes the rest,
// at the pace of the peer; no client waits for that.
//
// A new route gets an initial sync: it is entered among the registered ones first,
// then every subscription is queued for it, under the lock of its client and if it is
// still there. So a line may be repeated, which the protocol permits, and none is
// missing, nor does one come after its withdrawal.
//
// A message must not come before the interest of its own publisher: what it asks for
// may be answered at once, to an inbox that the other server must know. So changes
// are numbered, a client remembers its last one, and its messages to a route wait
// until that has been pushed, as long as the peer takes what it is sent.

// interestQueue is the interest on its way to one route.
type interestQueue struct {
	to *route

	waiting atomic.Int64 // lines queued and not pushed yet
	sent    atomic.Int64 // changes with a number up to this have been pushed
	synced  atomic.Bool  // the initial sync is queued
	pushing sync.Mutex   // held while lines are encoded and pushed

	mu       sync.Mutex // guards what follows
	queue    []interestChange
	sender   bool          // a goroutine works on the queue
	progress chan struct{} // closed when more has been pushed; nil if nothing waits for that
	ended    bool
}

// interestChange is interest that comes or goes: of one subscription, or of all that a
// client had.
type interestChange struct {
	sub     *subscription
	all     []*subscription // if sub is nil
	removed bool
	initial bool // part of the initial sync, which is not traced
	// When it has been pushed, so has everything with a number up to this. It is 0
	// during the initial sync: the rest may be behind it.
	seq int64
}

const (
	// interestBytes is about how much is encoded at a time.
	interestBytes = 64 << 10
	// interestLimit is how many lines may wait for one route, some 300 MB if each
	// is of a subscription that is kept only by it.
	interestLimit = 2 << 20
	// syncStep is how many subscriptions are queued for a new route before waiting
	// for the peer to keep up.
	syncStep = 4096
)

// interestChanged queues a change of a client's subscription for all routes.
// The caller holds the lock of the client's conn.
func (k *cluster) interestChanged(sub *subscription, removed bool) {
	if !k.on || !k.rules.Load().announces(sub, removed) {
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
	if removed && sub.queue != "" {
		k.closed.remember(sub)
	}
}

// interestDropped queues the withdrawal of all that a client had. The caller
// holds the lock of the client's conn.
func (k *cluster) interestDropped(subs map[string]*subscription) {
	routes := k.active()
	if len(routes) == 0 || len(subs) == 0 {
		return
	}
	all := make([]*subscription, 0, len(subs))
	rules := k.rules.Load()
	for _, sub := range subs {
		if rules.announces(sub, true) {
			all = append(all, sub)
		}
	}
	for _, r := range routes {
		r.interest.add(interestChange{all: all, removed: true}, len(all))
	}
}

// pushInterest pushes what is queued, if the routes keep up. When it returns,
// what was queued before has been pushed or left to a goroutine.
func (k *cluster) pushInterest() {
	for _, r := range k.active() {
		if r.interest.waiting.Load() > 0 {
			r.interest.push()
		}
	}
}

// add queues a change that stands for n lines.
func (q *interestQueue) add(ch interestChange, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended || n == 0 {
		return
	}
	if q.synced.Load() {
		ch.seq = q.to.srv.cluster.changes.Load()
	}
	q.queue = append(q.queue, ch)
	if q.waiting.Add(int64(n)) > interestLimit && !ch.removed {
		q.to.close(closeSlowPending)
	}
}

// push works on the queue unless a goroutine does, and leaves what is much to
// one.
func (q *interestQueue) push() {
	q.pushing.Lock()
	defer q.pushing.Unlock()
	if q.hasSender() {
		return
	}
	if lagging := q.pushSome(); (lagging || q.waiting.Load() > 0) && q.startSender() {
		go q.run() // Shutdown waits for it; it ends with the queue or the route
	}
}

func (q *interestQueue) hasSender() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sender || q.ended
}

// startSender marks that a goroutine begins. It reports false if there is nothing
// to do for one.
func (q *interestQueue) startSender() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sender || q.ended || len(q.queue) == 0 || q.to.srv.ended() {
		return false
	}
	q.sender = true
	return true
}

// stopSender reports whether the goroutine may end: the queue is empty.
func (q *interestQueue) stopSender() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) > 0 && !q.ended {
		return false
	}
	q.sender = false
	return true
}

// run works on the queue until it is empty, at the pace of the peer.
func (q *interestQueue) run() {
	for !q.stopSender() {
		q.await()
		q.pushing.Lock()
		q.pushSome()
		q.pushing.Unlock()
	}
}

// await waits until the peer takes more.
func (q *interestQueue) await() {
	resume := make(chan bool, 1)
	if q.to.out.await(resume) {
		<-resume // the queue of the route gets shorter, or is dropped at its end
	}
}

// take returns changes for about interestBytes of lines, and up to which number all
// will have been pushed with them.
func (q *interestQueue) take() (list []interestChange, upTo int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.queue), interestBytes/lineGuess)
	list = q.queue[:n:n]
	q.queue = q.queue[n:]
	if len(q.queue) == 0 {
		q.queue = nil
		return list, q.to.srv.cluster.changes.Load()
	}
	return list, list[n-1].seq
}

// pushed says that changes were pushed: all up to a number, if the initial sync is
// over.
func (q *interestQueue) pushed(upTo int64) {
	if q.synced.Load() {
		q.sent.Store(max(upTo, q.sent.Load()))
	}
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

// behind reports whether changes up to a number may still have to be pushed.
func (q *interestQueue) behind(number int64) bool {
	return number > q.sent.Load() && (q.waiting.Load() > 0 || !q.synced.Load())
}

// next returns a channel that is closed when more has been pushed or the route has
// ended; nil if it has.
func (q *interestQueue) next() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return nil
	}
	if q.progress == nil {
		q.progress = make(chan struct{})
	}
	return q.progress
}

// awaitSent waits until changes up to a number have been pushed, for as long as the
// peer takes what it is sent, but not longer than limit. It reports false if they
// have not.
func (q *interestQueue) awaitSent(number int64, limit time.Duration) bool {
	end, look := time.NewTimer(limit), time.NewTicker(stallStep)
	defer end.Stop()
	defer look.Stop()
	for {
		next := q.next() // before looking, so that no progress is missed
		if next == nil || !q.behind(number) {
			return true
		}
		select {
		case <-next:
		case <-look.C:
			if q.to.out.stalled() {
				return false
			}
		case <-end.C:
			return false
		}
	}
}

// lineGuess is a guess of the length of a line.
const lineGuess = 64

// pushSome encodes and pushes a part of the queue. It reports whether the peer
// lags. The caller holds pushing.
func (q *interestQueue) pushSome() (lagging bool) {
	list, upTo := q.take()
	defer q.pushed(upTo)
	text := make([]byte, 0, interestBytes)
	lines := 0
	for _, ch := range list {
		all := ch.all
		if ch.sub != nil {
			all = []*subscription{ch.sub}
		}
		for _, sub := range all {
			at := len(text)
			text = appendInterest(text, sub, ch.removed)
			if q.to.tracing && !ch.initial {
				q.to.tracef("<<- [%s]", text[at:len(text)-len("\r\n")])
			}
			if len(text) >= interestBytes {
				lagging = q.to.out.push(&load{segs: []seg{{b: text}}, bytes: len(text)})
				text = text[:0]
			}
		}
		lines += len(all)
	}
	if len(text) > 0 {
		lagging = q.to.out.push(&load{segs: []seg{{b: text}}, bytes: len(text)})
	}
	if lines == 0 {
		return false
	}
	q.to.active()
	q.waiting.Add(int64(-lines))
	return lagging
}

// end gives up what is queued.
func (q *interestQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.queue = nil
	q.progressedLocked()
}

// sync queues all interest of local clients for a new route, and sends it at
// the pace of the peer.
func (q *interestQueue) sync() {
	defer q.to.srv.conns.Done()
	k := q.to.srv.cluster
	n := 0
	for e := range q.to.srv.subs.All {
		sub := e.Value
		if sub.conn.role != roleClient || !k.rules.Load().announces(sub, false) {
			continue
		}
		q.addCurrent(sub)
		if n++; n%syncStep == 0 {
			q.push()
			q.await()
		}
		if q.to.ended() {
			return
		}
	}
	q.endSync()
	q.push()
	q.to.debugf("Sent local subscriptions to route")
}

// endSync says that the initial sync is queued.
func (q *interestQueue) endSync() {
	q.pushing.Lock()
	defer q.pushing.Unlock()
	q.synced.Store(true)
	q.pushSome()
}

// addCurrent queues a subscription if it is still there, and to be announced. That
// is decided under the lock of its client: a reload that forbids it comes before
// or withdraws it afterwards.
func (q *interestQueue) addCurrent(sub *subscription) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[sub.sid] == sub && q.to.srv.cluster.rules.Load().announces(sub, false) {
		q.add(interestChange{sub: sub, initial: true}, 1)
	}
}

// Ids of subscriptions on routes.
const (
	plainID = "RSID:"
	queueID = "QRSID:"
)

// appendInterest appends the line that announces or withdraws a subscription.
// Without a queue two blanks follow the subject, as 1.x writes it.
func appendInterest(b []byte, sub *subscription, removed bool) []byte {
	if removed {
		b = append(b, "UNSUB "...)
	} else {
		b = append(b, "SUB "...)
		b = append(b, sub.subject...)
		b = append(b, ' ')
		b = append(b, sub.queue...)
		b = append(b, ' ')
	}
	b = appendRouteSID(b, sub)
	return append(b, '\r', '\n')
}

// appendRouteSID appends the id by which routes know a subscription.
func appendRouteSID(b []byte, sub *subscription) []byte {
	if sub.queue == "" {
		b = append(b, plainID...)
	} else {
		b = append(b, queueID...)
	}
	b = strconv.AppendUint(b, sub.conn.id, 10)
	b = append(b, ':')
	return append(b, sub.sid...)
}
