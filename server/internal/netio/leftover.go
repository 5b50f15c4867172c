package netio

import (
	"slices"
	"time"
)

// Leftover is what a connection that ends was handed and its socket has not taken. It begins with a
// whole delivery.
type Leftover struct {
	Segments []Segment
	Sent     int // bytes at the beginning that the socket has taken
}

// Release gives up the bytes.
func (l *Leftover) Release() {
	releaseAll(l.Segments)
	l.Segments = nil
}

// keeper keeps what a write queue has not written, for Leave. Deliveries begin at positions in the
// stream of all bytes that were pushed; what has been written is kept back to the last position
// that is known, so that the receiver of the leftover sees whole messages. It is guarded by
// WriteQueue.mu.
type keeper struct {
	gathers bool  // what is pushed when the socket is broken is kept, too
	begun   int64 // position where the next delivery begins
	written int64 // position up to which everything has been written
	starts  []int64
	past    []Segment    // written bytes before that position
	bytes   int64        // in past
	rest    segmentQueue // what follows it, when nothing is written any more
	stop    bool         // Leave waits for the writer to stop
}

// startInterval is the least number of bytes between two positions that are remembered.
const startInterval = 16 << 10

// begin notes that a delivery of n bytes has been pushed.
func (k *keeper) begin(n int) {
	k.noteStart(k.begun)
	k.begun += int64(n)
}

// noteStart remembers a position where a delivery begins, unless there is one shortly before.
func (k *keeper) noteStart(at int64) {
	if len(k.starts) == 0 || at-k.starts[len(k.starts)-1] >= startInterval {
		k.starts = append(k.starts, at)
	}
}

// wrote moves n bytes that were written from segs to past, and returns what is left of segs.
func (k *keeper) wrote(segs []Segment, n int) []Segment {
	k.written += int64(n)
	k.bytes += int64(n)
	sent, rest := cut(segs, n)
	k.past = append(k.past, sent...)
	k.trim()
	return rest
}

// trim releases what is not needed to begin with a whole delivery.
func (k *keeper) trim() {
	i := 0
	for i+1 < len(k.starts) && k.starts[i+1] <= k.written {
		i++
	}
	k.starts = k.starts[i:]
	first := k.written
	if len(k.starts) > 0 {
		first = min(first, k.starts[0])
	}
	done := first - (k.written - k.bytes)
	rest := dropSent(k.past, int(done))
	k.past = slices.Delete(k.past, 0, len(k.past)-len(rest))
	k.bytes -= done
}

// wroteFirst notes that a delivery of n bytes has been written, before which there was nothing.
func (k *keeper) wroteFirst(n int) {
	k.written += int64(n)
	i, _ := slices.BinarySearch(k.starts, k.written)
	k.starts = slices.Insert(k.starts, i, k.written) // the next delivery begins here
	k.trim()
}

// wroteAll notes that everything has been written.
func (k *keeper) wroteAll() {
	releaseAll(k.past)
	k.past, k.bytes, k.starts, k.written = nil, 0, k.starts[:0], k.begun
}

// setAside keeps segments that follow those that are kept already, or precede them.
func (k *keeper) setAside(segs []Segment, first bool) {
	if first {
		k.rest.putBack(segs)
	} else {
		k.rest.push(segs...)
	}
}

// leftover returns everything that is kept. The keeper is not used any more.
func (k *keeper) leftover() Leftover {
	k.rest.dropFill()
	l := Leftover{Segments: append(k.past, k.rest.queue...)}
	begin := k.written - k.bytes
	if len(k.starts) == 0 {
		l.Release()
		return l
	}
	l.Segments = dropSent(l.Segments, int(k.starts[0]-begin))
	l.Sent = int(max(0, k.written-k.starts[0]))
	return l
}

// KeepLeftover makes the queue keep what it does not write, for Leave. If it gathers, it keeps also
// what is pushed after the socket has broken.
func (q *WriteQueue) KeepLeftover(gathers bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.keeper == nil && !q.closed {
		q.keeper = &keeper{begun: q.pending - q.reserved}
	}
	if q.keeper != nil {
		q.keeper.gathers = gathers
	}
}

// Leave ends what KeepLeftover began and returns what has not been written. A write under way gets
// some time to end, then it is interrupted. Leave reports whether the connection can be written to
// all the same, and waits for Continue to be called.
func (q *WriteQueue) Leave(wait time.Duration) (l Leftover, waits bool) {
	idle := q.stopWriting()
	if idle != nil {
		q.awaitStop(idle, wait)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	k := q.keeper
	if k == nil {
		return l, false
	}
	q.keeper = nil
	stopped := idle != nil && !k.stop // and nothing else may write
	if stopped && q.dead {
		q.endLocked()
	}
	return k.leftover(), stopped && !q.dead
}

// stopWriting makes the writer stop. It returns a channel that is closed when it has; nil if there
// is none.
func (q *WriteQueue) stopWriting() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := q.keeper
	if k == nil || !q.busy {
		return nil
	}
	k.stop = true
	return q.idleLocked()
}

// interruptAgain is how often a write is interrupted that goes on: it may have set its own deadline
// at the same moment.
const interruptAgain = 10 * time.Millisecond

// awaitStop waits until nothing is written any more, and interrupts the write if it takes longer
// than wait.
func (q *WriteQueue) awaitStop(idle <-chan struct{}, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-idle:
			return
		case <-timer.C:
			q.link.Conn().SetWriteDeadline(time.Unix(1, 0))
			timer.Reset(interruptAgain)
		}
	}
}

// stopLocked sets aside what is queued, if Leave waits for that. It reports whether it did.
func (q *WriteQueue) stopLocked() bool {
	k := q.keeper
	if k == nil || !k.stop {
		return false
	}
	q.dropBacklogLocked()
	k.stop = false
	q.signalIdleLocked()
	return true
}

// Continue writes what is to be written of a leftover, and then what was pushed meanwhile.
func (q *WriteQueue) Continue(first []byte) {
	if len(first) > 0 {
		d := Delivery{Segments: []Segment{{Bytes: first}}, Bytes: len(first)}
		d.Keep()
		q.requeue(&d, -len(first), true)
	}
	if !q.write(pushRounds) {
		q.startWriter()
	}
}
