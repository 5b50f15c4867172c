package netio

import (
	"time"
)

// This file is what is known of a write queue: for monitoring, the log, and those who decide by it.

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

// Watched reports whether bytes wait for the socket, and the connection ends if it takes none of them
// for WriteDeadline.
func (q *WriteQueue) Watched() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.back != nil && q.lim.Drop == DropNone
}

// HalfFull reports whether more is pending than half of what makes the connection a slow consumer, or it
// takes nothing any more.
func (q *WriteQueue) HalfFull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || q.nearFullLocked()
}

// NearFull is HalfFull of a queue that takes something.
func (q *WriteQueue) NearFull() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && q.nearFullLocked()
}

func (q *WriteQueue) nearFullLocked() bool { return q.pending > q.lim.MaxPending/2 }

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
