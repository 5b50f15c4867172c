package server

import (
	"sync/atomic"
	"time"
)

// ownedTimer calls a method of its owner each time that it expires. The runtime may keep a stopped
// timer until its time has come: while at most a quarter of all timers are stopped. Stop gives up
// the owner at once, so that a connection that has ended is not kept until its next PING is due.
type ownedTimer[T any] struct {
	timer *time.Timer
	owner atomic.Pointer[T] // nil after Stop
	tick  func(*T)
}

func newOwnedTimer[T any](d time.Duration, owner *T, tick func(*T)) *ownedTimer[T] {
	t := &ownedTimer[T]{tick: tick}
	t.owner.Store(owner)
	t.timer = time.AfterFunc(d, t.expired)
	return t
}

func (t *ownedTimer[T]) expired() {
	if owner := t.owner.Load(); owner != nil {
		t.tick(owner)
	}
}

// Reset sets the timer to d.
func (t *ownedTimer[T]) Reset(d time.Duration) { t.timer.Reset(d) }

// Stop ends the timer. A call that has begun may still be under way.
func (t *ownedTimer[T]) Stop() {
	t.owner.Store(nil)
	t.timer.Stop()
}
