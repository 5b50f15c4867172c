package server

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/mesh"
	"gnatsd/server/internal/netio"
)

// This file writes the lines LINK, and acts on those of another server (route_pool.go says what they are
// for).

// markCount counts the marks that were read on a member of a pool.
type markCount struct {
	n atomic.Int64

	mu   sync.Mutex    // guards what follows
	more chan struct{} // closed with the next mark; nil if no goroutine waits for it
}

func (m *markCount) add() {
	m.n.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.more != nil {
		close(m.more)
		m.more = nil
	}
}

// next returns a channel that is closed with the next mark.
func (m *markCount) next() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.more == nil {
		m.more = make(chan struct{})
	}
	return m.more
}

// lostWait is how long a member that the peer has lost may take to deliver what has arrived.
const lostWait = 2 * time.Second

// linkLine handles LINK.
func (r *route) linkLine(o *op, b *batch) closeReason {
	if string(o.args) == "s2" {
		return r.beginDecompression()
	}
	if r.pool == nil {
		return closeUnknownOp
	}
	var number int
	var marks int64
	var err error
	if o.argCount > 1 {
		number, err = strconv.Atoi(string(o.arg[1]))
	}
	if o.argCount > 2 && err == nil {
		marks, err = strconv.ParseInt(string(o.arg[2]), 10, 64)
	}
	if err != nil {
		return closeBadArgs
	}
	switch word := string(o.arg[0]); {
	case (word == "mark" || word == "moved") && o.argCount == 1:
		b.flush() // what came before must be delivered
		r.marked.add()
	case word == "wait" && o.argCount == 3:
		if other := r.pool.numbered(number); other != nil && other != r && other.marked.n.Load() < marks {
			return r.await(b, other, marks)
		}
	case word == "gone" && o.argCount == 2:
		if other := r.pool.numbered(number); other != nil && other != r {
			return r.awaitEnd(b, other)
		}
	case word == "joined" && o.argCount == 1:
		if r.attempt != nil {
			r.srv.cluster.event(func(m *mesh.Mesh, now time.Time) { m.Joined(now, r.id) })
		}
	case word == "leave" && o.argCount == 1:
		b.flush()
		return r.left()
	case word == "sync" && o.argCount == 1:
		r.announced = map[string]bool{}
	case word == "synced" && o.argCount == 1:
		r.endUnannounced()
	default:
		return closeUnknownOp
	}
	return keepOpen
}

// left handles LINK leave: the peer sends nothing more on the connection. It is closed when both have
// left it.
func (r *route) left() closeReason {
	if r.retired() {
		return closeRouteRemoved
	}
	r.srv.cluster.event(func(m *mesh.Mesh, now time.Time) { m.Left(now, r.id) })
	return keepOpen
}

// await waits until so many marks have been read on another member, or that has ended. It returns
// the reason if this one is closed meanwhile.
func (r *route) await(b *batch, other *route, marks int64) closeReason {
	b.flush()
	ctx, done := r.beginWait()
	defer done()
	for {
		more := other.marked.next() // first, so that no mark is missed
		if other.marked.n.Load() >= marks {
			return keepOpen
		}
		select {
		case <-more:
		case <-other.stopped:
			return keepOpen
		case <-ctx:
			return r.reason()
		}
	}
}

// awaitEnd waits until another member, which the peer has lost, has delivered what has arrived on
// it. It returns the reason if this one is closed meanwhile.
func (r *route) awaitEnd(b *batch, other *route) closeReason {
	b.flush()
	ctx, done := r.beginWait()
	defer done()
	late := time.NewTimer(lostWait)
	defer late.Stop()
	for {
		select {
		case <-other.stopped:
			return keepOpen
		case <-late.C:
			other.setCause("the other server has lost the connection")
			other.close(closeReadError)
		case <-ctx:
			return r.reason()
		}
	}
}

// beginWait returns a channel that is closed when the route is closed. The route does not count as
// idle until done is called.
func (r *route) beginWait() (closed <-chan struct{}, done func()) {
	ctx, end := r.abortable()
	r.waiting.Store(true)
	return ctx.Done(), func() {
		end()
		r.noteReceived()
		r.waiting.Store(false)
	}
}

// pushMark queues text that ends with a mark. It returns the number of the mark, 0 if the connection
// takes nothing any more. Nothing can wait for the mark before it has its place: another
// member could have a wait for it, and behind that what this one is to wait for first.
func (r *route) pushMark(text []byte) (n int64) {
	d := netio.Delivery{Segments: []netio.Segment{{Bytes: text}}, Bytes: len(text), Counter: &r.marks}
	r.out.Push(&d)
	return d.Count
}

const (
	markLine   = "LINK mark\r\n"
	syncLine   = "LINK sync\r\n"
	syncedLine = "LINK synced\r\n"
	leaveLine  = "LINK leave\r\n"
	joinedLine = "LINK joined\r\n"

	untilEnd = math.MaxInt64 // marks that are never reached: until the member has ended
)

func appendWait(text []byte, number int, marks int64) []byte {
	text = append(text, "LINK wait "...)
	text = strconv.AppendInt(text, int64(number), 10)
	text = append(text, ' ')
	text = strconv.AppendInt(text, marks, 10)
	return append(text, "\r\n"...)
}

func goneLine(number int) string { return "LINK gone " + strconv.Itoa(number) + "\r\n" }

// movedLine is the mark of a publisher that moves to another member.
const movedLine = "LINK moved\r\n"
