package netio

import (
	"sync"
	"time"
)

// WriteQueue is the only way to write to a connection. What pushes bytes makes one attempt to write
// them, if nothing else is writing, and is done. Only what the socket does not take is queued, and
// a writer goroutine exists only while there is a queue.
type WriteQueue struct {
	// Set by Init.
	link   Link
	owner  Owner
	shared *Shared

	mu       sync.Mutex // guards what follows
	lim      *Limits
	pending  int64         // bytes in the backlog, being written or reserved
	messages int64         // handed to the connection
	payload  int64         // bytes of their payloads
	busy     bool          // a pusher or the writer goroutine is writing
	closed   bool          // no push is taken any more
	dead     bool          // nothing is written any more
	last     uint32        // about when something was pushed, in gatherTime
	back     *backlog      // nil while the socket takes everything
	idle     chan struct{} // closed when busy ends, if a call of Finish waits for it
	waiters  *roomWaiters  // publishers who wait until little is pending; nil before the first
	reserved int64         // bytes that wait elsewhere to be pushed
	total    int64         // bytes pushed, without those dropped
	lost     Lost          // by its drop policy
	keeper   *keeper       // nil if what is not written is dropped
	parts    *parts        // of what is pending; nil unless messages may be dropped, or there is a keeper
}

// Owner is the connection that a WriteQueue belongs to. Its methods are called without locks, by a
// pusher or by the writer goroutine.
type Owner interface {
	// SlowConsumer reports that the connection has exceeded a limit.
	SlowConsumer(exceeded Limit)
	// Written reports that the socket took bytes that were read at readAt (UnixNano).
	Written(readAt int64)
	// Dropped reports that messages were dropped; first is set if none have been of this backlog.
	Dropped(lost Lost, by DropPolicy, first bool)
	// WriteFailed reports that the socket is broken, or timed out.
	WriteFailed(err error)
}

const (
	// lowShare says when a connection that lagged has caught up: below 1/lowShare of HighWater.
	lowShare = 4
	// writeBatch bounds the bytes of one write with a deadline.
	writeBatch = 1 << 20
	// pushRounds is how often a pusher writes what others pushed meanwhile before it leaves the
	// rest to a writer goroutine.
	pushRounds = 4
)

// Init prepares an empty queue that writes to link.
func (q *WriteQueue) Init(link Link, owner Owner, shared *Shared, lim *Limits) {
	q.owner, q.shared, q.lim = owner, shared, lim
	q.SetLink(link)
}

// SetLink makes the queue write to another link from now on. Nothing may be writing.
func (q *WriteQueue) SetLink(link Link) {
	if p := progressConnOf(link.Conn()); p != nil {
		p.queue.Store(q)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.link = link
}

// End says that the connection ends: over TLS, where the reader writes, too, nothing waits for the peer
// after d. See [ProgressConn.End].
func (q *WriteQueue) End(d time.Duration) {
	if p := progressConnOf(q.currentLink().Conn()); p != nil {
		p.End(time.Now().Add(d))
	}
}

func (q *WriteQueue) currentLink() Link {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.link
}

// idleLocked returns a channel that is closed when the writing that is under way has ended.
func (q *WriteQueue) idleLocked() <-chan struct{} {
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	return q.idle
}

// signalIdleLocked ends what waits for the writing to end.
func (q *WriteQueue) signalIdleLocked() {
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// maxLockedCopy is how many bytes may be copied while the lock is held.
const maxLockedCopy = 16 << 10

// Push hands bytes to the connection, and keeps or copies what cannot be written now.
func (q *WriteQueue) Push(d *Delivery) {
	if d.Bytes > maxLockedCopy && q.queues(d) {
		d.Keep()
	}
	queued, begins, over := q.enqueue(d)
	if d.lost.Messages > 0 {
		q.owner.Dropped(d.lost, q.Limits().Drop, d.firstLost)
	}
	if over {
		q.owner.SlowConsumer(LimitPending)
	}
	if begins {
		q.shared.BusyPoll.begin()
		go q.writeGathered() // ends as the one of startWriter
	}
	if queued {
		return
	}
	n, err := q.link.TrySend(d.Segments)
	if n == d.Bytes {
		if d.ReadAt != 0 {
			q.owner.Written(d.ReadAt)
		}
		if d.Then != nil {
			q.SetLink(d.Then)
		}
		if q.settle(n) {
			d.Drop()
			return
		}
	}
	q.pushed(d, n, err)
}

// queues reports whether a delivery would have to wait for another, and would not be dropped.
func (q *WriteQueue) queues(d *Delivery) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	drops := q.lim.Drop == DropNew && d.Droppable && q.pending+int64(d.Bytes) > q.lim.MaxPending
	return q.busy && !drops || d.TooLarge && q.lim.Drop == DropNone
}

// enqueue queues a delivery behind others. If there are none it takes the right to write instead, and
// reports that nothing was queued, or that a writer is to begin.
func (q *WriteQueue) enqueue(d *Delivery) (queued, begins, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.Reserved {
		q.unreserveLocked(int64(d.Bytes))
	}
	if d.Room > 0 {
		q.unreserveLocked(d.Room)
	}
	q.total += int64(d.Bytes)
	coalesces := q.coalescesLocked(d)
	if q.closed {
		q.refuseLocked(d)
		return true, false, false
	}
	if q.lim.Drop != DropNone && (q.busy || d.TooLarge) && q.makeRoomLocked(d) {
		return true, false, false
	}
	waiting := int64(0)
	if q.back != nil {
		waiting = q.back.size
	}
	q.noteLocked(d, waiting)
	if d.Counter != nil {
		d.Count = d.Counter.Add(1)
	}
	q.closed = d.Last
	q.messages += d.Messages
	q.payload += d.Payload
	q.pending += int64(d.Bytes)
	if !q.busy {
		q.busy = true
		if begins = coalesces || d.TooLarge; !begins { // what follows one that ends the connection comes behind it
			return false, false, false
		}
	}
	q.queueLocked(d)
	q.back.follow(d, q.back.bytes)
	return true, begins, q.overLocked() || d.TooLarge
}

// coalescesLocked reports whether a delivery waits for a writer that begins later: others of the last time may
// have more for it.
func (q *WriteQueue) coalescesLocked(d *Delivery) bool {
	before := q.last
	q.last = uint32(q.shared.overload.looked.Load() / int64(gatherTime))
	return d.Messages > 0 && d.Bytes <= maxGathered && q.shared.Overloaded() && q.last-before <= 1
}

// overLocked reports whether the connection is a slow consumer.
func (q *WriteQueue) overLocked() bool {
	limit := q.lim.MaxPending
	if q.lim.Drop != DropNone {
		limit += textRoom
	}
	return q.pending > limit
}

// settle accounts n bytes that were written directly, and ends the writing unless something was
// queued meanwhile.
func (q *WriteQueue) settle(n int) (done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.dead {
		q.pending -= int64(n)
	}
	return q.doneLocked()
}

// doneLocked ends the writing, and reports true, if nothing is queued.
func (q *WriteQueue) doneLocked() bool {
	q.trimLocked()
	if q.back != nil && !q.back.empty() {
		return false
	}
	q.endLocked()
	return true
}

// pushed deals with a direct write of n bytes after which something is left: the rest of the
// delivery, what others queued meanwhile, or an error.
func (q *WriteQueue) pushed(d *Delivery, n int, err error) {
	over := false
	if n < d.Bytes {
		sent := n
		if !d.own && !q.Keeps() {
			d.Segments, sent = skip(d.Segments, n), 0
		}
		d.Keep()
		over = q.requeue(d, n, sent)
	} else {
		d.Drop()
	}
	if err != nil && err != ErrWouldBlock {
		q.broken(err)
		return
	}
	if over {
		q.owner.SlowConsumer(LimitPending)
	}
	if err != nil || !q.write() {
		q.startWriter()
	}
}

// Finish refuses further pushes, waits for what is pending to be written, not longer than wait, and
// drops the rest.
func (q *WriteQueue) Finish(wait time.Duration) {
	if idle := q.Refuse(); idle != nil && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-idle:
		case <-timer.C:
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropLocked()
}

// AwaitReceived waits until the peer has received what the socket holds, as far as that is known, or waits
// reports false. It drops what the peer sends meanwhile: if a socket is closed and the peer goes on to send,
// the system drops what it has not sent.
func (q *WriteQueue) AwaitReceived(waits func() bool) {
	var scrap [4 << 10]byte
	nc := below(q.currentLink().Conn())
	for q.inSocket() > 0 && waits() {
		nc.SetReadDeadline(time.Now().Add(receivedLook))
		for err := error(nil); err == nil; {
			if _, err = nc.Read(scrap[:]); err != nil && !isTimeout(err) {
				return // the peer sends no more
			}
		}
	}
}

// receivedLook is the time between two looks at what the socket holds.
const receivedLook = 20 * time.Millisecond

// Refuse refuses further pushes. It returns a channel that is closed when nothing writes any more,
// nil if nothing does now.
func (q *WriteQueue) Refuse() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.grantLocked()
	if !q.busy {
		return nil
	}
	return q.idleLocked()
}
