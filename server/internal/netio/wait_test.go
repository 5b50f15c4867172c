package netio

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestChangedLimitsApplyToAWriteThatWaits has peers that do not read, and limits that change while a
// write to them waits.
func TestChangedLimitsApplyToAWriteThatWaits(t *testing.T) {
	if !writesResume {
		t.Skip("a write that waits cannot be ended here and go on")
	}
	for _, tt := range []struct {
		name          string
		before, after Limits
		slowAfter     time.Duration // since the write began; 0 = it waits on
	}{
		{"a shorter deadline", Limits{WriteDeadline: time.Hour}, Limits{WriteDeadline: 5 * time.Second}, 5 * time.Second},
		{"one that has passed", Limits{WriteDeadline: time.Hour}, Limits{WriteDeadline: time.Second}, 4 * time.Second},
		{"a longer deadline", Limits{WriteDeadline: 7 * time.Second}, Limits{WriteDeadline: 11 * time.Second}, 11 * time.Second},
		{"messages are not dropped any more", Limits{WriteDeadline: time.Second, Drop: DropOld}, Limits{WriteDeadline: 9 * time.Second}, 9 * time.Second},
		{"messages are dropped from now on", Limits{WriteDeadline: 7 * time.Second}, Limits{WriteDeadline: time.Second, Drop: DropNew}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.before.MaxPending, tt.after.MaxPending = 1<<20, 1<<20
				near, far := Pipe()
				defer far.Close()
				q, owner, shared := new(WriteQueue), new(fakeOwner), new(Shared)
				q.Init(NewLink(near, shared), owner, shared, &tt.before)
				begin := time.Now()
				q.Push(text(2 * pipeSize))
				time.Sleep(3 * time.Second) // of the bubble
				q.SetLimits(&tt.after)
				time.Sleep(time.Minute)
				synctest.Wait()
				slow, failed := owner.reported()
				if want := tt.slowAfter > 0; slices.Contains(slow, LimitDeadline) != want || (len(failed) > 0) != want {
					t.Errorf("slow %v, failed %v", slow, failed)
				}
				if took := owner.failedAt.Sub(begin).Truncate(time.Second); tt.slowAfter > 0 && took != tt.slowAfter {
					t.Errorf("it was a slow consumer after %v, want %v", took, tt.slowAfter)
				}
				q.Finish(0)
				near.Close()
			})
		})
	}
}

// TestAReaderThatPausesIsNotSlow has pauses that are shorter than the deadline, and together longer.
func TestAReaderThatPausesIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := Pipe()
		q, owner, shared := new(WriteQueue), new(fakeOwner), new(Shared)
		q.Init(NewLink(near, shared), owner, shared, &Limits{MaxPending: 1 << 30, HighWater: 1 << 20, WriteDeadline: 3 * time.Second})
		q.Push(text(20 * pipeSize))
		for b := make([]byte, pipeSize); q.Stats().Pending > 0; {
			time.Sleep(5 * time.Second / 2) // of the bubble
			if _, err := io.ReadFull(far, b); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if slow, failed := owner.reported(); len(slow)+len(failed) > 0 {
			t.Errorf("slow %v, failed %v", slow, failed)
		}
		q.Finish(0)
		near.Close()
		far.Close()
	})
}
