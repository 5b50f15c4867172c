package server

import (
	"sync"
	"sync/atomic"
)

// grace lets a client that unsubscribed wait until no batch can hold messages
// for what it gave up. Batches match first and push later; without this, a
// message could follow the PONG that ends a drain, and be lost: the client has
// forgotten its subscription by then.
//
// A batch is inside from its first match to its push. A wait turns the side on
// which batches come in and waits until the other side is empty: whoever comes
// in later matches later, and does not find the subscription any more.
type grace struct {
	turn    atomic.Uint32 // its last bit is the side on which batches come in
	waiting atomic.Bool
	left    chan struct{} // gets a sign when a batch goes out while somebody waits

	shards [graceShards]graceShard

	mu    sync.Mutex // guards what follows
	cond  sync.Cond
	begun uint64 // periods; one at a time is under way
	ended uint64
}

// graceShards is how many counters batches are spread over, so that cores do not
// fight for one.
const graceShards = 8

// graceShard is how many batches are inside, per side.
type graceShard struct {
	inside [2]atomic.Int64
	_      [48]byte // a cache line of its own
}

// graceKey is how a batch that is inside goes out. The zero key is outside.
type graceKey struct {
	shard *graceShard
	side  uint32
}

func newGrace() *grace {
	g := &grace{left: make(chan struct{}, 1)}
	g.cond.L = &g.mu
	return g
}

// enter lets a batch in. n spreads batches over the shards.
func (g *grace) enter(n uint32) graceKey {
	s := &g.shards[n%graceShards]
	for {
		k := graceKey{s, g.turn.Load() & 1}
		s.inside[k.side].Add(1)
		if g.turn.Load()&1 == k.side {
			return k
		}
		g.leave(k) // a wait began in between and may have missed us
	}
}

// leave lets a batch out.
func (g *grace) leave(k graceKey) {
	if k.shard.inside[k.side].Add(-1) > 0 || !g.waiting.Load() {
		return
	}
	select {
	case g.left <- struct{}{}:
	default: // one sign is enough
	}
}

// wait returns when all batches that are inside now have gone out. The caller
// must not be inside. Those who wait at the same time share one period.
func (g *grace) wait() {
	for period := g.next(); g.lead(period); {
		g.empty()
		g.end()
	}
}

// next is the first period that begins from now on.
func (g *grace) next() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.begun + 1
}

// lead waits for a period to end, or until nobody runs one: then the caller is
// the one to run the next. It reports false when the period has ended.
func (g *grace) lead(period uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.ended < period && g.begun > g.ended {
		g.cond.Wait()
	}
	if g.ended >= period {
		return false
	}
	g.begun++
	return true
}

func (g *grace) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended++
	g.cond.Broadcast()
}

// empty turns the side and waits until the other is empty. One caller at a time.
func (g *grace) empty() {
	g.waiting.Store(true)
	defer g.waiting.Store(false)
	side := (g.turn.Add(1) - 1) & 1
	for i := range g.shards {
		for g.shards[i].inside[side].Load() > 0 {
			<-g.left
		}
	}
}

// pinned returns about how many batches are inside.
func (g *grace) pinned() int {
	n := int64(0)
	for i := range g.shards {
		n += g.shards[i].inside[0].Load() + g.shards[i].inside[1].Load()
	}
	return int(n)
}
