// Package grace lets a goroutine wait until none of the others uses what it has removed.
package grace

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Periods let a client that unsubscribed wait until no batch can hold messages for the
// subscription. Batches match first and push later; without this, a message could follow the PONG
// that ends a drain, and be lost: the client has dropped its subscription by then.
//
// This is SRCU (sleepable read-copy-update): a batch is pinned in the current epoch from its first
// match to its push. A grace period begins the next epoch and waits until no batch is pinned in the
// one before: a batch that is pinned later matches later, and does not find the subscription.
//
// A flush to thousands of targets takes long. Its batch is unpinned when it begins, since it is known
// then for whom it holds messages: only those wait for it. Connections are small numbers here.
type Periods struct {
	epoch   atomic.Uint32 // only its last bit counts
	waiting atomic.Bool
	unpins  chan struct{} // receives when a batch is unpinned during a grace period

	shards [shardCount]shard

	one   chan struct{} // holds one during a grace period
	begun atomic.Uint64 // grace periods

	stalled atomic.Int64 // flushes that wait for room

	mu   sync.Mutex // guards what follows
	long []*Flush
}

// Flush is a flush that takes long, and whose batch is not pinned.
type Flush struct {
	slots []uint64      // a bit for each connection that it may hold messages for
	over  chan struct{} // closed at its end; nil unless something waits for it
}

// shardCount is how many counters batches are spread over, so that cores do not contend for one.
const shardCount = 8

// shard counts the pinned batches, per epoch.
type shard struct {
	pinned [2]atomic.Int64
	_      [48]byte // a cache line of its own
}

// Pin is how a pinned batch is unpinned. The zero Pin is of none.
type Pin struct {
	in    *shard
	epoch uint32
}

// New returns periods in which nothing is pinned.
func New() *Periods {
	return &Periods{unpins: make(chan struct{}, 1), one: make(chan struct{}, 1)}
}

// Pin pins a batch in the current epoch. n spreads batches over the shards.
func (g *Periods) Pin(n uint32) Pin {
	s := &g.shards[n%shardCount]
	for {
		p := Pin{s, g.epoch.Load() & 1}
		s.pinned[p.epoch].Add(1)
		if g.epoch.Load()&1 == p.epoch {
			return p
		}
		g.Unpin(p) // a grace period began in between and may have missed this batch
	}
}

// Held reports whether p is of a batch.
func (p Pin) Held() bool { return p.in != nil }

// Unpin ends what Pin began.
func (g *Periods) Unpin(p Pin) {
	if p.in.pinned[p.epoch].Add(-1) > 0 || !g.waiting.Load() {
		return
	}
	select {
	case g.unpins <- struct{}{}:
	default: // the one that is there wakes the waiter as well
	}
}

// Begin notes that a long flush begins, to the connections that were added to f.
func (g *Periods) Begin(f *Flush) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.long = append(g.long, f)
}

// Stall counts n more flushes, or fewer if n is negative, that wait for room and need no core.
func (g *Periods) Stall(n int64) { g.stalled.Add(n) }

// Reset makes f a flush to no connection. Its memory is kept.
func (f *Flush) Reset() { clear(f.slots) }

// Add notes that a flush may hold messages for a connection.
func (f *Flush) Add(slot uint32) {
	word := int(slot / 64)
	if k := word + 1; k > len(f.slots) {
		f.slots = append(f.slots, make([]uint64, k-len(f.slots))...)
	}
	f.slots[word] |= 1 << (slot % 64)
}

// End notes that a long flush is over.
func (g *Periods) End(f *Flush) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.over != nil {
		close(f.over)
		f.over = nil
	}
	i := slices.Index(g.long, f)
	g.long = slices.Delete(g.long, i, i+1)
}

// holds reports whether a flush may hold messages for a connection.
func (f *Flush) holds(slot uint32) bool {
	return int(slot/64) < len(f.slots) && f.slots[slot/64]&(1<<(slot%64)) != 0
}

// ends returns channels that are closed at the end of the long flushes that may hold messages for a
// connection.
func (g *Periods) ends(slot uint32) (list []chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.long {
		if !f.holds(slot) {
			continue
		}
		if f.over == nil {
			f.over = make(chan struct{})
		}
		list = append(list, f.over)
	}
	return list
}

// MayHold reports whether a batch may hold messages for a connection.
func (g *Periods) MayHold(slot uint32) bool { return g.Pinned() > 0 || len(g.ends(slot)) > 0 }

// Busy returns about how many readers have a batch to hand over, and do not wait for room.
func (g *Periods) Busy() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.Pinned() + len(g.long) - int(g.stalled.Load())
}

// Pinned returns about how many batches are pinned.
func (g *Periods) Pinned() int {
	n := int64(0)
	for i := range g.shards {
		n += g.shards[i].pinned[0].Load() + g.shards[i].pinned[1].Load()
	}
	return int(n)
}

// Wait returns when all batches that are under way now, and may hold messages for a connection, have been
// handed over. The caller must not have one under way.
func (g *Periods) Wait(slot uint32) {
	g.waitPinned()
	for _, over := range g.ends(slot) {
		<-over
	}
}

// waitPinned returns when all batches that are pinned now have been unpinned. Concurrent callers share
// a grace period: the next that begins is enough for all that wait for one under way.
func (g *Periods) waitPinned() {
	before := g.begun.Load()
	g.one <- struct{}{}
	defer func() { <-g.one }()
	if g.begun.Load() == before {
		g.begun.Add(1)
		g.drain()
	}
}

// drain begins the next epoch and waits until no batch is pinned in the one before. One caller at a
// time.
func (g *Periods) drain() {
	g.waiting.Store(true)
	defer g.waiting.Store(false)
	before := (g.epoch.Add(1) - 1) & 1
	for i := range g.shards {
		for g.shards[i].pinned[before].Load() > 0 {
			<-g.unpins
		}
	}
}
