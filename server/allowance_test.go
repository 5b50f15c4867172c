package server

import (
	"testing"
	"testing/synctest"
	"time"
)

// expiry starts an allowance and returns where the time that it took will be.
func expiry(a *admission, limit time.Duration) (*allowance, chan time.Duration) {
	start, over := time.Now(), make(chan time.Duration, 1)
	return a.allow(limit, func() { over <- time.Since(start) }), over
}

func TestAllowanceStandsStillInACrowd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		crowd func(t *testing.T, a *admission) (end func())
	}{
		{"somebody waits for a place", func(t *testing.T, a *admission) func() {
			a.enter(t.Context())
			go func() { // ends when the place is left to it
				a.enter(t.Context())
				a.leave()
			}()
			synctest.Wait()
			return a.leave
		}},
		{"many are on their way in", func(t *testing.T, a *admission) func() {
			a.comes(crowd)
			return func() { a.comes(-crowd) }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAdmission(1)
				_, before := expiry(a, time.Second)
				time.Sleep(time.Second / 2) // the clock is the test's
				end := tt.crowd(t, a)
				_, during := expiry(a, time.Second)
				_, forever := expiry(a, time.Hour)
				time.Sleep(10 * time.Second)
				if len(before)+len(during) > 0 {
					t.Error("time has passed in the crowd")
				}
				end()
				if got := <-before; got != 11*time.Second {
					t.Errorf("one that began before the crowd took %v, want 11s", got)
				}
				if got := <-during; got != 11*time.Second {
					t.Errorf("one that began in the crowd took %v, want 11s", got)
				}
				if got := <-forever; got != time.Hour+10*time.Second {
					t.Errorf("a long one took %v", got)
				}
				if a.onTheirWay != 0 {
					t.Errorf("%d are on their way in", a.onTheirWay)
				}
			})
		})
	}
}

func TestAllowanceEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(1)
		_, few := expiry(a, time.Second)
		if got := <-few; got != time.Second {
			t.Errorf("took %v, want 1s", got)
		}
		a.comes(2 * crowd)
		_, endless := expiry(a, time.Second)
		if got := <-endless; got != time.Second+crowdLimit {
			t.Errorf("in an endless crowd it took %v", got)
		}
		stopped, over := expiry(a, time.Second)
		stopped.stop()
		stopped.stop()
		time.Sleep(time.Hour)
		if len(over) > 0 || a.onTheirWay != 2*crowd {
			t.Errorf("expired after stop, or %d are on their way in", a.onTheirWay)
		}
	})
}
