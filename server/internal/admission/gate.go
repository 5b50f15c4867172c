package admission

import (
	"context"
	"sync"
	"time"

	"gnatsd/server/internal/linked"
)

// Gate bounds how many connections of one [Source] are in a TLS handshake at a time. When thousands
// of clients of one machine connect at once, it could not compute all its handshakes within the
// time limit. So only some of them are asked to begin; the others wait, without a limit, until
// these are done. How many depends on how long these take: the number grows by one and halves
// (AIMD, as in TCP).
//
// A [Pass] ends with the handshake, or when the peer has sent nothing for passTime that it has to
// send: peers that say nothing do not keep others out. Where that happens and no handshake has been
// slow, the machine is not busy, and the passes double: such peers do not wait here for long,
// either. Of those that wait the latest is next, three times of four: it is more likely to be a
// client that has not given up, and no attacker that has filled the queue.
type Gate struct {
	mu    sync.Mutex // guards what follows
	lines map[Source]*line
}

// line has the connections of one Source.
type line struct {
	passes  int       // in use
	most    int       // that may be
	slow    time.Time // when a handshake was slow; zero if none was
	changed time.Time // when most was halved or doubled
	waiters linked.List[waiter]
	picked  uint // waiters that got a pass
}

const (
	passTime = 250 * time.Millisecond

	// Passes of one Source.
	minPasses   = 8
	firstPasses = 16
	manyPasses  = 128
	maxPasses   = 4096 // if the peers say nothing

	// A handshake that takes less than quickHandshake makes the passes more, one that takes
	// longer than slowHandshake makes them fewer. The time limit is half a second by default.
	quickHandshake = 150 * time.Millisecond
	slowHandshake  = 200 * time.Millisecond
	// changeTime is the time between two changes: those that begin together count once.
	changeTime = 100 * time.Millisecond
	// slowTime is for how long after that all handshakes of the Source get more time.
	slowTime = 10 * time.Second
)

// NewGate returns a Gate without connections.
func NewGate() *Gate { return &Gate{lines: map[Source]*line{}} }

// Pass is the permission of one connection to begin its handshake. A nil Pass is none.
type Pass struct {
	// Set once.
	gate  *Gate
	from  Source
	begun time.Time
	timer *time.Timer // gives the pass up

	left sync.Once
}

// Acquire waits for a pass, which the caller must release. The peer has to send something next. A
// peer that has no address needs none, and gets nil. The error is that of ctx, and then there is
// no pass.
func (g *Gate) Acquire(ctx context.Context, from Source) (*Pass, error) {
	if from == (Source{}) {
		return nil, nil
	}
	if w := g.enqueue(from); w != nil {
		select {
		case <-w.admitted:
		case <-ctx.Done():
			if !g.abandon(w, from) {
				g.leave(from)
			}
			return nil, ctx.Err()
		}
	}
	p := &Pass{gate: g, from: from, begun: time.Now()}
	p.timer = time.AfterFunc(passTime, p.expire)
	return p, nil
}

// enqueue takes a pass and returns nil, or returns the caller's place in the queue.
func (g *Gate) enqueue(from Source) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[from]
	if l == nil {
		l = &line{most: firstPasses}
		g.lines[from] = l
	}
	if l.passes < l.most {
		l.passes++
		return nil
	}
	w := &waiter{admitted: make(chan struct{})}
	l.waiters.Add(&w.place, w)
	return w
}

// slow reports whether handshakes of a Source have taken long recently.
func (g *Gate) slow(from Source) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[from]
	return l != nil && l.slowRecently()
}

// slowRecently reports whether a handshake has taken long.
func (l *line) slowRecently() bool { return !l.slow.IsZero() && time.Since(l.slow) < slowTime }

// change reports whether the number of passes may be halved or doubled again, and notes that it is.
func (l *line) change() bool {
	now := time.Now()
	if now.Sub(l.changed) < changeTime {
		return false
	}
	l.changed = now
	return true
}

// abandon takes w out of the queue. It reports false if w has a pass already.
func (g *Gate) abandon(w *waiter, from Source) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !w.place.Listed() {
		return false
	}
	g.lines[from].waiters.Remove(&w.place)
	return true
}

// leave gives a pass to the next that waits.
func (g *Gate) leave(from Source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[from]
	l.passes--
	for l.passes < l.most && l.waiters.Head() != nil {
		next := l.waiters.Tail()
		if l.picked++; l.picked%4 == 0 {
			next = l.waiters.Head()
		}
		l.waiters.Remove(&next.place)
		l.passes++
		close(next.admitted)
	}
	if l.passes == 0 {
		delete(g.lines, from)
	}
}

// took notes how long a handshake took.
func (g *Gate) took(from Source, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lines[from]
	switch {
	case l == nil:
	case d < quickHandshake && l.most < manyPasses:
		l.most++
	case d > slowHandshake:
		l.slow = time.Now()
		if l.change() {
			l.most = max(min(l.most, manyPasses)/2, minPasses)
		}
	}
}

// silent notes that a peer has sent nothing.
func (g *Gate) silent(from Source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lines[from]; l != nil && !l.slowRecently() && l.change() {
		l.most = min(2*l.most, maxPasses)
	}
}

// Release gives the pass up when the handshake has ended.
func (p *Pass) Release() {
	if p != nil {
		p.timer.Stop()
		p.leave()
	}
}

// done says that the handshake has succeeded.
func (p *Pass) done() {
	if p != nil {
		p.gate.took(p.from, time.Since(p.begun))
	}
}

// expire gives the pass up because the peer has sent nothing.
func (p *Pass) expire() {
	p.gate.silent(p.from)
	p.leave()
}

// leave gives the pass up. It may be called more than once.
func (p *Pass) leave() { p.left.Do(func() { p.gate.leave(p.from) }) }

// more returns by how much the time limit for the handshake is extended when it is over: a machine
// that has been slow with others, which were in time, gets more.
func (p *Pass) more(timeout time.Duration) time.Duration {
	if p != nil && p.gate.slow(p.from) {
		return slowFactor * timeout
	}
	return 0
}

// slowFactor is how much of the time limit a slow machine gets in addition, as a multiple.
const slowFactor = 3

// received says that the peer has sent something, and waits for this process.
func (p *Pass) received() {
	if p != nil {
		p.timer.Stop()
	}
}

// await says that the peer has to send something.
func (p *Pass) await() {
	if p != nil {
		p.timer.Reset(passTime)
	}
}
