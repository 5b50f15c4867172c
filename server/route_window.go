package server

import "time"

// This file bounds the interest that is on its way to a peer: a window, as the answers of the peer
// move it on.

const (
	// interestWindow is how many bytes of interest may be on their way to a peer. Messages wait
	// behind them, so they are few; a peer that acts on them in 20 ms gets 25 MB/s.
	interestWindow = 512 << 10
	// interestPing is how many bytes of interest are followed by a PING at the latest: its PONG
	// says that the peer has acted on them.
	interestPing = interestWindow / 2
	// ackTime is how long an answer may take before it is enough that the socket has taken the
	// interest: the peer may have much to send before the PONG. After the first time without any
	// answer the peer is taken for one that does not answer, and silentTime is enough.
	ackTime    = time.Second
	silentTime = 20 * time.Millisecond
)

// interestInFlight is what bounds the interest that is on its way to a peer.
type interestInFlight struct {
	bytes      int64   // that the peer may not have acted on yet
	sincePing  int64   // those of them that no PING follows
	unanswered []int64 // of each PING without an answer, the bytes that it follows
	position   int64   // pushed to the route when the last of them were
	answered   bool    // the peer has answered a PING
	silent     bool    // it has not, in time
}

// pingIsDue counts bytes of interest, some of which have been pushed and n are about to be. It reports
// whether a PING is to follow them.
func (q *interestQueue) pingIsDue(before, n int) bool {
	pushed, _ := q.to.out.Progress()
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.inFlight
	w.position = pushed + int64(n)
	w.bytes += int64(before + n)
	w.sincePing += int64(before + n)
	if w.sincePing < interestPing && (w.sincePing < interestPiece/2 || q.bytes == 0) {
		return false
	}
	w.unanswered = append(w.unanswered, w.sincePing)
	w.sincePing = 0
	return true
}

// answered is called when the peer has answered a PING, of this queue or another.
func (q *interestQueue) answered() {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.inFlight
	if len(w.unanswered) > 0 {
		w.bytes -= w.unanswered[0]
		w.unanswered = w.unanswered[1:]
		w.answered, w.silent = true, false
		q.progressedLocked()
	}
}

// room reports whether more interest may be pushed.
func (q *interestQueue) room() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed || q.inFlight.bytes < interestWindow
}

// awaitRoom waits until more interest may be pushed, or the queue is closed.
func (q *interestQueue) awaitRoom() {
	for !q.room() {
		next := q.next()
		if next == nil || q.room() {
			return
		}
		timer := time.NewTimer(q.patience())
		select {
		case <-next:
		case <-timer.C:
			q.waitedLong()
		}
		timer.Stop()
	}
}

// patience returns how long to wait for an answer.
func (q *interestQueue) patience() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inFlight.silent {
		return silentTime
	}
	return ackTime
}

// waitedLong gives up waiting for an answer if the socket has taken everything.
func (q *interestQueue) waitedLong() {
	_, written := q.to.out.Progress()
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := &q.inFlight; written >= w.position {
		w.bytes, w.sincePing, w.unanswered = 0, 0, nil
		w.silent = !w.answered
	}
}
