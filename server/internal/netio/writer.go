package netio

import (
	"errors"
	"os"
	"time"
)

// This file writes what is queued: a pusher without waiting, or the writer goroutine.

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
