package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// gracePeriods let a client that unsubscribed wait until no batch can hold messages for the
// subscription. Batches match first and push later; without this, a message could follow the PONG
// that ends a drain, and be lost: the client has dropped its subscription by then.
//
// This is SRCU (sleepable read-copy-update): a batch is pinned in the current epoch from its first
// match to its push. A grace period begins the next epoch and waits until no batch is pinned in the
// one before: a batch that is pinned later matches later, and does not find the subscription.
//
// A flush to thousands of targets takes long. Its batch is unpinned when it begins, since it is known
// then for whom it holds messages: only those wait for it.
type gracePeriods struct {
	epoch   atomic.Uint32 // only its last bit counts
	waiting atomic.Bool
	unpins  chan struct{} // receives when a batch is unpinned during a grace period

	shards [graceShards]graceShard

	one   oneAtATime    // held during a grace period
	begun atomic.Uint64 // grace periods

	stalled atomic.Int64 // long flushes that wait for room

	mu   sync.Mutex // guards what follows
	long []*longFlush
}

// longFlush is a flush that takes long, and whose batch is not pinned.
type longFlush struct {
	slots []uint64      // a bit for each connection that it may hold messages for
	over  chan struct{} // closed at its end; nil unless something waits for it
}

// longWork is the estimated time of a flush, in ns, that takes long.
const longWork = int64(time.Millisecond)

// graceShards is how many counters batches are spread over, so that cores do not contend for one.
const graceShards = 8

// graceShard counts the pinned batches, per epoch.
type graceShard struct {
	pinned [2]atomic.Int64
	_      [48]byte // a cache line of its own
}

// pin is how a pinned batch is unpinned. The zero pin is of none.
type pin struct {
	shard *graceShard
	epoch uint32
}

func newGracePeriods() *gracePeriods {
	return &gracePeriods{unpins: make(chan struct{}, 1), one: make(oneAtATime, 1)}
}

// pin pins a batch in the current epoch. n spreads batches over the shards.
func (g *gracePeriods) pin(n uint32) pin {
	s := &g.shards[n%graceShards]
	for {
		p := pin{s, g.epoch.Load() & 1}
		s.pinned[p.epoch].Add(1)
		if g.epoch.Load()&1 == p.epoch {
			return p
		}
		g.unpin(p) // a grace period began in between and may have missed this batch
	}
}

// unpin ends what pin began.
func (g *gracePeriods) unpin(p pin) {
	if p.shard.pinned[p.epoch].Add(-1) > 0 || !g.waiting.Load() {
		return
	}
	select {
	case g.unpins <- struct{}{}:
	default: // the one that is there wakes the waiter as well
	}
}

// begin notes that a long flush begins.
func (g *gracePeriods) begin(f *longFlush, targets []target) {
	clear(f.slots)
	for i := range targets {
		t := &targets[i]
		f.add(t.c)
		if t.path != nil {
			f.add(&t.path.pool.anchor)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.long = append(g.long, f)
}

// add notes that a flush may hold messages for a connection.
func (f *longFlush) add(c *conn) {
	slot := int(c.slot)
	if k := slot/64 + 1; k > len(f.slots) {
		f.slots = append(f.slots, make([]uint64, k-len(f.slots))...)
	}
	f.slots[slot/64] |= 1 << (slot % 64)
}

// end notes that a long flush is over.
func (g *gracePeriods) end(f *longFlush) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.over != nil {
		close(f.over)
		f.over = nil
	}
	i := slices.Index(g.long, f)
	g.long = slices.Delete(g.long, i, i+1)
}

// holds reports whether a flush may hold messages for a connection, or any of a pool if it is the anchor.
func (f *longFlush) holds(c *conn) bool {
	return int(c.slot/64) < len(f.slots) && f.slots[c.slot/64]&(1<<(c.slot%64)) != 0
}

// ends returns channels that are closed at the end of the long flushes that may hold messages for a
// connection.
func (g *gracePeriods) ends(c *conn) (list []chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.long {
		if !f.holds(c) {
			continue
		}
		if f.over == nil {
			f.over = make(chan struct{})
		}
		list = append(list, f.over)
	}
	return list
}

// mayHold reports whether a batch may hold messages for a connection.
func (g *gracePeriods) mayHold(c *conn) bool { return g.pinned() > 0 || len(g.ends(c)) > 0 }

// busy returns about how many readers have a batch to hand over, and do not wait for room.
func (g *gracePeriods) busy() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pinned() + len(g.long) - int(g.stalled.Load())
}

// pinned returns about how many batches are pinned.
func (g *gracePeriods) pinned() int {
	n := int64(0)
	for i := range g.shards {
		n += g.shards[i].pinned[0].Load() + g.shards[i].pinned[1].Load()
	}
	return int(n)
}

// wait returns when all batches that are under way now, and may hold messages for a connection, have been
// handed over. The caller must not have one under way.
func (g *gracePeriods) wait(c *conn) {
	g.waitPinned()
	for _, over := range g.ends(c) {
		<-over
	}
}

// waitPinned returns when all batches that are pinned now have been unpinned. Concurrent callers share
// a grace period: the next that begins is enough for all that wait for one under way.
func (g *gracePeriods) waitPinned() {
	before := g.begun.Load()
	g.one.begin()
	defer g.one.end()
	if g.begun.Load() == before {
		g.begun.Add(1)
		g.drain()
	}
}

// drain begins the next epoch and waits until no batch is pinned in the one before. One caller at a
// time.
func (g *gracePeriods) drain() {
	g.waiting.Store(true)
	defer g.waiting.Store(false)
	before := (g.epoch.Add(1) - 1) & 1
	for i := range g.shards {
		for g.shards[i].pinned[before].Load() > 0 {
			<-g.unpins
		}
	}
}
