package netio

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// awaitRoom waits for room at a queue that lags.
func awaitRoom(t *testing.T, q *WriteQueue, n int64) chan Room {
	t.Helper()
	granted := make(chan Room, 1)
	if _, ok := q.Admit(n, granted); ok {
		t.Fatal("it does not lag")
	}
	return granted
}

// TestRoomIsGrantedOnce has publishers that wait for several queues, and no longer.
func TestRoomIsGrantedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 100, WriteDeadline: patience})
		q.StopWaiting(nil)
		q.Push(text(200))
		var waits [3]chan Room
		for i := range waits {
			waits[i] = awaitRoom(t, q, 10)
		}
		q.StopWaiting(waits[1])
		q.StopWaiting(waits[1])
		waits[2] <- Room{} // by another queue
		release()
		synctest.Wait()
		for i, want := range []int{1, 0, 1} {
			if len(waits[i]) != want {
				t.Errorf("publisher %d: room for %d, want %d", i, len(waits[i]), want)
			}
		}
		if got := pending.Load(); got != 10 {
			t.Errorf("%d bytes are reserved, want 10", got)
		}
		room := <-waits[0]
		if room.Release(); pending.Load() != 0 {
			t.Errorf("%d bytes are reserved when that has ended", pending.Load())
		}
		room = <-waits[2]
		room.Release()
		if q.Finish(0); len(waits[0]) > 0 {
			t.Error("a publisher gets room twice")
		}
	})
}

// TestRoomIsGrantedWhenLittleIsPending has a socket take some bytes at a time.
func TestRoomIsGrantedWhenLittleIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := make(chan int)
		l := &fakeLink{
			try:  func(int) (int, error) { return 0, ErrWouldBlock },
			wait: func(int) (int, error) { return <-steps, nil },
		}
		q, _, _ := newTestQueue(l, Limits{MaxPending: 1000, HighWater: 400, WriteDeadline: time.Hour})
		q.Push(text(500))
		granted := awaitRoom(t, q, 1)
		for i, n := range []int{300, 99, 1} {
			steps <- n
			synctest.Wait()
			if got, want := len(granted), i/2; got != want {
				t.Errorf("with %d bytes pending: room for %d, want %d", q.Stats().Pending, got, want)
			}
		}
		steps <- 100
		synctest.Wait()
		q.Refuse()
		d := text(1)
		if q.Push(d); !d.Refused {
			t.Error("a queue that refuses takes something")
		}
		q.Finish(0)
	})
}

// TestRoomIsGrantedInTurn has five publishers that wait, each for most of what may be pending: one gets
// room at a time, the first one first, the next when it has used it or ends.
func TestRoomIsGrantedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 100, WriteDeadline: patience})
		q.Push(text(200))
		var waits [5]chan Room
		for i := range waits {
			waits[i] = awaitRoom(t, q, 101)
		}
		release()
		synctest.Wait()
		for i := range waits {
			if len(waits[i]) != 1 {
				t.Fatalf("publisher %d has no room in its turn", i)
			}
			for k := i + 1; k < len(waits); k++ {
				if len(waits[k]) != 0 {
					t.Fatalf("publisher %d has room before publisher %d has used its own", k, i)
				}
			}
			q.Push(text(50))
			room := <-waits[i]
			room.Release()
			synctest.Wait()
		}
		if got := pending.Load(); got != 0 {
			t.Errorf("%d bytes are pending at the end", got)
		}
		q.Finish(0)
	})
}

// lateRoom asks for room like a publisher that has waited for long.
func lateRoom(q *WriteQueue, n int64) (r Room, ok bool) {
	granted := make(chan Room, 1)
	if r, ok = q.Admit(n, granted); ok {
		return r, true
	}
	q.mu.Lock()
	q.waiters.list[len(q.waiters.list)-1].since = time.Time{}
	q.mu.Unlock()
	q.Retry()
	q.StopWaiting(granted)
	select {
	case r = <-granted:
		return r, true
	default:
		return r, false
	}
}

// TestLateRoom asks for more room after a wait: there is some up to half of what may be pending.
func TestLateRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: patience})
		q.Push(text(300))
		var rooms []Room
		for i, step := range []struct {
			n    int64
			want bool
		}{{201, false}, {100, true}, {100, true}, {1, false}} {
			r, ok := lateRoom(q, step.n)
			if ok != step.want {
				t.Errorf("step %d, with %d bytes pending: got room %v, want %v", i, pending.Load(), ok, step.want)
			}
			rooms = append(rooms, r)
		}
		for _, r := range rooms {
			r.Release()
		}
		if got := pending.Load(); got != 300 {
			t.Errorf("%d bytes are pending without those that were reserved, want 300", got)
		}
		release()
		q.Finish(time.Hour)
	})
}

// TestSlowPeers has peers that lag and take so many bytes at a time, from the queue or from the socket: one is
// too slow if it takes less than HighWater in slowTime, until it has caught up or takes that much again.
func TestSlowPeers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		written  int // by the queue, every fourth of slowTime
		acked    int // of what the socket holds
		deadline time.Duration
		want     time.Duration // when it is too slow; 0: never
	}{
		{"takes nothing", 0, 0, patience, slowTime},
		{"takes nothing, and a write may take less", 0, 0, slowTime / 4, slowTime / 4},
		{"takes little", 8, 0, patience, slowTime},
		{"takes enough", 25, 0, patience, 0},
		{"takes little of the socket", 0, 8, patience, slowTime},
		{"takes enough of the socket", 0, 25, patience, 0},
		{"takes enough in all", 10, 15, patience, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size, high = 100_000, 100
				steps := make(chan int)
				var held atomic.Int64
				held.Store(size)
				l := &fakeLink{
					forgets: true,
					try:     func(int) (int, error) { return 0, ErrWouldBlock },
					wait:    func(n int) (int, error) { return min(n, <-steps), nil },
					unsent:  func() int { return int(held.Load()) },
				}
				q, _, _ := newTestQueue(l, Limits{MaxPending: 1 << 20, HighWater: high, WriteDeadline: tt.deadline})
				if q.Retry() {
					t.Error("one that does not lag is too slow")
				}
				q.Push(text(size))
				if q.Retry() {
					t.Error("one that begins to lag is too slow")
				}
				for i := range 12 {
					if at := time.Duration(i) * slowTime / 4; q.Retry() != (tt.want > 0 && at >= tt.want) {
						t.Errorf("after %v: too slow is %v, want that after %v", at, q.Retry(), tt.want)
					}
					if tt.written > 0 {
						steps <- tt.written
						held.Add(int64(tt.written))
					}
					held.Add(-int64(tt.written + tt.acked)) // what is written is acknowledged
					synctest.Wait()
					time.Sleep(slowTime / 4)
				}
				held.Store(0)
				if tt.written == 0 && tt.acked == 0 && q.Retry() {
					t.Error("one that has taken much is too slow")
				}
				steps <- size
				synctest.Wait()
				for q.Stats().Pending > 0 {
					steps <- size
					synctest.Wait()
				}
				time.Sleep(patience)
				if q.Retry() {
					t.Error("one that has caught up is too slow")
				}
				q.Finish(0)
			})
		})
	}
}

// TestReservedBytesMakeNoPeerSlow has much reserved for what is pushed elsewhere, and a socket that takes
// everything: such a peer is not slow.
func TestReservedBytesMakeNoPeerSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, l, _, _, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 1000, WriteDeadline: time.Hour})
		q.Reserve(5000)
		q.Push(text(100))
		q.Retry()
		release()
		synctest.Wait()
		l.try = nil // it takes all at once from now on
		for range 8 {
			q.Push(text(100))
			if q.Retry() {
				t.Fatal("it has taken all, and is too slow")
			}
			time.Sleep(slowTime / 4)
		}
		q.Finish(0)
	})
}

// TestLateRoomIsGrantedInTurn has publishers that wait while half of what may be pending is: one that needs
// little is not let in before one that came first, nor one that comes when there is room for it.
func TestLateRoomIsGrantedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := make(chan int)
		l := &fakeLink{
			try:  func(int) (int, error) { return 0, ErrWouldBlock },
			wait: func(int) (int, error) { return <-steps, nil },
		}
		q, _, _ := newTestQueue(l, Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: time.Hour})
		q.Push(text(480))
		first := awaitRoom(t, q, 100)
		second := awaitRoom(t, q, 1)
		want := func(when string, counts ...int) {
			t.Helper()
			synctest.Wait()
			if q.Retry(); len(first) != counts[0] || len(second) != counts[1] {
				t.Errorf("%s: room for %d and %d, want %v", when, len(first), len(second), counts)
			}
		}
		want("at first", 0, 0)
		time.Sleep(LateAfter - 1)
		steps <- 79
		want("without room for the first one", 0, 0)
		steps <- 1
		want("a moment before it is late", 0, 0)
		time.Sleep(time.Nanosecond)
		want("with room for it", 1, 0)
		third := awaitRoom(t, q, 1)
		steps <- 1
		want("with room for the second one", 1, 1)
		if q.Retry(); len(third) != 0 {
			t.Error("one that has just come has room")
		}
		for _, granted := range []chan Room{first, second} {
			room := <-granted
			room.Release()
		}
		steps <- 380
		synctest.Wait()
		room := <-third
		room.Release()
		steps <- 19
		q.Finish(time.Hour)
	})
}

// TestEndedQueuesHaveRoom has a queue end in several ways while a publisher waits. What has ended,
// or drops messages, reserves nothing.
func TestEndedQueuesHaveRoom(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*WriteQueue){
		"refuses":  func(q *WriteQueue) { q.Refuse() },
		"finished": func(q *WriteQueue) { q.Finish(0) },
		"broken":   func(q *WriteQueue) { q.fail() },
	} {
		q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: patience})
		q.Push(text(200))
		granted := awaitRoom(t, q, 10)
		end(q)
		if len(granted) != 1 {
			t.Errorf("%s: a publisher still waits", name)
			continue
		}
		before := pending.Load()
		room, ok := q.Admit(10, nil)
		if !ok || pending.Load() != before {
			t.Errorf("%s: admitted is %v, %d bytes are pending, want %d", name, ok, pending.Load(), before)
		}
		room.Release()
		room = <-granted
		room.Release()
		release()
		if q.Finish(patience); pending.Load() != 0 {
			t.Errorf("%s: %d bytes are pending at the end", name, pending.Load())
		}
	}
	for stalls, want := range map[bool]bool{false: true, true: false} {
		q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: patience, Drop: DropNew, Stalls: stalls})
		q.Push(text(200))
		if _, ok := q.Admit(10, nil); ok != want || pending.Load() != 200 {
			t.Errorf("a queue that drops, and stalls %v: admitted is %v, %d bytes are pending", stalls, ok, pending.Load())
		}
		release()
		q.Finish(patience)
	}
}

// TestManyPublishersStayWithinTheirRoom has more publishers than may have their bytes pending, each of
// which waits for room before it pushes: what is pending is never more than what one of them may add to
// what does not lag.
func TestManyPublishersStayWithinTheirRoom(t *testing.T) {
	t.Parallel()
	const publishers, pushes, size, high = 40, 50, 100, 250
	l := &fakeLink{forgets: true, try: erratic(1, false), wait: erratic(2, true)}
	q, owner, pending := newTestQueue(l, Limits{MaxPending: high + size, HighWater: high, WriteDeadline: patience})
	var pushed atomic.Int64
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for range pushes {
				granted := make(chan Room, 1)
				room, ok := q.Admit(size, granted)
				if !ok {
					room = <-granted
				}
				d := text(size)
				d.Room = room.Take(q, size)
				q.Push(d)
				pushed.Add(size)
				room.Release()
			}
		})
	}
	wg.Wait()
	awaitWritten(t, q)
	if slow, failed := owner.reported(); len(slow)+len(failed) > 0 {
		t.Errorf("slow %v, failed %v", slow, failed)
	}
	if got, _ := q.Progress(); got != pushed.Load() || pending.Load() != 0 {
		t.Errorf("%d bytes were pushed, want %d; %d are pending", got, pushed.Load(), pending.Load())
	}
}

// TestNothingIsKeptOfWhatWasPushedBefore has a queue begin to keep what it does not write behind a backlog.
func TestNothingIsKeptOfWhatWasPushedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _, _, _, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 1 << 20, WriteDeadline: time.Hour})
		q.Push(text(1 << 19))
		q.KeepLeftover(false)
		release()
		synctest.Wait()
		if n := q.keeper.past.size; n > 0 {
			t.Errorf("%d bytes that were written are kept", n)
		}
		q.Finish(0)
	})
}
