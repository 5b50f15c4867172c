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

// TestLateRoom asks for more room after a wait: up to half of what may be pending, and more when the peer
// has taken nothing for some time, until there is no bound.
func TestLateRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deadline = 2*blockedTime + blockedTime/2
		q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: deadline})
		q.Push(text(300))
		var rooms []Room
		for i, step := range []struct {
			after time.Duration
			n     int64
			want  bool
		}{
			{0, 201, false}, {0, 100, true}, {0, 100, true}, {0, 1, false}, // 500
			{blockedTime, 1, false}, {blockedTime / 2, 167, false}, {0, 166, true}, // a third of the time that is left
			{blockedTime / 2, 168, false}, {0, 167, true}, {0, 1, false}, {blockedTime/2 - 1, 167, false}, // 833
			{1, 1000, true}, // it is time that it is disconnected
		} {
			time.Sleep(step.after)
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
		if !q.HasGranted(time.Second) {
			t.Error("it is not known that room was granted")
		}
		time.Sleep(time.Second)
		if room.Release(); q.HasGranted(time.Second) {
			t.Error("room that was granted long ago counts")
		}
		steps <- 19
		q.Finish(time.Hour)
	})
}

// TestAPeerThatReadsIsNotBlocked has a socket that holds so much that nothing is written for long, with a
// peer that reads it, and then does not.
func TestAPeerThatReadsIsNotBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, l, _, _, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: patience})
		var held atomic.Int64
		held.Store(10_000)
		l.unsent = func() int { return int(held.Load()) }
		q.Push(text(600))
		for range 20 {
			if _, ok := lateRoom(q, 1); ok {
				t.Fatal("a queue that is near full, and whose peer reads, has room")
			}
			held.Add(-10)
			time.Sleep(blockedTime / 2)
		}
		lateRoom(q, 1)
		time.Sleep(patience)
		room, ok := lateRoom(q, 1)
		if !ok {
			t.Error("publishers wait for a peer that does not read any more")
		}
		room.Release()
		release()
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
	q, _, _, pending, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: patience, Drop: DropNew})
	q.Push(text(200))
	if _, ok := q.Admit(10, nil); !ok || pending.Load() != 200 {
		t.Errorf("a queue that drops: admitted is %v, %d bytes are pending", ok, pending.Load())
	}
	release()
	q.Finish(patience)
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
