// Package admission limits what peers cost before they are logged in. TLS handshakes and bcrypt
// checks take milliseconds of a processor each, and thousands of peers may ask for them at once: in
// a reconnect storm, or in an attack.
//
// A [Limiter] lets a few of these pieces of work run at a time and leaves a processor to the
// messages of peers that are logged in. What waits is admitted by [Source] in turn, so that many
// peers at one address do not delay the others, and a Source whose logins have failed gets less. A
// [Timer] limits the time that a peer has for one step of its login. [Limiter.Handshake] makes TLS
// handshakes that occupy the Limiter only while they compute. An [Evictor] knows which connection
// goes when there are too many.
//
// The package does not know what the work is for, nor what a login is.
package admission

import (
	"container/heap"
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"gnatsd/server/internal/linked"
)

// Limiter lets a bounded number of pieces of expensive work run at a time. Those beyond it wait.
// Each [Source] that waits gets its turn; the work of one Source is admitted in the order in which
// it came.
//
// A Source pays for a piece of work with virtual time, and the one that has paid least is next
// (stride scheduling). Work costs more after failures of the Source, and it then has one slot at
// most. Of a Source with many failures seven of eight pieces, chosen at random, are admitted before
// the others: an attacker that tries passwords keeps as many checks waiting as it can, and a client
// at the same address would come after all of them. As it asks again only when it is answered, what
// is preferred is less than what can be done, and does not wait; the others do.
type Limiter struct {
	slots int // set once

	mu      sync.Mutex    // guards what follows
	free    int           // slots
	waiting int           // callers of Acquire
	worked  time.Duration // with a slot while others waited, since the last pause
	clock   float64       // virtual time: what the Source that was admitted last had paid before
	queued  uint64        // how often a Source got into the queue
	origins map[Source]*origin
	next    originQueue // those that have work waiting and may have another slot
}

// origin is what a Limiter knows of a Source.
type origin struct {
	source  Source
	paid    float64 // virtual time
	since   uint64  // when it got into the queue, as a count
	running int     // slots that it has
	waiters linked.List[waiter]
	prefer  linked.List[waiter] // those of them that are preferred
	picked  uint                // waiters that were admitted
	at      int                 // index in next; -1 if it is not there

	failures float64   // recent ones
	failed   time.Time // when failures was computed
}

const (
	// failureHalfTime is how long it takes until failures count half.
	failureHalfTime = 10 * time.Second
	// maxFailures bounds the failures that count: work then costs 1024 times as much.
	maxFailures = 10
	// manyFailures is more than a client with a wrong password has: it tries once in two
	// seconds or so.
	manyFailures = 4
	// maxOrigins is how many a Limiter remembers: those without work are forgotten beyond it.
	maxOrigins = 4096
)

// failuresAt returns how many failures count at now.
func (o *origin) failuresAt(now time.Time) float64 {
	if o.failures == 0 {
		return 0
	}
	return o.failures * math.Exp2(-float64(now.Sub(o.failed))/float64(failureHalfTime))
}

// ready reports whether the origin has work waiting and may have another slot.
func (o *origin) ready(now time.Time) bool {
	return !o.idle() && (o.running == 0 || o.failuresAt(now) < 1)
}

// idle reports whether no work waits.
func (o *origin) idle() bool { return o.waiters.Head() == nil && o.prefer.Head() == nil }

// queue returns the list that w belongs to.
func (o *origin) queue(w *waiter) *linked.List[waiter] {
	if w.preferred {
		return &o.prefer
	}
	return &o.waiters
}

// Slot is the right to do one piece of work.
type Slot struct {
	limiter *Limiter
	origin  *origin
	begun   time.Time
}

// waiter is one caller of Acquire that must wait.
type waiter struct {
	admitted  chan struct{} // closed by the goroutine that hands it a slot
	origin    *origin
	preferred bool
	place     linked.Node[waiter]
}

// originQueue is a heap; the origin that has paid least comes first.
type originQueue []*origin

func (q originQueue) Len() int { return len(q) }

func (q originQueue) Less(i, j int) bool {
	if q[i].paid != q[j].paid {
		return q[i].paid < q[j].paid
	}
	return q[i].since < q[j].since
}

func (q originQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *originQueue) Push(x any) {
	o := x.(*origin)
	o.at = len(*q)
	*q = append(*q, o)
}

func (q *originQueue) Pop() any {
	last := len(*q) - 1
	o := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	o.at = -1
	return o
}

// add puts an origin in its place.
func (q *originQueue) add(o *origin) { heap.Push(q, o) }

// SpareProcessors is how many slots a Limiter may have so that one processor stays free for
// messages; at least 1. With bcrypt on both of two processors the median round trip of a message
// rose from 0.03 ms to 28 ms; with it on one, it stayed at 0.03 ms.
func SpareProcessors() int { return max(runtime.GOMAXPROCS(0)-1, 1) }

// NewLimiter returns a Limiter with that many slots, at least one.
func NewLimiter(slots int) *Limiter {
	slots = max(slots, 1)
	return &Limiter{slots: slots, free: slots, origins: map[Source]*origin{}}
}

// Acquire waits for a slot, which the caller must release. The error is that of ctx, and then there
// is no slot.
func (l *Limiter) Acquire(ctx context.Context, from Source) (*Slot, error) {
	o, w := l.enqueue(from)
	if w == nil {
		return &Slot{l, o, time.Now()}, nil
	}
	select {
	case <-w.admitted:
		// Messages first: the goroutine that releases a slot wakes this one, which would
		// run at once.
		runtime.Gosched()
		return &Slot{l, o, time.Now()}, nil
	case <-ctx.Done():
		if !l.abandon(w) { // admitted at the same moment: pass the slot on
			(&Slot{l, o, time.Now()}).Release()
		}
		return nil, ctx.Err()
	}
}

// A processor that always has a goroutine to run looks for messages that have arrived every 10 ms
// only. So under overload a slot stays empty for a YieldInterval after every yieldAfter of work,
// about three parts of handshakes. While 5 000 clients connected at once, that took the p99 of
// requests of others from 19 ms to 4, and the time until all were connected from 7 s to 11 (two
// cores, the clients on the same). Work that took no time does not count: it would only make others
// wait.
const (
	// YieldInterval is how long work before login pauses under overload, so that the processor
	// looks for messages.
	YieldInterval = time.Millisecond
	yieldAfter    = 2 * time.Millisecond
)

// Release gives the slot to the next that waits, now or after a YieldInterval.
func (s *Slot) Release() {
	if s.limiter.release(s.origin, time.Since(s.begun)) {
		time.AfterFunc(YieldInterval, s.limiter.pass)
	}
}

// release takes a slot back that was used for some time. It reports whether the slot is to stay
// empty for a moment; the caller must call pass then.
func (l *Limiter) release(o *origin, worked time.Duration) (pause bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.running--
	l.readyLocked(o, time.Now())
	if l.waiting > 0 {
		if l.worked += worked; l.worked >= yieldAfter {
			l.worked = 0
			return true
		}
	}
	l.passLocked()
	return false
}

// pass ends a YieldInterval.
func (l *Limiter) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passLocked()
}

// passLocked adds a free slot, and admits who is next.
func (l *Limiter) passLocked() {
	l.free++
	now := time.Now()
	for l.free > 0 && len(l.next) > 0 {
		o := l.next[0]
		w := o.pick()
		o.queue(w).Remove(&w.place)
		l.waiting--
		l.startLocked(o, now)
		close(w.admitted)
	}
}

// pick returns the work of an origin that is next: of what is preferred the latest, in case it is
// more than can be done, and otherwise the oldest, which is also one of sixteen.
func (o *origin) pick() *waiter {
	o.picked++
	if o.prefer.Head() == nil || o.picked%16 == 0 && o.waiters.Head() != nil {
		return o.waiters.Head()
	}
	return o.prefer.Tail()
}

// startLocked gives an origin a slot, which it pays for.
func (l *Limiter) startLocked(o *origin, now time.Time) {
	l.free--
	o.running++
	l.clock = max(l.clock, o.paid)
	o.paid = l.clock + math.Exp2(min(o.failuresAt(now), maxFailures))
	l.readyLocked(o, now)
}

// readyLocked puts an origin into the queue, to its place there, or takes it out.
func (l *Limiter) readyLocked(o *origin, now time.Time) {
	switch ready := o.ready(now); {
	case ready && o.at < 0:
		l.queued++
		// One that had nothing to do comes before all that have had their turn meanwhile.
		o.paid, o.since = max(o.paid, l.clock-1), l.queued
		l.next.add(o)
	case ready:
		heap.Fix(&l.next, o.at)
	case o.at >= 0:
		heap.Remove(&l.next, o.at)
	}
}

// enqueue takes a free slot and returns no waiter, or the caller's place in the queue.
func (l *Limiter) enqueue(from Source) (*origin, *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	o := l.originLocked(from, now)
	w := &waiter{admitted: make(chan struct{}), origin: o}
	w.preferred = o.failuresAt(now) >= manyFailures && rand.IntN(8) > 0
	o.queue(w).Add(&w.place, w)
	if l.free > 0 && o.ready(now) { // else others wait, or this origin has its share
		o.queue(w).Remove(&w.place)
		l.startLocked(o, now)
		return o, nil
	}
	l.waiting++
	l.readyLocked(o, now)
	return o, w
}

// originLocked returns what is known of a Source.
func (l *Limiter) originLocked(from Source, now time.Time) *origin {
	o := l.origins[from]
	if o == nil {
		if len(l.origins) >= maxOrigins {
			l.forgetLocked(now)
		}
		o = &origin{source: from, at: -1}
		l.origins[from] = o
	}
	return o
}

// forgetLocked forgets the origin with the fewest failures among some that have no work.
func (l *Limiter) forgetLocked(now time.Time) {
	var least *origin
	looked := 0
	for _, o := range l.origins { // begins anywhere
		if looked++; looked > 16 {
			break
		}
		if o.running == 0 && o.idle() && (least == nil || o.failuresAt(now) < least.failuresAt(now)) {
			least = o
		}
	}
	if least != nil {
		delete(l.origins, least.source)
	}
}

// abandon takes w out of the queue. It reports false if w has a slot already.
func (l *Limiter) abandon(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.place.Listed() {
		return false
	}
	w.origin.queue(w).Remove(&w.place)
	l.waiting--
	l.readyLocked(w.origin, time.Now())
	return true
}

// Failed notes that a login from a Source has failed: what it asks for next comes later, if others
// wait.
func (l *Limiter) Failed(from Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	o := l.originLocked(from, now)
	o.failures = min(o.failuresAt(now)+1, 2*maxFailures)
	o.failed = now
	l.readyLocked(o, now)
}

// Suspected reports whether many logins from a Source have failed recently.
func (l *Limiter) Suspected(from Source) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.origins[from]
	return o != nil && o.failuresAt(time.Now()) >= manyFailures
}

// Overloaded reports whether work waits for a slot.
func (l *Limiter) Overloaded() bool { return l.Waiting() > 0 }

// Waiting returns how many pieces of work wait for a slot.
func (l *Limiter) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}
