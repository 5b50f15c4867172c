package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdmissionIsInOrderOfArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(2)
		order := make(chan int, 6)
		waits := make(chan time.Duration, 6) // in the same order
		for i := range 6 {
			go func() {
				waited, err := a.enter(t.Context())
				if err != nil {
					t.Error(err)
				}
				order <- i
				waits <- waited
				time.Sleep(time.Second) // the work; the clock is the test's
				a.leave()
			}()
			synctest.Wait()
			time.Sleep(2 * time.Millisecond)
		}
		if n := a.waiting(); n != 4 {
			t.Errorf("%d wait, want 4", n)
		}
		time.Sleep(time.Minute)
		for i, want := range []time.Duration{0, 0, 996, 996, 1993, 1992} { // ms; the third place is left for a breath
			if n, waited := <-order, <-waits; n != i || waited != want*time.Millisecond {
				t.Errorf("number %d was admitted in place %d after %v, want %dms", n, i, waited, want)
			}
		}
	})
}

func TestAdmissionForgetsWhoGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(0) // one place all the same
		a.enter(t.Context())
		gone, cancel := context.WithCancel(t.Context())
		go func() {
			if _, err := a.enter(gone); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want canceled", err)
			}
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		a.leave()
		if waited, err := a.enter(t.Context()); waited != 0 || err != nil {
			t.Errorf("the place is lost: %v %v", waited, err)
		}
	})
}

func TestAdmissionPassesOnAPlaceGivenTooLate(t *testing.T) {
	t.Parallel()
	a := newAdmission(1)
	for range 1000 {
		a.enter(t.Context())
		gone, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := a.enter(gone); err == nil {
				a.leave()
			}
		}()
		go cancel()
		a.leave()
		<-done
	}
	if a.free != 1 || a.waiting() != 0 {
		t.Errorf("%d places free, %d wait", a.free, a.waiting())
	}
}
