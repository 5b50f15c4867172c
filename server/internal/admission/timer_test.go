package admission

import (
	"testing"
	"testing/synctest"
	"time"
)

// expiry starts a Timer and returns where the time that it took will be.
func expiry(l *Limiter, limit time.Duration) (*Timer, chan time.Duration) {
	start, over := time.Now(), make(chan time.Duration, 1)
	return l.AfterFunc(limit, func() { over <- time.Since(start) }), over
}

// manyLogins starts more timers than make an overload. end stops them.
func manyLogins(l *Limiter) (end func()) {
	timers := make([]*Timer, overloadThreshold+1)
	for i := range timers {
		timers[i] = l.AfterFunc(24*time.Hour, func() {})
	}
	return func() {
		for _, t := range timers {
			t.Stop()
		}
	}
}

func TestTimersStandStillUnderOverload(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		overload func(t *testing.T, l *Limiter) (end func())
	}{
		{"work waits for a slot", func(t *testing.T, l *Limiter) func() {
			acquire(t, l)
			go func() { // ends when the slot is released to it
				if _, err := l.Acquire(t.Context()); err == nil {
					l.Release()
				}
			}()
			synctest.Wait()
			return l.Release
		}},
		{"many peers are in a step of their login", func(_ *testing.T, l *Limiter) func() { return manyLogins(l) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter(1)
				_, before := expiry(l, time.Second)
				time.Sleep(time.Second / 2) // the clock is the test's
				end := tt.overload(t, l)
				_, during := expiry(l, time.Second)
				_, forever := expiry(l, time.Hour)
				time.Sleep(10 * time.Second)
				if len(before)+len(during) > 0 || !l.Overloaded() {
					t.Error("time has passed in the overload")
				}
				end()
				if got := <-before; got != 11*time.Second {
					t.Errorf("one that began before the overload took %v, want 11s", got)
				}
				if got := <-during; got != 11*time.Second {
					t.Errorf("one that began in the overload took %v, want 11s", got)
				}
				if got := <-forever; got != time.Hour+10*time.Second {
					t.Errorf("a long one took %v", got)
				}
				if l.Overloaded() {
					t.Error("the overload has not ended")
				}
			})
		})
	}
}

func TestTimersExpireInAnEndlessOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1)
		defer manyLogins(l)()
		_, over := expiry(l, time.Second)
		if got := <-over; got <= time.Second || got > time.Minute {
			t.Errorf("took %v, want more than 1s and at most 1m", got)
		}
	})
}

func TestAPausedTimerStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		timer, over := expiry(NewLimiter(1), time.Second)
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
		l := NewLimiter(1)
		timer, over := expiry(l, time.Second)
		timer.Stop()
		timer.Stop()
		paused, pausedOver := expiry(l, time.Second)
		paused.pause()
		paused.Stop()
		paused.resume()
		time.Sleep(time.Hour)
		if len(over)+len(pausedOver) > 0 {
			t.Error("expired after Stop")
		}
	})
}

func TestStopWaitsForACallUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		called, finish := make(chan struct{}), make(chan struct{})
		returned := false
		timer := NewLimiter(1).AfterFunc(time.Second, func() {
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
