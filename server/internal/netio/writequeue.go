package netio

import (
	"errors"
	"os"
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
	gathers := q.gathersLocked(d)
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
		if begins = gathers || d.TooLarge; !begins { // what follows one that ends the connection comes behind it
			return false, false, false
		}
	}
	q.queueLocked(d)
	q.back.follow(d, q.back.bytes)
	return true, begins, q.overLocked() || d.TooLarge
}

// gathersLocked reports whether a delivery waits for a writer that begins later: others of the last time may
// have more for it.
func (q *WriteQueue) gathersLocked(d *Delivery) bool {
	before := q.last
	q.last = uint32(q.shared.overload.looked.Load() / int64(gatherTime))
	return d.Messages > 0 && d.Bytes <= maxGathered && q.shared.Overloaded() && q.last-before <= 1
}

// refuseLocked refuses a delivery, unless it is kept for Leave.
func (q *WriteQueue) refuseLocked(d *Delivery) {
	if k := q.keeper; k != nil && k.gathers && q.dead && k.rest.size < q.lim.MaxPending {
		q.noteLocked(d, k.rest.size)
		k.rest.addDelivery(d)
		q.shared.SetAside.Add(int64(d.Bytes))
		return
	}
	if d.Refused = true; !d.Reserved {
		d.Drop()
	}
}

// Reserve counts bytes as pending that wait elsewhere and will be pushed later.
func (q *WriteQueue) Reserve(n int) {
	if q.reserve(int64(n)) {
		q.owner.SlowConsumer(LimitPending)
	}
}

func (q *WriteQueue) reserve(n int64) (over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dead {
		return false
	}
	q.addReservedLocked(n)
	return q.overLocked()
}

func (q *WriteQueue) addReservedLocked(n int64) {
	q.reserved += n
	q.pending += n
	q.shared.Pending.Add(n)
}

func (q *WriteQueue) unreserveLocked(n int64) {
	n = min(n, q.reserved) // nothing is left of it if the queue is dead
	q.reserved -= n
	q.pending -= n
	q.shared.Pending.Add(-n)
}

// Progress returns how many bytes have been pushed, without those dropped, and how many of them the
// socket has taken.
func (q *WriteQueue) Progress() (pushed, written int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total, q.writtenLocked()
}

// writtenLocked returns how many bytes of those that have been pushed the socket has taken.
func (q *WriteQueue) writtenLocked() int64 { return q.total - (q.pending - q.reserved) }

// Taken reports whether the peer has taken the first n bytes that were pushed, as Progress counts them.
// Where it is known what the socket holds, that is not taken.
func (q *WriteQueue) Taken(n int64) bool {
	pushed, written := q.Progress()
	n = min(n, pushed) // less is pushed if what preceded them has been dropped since
	if n == 0 || written < n {
		return n == 0
	}
	taken, _ := q.Acknowledged()
	return taken >= n
}

// Acknowledged returns how many bytes the peer has taken, and how many the socket holds that it has not;
// -1 if that is not known.
func (q *WriteQueue) Acknowledged() (taken int64, held int) {
	held = q.inSocket()
	_, written := q.Progress()
	return written - int64(max(0, held)), held
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

// requeue puts what a direct write of n bytes has left of a delivery, which must be sent, in front of what
// others queued while it was going on. sent bytes of those that were written are still in the segments.
func (q *WriteQueue) requeue(d *Delivery, n, sent int) (over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d.Bytes -= n; !q.putBackLocked(d.Segments, sent) {
		return false
	}
	q.pending -= int64(n)
	q.back.sample.left += int64(d.Bytes)
	q.back.until += int64(d.Bytes)
	q.back.follow(d, int64(d.Bytes))
	q.countLocked(d)
	return q.overLocked()
}

// putBackLocked puts segments of which n bytes were written in front of what is queued: without these,
// which are released, or kept. It reports false if nothing is written any more.
func (q *WriteQueue) putBackLocked(segs []Segment, n int) bool {
	sent, rest := cut(segs, n)
	if k := q.keeper; k != nil {
		k.past.addOwn(sent...)
	} else {
		releaseAll(sent)
	}
	if q.dead {
		q.setAsideLocked(rest, true)
		return false
	}
	q.backLocked().first.putBack(rest)
	return true
}

// queueLocked appends a delivery to the backlog, which takes over the segments that are the queue's
// own.
func (q *WriteQueue) queueLocked(d *Delivery) {
	q.backLocked().addDelivery(d)
	q.countLocked(d)
}

// backLocked returns the backlog, which begins if there is none.
func (q *WriteQueue) backLocked() *backlog {
	if q.back == nil {
		q.back = backlogs.Get().(*backlog)
		q.back.since = time.Now()
	}
	return q.back
}

// countLocked counts a delivery that was queued.
func (q *WriteQueue) countLocked(d *Delivery) {
	n := int64(d.Bytes)
	q.back.bytes += n
	q.back.top.add(d.Subject, n)
	q.shared.Pending.Add(n)
}

// write sends what is queued without waiting, pushRounds times at most. It reports whether nothing is
// left, and the writing has ended.
func (q *WriteQueue) write() (done bool) {
	for range pushRounds {
		segs, ok := q.next()
		if !ok {
			return true
		}
		n, err := q.link.TrySend(segs)
		q.sent(segs, n)
		if err == ErrWouldBlock {
			return false
		}
		if err != nil {
			q.broken(err)
			return true
		}
	}
	return false
}

// startWriter starts a goroutine for what is queued. It ends with the backlog or the socket; Finish
// waits for it.
func (q *WriteQueue) startWriter() {
	q.shared.BusyPoll.begin()
	go q.drain()
}

// writeGathered writes what was pushed until it runs. For the socket it waits only if need be.
func (q *WriteQueue) writeGathered() {
	if q.write() {
		q.shared.BusyPoll.end()
		return
	}
	q.drain()
}

// drain is the writer goroutine: it writes the backlog, waiting for the socket, until there is
// none. The deadline starts again whenever something was written, or the peer has taken something of
// what the socket holds: that may be much, and the socket takes more only when a good part of it is
// gone. It is the one of the limits in force, which may change meanwhile.
func (q *WriteQueue) drain() {
	defer q.shared.BusyPoll.end()
	w := wait{queue: q, once: !resumes(q.link)}
	for {
		segs, ok := q.next()
		if !ok {
			return
		}
		held := q.link.Unsent()
		n, err := q.link.Send(segs, w.begin())
		q.sent(segs, n)
		if n > 0 {
			w.spent = 0
		}
		if err == nil || isTimeout(err) && w.mayRetry(n > 0 || moved(held, q.link.Unsent())) {
			continue
		}
		if isTimeout(err) && !q.stopping() {
			q.owner.SlowConsumer(LimitDeadline)
		}
		q.broken(err)
		return
	}
}

// isTimeout reports whether err is a deadline that passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// stopping reports whether Leave waits for the writer.
func (q *WriteQueue) stopping() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.keeper != nil && q.keeper.stop
}

// Keeps reports whether the queue keeps what it does not write.
func (q *WriteQueue) Keeps() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.keeper != nil
}

// setAsideLocked keeps segments for Leave, in front of the others or behind them, or gives them up.
func (q *WriteQueue) setAsideLocked(segs []Segment, first bool) {
	k := q.keeper
	if k == nil {
		releaseAll(segs)
		return
	}
	q.shared.SetAside.Add(sizeOf(segs))
	if first {
		k.rest.putBack(segs)
	} else {
		k.rest.addOwn(segs...)
	}
}

// next takes a part of the backlog. If there is none, the writing ends.
func (q *WriteQueue) next() (segs []Segment, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopLocked() || q.doneLocked() {
		return nil, false
	}
	limit := int64(writeBatch)
	if q.lim.Drop != DropNone {
		limit = min(limit, max(1, q.lim.MaxPending/dropShare))
	}
	if q.back.then != nil {
		limit = min(limit, q.back.until)
	}
	return q.back.take(int(limit)), true
}

// sent accounts segments of which n bytes were written, and puts the rest back. It lets publishers
// go on if the backlog is short now.
func (q *WriteQueue) sent(segs []Segment, n int) {
	if readAt := q.account(segs, n); readAt != 0 {
		q.owner.Written(readAt)
	}
}

// account is sent, without the report about a sample: it returns when that was read, 0 if there is
// none.
func (q *WriteQueue) account(segs []Segment, n int) (readAt int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.putBackLocked(segs, n) {
		return 0
	}
	q.pending -= int64(n)
	q.back.bytes -= int64(n)
	if q.back.until -= int64(n); q.back.until == 0 && q.back.then != nil {
		q.link, q.back.then = q.back.then, nil
	}
	q.shared.Pending.Add(-int64(n))
	q.grantLocked()
	return q.back.sample.sent(int64(n))
}

// broken gives up after an error of the socket.
func (q *WriteQueue) broken(err error) {
	q.fail()
	q.owner.WriteFailed(err)
}

func (q *WriteQueue) fail() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropLocked()
	q.endLocked()
}

// endLocked ends the writing.
func (q *WriteQueue) endLocked() {
	q.busy = false
	q.dropBacklogLocked()
	q.grantLocked()
	q.signalIdleLocked()
}

// dropBacklogLocked ends the backlog, and sets aside what is queued.
func (q *WriteQueue) dropBacklogLocked() {
	if b := q.back; b != nil {
		q.setAsideLocked(b.all(), false) // behind what a writer that has stopped set aside
		q.pending -= b.bytes
		q.shared.Pending.Add(-b.bytes)
		q.back = nil
		b.reset()
		if q.parts != nil && q.parts.size == 0 {
			q.parts = nil // there may have been many
		}
	}
}

// dropLocked refuses everything from now on and drops the backlog. A writer stays busy until it
// notices.
func (q *WriteQueue) dropLocked() {
	q.dropBacklogLocked()
	q.shared.Pending.Add(-q.reserved)
	q.pending, q.reserved = 0, 0
	q.closed, q.dead = true, true
	q.grantLocked()
}

// Watched reports whether bytes wait for the socket, and the connection ends if it takes none of them
// for WriteDeadline.
func (q *WriteQueue) Watched() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.back != nil && q.lim.Drop == DropNone
}

// HalfFull reports whether more is pending than half of what makes the connection a slow consumer.
func (q *WriteQueue) HalfFull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || q.pending > q.lim.MaxPending/2
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

// Stats is what monitoring and logs say of a queue.
type Stats struct {
	Messages int64         // handed to the connection
	Payload  int64         // bytes of their payloads
	Pending  int64         // bytes
	Queued   int64         // bytes of Pending that the socket has not taken at the first attempt
	Subject  string        // that most of what is queued was published on
	Lag      time.Duration // age of the backlog
	Lost     Lost          // messages that were dropped, and their bytes; they are among Messages and Payload
}

// Stats returns the counts of the connection, and how far it lags.
func (q *WriteQueue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{Messages: q.messages, Payload: q.payload, Pending: q.pending, Lost: q.lost}
	if q.back != nil {
		s.Queued = q.back.bytes
		s.Subject, s.Lag = string(q.back.top.subject), time.Since(q.back.since)
	}
	return s
}

// Limits returns what the connection may have pending. It is not to be changed.
func (q *WriteQueue) Limits() *Limits {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lim
}

// SetLimits makes lim what the connection may have pending from now on.
func (q *WriteQueue) SetLimits(lim *Limits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lim = lim
}
