package server

import (
	"errors"
	"io"
	"os"
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
	slow  func(closeReason, string) // a limit was hit: reason, and the limit as text
	fail  func(error)               // the socket is broken
	total *atomic.Int64             // pending bytes of all connections

	mu      sync.Mutex
	lim     outLimits
	queue   []seg
	pending int64 // bytes queued or being written
	queued  int64 // the part of pending that counts in total
	busy    bool  // somebody is writing
	closed  bool  // no push is taken any more
	dead    bool  // nothing is written any more
	top     topSubject
	msgs    int64         // delivered
	bytes   int64         // payload bytes delivered
	since   time.Time     // when the queue began
	relief  []chan<- bool // publishers who wait until it is short
	idle    chan struct{} // closed when busy ends, if somebody waits for it
}

// outLimits bound what one connection may have pending.
type outLimits struct {
	max      int64         // bytes; more is a slow consumer
	high     int64         // bytes; above it publishers may be held back
	deadline time.Duration // longest time without progress of a write
}

func newOutLimits(o *Options) outLimits {
	return outLimits{max: o.MaxPending, high: min(highWater, o.MaxPending/4), deadline: o.WriteDeadline}
}

const (
	// highWater is where a publisher whose every subscriber is at least as far
	// behind is held back; lowWater is where it goes on.
	highWater = 1 << 20
	lowShare  = 4 // low water = high water / lowShare

	// writeBatch bounds the bytes of one write with a deadline.
	writeBatch = 1 << 20
	// pushRounds is how often a pusher writes what others pushed meanwhile
	// before it leaves the rest to a writer goroutine.
	pushRounds = 4
	// keepQueue is the capacity of a queue that is kept when it is empty.
	keepQueue = 64
)

var errClosed = errors.New("connection closed")

// push hands a batch to the connection and takes over its segments. It reports
// whether the connection lags behind.
func (o *outbound) push(t *target) (lagging bool) {
	segs := t.segs
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		releaseAll(segs)
		return false
	}
	o.msgs += t.msgs
	o.bytes += t.payload
	o.pending += int64(t.bytes)
	if o.busy {
		o.enqueueLocked(t)
		over, high := o.pending > o.lim.max, o.pending > o.lim.high
		o.mu.Unlock()
		if over {
			o.slow(endSlowPending, "")
		}
		return high
	}
	o.busy = true
	o.mu.Unlock()

	n, err := o.link.trySend(segs)
	if n == t.bytes && o.settle(int64(n)) {
		releaseAll(segs)
		return false
	}
	return o.pushed(t, n, err)
}

// settle accounts n written bytes and ends the writing if nothing is queued.
func (o *outbound) settle(n int64) (done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending -= n
	if len(o.queue) > 0 {
		return false
	}
	o.endLocked()
	return true
}

// pushed deals with what is left after a direct write of n bytes: the rest of
// the batch and what others queued meanwhile.
func (o *outbound) pushed(t *target, n int, err error) bool {
	if err != nil && err != errWouldBlock {
		o.mu.Lock()
		o.dropLocked()
		o.endLocked()
		o.mu.Unlock()
		releaseAll(t.segs)
		o.fail(err)
		return false
	}
	o.mu.Lock()
	if t.bytes > n && !o.dead {
		o.pending -= int64(n)
		o.requeueLocked(t, n)
	} else {
		releaseAll(t.segs)
	}
	over, high := o.pending > o.lim.max, o.pending > o.lim.high
	o.mu.Unlock()
	if over {
		o.slow(endSlowPending, "")
	}
	rounds := pushRounds
	if err == errWouldBlock {
		rounds = 0
	}
	if o.write(rounds) {
		return false
	}
	go o.drain() // ends when the queue is empty or the socket fails; finish waits for it
	return high
}

// write sends queued segments without waiting, rounds times at most. It
// reports whether the queue is empty, and busy then over.
func (o *outbound) write(rounds int) bool {
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
		o.sent(int64(bytes))
	}
	return false
}

// drain is the writer goroutine: it writes the queue, waiting for the socket,
// until the queue is empty.
func (o *outbound) drain() {
	for {
		segs, bytes, ok := o.next()
		if !ok {
			return
		}
		for bytes > 0 {
			o.mu.Lock()
			wait := o.lim.deadline
			o.mu.Unlock()
			n, err := o.link.send(segs, time.Now().Add(wait))
			o.sent(int64(n))
			bytes -= n
			if err == nil {
				break
			}
			if errors.Is(err, os.ErrDeadlineExceeded) && n > 0 {
				segs = dropSent(segs, n)
				continue
			}
			releaseAll(segs)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				o.slow(endSlowDeadline, wait.String())
			}
			o.broken(err)
			return
		}
		releaseAll(segs)
	}
}

// next takes a batch from the queue. Without one, writing ends.
func (o *outbound) next() (segs []seg, bytes int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		o.endLocked()
		return nil, 0, false
	}
	n := 0
	for n < len(o.queue) && (n == 0 || bytes+o.queue[n].len() <= writeBatch) {
		bytes += o.queue[n].len()
		n++
	}
	segs = append(segs, o.queue[:n]...)
	k := copy(o.queue, o.queue[n:])
	clear(o.queue[k:])
	o.queue = o.queue[:k]
	return segs, bytes, true
}

// sent accounts queued bytes that were written and lets publishers go on.
func (o *outbound) sent(n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return
	}
	o.pending -= n
	o.queued -= n
	o.total.Add(-n)
	if o.pending <= o.lim.high/lowShare {
		o.relieveLocked()
	}
}

// unsent puts what is left of segs after n bytes back to the front.
func (o *outbound) unsent(segs []seg, n int) {
	o.sent(int64(n))
	segs = dropSent(segs, n)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		releaseAll(segs)
		return
	}
	o.queue = append(segs, o.queue...)
}

// broken drops everything after an error of the socket.
func (o *outbound) broken(err error) {
	o.mu.Lock()
	o.dropLocked()
	o.endLocked()
	o.mu.Unlock()
	o.fail(err)
}

// enqueueLocked appends a batch to the queue.
func (o *outbound) enqueueLocked(t *target) {
	if len(o.queue) == 0 {
		o.since = time.Now()
	}
	for _, s := range t.segs {
		o.appendLocked(s)
	}
	o.queuedLocked(t, int64(t.bytes))
}

// requeueLocked puts what a direct write left of a batch in front of what
// others queued while it was going on.
func (o *outbound) requeueLocked(t *target, written int) {
	rest := dropSent(t.segs, written)
	later := o.queue
	o.queue = nil
	if len(later) == 0 {
		o.since = time.Now()
	}
	for _, s := range rest {
		o.appendLocked(s)
	}
	o.queue = append(o.queue, later...)
	o.queuedLocked(t, int64(t.bytes-written))
}

func (o *outbound) queuedLocked(t *target, n int64) {
	o.queued += n
	o.total.Add(n)
	o.top.add(t.subject, n)
}

// Segments that use little of their chunk are copied together when they are
// queued, so that pending bytes are not much less than the memory they hold.
const (
	compactBelow = 4 << 10 // bytes: shorter segments are always worth copying
	compactShare = 8       // a segment below 1/8 of its chunk is copied
)

func (o *outbound) appendLocked(s seg) {
	n := s.len()
	if n >= compactBelow && n*compactShare >= cap(s.ck.b) || n*2 >= cap(s.ck.b) {
		o.queue = append(o.queue, s)
		return
	}
	b := s.bytes()
	for len(b) > 0 {
		tail := o.tailLocked(len(b))
		k := min(len(b), tail.ck.free())
		tail.ck.b = append(tail.ck.b, b[:k]...)
		tail.to += k
		b = b[k:]
	}
	s.ck.release()
}

// tailLocked returns a last segment that ends where its own chunk ends and has
// room behind it.
func (o *outbound) tailLocked(want int) *seg {
	if k := len(o.queue); k > 0 {
		last := &o.queue[k-1]
		if last.to == len(last.ck.b) && last.ck.free() > 0 && last.ck.own {
			return last
		}
	}
	size := want
	if len(o.queue) > 0 {
		size = readSize
	}
	ck := newChunk(size)
	ck.own = true
	o.queue = append(o.queue, seg{ck: ck})
	return &o.queue[len(o.queue)-1]
}

// endLocked ends the writing.
func (o *outbound) endLocked() {
	o.busy = false
	if cap(o.queue) > keepQueue {
		o.queue = nil
	}
	o.top = topSubject{}
	o.relieveLocked()
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

func (o *outbound) dropLocked() {
	releaseAll(o.queue)
	clear(o.queue)
	o.queue = o.queue[:0]
	o.total.Add(-o.queued)
	o.queued, o.pending = 0, 0
	o.closed, o.dead = true, true
}

// relieveLocked lets held publishers go on.
func (o *outbound) relieveLocked() {
	for _, ch := range o.relief {
		select {
		case ch <- true:
		default:
		}
	}
	o.relief = o.relief[:0]
}

// await registers ch to be told when the queue is short again. It reports
// false if it is short already.
func (o *outbound) await(ch chan<- bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.pending <= o.lim.high {
		return false
	}
	o.relief = append(o.relief, ch)
	return true
}

// forget takes ch back from await.
func (o *outbound) forget(ch chan<- bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, have := range o.relief {
		if have == ch {
			o.relief[i] = o.relief[len(o.relief)-1]
			o.relief = o.relief[:len(o.relief)-1]
			return
		}
	}
}

// finish refuses further pushes, waits at most wait for what is queued to be
// written and drops the rest.
func (o *outbound) finish(wait time.Duration) {
	o.mu.Lock()
	o.closed = true
	var idle chan struct{}
	if o.busy && wait > 0 {
		idle = make(chan struct{})
		o.idle = idle
	}
	o.mu.Unlock()
	if idle != nil {
		timer := time.NewTimer(wait)
		select {
		case <-idle:
		case <-timer.C:
		}
		timer.Stop()
	}
	o.mu.Lock()
	o.dropLocked()
	o.relieveLocked()
	o.mu.Unlock()
}

// outStats is what monitoring and logs say of an outbound.
type outStats struct {
	msgs, bytes, pending int64
	top                  string
	since                time.Time
}

func (o *outbound) stats() outStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	return outStats{msgs: o.msgs, bytes: o.bytes, pending: o.pending, top: string(o.top.subject), since: o.since}
}

func (o *outbound) setLimits(l outLimits) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lim = l
}

// topSubject finds, in one pass and constant memory, the subject that most of
// the queued bytes were published on (a majority vote weighted by bytes).
type topSubject struct {
	subject []byte
	weight  int64
}

// maxTopSubject bounds how much of a subject is remembered.
const maxTopSubject = 256

func (t *topSubject) add(subject []byte, n int64) {
	if len(subject) == 0 {
		return
	}
	subject = subject[:min(len(subject), maxTopSubject)]
	switch {
	case string(t.subject) == string(subject):
		t.weight += n
	case t.weight < n:
		t.subject = append(t.subject[:0], subject...)
		t.weight = n - t.weight
	default:
		t.weight -= n
	}
}

// dropSent releases the segments that lie in the first n bytes and cuts the
// one that is partly sent.
func dropSent(segs []seg, n int) []seg {
	for len(segs) > 0 && n >= segs[0].len() {
		n -= segs[0].len()
		segs[0].ck.release()
		segs = segs[1:]
	}
	if n > 0 {
		segs[0].from += n
	}
	return segs
}

func releaseAll(segs []seg) {
	for _, s := range segs {
		s.ck.release()
	}
}

// isTimeout reports whether err is a deadline that passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isEOF reports whether err says that the peer closed.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
