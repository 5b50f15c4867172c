package server

import (
	"context"
	"sync"
	"time"
)

// admission lets a bounded number of expensive pieces of work run at a time,
// TLS handshakes or bcrypt checks; the others wait in the order they came.
type admission struct {
	mu      sync.Mutex
	free    int
	waiters []*waiter // in order of arrival
}

// waiter is one caller of enter that must wait.
type waiter struct {
	admitted chan struct{} // closed by the one who leaves a place to it
}

// newAdmission returns an admission with that many places, at least one.
func newAdmission(places int) *admission {
	return &admission{free: max(places, 1)}
}

// enter waits for a place and returns how long that took, so that the caller
// can keep the wait out of its own time limits. The error is that of ctx, and
// then there is no place to leave.
func (a *admission) enter(ctx context.Context) (waited time.Duration, err error) {
	w := a.queue()
	if w == nil {
		return 0, nil
	}
	start := time.Now()
	select {
	case <-w.admitted:
		return time.Since(start), nil
	case <-ctx.Done():
		if !a.abandon(w) { // admitted at the same moment: pass the place on
			a.leave()
		}
		return time.Since(start), ctx.Err()
	}
}

// leave gives the place to the one who has waited longest.
func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiters) == 0 {
		a.free++
		return
	}
	first := a.waiters[0]
	a.waiters[0] = nil
	a.waiters = a.waiters[1:]
	close(first.admitted)
}

// waiting returns how many wait for a place.
func (a *admission) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiters)
}

// queue takes a free place and returns nil, or returns the caller's place in
// the queue.
func (a *admission) queue() *waiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.free > 0 {
		a.free--
		return nil
	}
	w := &waiter{make(chan struct{})}
	a.waiters = append(a.waiters, w)
	return w
}

// abandon takes w out of the queue; false means it was admitted already.
func (a *admission) abandon(w *waiter) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, other := range a.waiters {
		if other == w {
			a.waiters = append(a.waiters[:i], a.waiters[i+1:]...)
			return true
		}
	}
	return false
}
