package grace

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestGracePeriodWaitsForPinnedBatchesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		g.Wait(0) // none is pinned
		a, b := g.Pin(1), g.Pin(2)
		var over atomic.Int32
		for range 3 {
			go func() { g.Wait(0); over.Add(1) }()
		}
		synctest.Wait()
		late := g.Pin(1)
		g.Unpin(a)
		synctest.Wait()
		if n := over.Load(); n != 0 {
			t.Errorf("%d waits are over while a batch is pinned, want 0", n)
		}
		g.Unpin(b)
		synctest.Wait()
		// The two that came while the first was waiting need a period that begins after
		// they came.
		if n := over.Load(); n != 1 {
			t.Errorf("%d waits are over while a batch is pinned that began after the first, want 1", n)
		}
		g.Unpin(late)
		synctest.Wait()
		if n := over.Load(); n != 3 {
			t.Errorf("%d waits are over when none is pinned, want 3", n)
		}
	})
}

// TestGracePeriodsAgainstPublication has readers use what was published before a wait began, and
// wants none to use it once the wait is over.
func TestGracePeriodsAgainstPublication(t *testing.T) {
	t.Parallel()
	type thing struct{ dead atomic.Bool }
	g := New()
	var current atomic.Pointer[thing]
	current.Store(new(thing))
	stop := make(chan bool)
	var readers, writers sync.WaitGroup
	for n := range uint32(3) {
		readers.Go(func() {
			var long Flush
			for {
				select {
				case <-stop:
					return
				default:
				}
				k := g.Pin(n)
				th := current.Load()
				begin(g, &long, n, 100)
				g.Unpin(k)
				for i := 0; i < 20; i++ {
					if th.dead.Load() {
						t.Error("used in a long flush after the wait was over")
						i = 20
					}
				}
				g.End(&long)
				k = g.Pin(n)
				for th, i := current.Load(), 0; i < 20; i++ {
					if th.dead.Load() {
						t.Error("used after the wait was over")
						i = 20
					}
				}
				g.Unpin(k)
			}
		})
	}
	for range 2 {
		writers.Go(func() {
			for range 200 {
				old := current.Swap(new(thing))
				g.Wait(100)
				old.dead.Store(true)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// TestLongFlushesHoldUpThoseTheyReachOnly has a flush that takes long: only connections that it may hold
// messages for wait for it, and the pool that one of them is a member of.
func TestLongFlushesHoldUpThoseTheyReachOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New()
		const in, out, pool = 130, 129, 131
		first, second := new(Flush), new(Flush)
		for range 2 { // the memory of one before is used
			begin(g, first, out)
			g.End(first)
		}
		begin(g, first, in, 2)
		begin(g, second, in, pool)
		if !g.MayHold(in) || g.MayHold(out) || g.MayHold(1000) || g.Busy() != 2 {
			t.Errorf("who may be sent something is not known, or not that %d are busy", g.Busy())
		}
		g.Wait(out)
		var over atomic.Int32
		for _, c := range []uint32{in, pool} {
			go func() { g.Wait(c); over.Add(1) }()
		}
		synctest.Wait()
		g.End(first)
		synctest.Wait()
		if n := over.Load(); n != 0 {
			t.Errorf("%d waits are over during a long flush", n)
		}
		g.End(second)
		synctest.Wait()
		if n := over.Load(); n != 2 || g.MayHold(in) || g.Busy() != 0 {
			t.Errorf("%d waits are over after the flushes, want 2; %d are busy", n, g.Busy())
		}
	})
}

// TestAFlushThatWaitsIsNotBusy has a long flush that waits for room: it needs no core meanwhile.
func TestAFlushThatWaitsIsNotBusy(t *testing.T) {
	t.Parallel()
	g, f := New(), new(Flush)
	want := func(when string, n int) {
		t.Helper()
		if got := g.Busy(); got != n {
			t.Errorf("%s: %d readers are busy, want %d", when, got, n)
		}
	}
	begin(g, f)
	want("a long flush", 1)
	g.Stall(1)
	want("while it waits", 0)
	g.Stall(-1)
	want("when it goes on", 1)
	g.End(f)
	want("at its end", 0)
}

// begin begins a long flush to connections.
func begin(g *Periods, f *Flush, slots ...uint32) {
	f.Reset()
	for _, slot := range slots {
		f.Add(slot)
	}
	g.Begin(f)
}
