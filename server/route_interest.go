package server

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/netio"
)

// This file is how the interest of local clients reaches routes: one line per
// subscription that comes or goes.
//
// A change of a subscription is queued for every route while the lock of its
// client is held, so that a route sees the changes of one subscription in their
// order. At the end of a batch, before any PONG, the queues are sent, many lines at
// a time: by the reader of the client unless another is at it, and if that is not
// everything by a goroutine, at the pace of the peer. No client waits for that.
//
// A new route gets an initial sync: it is entered among the registered ones first,
// then every subscription is queued for it, under the lock of its client and if it is
// still there. So a line may be repeated, which the protocol permits, and none is
// missing, nor does one come after its withdrawal.
//
// A message must not come before the interest of its own publisher: what it asks for
// may be answered at once, to an inbox that the other server must know. So changes
// are numbered, a client remembers its last one, and its messages to a route wait
// until that has been sent, as long as the peer takes it.

// interestQueue is the interest on its way to one route.
type interestQueue struct {
	to *route

	waiting atomic.Int64 // lines queued and not sent yet
	sent    atomic.Int64 // changes with a number up to this have been sent
	synced  atomic.Bool  // the initial sync is queued; set under mu

	mu       sync.Mutex // guards what follows
	queue    []interestChange
	sending  bool          // the right to send is taken
	progress chan struct{} // closed when more has been sent; nil if nothing waits for that
	ended    bool
}

// interestChange is interest that comes or goes: of one subscription, or of all that a
// client had.
type interestChange struct {
	sub     *subscription
	all     []*subscription // if sub is nil
	removed bool
	initial bool // part of the initial sync, which is not traced
	// When it has been sent, so has everything with a number up to this. It is 0
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
	rules := k.policy.Load()
	for _, sub := range subs {
		if rules.announces(sub, true) {
			all = append(all, sub)
		}
	}
	for _, r := range routes {
		r.interest.add(interestChange{all: all, removed: true}, len(all))
	}
}

// pushInterest sends what is queued, if the routes keep up. When it returns, what
// was queued before has been sent, or another goroutine is at it.
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
	if q.ended || n == 0 {
		return false
	}
	if q.synced.Load() {
		ch.seq = q.to.srv.cluster.changes.Load()
	}
	q.queue = append(q.queue, ch)
	return q.waiting.Add(int64(n)) > interestLimit && !ch.removed
}

// push sends a part of the queue, and leaves the rest to a goroutine. It does
// nothing if the queue is being sent.
func (q *interestQueue) push() {
	if !q.startSending() {
		return
	}
	q.sendSome()
	if !q.stopSending() {
		go q.send() // ends with the queue or the route
	}
}

// startSending takes the right to send. It reports false if that is taken, or there
// is nothing to send.
func (q *interestQueue) startSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sending || q.ended || len(q.queue) == 0 {
		return false
	}
	q.sending = true
	return true
}

// stopSending gives the right to send back. It reports false, and does not, while
// there is more to send.
func (q *interestQueue) stopSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) > 0 && !q.ended {
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

// await waits until the peer takes more.
func (q *interestQueue) await() {
	resume := make(chan bool, 1)
	if q.to.out.NotifyResume(resume) {
		<-resume // the queue of the route gets shorter, or is dropped at its end
	}
}

// take returns changes for about interestBytes of lines, and up to which number all
// will have been sent with them; 0 during the initial sync.
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

// sentUpTo notes that changes up to a number have been sent.
func (q *interestQueue) sentUpTo(number int64) {
	q.sent.Store(max(number, q.sent.Load()))
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

// behind reports whether changes up to a number may still have to be sent.
func (q *interestQueue) behind(number int64) bool {
	return number > q.sent.Load() && (q.waiting.Load() > 0 || !q.synced.Load())
}

// next returns a channel that is closed when more has been sent or the route has
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

// awaitSent waits until changes up to a number have been sent, for as long as the
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

// sendSome sends a part of the queue. The caller has the right to send.
func (q *interestQueue) sendSome() {
	list, upTo := q.take()
	defer q.sentUpTo(upTo)
	text := make([]byte, 0, min(len(list)*lineGuess, interestBytes))
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
				q.to.out.Push(&netio.Delivery{Segments: []netio.Segment{{Bytes: text}}, Bytes: len(text)})
				text = text[:0]
			}
		}
		lines += len(all)
	}
	if len(text) > 0 {
		q.to.out.Push(&netio.Delivery{Segments: []netio.Segment{{Bytes: text}}, Bytes: len(text)})
	}
	if lines > 0 {
		q.to.markActive()
		q.waiting.Add(int64(-lines))
	}
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

// endSync says that the initial sync is queued.
func (q *interestQueue) endSync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.synced.Store(true)
	q.progressedLocked()
}

// awaitShort waits until another goroutine has sent most of the queue.
func (q *interestQueue) awaitShort() {
	for {
		next := q.next() // before looking, so that no progress is missed
		if next == nil || q.waiting.Load() <= syncStep {
			return
		}
		<-next // what is queued is being sent, or its reader is about to
	}
}

// addCurrent queues a subscription if it is still there, and to be announced. That
// is decided under the lock of its client: a reload that forbids it comes before
// or withdraws it afterwards.
func (q *interestQueue) addCurrent(sub *subscription) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[sub.sid] == sub && q.to.srv.cluster.policy.Load().announces(sub, false) {
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
