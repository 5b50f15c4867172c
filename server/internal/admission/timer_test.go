package admission

import (
	"testing"
	"testing/synctest"
	"time"
)

// expiry starts a Timer and returns where the time that it took will be.
func expiry(limit time.Duration) (*Timer, chan time.Duration) {
	start, over := time.Now(), make(chan time.Duration, 1)
	return AfterFunc(limit, func() { over <- time.Since(start) }), over
}

// TestManyTimersTakeNoLongerThanOne has as many peers in a step of their login as an attacker likes.
func TestManyTimersTakeNoLongerThanOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []chan time.Duration
		for range 3000 {
			_, over := expiry(time.Second)
			all = append(all, over)
		}
		for _, over := range all {
			if got := <-over; got != time.Second {
				t.Fatalf("took %v, want 1s", got)
			}
		}
	})
}

func TestAPausedTimerStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		timer, over := expiry(time.Second)
		for range 5 {
			time.Sleep(100 * time.Millisecond)
			timer.pause()
			time.Sleep(time.Hour)
			timer.resume()
		}
		if got := <-over; got != 5*time.Hour+time.Second {
			t.Errorf("took %v, want 5h0m1s", got)
		}
	})
}

func TestAStoppedTimerNeverExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		timer, over := expiry(time.Second)
		timer.Stop()
		timer.Stop()
		paused, pausedOver := expiry(time.Second)
		paused.pause()
		paused.Stop()
		paused.resume()
		time.Sleep(time.Hour)
		if len(over)+len(pausedOver) > 0 {
			t.Error("expired after Stop")
		}
		if timer.f != nil {
			t.Error("keeps what it would have called: the runtime may keep a stopped timer until its time")
		}
	})
}

func TestStopWaitsForACallUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		called, finish := make(chan struct{}), make(chan struct{})
		returned := false
		timer := AfterFunc(time.Second, func() {
			close(called)
			<-finish
			returned = true
		})
		<-called
		go func() { // ends in a second; Stop below waits for what it does
			time.Sleep(time.Second)
			close(finish)
		}()
		timer.Stop()
		if !returned {
			t.Error("Stop returned before the call did")
		}
	})
}

// TestATimerGivesTimeAfterThisProcessStoodStill sets back when the time was over, as if the process
// had been suspended.
func TestATimerGivesTimeAfterThisProcessStoodStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		timer, over := expiry(time.Second)
		timer.mu.Lock()
		timer.due = timer.due.Add(-time.Minute)
		timer.mu.Unlock()
		if got := <-over; got != time.Second+lateGrace {
			t.Errorf("took %v, want %v", got, time.Second+lateGrace)
		}
	})
}
