package server

import (
	"time"
)

// This file sends what an interest queue holds, in pieces: a reader sends one, a goroutine the rest.

// push sends a piece of the queue, and has a goroutine send the rest. It does nothing if another
// goroutine is sending.
func (q *interestQueue) push() {
	if q.sending.Load() || !q.startSending() {
		return
	}
	if q.room() {
		q.sendPiece()
	}
	if !q.stopSending() {
		go q.send() // ends when the queue is empty, or with the route
	}
}

// startSending reports whether the caller may send: no other goroutine does, and there is something to
// send.
func (q *interestQueue) startSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sending.Load() || q.closed || !q.readyLocked() {
		return false
	}
	q.sending.Store(true)
	q.senders.Add(1)
	return true
}

// stopSending ends what startSending began. It reports false if there is more to send: the caller
// must continue.
func (q *interestQueue) stopSending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.readyLocked() && !q.closed {
		return false
	}
	q.sending.Store(false)
	q.senders.Done()
	return true
}

// readyLocked reports whether a flow waits for its turn.
func (q *interestQueue) readyLocked() bool { return len(q.fresh)+len(q.turns) > 0 }

// send sends until the queue is empty, at the pace of the peer.
func (q *interestQueue) send() {
	for more := true; more; more = !q.stopSending() {
		q.awaitRoom()
		q.sendPiece()
	}
}

// sendPiece sends some lines, and messages between them. startSending has returned true to the
// caller.
func (q *interestQueue) sendPiece() {
	list, size := q.take()
	text := make([]byte, 0, min(size, interestPiece))
	lines, before := int64(0), 0 // bytes of lines that are pushed already
	var one [1]*subscription
	for i := range list {
		it := &list[i]
		subs := one[:]
		if one[0] = it.sub; it.sub == nil {
			subs = it.other.removed
		}
		for _, sub := range subs {
			at := len(text)
			text = appendInterest(text, sub, it.removed || it.sub == nil)
			if q.to.tracing && !it.again {
				q.to.tracef("<<- [%s]", text[at:len(text)-len("\r\n")])
			}
		}
		lines += int64(len(subs))
		switch {
		case len(subs) > 0:
		case !it.other.isEnd():
			before += len(text)
			text = q.pushMessages(text, it.other)
		case q.endReached():
			text = append(text, syncedLine...)
		}
	}
	if before+len(text) > 0 && q.pingIsDue(before, len(text)) {
		if q.to.tracing {
			q.to.tracef("<<- [PING]")
		}
		q.to.pings.Add(1)
		text = append(text, "PING\r\n"...)
	}
	q.pushLines(text)
	if lines > 0 {
		q.to.lastActive.Store(time.Now().UnixNano())
	}
	q.pushed(lines)
}

// pushMessages pushes lines, and then messages. It returns the memory for more lines.
func (q *interestQueue) pushMessages(text []byte, m *flowOther) []byte {
	text = q.pushLines(text)
	if p := q.to.pool; p != nil && m.to != q.to {
		m.to.push(appendWait(nil, q.to.number, q.to.marks.Load()))
	}
	q.deliver(m)
	return text
}

// deliver pushes messages to the connection that they are for, or another one if it takes nothing.
func (q *interestQueue) deliver(m *flowOther) {
	if m.to.out.Push(&m.messages); m.messages.Refused && (q.to.pool == nil || !q.to.pool.resend(m)) {
		m.messages.Drop()
	}
}

// pushLines pushes lines and returns the memory for more. In a pool a mark follows them.
func (q *interestQueue) pushLines(text []byte) []byte {
	if len(text) == 0 {
		return text
	}
	if q.to.pool != nil {
		text = append(text, markLine...)
		q.to.pushMark(text)
	} else {
		q.to.push(text)
	}
	return text[:0]
}

// endReached counts a flow of which everything that the initial sync has queued is sent. It reports
// whether that was the last one.
func (q *interestQueue) endReached() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unsynced--
	return q.unsynced == 0
}

// take removes a piece from the queue: some of each of several flows, new ones first. It returns
// about how many bytes its lines have.
func (q *interestQueue) take() (list []flowItem, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn := interestPiece / max(1, min(maxTurns, len(q.flows)))
	for all := 0; all < interestPiece; {
		f := q.nextFlowLocked(all)
		if f == nil {
			break
		}
		if f.ending {
			f.resting = true
			continue
		}
		var lines, messages int
		list, lines, messages = f.take(list, turn)
		all += lines + messages
		size += lines
		q.bytes -= int64(lines)
		q.taken = append(q.taken, f)
	}
	return list, size
}

// nextFlowLocked returns the flow whose turn it is. New flows come first, but have no more than
// half of a piece.
func (q *interestQueue) nextFlowLocked(taken int) (f *flow) {
	list := &q.fresh
	if len(q.fresh) == 0 || taken >= interestPiece/2 && len(q.turns) > 0 {
		list = &q.turns
	}
	if len(*list) == 0 {
		return nil
	}
	f = (*list)[0]
	(*list)[0] = nil // the array stays for a while
	*list = (*list)[1:]
	return f
}

// pushed is called when a piece has been pushed: flows that are empty end.
func (q *interestQueue) pushed(lines int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting.Add(-lines)
	for _, f := range q.taken {
		switch {
		case q.closed:
		case f.ending:
			f.resting = true
		case f.len() > 0:
			q.turns = append(q.turns, f)
		default:
			q.forgetLocked(f)
		}
	}
	clear(q.taken)
	q.taken = q.taken[:0]
	q.progressedLocked()
}

func (q *interestQueue) progressedLocked() {
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// next returns a channel that is closed when more has been sent, the peer has acted on it, or the
// queue is closed; nil if it is closed already.
func (q *interestQueue) next() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	if q.progress == nil {
		q.progress = make(chan struct{})
	}
	return q.progress
}
