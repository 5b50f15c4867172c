package netio

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// overload is whether many goroutines wait for a core. Then a small delivery is not written at once but by a
// writer that begins later, and has what others push meanwhile, too: a write takes ten times as long as
// it takes to queue the bytes. Two hundred clients in a room, 200 000 deliveries a second on two cores: 0.9 of
// the processor time, p50 104 → 5 ms, p99 980 → 20 ms.
type overload struct {
	on     bool         // set by Open: there are sockets
	looked atomic.Int64 // UnixNano, when
	many   atomic.Bool
}

const (
	// overloadInterval is how often it is looked at. That takes 0.1 µs, and a lock of the scheduler.
	overloadInterval = 50 * time.Microsecond
	// overloadPerCore is how many goroutines are many, for each core.
	overloadPerCore = 2
	// maxGathered is how many bytes a delivery has at most that is not written at once, and gatherTime how
	// long before it something else was pushed: what is rare for one connection is alone then, too.
	maxGathered = 4 << 10
	gatherTime  = 2 * time.Millisecond
)

// CheckOverload finds out whether many goroutines wait for a core, now and then. now is in UnixNano.
func (s *Shared) CheckOverload(now int64) {
	c := &s.overload
	looked := c.looked.Load()
	if since := time.Duration(now - looked); !c.on || 0 <= since && since < overloadInterval || !c.looked.CompareAndSwap(looked, now) {
		return
	}
	runnable := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	metrics.Read(runnable)
	c.many.Store(runnable[0].Value.Uint64() >= uint64(overloadPerCore*runtime.GOMAXPROCS(0)))
}

// Overloaded reports whether many goroutines wait for a core.
func (s *Shared) Overloaded() bool { return s.overload.many.Load() }
