package admission

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// acquire takes a slot that must be free.
func acquire(t *testing.T, l *Limiter) {
	t.Helper()
	if waited, err := l.Acquire(t.Context()); waited != 0 || err != nil {
		t.Fatalf("got a slot after %v, %v; want it at once", waited, err)
	}
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
				start := time.Now()
				waited, err := l.Acquire(t.Context())
				if err != nil || waited != time.Since(start) {
					t.Errorf("waited %v, %v, want %v", waited, err, time.Since(start))
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
				l.Release()
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

func TestSlotsPauseForMessagesWhileWorkWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const pieces = 30
		l := NewLimiter(1)
		acquire(t, l)
		for range pieces {
			go func() { // waited for below
				if _, err := l.Acquire(t.Context()); err != nil {
					t.Error(err)
				}
				l.Release() // work that takes no time
			}()
		}
		synctest.Wait()
		start := time.Now()
		l.Release()
		for l.Overloaded() {
			time.Sleep(YieldInterval)
		}
		if took := time.Since(start); took < pieces/5*YieldInterval || took > pieces*YieldInterval {
			t.Errorf("%d pieces that take no time took %v, want between %v and %v", pieces, took, pieces/5*YieldInterval, pieces*YieldInterval)
		}
		acquire(t, l) // without others that wait there is no pause
		l.Release()
		acquire(t, l)
	})
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
		acquire(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // ends with cancel
			if _, err := l.Acquire(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want canceled", err)
			}
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		l.Release()
		acquire(t, l)
	})
}

func TestASlotIsNotLostOnACallerThatGivesUp(t *testing.T) {
	t.Parallel()
	l := NewLimiter(1)
	for range 1000 {
		if _, err := l.Acquire(t.Context()); err != nil { // may wait for a pause to end
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := l.Acquire(ctx); err == nil {
				l.Release()
			}
		}()
		go cancel()
		l.Release()
		<-done
	}
	if _, err := l.Acquire(t.Context()); err != nil || l.Overloaded() {
		t.Errorf("the slot is lost: %v", err)
	}
}
