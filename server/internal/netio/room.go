package netio

import (
	"math"
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
	ch chan<- Room // has room for one
	n  int64
}

// roomWaiters are the publishers that wait for room at a queue.
type roomWaiters struct {
	list    []roomWaiter // the first one first
	granted time.Time    // when one of them got room last
}

func (q *WriteQueue) waitersLocked() *roomWaiters {
	if q.waiters == nil {
		q.waiters = new(roomWaiters)
	}
	return q.waiters
}

// Admit reserves room for n bytes. It reports false if the connection lags; then room is reserved for ch
// when the connection has caught up, and sent to it, unless ch is nil or another connection was faster.
// What has ended, or drops messages, lags never and reserves nothing.
func (q *WriteQueue) Admit(n int64, ch chan<- Room) (r Room, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.laggingLocked() {
		if ch != nil {
			w := q.waitersLocked()
			w.list = append(w.list, roomWaiter{ch, n})
		}
		return Room{}, false
	}
	return q.roomLocked(n), true
}

// AdmitLate is Admit for a publisher that has waited for some time: now up to half of what may be pending
// may be. If the peer takes nothing that becomes more with the time, and soon there is no bound any more:
// it is disconnected then for what is pending.
func (q *WriteQueue) AdmitLate(n int64) (r Room, ok bool) {
	q.lookAtSocket()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.laggingLocked() && q.pending+n > q.lateLimitLocked() {
		return Room{}, false
	}
	q.waitersLocked().granted = time.Now()
	return q.roomLocked(n), true
}

// maxLateTime is in what time AdmitLate gives up its bound where the peer takes nothing, unless a write may
// take less.
const maxLateTime = 2 * time.Second

// lateLimitLocked returns up to how many bytes may be pending for AdmitLate.
func (q *WriteQueue) lateLimitLocked() int64 {
	half := q.lim.MaxPending / 2
	if q.movesLocked() {
		return half
	}
	still, most := time.Since(q.back.moved), min(maxLateTime, q.lim.patience())
	if still >= most {
		return math.MaxInt64
	}
	return half + int64(float64(half)*float64(still-blockedTime)/float64(most-blockedTime))
}

// lookAtSocket notes whether the peer has taken something of what the socket holds: that may be so much
// that nothing is written for long though the peer reads.
func (q *WriteQueue) lookAtSocket() {
	link := q.currentLink()
	held := link.Unsent()
	if p := progressConnOf(link.Conn()); p != nil {
		held = unsent(p.raw)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if b := q.back; b != nil {
		if moved(b.held, held) {
			b.moved = time.Now()
		}
		b.held = held
	}
}

// HasGranted reports whether a publisher that waited was given room in the last d.
func (q *WriteQueue) HasGranted(d time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiters != nil && time.Since(q.waiters.granted) < d
}

// StopWaiting undoes what Admit did with ch.
func (q *WriteQueue) StopWaiting(ch chan<- Room) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.waiters; w != nil {
		w.list = slices.DeleteFunc(w.list, func(r roomWaiter) bool { return r.ch == ch })
	}
}

// laggingLocked reports whether publishers wait for the connection.
func (q *WriteQueue) laggingLocked() bool {
	return !q.closed && q.lim.Drop == DropNone && q.pending > q.lim.HighWater
}

// roomLocked reserves room for n bytes.
func (q *WriteQueue) roomLocked(n int64) Room {
	if q.closed || q.lim.Drop != DropNone {
		return Room{}
	}
	q.addReservedLocked(n)
	return Room{q, n}
}

// grantLocked gives room to publishers that wait, first come, first served, if little is pending.
func (q *WriteQueue) grantLocked() {
	w := q.waiters
	if w == nil || !q.closed && q.pending > q.lim.HighWater/lowShare {
		return
	}
	k := 0
	for ; k < len(w.list) && !q.laggingLocked(); k++ {
		room := q.roomLocked(w.list[k].n)
		select {
		case w.list[k].ch <- room:
		default: // another connection has let it go on
			q.unreserveLocked(room.n)
		}
	}
	if k > 0 {
		w.list = slices.Delete(w.list, 0, k)
		w.granted = time.Now()
	}
}
