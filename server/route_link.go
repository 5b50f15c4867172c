package server

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/mesh"
)

// This file acts on the lines LINK of another server (route_pool.go says what they are for).

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

// announceAgain notes a subscription that the new carrier of the peer repeats. If its sid stood for
// another one it ends that: the client has used the sid again, and the UNSUB was lost with the
// carrier before.
func (r *route) announceAgain(s *subscription, holder *conn) {
	r.forgetEnded(holder) // first: holder does not have s yet
	r.announced[s.sid()] = true
	if old := holder.subOf([]byte(s.sid())); old != nil && old.text != s.text {
		holder.unsubscribe(old)
	}
}

// forgetEnded forgets what has been repeated and has ended, if that is more than half.
func (r *route) forgetEnded(holder *conn) {
	const free = 1 << 10
	holder.mu.Lock()
	defer holder.mu.Unlock()
	if len(r.announced) > 2*holder.subs.len()+free {
		maps.DeleteFunc(r.announced, func(sid string, _ bool) bool { return holder.subs.with(sid) == nil })
	}
}

// endUnannounced ends the interest of the peer that its new carrier has not repeated.
func (r *route) endUnannounced() {
	known := r.announced
	if known == nil {
		return
	}
	r.announced = nil
	c := r.holder()
	c.mu.Lock()
	defer c.mu.Unlock()
	for sub := range c.subs.all {
		if !known[sub.sid()] {
			c.removeSubLocked(sub)
		}
	}
}
