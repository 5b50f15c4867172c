package netio

import (
	"slices"
	"testing"
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

// TestDirectWritesTakeNoMemoryForParts pushes to a socket that takes everything.
func TestDirectWritesTakeNoMemoryForParts(t *testing.T) {
	q, _, _ := newTestQueue(&fakeLink{forgets: true}, Limits{MaxPending: 1 << 20, HighWater: 1 << 20, Drop: DropOld})
	q.KeepLeftover(false)
	d := text(100)
	q.Push(d)
	if n := testing.AllocsPerRun(100, func() { q.Push(d) }); n > 0 || q.parts.size != 0 {
		t.Errorf("%v allocations, %d bytes are noted", n, q.parts.size)
	}
}

// TestPartsBeginWhenTheyAreNeeded changes what is noted while a delivery is written in part: where those
// begin that were pushed before is not known.
func TestPartsBeginWhenTheyAreNeeded(t *testing.T) {
	t.Parallel()
	for _, drop := range []DropPolicy{DropNone, DropOld} {
		q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 1000, WriteDeadline: patience, Drop: DropNone})
		q.Push(text(100))
		q.SetLimits(&Limits{MaxPending: 1000, HighWater: 1000, WriteDeadline: patience, Drop: drop})
		q.Push(text(20))
		if want := map[DropPolicy]int64{DropNone: 0, DropOld: 20}[drop]; q.parts.size != want {
			t.Errorf("policy %d: %d bytes are noted, want %d", drop, q.parts.size, want)
		}
		q.KeepLeftover(false)
		q.Push(text(30))
		time.AfterFunc(time.Millisecond, release)
		left, waits := q.Leave(time.Hour)
		if n := sizeOf(left.Segments); n != 0 && n != 50 && n != 30 || left.Sent != 0 {
			t.Errorf("policy %d: %d bytes are left, %d of them sent", drop, n, left.Sent)
		}
		left.Release()
		q.SetLimits(&Limits{MaxPending: 1000, HighWater: 1000, WriteDeadline: patience})
		if waits {
			q.Continue(nil)
		}
		q.Push(text(1))
		q.Finish(patience)
		if q.parts.size != 0 || q.parts.list != nil || pending.Load() != 0 {
			t.Errorf("policy %d: %d bytes are noted in the end, %d pending", drop, q.parts.size, pending.Load())
		}
	}
}
