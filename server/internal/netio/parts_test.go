package netio

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestPartsAreWholeDeliveries notes deliveries behind different numbers of bytes that wait, and forgets
// what has been written.
func TestPartsAreWholeDeliveries(t *testing.T) {
	t.Parallel()
	var p parts
	p.add(part{4, Lost{1, 0}, true}, 0, 10)
	p.add(part{6, Lost{2, 3}, true}, 4, 10)
	p.add(part{1, Lost{1, 0}, true}, 10, 10) // more than a unit
	p.add(part{2, Lost{1, 0}, true}, 0, 10)  // the last one is being written
	p.add(part{5, Lost{}, false}, 2, 10)
	p.add(part{5, Lost{}, false}, 7, 10)
	p.add(part{5, Lost{}, false}, 9, 10) // a part of the last one is
	p.add(part{3, Lost{}, false}, 5, 10)
	want := []part{{10, Lost{3, 3}, true}, {1, Lost{1, 0}, true}, {2, Lost{1, 0}, true}, {10, Lost{}, false}, {8, Lost{}, false}}
	if !slices.Equal(p.list, want) || p.size != 31 {
		t.Errorf("got %+v of %d bytes, want %+v", p.list, p.size, want)
	}
	for _, tt := range []struct {
		left, size int64
		count      int
	}{{40, 31, 5}, {31, 31, 5}, {22, 31, 5}, {21, 21, 4}, {19, 20, 3}, {18, 18, 2}, {9, 18, 2}, {8, 8, 1}, {1, 8, 1}, {0, 0, 0}, {0, 0, 0}} {
		if p.trim(tt.left); p.size != tt.size || len(p.list) != tt.count {
			t.Errorf("when %d bytes are left there are %d parts of %d, want %d of %d", tt.left, len(p.list), p.size, tt.count, tt.size)
		}
	}
}

// TestDirectWritesAllocateNothingForParts pushes to a socket that takes everything.
func TestDirectWritesAllocateNothingForParts(t *testing.T) {
	q, _, _ := newTestQueue(&fakeLink{forgets: true}, Limits{MaxPending: 1 << 20, HighWater: 1 << 20, Drop: DropOld})
	q.KeepLeftover(false)
	d := text(100)
	q.Push(d)
	if n := testing.AllocsPerRun(100, func() { q.Push(d) }); n > 0 || q.partsLocked().size != 0 {
		t.Errorf("%v allocations, %d bytes are noted", n, q.partsLocked().size)
	}
}

// steppedQueue returns a queue whose socket takes first bytes of a push, and nothing else until it is
// told how much by a step.
func steppedQueue(first int, lim Limits) (q *WriteQueue, steps chan int) {
	steps = make(chan int)
	l := &fakeLink{
		try:  func(int) (int, error) { return first, ErrWouldBlock },
		wait: func(int) (int, error) { return <-steps, nil },
	}
	q, _, _ = newTestQueue(l, lim)
	return q, steps
}

// TestPartsAreNotedWhileTheyAreNeeded changes what is noted while a delivery is written in part: where
// those begin that were pushed before is not known.
func TestPartsAreNotedWhileTheyAreNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := Limits{MaxPending: 1000, HighWater: 1000, WriteDeadline: time.Hour}
		q, steps := steppedQueue(30, lim)
		wants := func(when string, size int64, count int) {
			t.Helper()
			if synctest.Wait(); q.partsLocked().size != size || len(q.partsLocked().list) != count {
				t.Errorf("%s: %d bytes are noted in %d parts, want %d in %d", when, q.partsLocked().size, len(q.partsLocked().list), size, count)
			}
		}
		set := func(drop DropPolicy) {
			other := lim
			other.Drop = drop
			q.SetLimits(&other)
		}
		q.Push(text(100))
		wants("when nothing is dropped", 0, 0)
		set(DropOld)
		q.Push(text(200))
		q.Reserve(500) // is not pushed yet
		wants("when messages may be dropped", 200, 1)
		steps <- 70
		wants("when nothing of that is written", 200, 1)
		steps <- 20
		wants("when some is", 200, 1)
		q.KeepLeftover(false)
		set(DropNone)
		q.Push(text(300))
		wants("for a leftover", 500, 2)
		left := q.leftoverLocked() // of what is not written any more, which is nothing yet
		if q.partsLocked().size != 300 || left.Sent != 0 {
			t.Errorf("%d bytes are known of, the part that was being written must not be", q.partsLocked().size)
		}
		steps <- 180
		wants("when all before is written", 300, 1)
		q.mu.Lock()
		q.keeper = nil
		q.mu.Unlock()
		q.Push(text(400))
		wants("when nothing needs to be noted any more", 0, 0)
		q.Finish(0)
		close(steps)
	})
}

// TestLittleIsKeptOfWhatWasWritten has a socket take much of what is queued, and looks at what is kept
// so that a leftover begins with a delivery.
func TestLittleIsKeptOfWhatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, steps := steppedQueue(0, Limits{WriteDeadline: time.Hour})
		q.KeepLeftover(false)
		for range 10_000 {
			q.Push(text(1000))
		}
		steps <- 1000
		for i := range 300 {
			synctest.Wait()
			if n := q.keeper.past.size; n > maxDropUnit {
				t.Fatalf("after %d writes %d bytes are kept", i, n)
			}
			steps <- 30_000
		}
		q.Finish(0)
		close(steps)
	})
}
