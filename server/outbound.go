package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// outbound is the only way out of a connection. Whoever has bytes for the
// connection pushes them; if nobody is writing, the pusher makes one attempt to
// write them itself and is done. Only what the socket does not take is queued,
// and a writer goroutine exists only while there is a queue.
type outbound struct {
	// Set once.
	link  link
	owner outboundOwner
	total *atomic.Int64 // bytes in the backlogs of all connections

	mu      sync.Mutex // guards what follows
	lim     *outLimits
	pending int64         // bytes in the backlog or being written
	msgs    int64         // handed to the connection
	bytes   int64         // of their payloads
	busy    bool          // somebody is writing
	closed  bool          // no push is taken any more
	dead    bool          // nothing is written any more
	back    *backlog      // nil while the socket takes everything
	idle    chan struct{} // closed when busy ends, if somebody waits for it
}

// outboundOwner is the connection an outbound belongs to.
type outboundOwner interface {
	// slowConsumer is told that a limit was hit.
	slowConsumer(r closeReason)
	// written is told that the socket took bytes that were read at born (UnixNano).
	written(born int64)
	// writing is told that the writer goroutine begins or ends.
	writing(begins bool)
	// writeFailed is told that the socket is broken.
	writeFailed(err error)
}

// outLimits bound what one connection may have pending. Connections share them.
type outLimits struct {
	max      int64         // bytes; more is a slow consumer
	high     int64         // bytes; above it publishers may be held back
	deadline time.Duration // longest time without progress of a write
}

func newOutLimits(o *Options) *outLimits {
	return &outLimits{max: o.MaxPending, high: min(highWater, o.MaxPending/4), deadline: o.WriteDeadline}
}

const (
	// highWater is where a publisher is held back if its every subscriber is at
	// least as far behind; it goes on when one is below 1/lowShare of that.
	highWater = 1 << 20
	lowShare  = 4

	// stallTime is how long a backlog may not move before nobody waits for it
	// longer than once: a reader of 2 MB/s moves a whole writeBatch in it.
	stallTime = 500 * time.Millisecond

	// writeBatch bounds the bytes of one write with a deadline.
	writeBatch = 1 << 20
	// pushRounds is how often a pusher writes what others pushed meanwhile
	// before it leaves the rest to a writer goroutine.
	pushRounds = 4
)

// load is what one push hands over.
type load struct {
	segs    []seg // lent, unless own
	own     bool  // segs hold references of their own
	bytes   int   // in segs
	msgs    int64
	payload int64  // bytes of messages
	subject []byte // of one of them
	over    bool   // one message alone is more than may be pending
	born    int64  // UnixNano of the moment the batch was read, 0 = not measured
}

// keep makes the segments the load's own, behind its first n bytes.
func (t *load) keep(n int) {
	if t.own {
		t.segs = dropSent(t.segs, n)
	} else {
		t.segs, t.own = kept(skip(t.segs, n)), true
	}
}

// release gives up segments that the load owns.
func (t *load) release() {
	if t.own {
		releaseAll(t.segs)
	}
}

// maxLockedCopy is how many bytes may be copied while the lock is held.
const maxLockedCopy = 16 << 10

// push hands bytes to the connection, which keeps or copies what it cannot write now. It reports
// whether the connection lags behind.
func (o *outbound) push(t *load) (lagging bool) {
	if t.bytes > maxLockedCopy && o.writing() {
		t.keep(0)
	}
	queued, lagging, over := o.enqueue(t)
	if over {
		o.owner.slowConsumer(closeSlowPending)
	}
	if queued {
		return lagging
	}
	n, err := o.link.trySend(t.segs)
	if n == t.bytes {
		if t.born != 0 {
			o.owner.written(t.born)
		}
		if o.settle(n) {
			t.release()
			return false
		}
	}
	return o.pushed(t, n, err)
}

// writing reports whether a push would have to wait for another.
func (o *outbound) writing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.busy
}

// enqueue queues a load behind others. If there are none it takes the right to write instead, and
// reports that nothing was queued.
func (o *outbound) enqueue(t *load) (queued, lagging, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		t.release()
		return true, false, false
	}
	o.msgs += t.msgs
	o.bytes += t.payload
	o.pending += int64(t.bytes)
	if !o.busy && !t.over {
		o.busy = true
		return false, false, false
	}
	o.queueLocked(t)
	o.back.follow(t.born, o.back.bytes)
	lagging, over = o.levelLocked()
	return true, lagging, over || t.over
}

// levelLocked says how full the connection is: whether publishers may be held
// back, and whether it is a slow consumer.
func (o *outbound) levelLocked() (lagging, over bool) {
	return o.pending > o.lim.high, o.pending > o.lim.max
}

// settle accounts n bytes that were written directly, and ends the writing
// unless something was queued meanwhile.
func (o *outbound) settle(n int) (done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.dead {
		o.pending -= int64(n)
	}
	if o.back != nil && len(o.back.queue) > 0 {
		return false
	}
	o.endLocked()
	return true
}

// pushed deals with a direct write of n bytes after which something is left:
// the rest of the batch, what others queued meanwhile, or an error.
func (o *outbound) pushed(t *load, n int, err error) (lagging bool) {
	if err != nil && err != errWouldBlock {
		t.release()
		o.broken(err)
		return false
	}
	over := false
	if n < t.bytes {
		t.keep(n)
		lagging, over = o.requeue(t, n)
	} else {
		t.release()
	}
	if over {
		o.owner.slowConsumer(closeSlowPending)
	}
	if err == nil && o.write(pushRounds) {
		return false
	}
	o.owner.writing(true)
	go o.drain() // ends with the backlog or the socket; finish waits for it
	return lagging
}

// requeue puts what a direct write of n bytes left of a load in front of what
// others queued while it was going on.
func (o *outbound) requeue(t *load, n int) (lagging, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		t.release()
		return false, false
	}
	o.pending -= int64(n)
	t.bytes -= n
	var later []seg
	if o.back != nil {
		later, o.back.queue = o.back.queue, nil
		o.back.sample.left += int64(t.bytes)
	}
	o.queueLocked(t)
	o.back.follow(t.born, int64(t.bytes))
	o.back.queue = append(o.back.queue, later...)
	return o.levelLocked()
}

// queueLocked appends a load to the backlog, which takes over what it owns.
func (o *outbound) queueLocked(t *load) {
	if o.back == nil {
		now := time.Now()
		o.back = &backlog{since: now, moved: now}
	}
	if t.own {
		o.back.queue = append(o.back.queue, t.segs...)
	} else {
		for _, s := range t.segs {
			o.back.add(s)
		}
	}
	n := int64(t.bytes)
	o.back.bytes += n
	o.back.top.add(t.subject, n)
	o.total.Add(n)
}

// write sends what is queued without waiting, rounds times at most. It reports
// whether nothing is left, and the writing has ended.
func (o *outbound) write(rounds int) (done bool) {
	for range rounds {
		segs, bytes, ok := o.next()
		if !ok {
			return true
		}
		n, err := o.link.trySend(segs)
		if err == errWouldBlock {
			o.unsent(segs, n)
			return false
		}
		releaseAll(segs)
		if err != nil {
			o.broken(err)
			return true
		}
		o.sent(bytes)
	}
	return false
}

// drain is the writer goroutine: it writes the backlog, waiting for the
// socket, until there is none.
func (o *outbound) drain() {
	defer o.owner.writing(false)
	for {
		segs, bytes, ok := o.next()
		if !ok {
			return
		}
		if err := o.sendAll(segs, bytes); err != nil {
			if isTimeout(err) {
				o.owner.slowConsumer(closeSlowDeadline)
			}
			o.broken(err)
			return
		}
	}
}

// sendAll writes segments and gives them up. The deadline starts again
// whenever something was written.
func (o *outbound) sendAll(segs []seg, bytes int) error {
	for bytes > 0 {
		n, err := o.link.send(segs, time.Now().Add(o.limits().deadline))
		o.sent(n)
		if err != nil && !(isTimeout(err) && n > 0) {
			releaseAll(segs)
			return err
		}
		bytes -= n
		segs = dropSent(segs, n)
	}
	return nil
}

// next takes a batch from the backlog. If there is none, the writing ends.
func (o *outbound) next() (segs []seg, bytes int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.back == nil || len(o.back.queue) == 0 {
		o.endLocked()
		return nil, 0, false
	}
	segs, bytes = o.back.take(writeBatch)
	return segs, bytes, true
}

// sent accounts bytes of the backlog that were written, and lets publishers go
// on if it is short now.
func (o *outbound) sent(n int) {
	if born := o.account(n); born != 0 {
		o.owner.written(born)
	}
}

// account is sent, without the message about a sample: it returns when that was
// read, 0 if there is none.
func (o *outbound) account(n int) (born int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return 0
	}
	o.pending -= int64(n)
	o.back.bytes -= int64(n)
	if n > 0 {
		o.back.moved = time.Now()
	}
	o.total.Add(-int64(n))
	if o.pending <= o.lim.high/lowShare {
		o.back.relieve()
	}
	return o.back.sample.sent(int64(n))
}

// unsent puts what is left of segs after n bytes back to the front.
func (o *outbound) unsent(segs []seg, n int) {
	o.sent(n)
	rest := dropSent(segs, n)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		releaseAll(rest)
		return
	}
	o.back.queue = append(rest, o.back.queue...)
}

// broken gives up after an error of the socket.
func (o *outbound) broken(err error) {
	o.mu.Lock()
	o.dropLocked()
	o.endLocked()
	o.mu.Unlock()
	o.owner.writeFailed(err)
}

// endLocked ends the writing.
func (o *outbound) endLocked() {
	o.busy = false
	if o.back != nil {
		o.back.end()
		o.back = nil
	}
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// dropLocked refuses everything from now on and drops the backlog. Whoever is
// writing keeps busy until it notices.
func (o *outbound) dropLocked() {
	if b := o.back; b != nil {
		releaseAll(b.queue)
		o.total.Add(-b.bytes)
		b.end()
		o.back = nil
	}
	o.pending = 0
	o.closed, o.dead = true, true
}

// await registers ch to be told when the backlog is short again. It reports
// false if the connection does not lag.
func (o *outbound) await(ch chan<- bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if lagging, _ := o.levelLocked(); !lagging || o.back == nil {
		return false
	}
	o.back.relief = append(o.back.relief, ch)
	return true
}

// stalled reports whether the peer takes nothing of what is pending.
func (o *outbound) stalled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.back != nil && time.Since(o.back.moved) >= stallTime
}

// crowded reports whether the connection has more pending than half of what
// makes it a slow consumer, and is getting on with it.
func (o *outbound) crowded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending > o.lim.max/2 && o.back != nil && time.Since(o.back.moved) < stallTime
}

// forget takes ch back from await.
func (o *outbound) forget(ch chan<- bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.back != nil {
		o.back.forget(ch)
	}
}

// finish refuses further pushes, waits at most wait for what is pending to be
// written, and drops the rest.
func (o *outbound) finish(wait time.Duration) {
	if idle := o.refuse(); idle != nil && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-idle:
		case <-timer.C:
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropLocked()
}

// refuse takes no push from now on. It returns a channel that is closed when
// nobody writes any more, nil if nobody does now.
func (o *outbound) refuse() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.busy && o.idle == nil {
		o.idle = make(chan struct{})
	}
	return o.idle
}

// outStats is what monitoring and logs say of an outbound.
type outStats struct {
	msgs, bytes int64 // handed to the connection
	pending     int64
	top         string        // subject of most of the backlog
	lag         time.Duration // age of the backlog
}

func (o *outbound) stats() outStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := outStats{msgs: o.msgs, bytes: o.bytes, pending: o.pending}
	if o.back != nil {
		s.top, s.lag = string(o.back.top.subject), time.Since(o.back.since)
	}
	return s
}

func (o *outbound) limits() *outLimits {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lim
}

func (o *outbound) setLimits(l *outLimits) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lim = l
}
