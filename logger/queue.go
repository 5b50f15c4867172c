package logger

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLimit      = 2 << 20         // bytes of lines that wait for the destination, by default
	minQueue        = 4 << 10         // the smallest queue
	recordCost      = 48              // bytes of memory for a record, charged like its line
	maxReusedBuffer = 64 << 10        // a buffer of more bytes is not reused
	closeLimit      = 2 * time.Second // how long Close, Fatalf and Reopen wait for the destination
)

// A sink is the destination of lines. Only the queue's goroutine calls write and close.
type sink interface {
	// write stores the records of buf in order and returns how many were stored in full.
	write(buf []byte, recs []record) (int, error)
	// end is called when Close begins, once, by any goroutine: write no longer waits for a
	// destination that is not available.
	end()
	// abort makes a write that hangs return, where that is possible. It is called after end, by
	// any goroutine.
	abort()
	close() error
}

// record is one line in a batch: buf[from:to]. That of a line that reports lost lines counts for
// all of them.
type record struct {
	from, to int
	lv       level
	lost     uint64
	do       func() // if not nil, called in place of a line
}

// batch is lines that are written together.
type batch struct {
	buf  []byte
	recs []record
}

// size is the memory that is charged for the batch.
func (b *batch) size() int { return len(b.buf) + len(b.recs)*recordCost }

// reset empties the batch for reuse.
func (b *batch) reset() {
	if cap(b.buf)+cap(b.recs)*recordCost > 2*maxReusedBuffer {
		*b = batch{}
	}
	clear(b.recs)
	b.buf, b.recs = b.buf[:0], b.recs[:0]
}

// queue has the lines between the callers, which never wait, and one goroutine, which writes them
// to the sink. When the sink does not keep up and the queue is full, lines are dropped and counted;
// the first line after the gap reports how many.
type queue struct {
	// set once
	enc      encoder
	sink     sink
	limit    int
	maxLine  int
	patience time.Duration // closeLimit, shorter in tests
	texts    sync.Pool     // *[]byte
	wake     chan struct{} // buffers one signal: there is something to take
	done     chan struct{} // closed when the goroutine has ended

	// owned by the goroutine; closeErr is read after done
	closeErr error

	mu sync.Mutex
	// guarded by mu
	waiting batch
	spare   batch
	writing int // bytes at the sink
	lost    uint64
	reason  string // why lines were lost last, empty if the queue was full
	dedup   deduplicator
	window  *time.Timer // ends the window of dedup; nil if none is running
	closing bool

	// atomic
	dropped atomic.Uint64
}

// newQueue starts a queue in front of a sink.
func newQueue(s sink, enc encoder, o Options) *queue {
	q := &queue{
		enc: enc, sink: s, limit: o.QueueSize, maxLine: o.MaxLine, patience: closeLimit,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if q.limit <= 0 {
		q.limit = queueLimit
	}
	q.limit = max(q.limit, minQueue)
	if q.maxLine <= 0 || q.maxLine > q.limit/2 {
		q.maxLine = q.limit / 2
	}
	q.texts.New = func() any { return new([]byte) }
	// Ended by close, which waits for it; if the sink hangs for longer than closeLimit, ends
	// when the sink returns.
	go q.drain()
	return q
}

// logf formats a line and queues it. It never waits for the sink.
func (q *queue) logf(lv level, format string, v ...any) {
	b := q.texts.Get().(*[]byte)
	*b = fmt.Appendf((*b)[:0], format, v...)
	text := *b
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	q.add(lv, cutText(text, q.maxLine))
	if cap(*b) <= maxReusedBuffer {
		q.texts.Put(b)
	}
}

// add queues a line, unless it is a repeated one.
func (q *queue) add(lv level, text []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing {
		q.dropped.Add(1)
		return
	}
	now := time.Now()
	if q.dedup.due(now) {
		q.sweepLocked(now)
	}
	if q.dedup.admit(now, lv, text) {
		q.putLocked(now, lv, text)
		return
	}
	if q.window == nil {
		q.window = time.AfterFunc(q.dedup.end.Sub(now), q.endWindow)
	}
}

// endWindow reports repeated lines when no other line follows.
func (q *queue) endWindow() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := time.Now(); !q.closing && q.dedup.due(now) {
		q.sweepLocked(now)
	}
}

// sweepLocked ends the window and reports the repeated lines in it.
func (q *queue) sweepLocked(now time.Time) {
	if q.window != nil {
		q.window.Stop()
		q.window = nil
	}
	for _, r := range q.dedup.sweep() {
		q.putLocked(now, r.lv, []byte(r.String()))
	}
}

// putLocked queues a line, or counts it as lost if there is no room. An eighth of the room is
// reserved for lines that are neither debug nor trace.
func (q *queue) putLocked(now time.Time, lv level, text []byte) {
	room := q.limit
	if lv.verbose() {
		room -= room / 8
	}
	if q.writing+q.waiting.size()+len(text) > room {
		q.lost++
		q.reason = ""
		q.dropped.Add(1)
		return
	}
	q.reportLostLocked(now)
	q.appendLocked(now, lv, text, 0)
}

// reportLostLocked queues a line that reports the lost ones, if there are any.
func (q *queue) reportLostLocked(now time.Time) {
	if q.lost == 0 {
		return
	}
	reason := "the log destination did not keep up"
	if q.reason != "" {
		reason = q.reason
	}
	text := strconv.AppendUint(nil, q.lost, 10)
	text = append(text, " log lines lost: "...)
	text = append(text, reason...)
	q.appendLocked(now, warning, text, q.lost)
	q.lost = 0
}

// appendLocked encodes a line into the waiting batch.
func (q *queue) appendLocked(now time.Time, lv level, text []byte, lost uint64) {
	b := &q.waiting
	from := len(b.buf)
	b.buf = q.enc(b.buf, now, lv, text)
	b.recs = append(b.recs, record{from: from, to: len(b.buf), lv: lv, lost: lost})
	q.signal()
}

// signal wakes the goroutine.
func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// drain is the goroutine that writes.
func (q *queue) drain() {
	defer close(q.done)
	for {
		b, last := q.take()
		if len(b.recs) > 0 {
			q.write(b)
			q.recycle(b)
			continue
		}
		if last {
			break
		}
		<-q.wake
	}
	q.closeErr = q.sink.close()
}

// take returns what is waiting, and whether nothing will follow.
func (q *queue) take() (b batch, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// What was lost because the queue was full follows all that waits. What the sink refused is
	// reported with the next line, which tries the sink again.
	if q.lost > 0 && (q.reason == "" || len(q.waiting.buf) > 0) {
		q.reportLostLocked(time.Now())
	}
	b = q.waiting
	q.waiting, q.spare = q.spare, batch{}
	q.writing = b.size()
	return b, q.closing
}

// recycle gives a written batch back for reuse.
func (q *queue) recycle(b batch) {
	b.reset()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = b
	q.writing = 0
}

// write writes a batch to the sink, in parts where a record has something to do in between.
func (q *queue) write(b batch) {
	start := 0
	for i, r := range b.recs {
		if r.do == nil {
			continue
		}
		q.writeLines(b.buf, b.recs[start:i])
		r.do()
		start = i + 1
	}
	q.writeLines(b.buf, b.recs[start:])
}

// writeLines writes records to the sink.
func (q *queue) writeLines(buf []byte, recs []record) {
	if len(recs) == 0 {
		return
	}
	if n, err := q.sink.write(buf, recs); err != nil {
		q.refused(recs[n:], err)
	}
}

// refused counts records that the sink did not take. The lines that a report of lost lines counts
// are dropped already.
func (q *queue) refused(recs []record, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reason = err.Error()
	for _, r := range recs {
		if r.lost > 0 {
			q.lost += r.lost
			continue
		}
		q.lost++
		q.dropped.Add(1)
	}
}

// control has the queue's goroutine call do after all lines queued so far were written, and waits
// for it for patience at most. It reports whether do was called.
func (q *queue) control(do func()) bool {
	called := make(chan struct{})
	if !q.enqueue(func() { do(); close(called) }) {
		return false
	}
	limit := time.NewTimer(q.patience)
	defer limit.Stop()
	select {
	case <-called:
		return true
	case <-limit.C:
		return false
	}
}

// enqueue queues a call.
func (q *queue) enqueue(do func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing {
		return false
	}
	n := len(q.waiting.buf)
	q.waiting.recs = append(q.waiting.recs, record{from: n, to: n, do: do})
	q.signal()
	return true
}

// close writes what is queued, waiting for patience at most, and ends the goroutine.
func (q *queue) close() error {
	if q.beginClose() {
		q.sink.end()
	}
	limit := time.NewTimer(q.patience)
	defer limit.Stop()
	select {
	case <-q.done:
		return q.closeErr
	case <-limit.C:
	}
	q.sink.abort()
	return fmt.Errorf("close log: the destination did not take the last lines within %v", q.patience)
}

// beginClose makes the queue accept no more lines, and reports whether it did before.
func (q *queue) beginClose() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing {
		return false
	}
	q.sweepLocked(time.Now())
	q.closing = true
	q.signal()
	return true
}
