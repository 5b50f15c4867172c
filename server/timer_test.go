package server

import (
	"runtime"
	"testing"
	"time"
)

// TestAStoppedTimerKeepsNothing stops a timer among many that go on: the runtime keeps it.
func TestAStoppedTimerKeepsNothing(t *testing.T) {
	t.Parallel()
	for range 100 * runtime.GOMAXPROCS(0) {
		other := time.AfterFunc(time.Hour, func() {})
		defer other.Stop()
	}
	type owner struct{ _ [100]int }
	o, gone := new(owner), make(chan bool, 1)
	runtime.AddCleanup(o, func(int) { gone <- true }, 0)
	timer := newOwnedTimer(time.Hour, o, func(*owner) {})
	timer.Stop()
	eventually(t, "the owner is collected", func() bool {
		runtime.GC()
		return len(gone) > 0
	})
	runtime.KeepAlive(timer)
}
