package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// acquire takes a slot that must be free.
func acquire(t *testing.T, l *Limiter) *Slot {
	t.Helper()
	start := time.Now()
	slot, err := l.Acquire(t.Context(), Source{})
	if waited := time.Since(start); waited > time.Second/2 || err != nil {
		t.Fatalf("got a slot after %v, %v; want it at once", waited, err)
	}
	return slot
}

func TestWorkIsAdmittedInOrderOfArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const work = time.Second // the clock is the test's
		l := NewLimiter(2)
		var all sync.WaitGroup
		var mu sync.Mutex // guards what follows
		var order []int
		var running, most int
		for i := range 20 {
			all.Go(func() {
				slot, err := l.Acquire(t.Context(), Source{})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, i)
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(work)
				mu.Lock()
				running--
				mu.Unlock()
				slot.Release()
			})
			time.Sleep(10 * time.Millisecond) // so that no two slots are released at the same time
		}
		all.Wait()
		if len(order) != 20 || !slices.IsSorted(order) {
			t.Errorf("admitted in the order %v", order)
		}
		if most != 2 {
			t.Errorf("%d run at a time, want 2", most)
		}
		if l.Overloaded() {
			t.Error("overloaded after the work")
		}
	})
}

// inTurn makes pieces of work wait for the only slot, and returns how long it takes until they have
// been done one after the other.
func inTurn(t *testing.T, l *Limiter, pieces int, work time.Duration) time.Duration {
	t.Helper()
	busy := acquire(t, l)
	var all sync.WaitGroup
	for range pieces {
		all.Go(func() {
			slot, err := l.Acquire(t.Context(), Source{})
			if err != nil {
				t.Error(err)
				return
			}
			if work > 0 {
				time.Sleep(work) // of the test's clock
			}
			slot.Release()
		})
	}
	synctest.Wait()
	start := time.Now()
	busy.Release()
	all.Wait()
	return time.Since(start)
}

func TestSlotsPauseForMessagesWhileWorkWaits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		work   time.Duration
		pieces int
		pauses int
	}{
		{"work that takes no time", 0, 1000, 0},
		{"work that takes a part of the time", yieldAfter / 4, 41, 10},
		{"work that takes the time", yieldAfter, 11, 10},
		{"long work", 100 * yieldAfter, 11, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter(1)
				pauses := inTurn(t, l, tt.pieces, tt.work) - time.Duration(tt.pieces)*tt.work
				if want := time.Duration(tt.pauses) * YieldInterval; pauses != want {
					t.Errorf("the slot was empty for %v, want %v", pauses, want)
				}
				acquire(t, l).Release() // without others that wait there is no pause
				acquire(t, l)
			})
		})
	}
}

// working starts n pieces of work of a source, a millisecond apart. Each reports its number when it
// has a slot, and keeps it for a second of the test's clock.
func working(t *testing.T, l *Limiter, from Source, n int, started func(i int)) {
	t.Helper()
	for i := range n {
		time.Sleep(time.Millisecond)
		go func() { // ends with its work, or with the test
			slot, err := l.Acquire(t.Context(), from)
			if err != nil {
				return
			}
			started(i)
			select {
			case <-time.After(time.Second):
			case <-t.Context().Done():
			}
			slot.Release()
		}()
	}
	synctest.Wait()
}

// fail makes many logins of a source fail.
func fail(l *Limiter, from Source) {
	for range 2 * maxFailures {
		l.Failed(from)
	}
}

func TestASourceDoesNotWaitForTheWorkOfOthers(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(slots)
			var others atomic.Int32
			for i := range 5 {
				working(t, l, at(fmt.Sprintf("10.0.0.%d", i)), 100, func(int) { others.Add(1) })
			}
			time.Sleep(20 * time.Second)
			before, admitted := others.Load(), make(chan int32, 1)
			working(t, l, at("10.0.1.1"), 1, func(int) { admitted <- others.Load() })
			if got := <-admitted - before; got > 0 {
				t.Errorf("%d slots: %d pieces of others' work began before it, want none", slots, got)
			}
		})
	}
}

func TestSourcesGetTurnsAndThoseThatFailFewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		var honest, other, guessing atomic.Int32
		var bad []Source
		for i := range 20 {
			bad = append(bad, at(fmt.Sprintf("10.0.1.%d", i)))
		}
		for _, from := range bad {
			fail(l, from)
			working(t, l, from, 50, func(int) {
				guessing.Add(1)
				l.Failed(from)
			})
		}
		working(t, l, at("10.0.0.1"), 200, func(int) { honest.Add(1) })
		working(t, l, at("10.0.0.2"), 200, func(int) { other.Add(1) })
		guessing.Store(0)
		honest.Store(0)
		other.Store(0)
		time.Sleep(100 * time.Second) // of work, one piece a second
		h, o, g := honest.Load(), other.Load(), guessing.Load()
		if h+o < 80 || h-o > 2 || o-h > 2 || g == 0 {
			t.Errorf("two sources got %d and %d pieces of work done, 20 that fail %d; want about 50 each, and some", h, o, g)
		}
	})
}

func TestAfterFailuresASourceHasOneSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(4)
		from := at("10.0.0.1")
		fail(l, from)
		var running atomic.Int32
		working(t, l, from, 10, func(int) { running.Add(1) })
		if got := running.Load(); got != 1 {
			t.Errorf("it has %d slots, want 1", got)
		}
		for range 3 {
			if slot, err := l.Acquire(t.Context(), at("10.0.0.2")); err != nil || slot == nil {
				t.Error(err)
			}
		}
		// What it has done is forgotten.
		time.Sleep(30 * failureHalfTime)
		working(t, l, at("10.0.0.1"), 1, func(int) { running.Add(1) })
		if l.Suspected(from) {
			t.Error("it is suspected for ever")
		}
	})
}

// TestALoginIsCheckedBetweenTheGuessesFromItsAddress has 100 guessers at one address, each of which
// tries again as soon as it is refused, and then honest clients at the same address, one after the
// other.
func TestALoginIsCheckedBetweenTheGuessesFromItsAddress(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 210 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const logins = 200
			l := NewLimiter(1)
			from := at("10.0.0.1")
			var checks, oldest atomic.Int32
			for i := range 100 {
				time.Sleep(time.Microsecond)
				go func() { // ends with the test
					for {
						slot, err := l.Acquire(t.Context(), from)
						if err != nil {
							return
						}
						select {
						case <-time.After(100 * time.Millisecond):
						case <-t.Context().Done():
							return
						}
						checks.Add(1)
						if i == 1 {
							oldest.Add(1)
						}
						slot.Release()
						l.Failed(from)
						select {
						case <-time.After(pause): // it connects again
						case <-t.Context().Done():
							return
						}
					}
				}()
			}
			time.Sleep(30 * time.Second)
			var waited []int
			for range logins {
				before := checks.Load()
				slot, err := l.Acquire(t.Context(), from)
				if err != nil {
					t.Fatal(err)
				}
				waited = append(waited, int(checks.Load()-before))
				slot.Release()
				time.Sleep(time.Second)
			}
			slices.Sort(waited)
			// Seven of eight come before the 100 that wait, some of them behind a few that
			// came later: about 160 of 200. Which is random, so 120 are enough here.
			if most := waited[logins*3/5]; most > 50 {
				t.Errorf("%v between guesses: two of five logins came after %d guesses or more, want 50 at most: %v", pause, most, waited)
			}
			time.Sleep(200 * time.Second)
			if oldest.Load() < 2 {
				t.Error("the one that has waited longest never gets a slot")
			}
		})
	}
}

func TestALimiterForgetsSources(t *testing.T) {
	t.Parallel()
	l := NewLimiter(1)
	fail(l, at("10.0.0.1"))
	for i := range 4 * maxOrigins {
		from := at(fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff))
		slot, err := l.Acquire(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		slot.Release()
	}
	if n := len(l.origins); n > maxOrigins {
		t.Errorf("%d are remembered, want %d at most", n, maxOrigins)
	}
	if !l.Suspected(at("10.0.0.1")) {
		t.Error("one that failed is forgotten before those that did not")
	}
}

func TestOneProcessorIsLeftToMessages(t *testing.T) {
	t.Parallel()
	n := runtime.GOMAXPROCS(0)
	if got := SpareProcessors(); got != n-1 && (got != 1 || n != 1) {
		t.Errorf("work before login may occupy %d of %d processors", got, n)
	}
}

func TestCallersThatGiveUpLeaveTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(0) // one slot all the same
		busy := acquire(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // ends with cancel
			if _, err := l.Acquire(ctx, Source{}); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want canceled", err)
			}
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		busy.Release()
		acquire(t, l)
	})
}

func TestASlotIsNotLostOnACallerThatGivesUp(t *testing.T) {
	t.Parallel()
	l := NewLimiter(1)
	for i := range 1000 {
		slot, err := l.Acquire(t.Context(), at("10.0.0.1")) // may wait for a pause to end
		if err != nil {
			t.Fatal(err)
		}
		if i == 500 {
			fail(l, at("10.0.0.1"))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if slot, err := l.Acquire(ctx, at("10.0.0.1")); err == nil {
				slot.Release()
			}
		}()
		go cancel()
		slot.Release()
		<-done
	}
	if _, err := l.Acquire(t.Context(), at("10.0.0.1")); err != nil || l.Overloaded() {
		t.Errorf("the slot is lost: %v", err)
	}
}
