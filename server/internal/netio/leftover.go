package netio

import "time"

// Leftover is what a connection that ends was handed and its socket has not taken.
type Leftover struct {
	First    []byte    // comes before Segments: what was pushed before the queue kept anything
	Segments []Segment // begin with a whole delivery
	Sent     int       // bytes at their beginning that the socket has taken

	shared *Shared
	size   int64 // that it counts for in SetAside
}

// NewLeftover returns a leftover with a text, which is counted until it is released.
func (s *Shared) NewLeftover(text []byte) Leftover {
	c := &Chunk{mem: text}
	c.refs.Store(1)
	s.SetAside.Add(int64(len(text)))
	return Leftover{Segments: []Segment{{text, c}}, shared: s, size: int64(len(text))}
}

// Size returns about how many bytes there are.
func (l *Leftover) Size() int64 { return l.size }

// Discount counts the leftover in SetAside no more. It is to be released at once.
func (l *Leftover) Discount() {
	l.shared.SetAside.Add(-l.size)
	l.size = 0
}

// Release gives up the bytes.
func (l *Leftover) Release() {
	if l.shared == nil {
		return // there is none
	}
	releaseAll(l.Segments)
	l.Discount()
	*l = Leftover{}
}

// keeper keeps what a write queue has not written, for Leave, and of what it has written the beginning
// of the part that follows, so that the receiver of the leftover sees whole messages. It is guarded by
// WriteQueue.mu.
type keeper struct {
	keepsAll bool         // what is pushed when the socket is broken is kept, too
	past     segmentQueue // that has been written
	rest     segmentQueue // what follows it, when nothing is written any more
	stop     bool         // Leave waits for the writer to stop
}

// KeepLeftover makes the queue keep what it does not write, for Leave. If it is to keep all, it keeps also
// what is pushed after the socket has broken.
func (q *WriteQueue) KeepLeftover(all bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.keeper == nil && !q.closed {
		q.keeper = new(keeper)
		q.partsLocked() // what was pushed before is not kept when it has been written
	}
	if q.keeper != nil {
		q.keeper.keepsAll = all
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
	l = q.leftoverLocked()
	q.keeper = nil
	q.trimLocked()
	stopped := idle != nil && !k.stop // and nothing else may write
	if stopped && q.dead {
		q.endLocked()
	}
	return l, stopped && !q.dead
}

// leftoverLocked takes what the keeper keeps. Its segments begin with the first delivery that is kept as a
// whole.
func (q *WriteQueue) leftoverLocked() Leftover {
	k, p := q.keeper, q.partsLocked()
	l := Leftover{shared: q.shared, size: k.rest.size}
	q.trimLocked()
	left := q.unwrittenLocked()
	if p.size-left > k.past.size { // it was being written when there was no keeper
		p.size -= p.list[0].bytes
		p.list = p.list[1:]
	}
	k.rest.dropFill()
	before := k.past.size + left - p.size
	segs := dropSent(append(k.past.queue, k.rest.queue...), int(min(before, k.past.size)))
	l.Sent = int(max(0, k.past.size-before))
	if before > k.past.size {
		first, rest := cut(segs, int(before-k.past.size))
		l.First = make([]byte, 0, before-k.past.size)
		for _, s := range first {
			l.First = append(l.First, s.Bytes...)
		}
		releaseAll(first)
		segs = rest
	}
	l.Segments = segs
	return l
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
			q.currentLink().Conn().SetWriteDeadline(time.Unix(1, 0))
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
		d := Delivery{Segments: []Segment{{Bytes: first}}}
		d.Keep()
		q.requeue(&d, -len(first), 0)
	}
	if !q.write() {
		q.startWriter()
	}
}

// refuseLocked refuses a delivery, unless it is kept for Leave.
func (q *WriteQueue) refuseLocked(d *Delivery) {
	if k := q.keeper; k != nil && k.keepsAll && q.dead && k.rest.size < q.lim.MaxPending {
		q.noteLocked(d, k.rest.size)
		k.rest.addDelivery(d)
		q.shared.SetAside.Add(int64(d.Bytes))
		return
	}
	if d.Refused = true; !d.Reserved {
		d.Drop()
	}
}

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
