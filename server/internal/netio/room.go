package netio

import (
	"slices"
	"time"
)

// Room is what a publisher has reserved of the bytes that a connection may have pending: however many
// publishers wait for it, they push no more at a time than it may have pending before it lags, and what
// one of them has. The zero Room is of none.
type Room struct {
	q *WriteQueue
	n int64
}

// Take returns how much of a delivery of n bytes, which goes to q, has room; that is used up.
func (r *Room) Take(q *WriteQueue, n int) (bytes int64) {
	if r.q != q {
		return 0
	}
	bytes = min(r.n, int64(n))
	r.n -= bytes
	return bytes
}

// Release ends what is left of the reservation.
func (r *Room) Release() {
	if r.n > 0 {
		r.q.release(r.n)
	}
	*r = Room{}
}

func (q *WriteQueue) release(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unreserveLocked(n)
	q.grantLocked()
}

// roomWaiter is a publisher that waits for room.
type roomWaiter struct {
	ch    chan<- Room // has room for one
	n     int64
	since time.Time
}

// LateAfter is how long a publisher waits at most while there is room for more in what may be pending.
const LateAfter = 100 * time.Millisecond

// roomWaiters are the publishers that wait for room at a queue, and whether its peer is fast enough to be
// waited for.
type roomWaiters struct {
	list  []roomWaiter // the first one first
	since time.Time    // when the peer had taken enough last, or began to lag; zero unless it lags
	taken int64        // bytes that it had taken then
}

func (q *WriteQueue) waitersLocked() *roomWaiters {
	if q.waiters == nil {
		q.waiters = new(roomWaiters)
	}
	return q.waiters
}

// Admit reserves room for n bytes. It reports false if the connection lags, or others wait for it. Then
// room is reserved for ch in its turn, and sent to it, unless ch is nil or another connection was faster.
// What has ended, or drops messages and does not stall, lags never and reserves nothing.
func (q *WriteQueue) Admit(n int64, ch chan<- Room) (r Room, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.waitsLocked() {
		return q.roomLocked(n), true
	}
	if ch != nil {
		w := q.waitersLocked()
		w.list = append(w.list, roomWaiter{ch, n, time.Now()})
	}
	return Room{}, false
}

// waitsLocked reports whether a publisher has to wait.
func (q *WriteQueue) waitsLocked() bool {
	if q.closed || !q.lim.lags() {
		return false
	}
	return q.pending > q.lim.HighWater || q.waiters != nil && len(q.waiters.list) > 0
}

// Retry grants room to who has waited for [LateAfter] or more. Where nothing is written, who waits has to
// call it now and then. It reports whether the connection lags, and takes so little that none should wait
// for it.
func (q *WriteQueue) Retry() (slow bool) {
	q.lookAtSocket()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.grantLocked()
	w := q.waiters
	return w != nil && !w.since.IsZero() && time.Since(w.since) >= min(slowTime, q.lim.patience())
}

// lookAtSocket notes what the peer has taken of what the socket holds: that may be so much that nothing is
// written for long though the peer reads.
func (q *WriteQueue) lookAtSocket() {
	held := q.inSocket()
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.waitersLocked()
	if q.back == nil { // it has taken everything, and only reservations may be pending
		w.since = time.Time{}
		return
	}
	if taken := q.writtenLocked() - int64(max(0, held)); w.since.IsZero() || taken-w.taken >= q.lim.HighWater {
		w.since, w.taken = time.Now(), taken
	}
}

// slowTime is in what time a peer takes HighWater bytes at least that is waited for, unless a write may take
// less: half a megabyte a second, by default.
const slowTime = 2 * time.Second

// inSocket returns how many bytes are in the socket that the peer has not acknowledged, -1 if that is not
// known.
func (q *WriteQueue) inSocket() int {
	link := q.currentLink()
	if p := progressConnOf(link.Conn()); p != nil {
		return unsent(p.raw)
	}
	return link.Unsent()
}

// StopWaiting undoes what Admit did with ch.
func (q *WriteQueue) StopWaiting(ch chan<- Room) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.waiters; w != nil {
		w.list = slices.DeleteFunc(w.list, func(r roomWaiter) bool { return r.ch == ch })
	}
}

// roomLocked reserves room for n bytes.
func (q *WriteQueue) roomLocked(n int64) Room {
	if q.closed || !q.lim.lags() {
		return Room{}
	}
	q.addReservedLocked(n)
	return Room{q, n}
}

// grantLocked gives room to publishers that wait, first come, first served: if little is pending as much as
// may be before the connection lags, and more to those that have waited for LateAfter.
func (q *WriteQueue) grantLocked() {
	w := q.waiters
	if w == nil {
		return
	}
	low := q.closed || q.pending <= q.lim.HighWater/lowShare
	if q.closed || q.pending-q.reserved <= q.lim.HighWater/lowShare {
		w.since = time.Time{}
	}
	k := 0
	for ; k < len(w.list); k++ {
		r := w.list[k]
		early := low && (q.closed || q.pending <= q.lim.HighWater)
		if !early && (time.Since(r.since) < LateAfter || q.pending+r.n > q.lim.MaxPending/2) {
			break
		}
		room := q.roomLocked(r.n)
		select {
		case r.ch <- room:
		default: // another connection has let it go on
			q.unreserveLocked(room.n)
		}
	}
	w.list = slices.Delete(w.list, 0, k)
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
