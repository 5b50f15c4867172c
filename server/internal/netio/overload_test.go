package netio

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSmallDeliveriesGatherUnderOverload pushes to a socket that waits: who pushes something small does not wait
// while goroutines are many, and a writer writes all that has gathered at once.
func TestSmallDeliveriesGatherUnderOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const small, many = 100, 5
		var writes []int
		free := make(chan struct{})
		try := func(n int) (int, error) {
			<-free
			writes = append(writes, n)
			return n, nil
		}
		q, _, total := newTestQueue(&fakeLink{try: try}, Limits{})
		q.shared.overload.many.Store(true)
		var all []*delivery
		push := func(size int) {
			d := newDelivery(strings.Repeat("x", size))
			all = append(all, d)
			q.Push(&d.Delivery)
		}
		push(small)
		synctest.Wait() // its writer has begun
		for range many {
			push(small)
		}
		free <- struct{}{}
		free <- struct{}{}
		synctest.Wait()
		if len(writes) != 2 || writes[0] != small || writes[1] != many*small {
			t.Errorf("writes of %v bytes, want %d and %d", writes, small, many*small)
		}
		pushed := make(chan struct{})
		go func() { // ends when free is closed
			push(maxGathered + 1)
			close(pushed)
		}()
		synctest.Wait()
		select {
		case <-pushed:
			t.Error("a large delivery is not written by who pushes it")
		default:
		}
		close(free)
		<-pushed
		awaitWritten(t, q)
		settled(t, q, total, all...)
	})
}

// TestOverloadIsManyGoroutinesForEachCore looks for overload while there is one, and again later.
func TestOverloadIsManyGoroutinesForEachCore(t *testing.T) {
	var s Shared
	s.overload.on = true
	var end atomic.Bool
	defer end.Store(true)
	for range 100 * runtime.GOMAXPROCS(0) {
		go func() { // ends with the test
			for !end.Load() {
				runtime.Gosched()
			}
		}()
	}
	now := time.Now().UnixNano()
	for deadline := time.Now().Add(patience); !s.Overloaded() && time.Now().Before(deadline); now += int64(overloadInterval) {
		s.CheckOverload(now)
	}
	if !s.Overloaded() {
		t.Fatal("many goroutines are no overload")
	}
	end.Store(true)
	s.CheckOverload(now - 1)
	if !s.Overloaded() {
		t.Errorf("it is looked at again before %v", overloadInterval)
	}
	for deadline := time.Now().Add(patience); s.Overloaded() && time.Now().Before(deadline); now += int64(overloadInterval) {
		s.CheckOverload(now)
		runtime.Gosched()
	}
	if s.Overloaded() {
		t.Error("goroutines that have ended are an overload")
	}
}
