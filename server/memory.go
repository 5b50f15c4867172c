package server

import (
	"cmp"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/netio"
)

// This file bounds what the process takes, and gives it back.

// memoryLimit respects GOMEMLIMIT: where the heap comes near to it, those are disconnected for whom
// most is queued, or who do not finish what they have begun to send, before the garbage collector takes
// all processors, or the system ends the process.
type memoryLimit struct {
	// Set once.
	limit   int64                               // bytes; 0 = none
	live    func() (bytes int64, cycles uint64) // what the last garbage collection left, and how many there were
	collect func()                              // collects garbage

	// Of the goroutine that has set Server.limiting.
	checked time.Time
	dropped bool // leftovers were given up the last time

	// Atomic.
	acted      atomic.Uint64 // the cycle whose result was acted on
	collecting atomic.Bool
	excess     atomic.Int64 // by how much live memory exceeds its share, until it is acted on
}

const (
	// memoryShare is the fraction of GOMEMLIMIT that live memory may have, as a divisor of
	// memoryParts.
	memoryShare, memoryParts = 3, 4
	// pendingShare is the share of GOMEMLIMIT that queues may have by default: what they hold is
	// up to one and a half times as much.
	pendingShare = 2
	// memoryInterval is the shortest time between two looks at the heap.
	memoryInterval = 20 * time.Millisecond
)

// goMemoryLimit returns GOMEMLIMIT in bytes, 0 if there is none.
func goMemoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	return 0
}

func newMemoryLimit() memoryLimit {
	return memoryLimit{limit: goMemoryLimit(), live: heapInUse, collect: runtime.GC}
}

// heapInUse returns what the last garbage collection found to be in use, and how many there were.
func heapInUse() (bytes int64, cycles uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()), samples[1].Value.Uint64()
}

// full reports whether live memory seems to exceed its share of the limit. A result of the garbage
// collector counts once: what is given up then is seen by the next one.
func (m *memoryLimit) full(now time.Time) bool {
	if now.Sub(m.checked) < memoryInterval {
		return false
	}
	m.checked = now
	bytes, cycles := m.live()
	return bytes > m.share() && cycles != m.acted.Load()
}

func (m *memoryLimit) share() int64 { return m.limit / memoryParts * memoryShare }

// measure finds out by how much live memory exceeds its share. Garbage is collected once more before: what
// lies in pools survives one collection, such as what queues held of those who were disconnected.
func (m *memoryLimit) measure() {
	m.collect()
	bytes, cycles := m.live()
	m.acted.Store(cycles)
	m.excess.Store(max(0, bytes-m.share()))
}

// limitPending disconnects the connections that have most pending, clients or routes, while all
// together have more than max_pending_total, and those that hold most while the heap is near its
// limit. One goroutine at a time does it.
func (s *Server) limitPending() {
	limit, pending := s.options().MaxPendingTotal, s.io.Pending.Load()
	taken := pending + s.io.SetAside.Load() + s.io.Unread.Load()
	if taken > highWater {
		s.peak.note(taken)
	}
	if left := s.io.SetAside.Load(); left > 0 && pending+left > limit+limit/2 {
		s.leftovers.drop()
	}
	tight := s.memory.limit > 0 && taken > highWater
	if !tight && pending <= limit || !s.limiting.CompareAndSwap(false, true) {
		return
	}
	defer s.limiting.Store(false)
	s.limitTotal(pending, limit)
	if !tight {
		return
	}
	if excess := s.memory.excess.Swap(0); excess > 0 {
		// Leftovers go before connections, but not twice in turn: some cannot be given up.
		if left := s.io.SetAside.Load(); left > 0 && !s.memory.dropped {
			s.leftovers.drop()
			s.memory.dropped = true
			excess -= left
		} else {
			s.memory.dropped = false
		}
		s.freeMemory(excess)
	}
	if s.memory.full(time.Now()) && s.memory.collecting.CompareAndSwap(false, true) {
		s.conns.Add(1)
		go s.measureMemory() // ends with a collection of garbage; Shutdown waits for it
	}
}

// limitTotal disconnects the connections that have most pending until all together have no more than limit.
// Those with less than half of the average are spared: one batch may push much more than is allowed to
// others. Connections that are ending, which takes finishWait at most, may have a quarter more pending.
func (s *Server) limitTotal(pending, limit int64) {
	if pending <= limit {
		return
	}
	queued, n := int64(0), int64(0)
	for _, h := range s.holders((*conn).queued) {
		queued += h.n
		n++
	}
	over := pending - limit - min(max(0, pending-queued), limit/4)
	if queued < over/helpfulShare {
		return
	}
	s.disconnectWorst(func(c *conn) int64 {
		if k := c.queued(); k >= queued/(2*max(n, 1)) {
			return k
		}
		return 0
	}, closeSlowTotal, func(freed int64) bool { return freed >= over || s.io.Pending.Load() <= limit })
}

// measureMemory measures, and disconnects at once or not at all: a figure that is kept would be acted on
// when it holds no longer.
func (s *Server) measureMemory() {
	defer s.conns.Done()
	defer s.memory.collecting.Store(false)
	s.memory.measure()
	s.limitPending()
	s.memory.excess.Store(0)
}

// freeMemory disconnects the connections that hold most, until so much is freed: first of the kind of which
// there is more, long queues or unfinished operations. Little of both is no reason: others may have taken the
// memory. But many connections that each hold a small unfinished operation are, if all of them are enough. A
// kind that would free too little to help is left alone.
func (s *Server) freeMemory(excess int64) {
	kinds := []func(*conn) int64{(*conn).queuedMuch, (*conn).unfinishedMuch}
	if s.total((*conn).unfinished) >= excess {
		kinds[1] = (*conn).unfinished
	}
	if s.total(kinds[1]) > s.total(kinds[0]) {
		slices.Reverse(kinds)
	}
	for _, kind := range kinds {
		if s.total(kind) >= excess/helpfulShare {
			excess -= s.disconnectWorst(kind, closeSlowMemory, func(freed int64) bool { return freed >= excess })
		}
	}
}

// helpfulShare is the least part of what is too much that a kind must hold, as a divisor.
const helpfulShare = 8

// total returns how much all connections have of what a function counts.
func (s *Server) total(count func(*conn) int64) (n int64) {
	for _, h := range s.holders(count) {
		n += h.n
	}
	return n
}

// holder is a connection that has n of what a function counts.
type holder struct {
	c *conn
	n int64
}

// holders returns the connections that have any of what a function counts.
func (s *Server) holders(count func(*conn) int64) (list []holder) {
	look := func(c *conn) {
		if n := count(c); n > 0 {
			list = append(list, holder{c, n})
		}
	}
	for _, c := range s.clients.all() {
		look(&c.conn)
	}
	for _, r := range s.cluster.all() {
		look(&r.conn)
	}
	return list
}

// disconnectWorst disconnects the connections that have most of what a function counts, until that is
// enough, or none has any. It returns how much they had.
func (s *Server) disconnectWorst(count func(*conn) int64, reason closeReason, enough func(freed int64) bool) (freed int64) {
	if enough(0) {
		return 0
	}
	holders := s.holders(count)
	slices.SortFunc(holders, func(x, y holder) int { return cmp.Compare(y.n, x.n) })
	for _, h := range holders {
		if h.n = count(h.c); h.n == 0 {
			continue // it has been written meanwhile
		}
		h.c.slowConsumer(reason)
		h.c.out.Finish(0)
		if freed += h.n; enough(freed) {
			break
		}
	}
	return freed
}

// queued returns how many bytes are queued for the connection. What is being handed to a socket that
// keeps up does not count.
func (c *conn) queued() int64 { return c.out.Stats().Queued }

// unfinishedAfter is how long ago a connection must have sent its last operation for what it has sent
// of the next one to be held against it.
const unfinishedAfter = time.Second

// queuedMuch is queued, if that is so much that it is held against the connection when memory is short.
func (c *conn) queuedMuch() int64 {
	if n := c.queued(); n > highWater {
		return n
	}
	return 0
}

// unfinishedMuch is unfinished, if that is so much that it is held against the connection alone.
func (c *conn) unfinishedMuch() int64 {
	if n := c.unfinished(); n > netio.ReadSize {
		return n
	}
	return 0
}

// unfinished returns how many bytes a connection holds of an operation that it does not finish, unless it
// is made to wait.
func (c *conn) unfinished() int64 {
	if since := time.Since(time.Unix(0, c.lastIn.Load())); since <= unfinishedAfter || c.paused.Load() || c.ended() {
		return 0
	}
	return c.in.Held()
}

// memoryPeak is the most memory that connections, subscriptions, queues and half-received operations
// have taken since memory was given back to the system.
type memoryPeak struct {
	bytes atomic.Int64
	again atomic.Bool // memory was given back at the last look
}

const (
	// giveBackFrom is how much must have been freed, in bytes and as a fraction of the peak:
	// the work of the garbage collector is little beside that of whatever took so much.
	giveBackFrom, giveBackFraction = 8 << 20, 4

	// About what a subscription and a connection take, and what of it a parked client does not.
	subscriptionBytes, connectionBytes, parkedBytes = 400, 8 << 10, 4 << 10
)

// note raises the peak to n bytes.
func (p *memoryPeak) note(n int64) {
	for old := p.bytes.Load(); n > old && !p.bytes.CompareAndSwap(old, n); old = p.bytes.Load() {
	}
}

// fell reports whether n bytes are so much less than the peak that memory is to be given back. The
// peak is n then.
func (p *memoryPeak) fell(n int64) bool {
	p.note(n)
	peak := p.bytes.Load()
	return peak-n >= max(giveBackFrom, peak/giveBackFraction) && p.bytes.CompareAndSwap(peak, n)
}

// memoryTaken returns about how many bytes connections, subscriptions, queues and half-received
// operations take.
func (s *Server) memoryTaken() int64 {
	connections := int64(s.clients.len())*connectionBytes - s.parking.parked.Load()*parkedBytes
	return int64(s.subs.Count())*subscriptionBytes + connections + s.io.Pending.Load() + s.io.SetAside.Load() + s.io.Unread.Load()
}

// giveBackMemory has memory given back to the system soon after much of it was freed. Without that
// the garbage collector runs when as much has been allocated again, or after minutes. It takes two
// collections: what is in pools survives the first, and the runtime keeps what was in use at the
// one before. It is done again at the next look: a connection that ends may still have held what does
// not count any more.
func (s *Server) giveBackMemory() {
	fell := s.peak.fell(s.memoryTaken())
	if again := s.peak.again.Swap(fell); fell || again {
		runtime.GC()
		runtime.GC()
	}
}
