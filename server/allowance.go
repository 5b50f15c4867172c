package server

import (
	"sync"
	"time"
)

// allowance is the time that a peer has for one step of its way in. It stands
// still while others wait for a place or many are on their way in: when a crowd
// comes, the peers and this process are slower than usual, and nobody is to be
// turned away for that.
type allowance struct {
	places  *admission
	expired func()

	mu      sync.Mutex // guards what follows; held while expired is called
	end     time.Time  // at the latest
	left    time.Duration
	crowded time.Duration // by the places, when left was right
	timer   *time.Timer   // nil once it is over
	paused  bool
	rest    time.Time // when left was right
}

// crowdLimit is how much longer than in quiet times a step may take.
const crowdLimit = 30 * time.Second

// allow calls expired, once, if stop is not called within limit.
func (a *admission) allow(limit time.Duration, expired func()) *allowance {
	a.comes(1)
	now := time.Now()
	w := &allowance{places: a, expired: expired, end: now.Add(limit + crowdLimit), left: limit, crowded: a.crowdTime(), rest: now}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(limit, w.look)
	return w
}

// look finds out whether the time is over, or how much is left.
func (w *allowance) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookLocked()
}

func (w *allowance) lookLocked() {
	if w.timer == nil || w.paused {
		return
	}
	now, crowded := time.Now(), w.places.crowdTime()
	w.left -= now.Sub(w.rest) - (crowded - w.crowded)
	w.rest, w.crowded = now, crowded
	if left := min(w.left, w.end.Sub(now)); left > 0 {
		w.timer.Reset(left)
		return
	}
	w.timer = nil
	w.places.comes(-1)
	w.expired()
}

// pause begins a time that does not count at all: the peer waits for us.
func (w *allowance) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = true
}

// resume ends it, after d.
func (w *allowance) resume(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = false
	w.end = w.end.Add(d)
	w.lookLocked()
}

// stop ends the allowance: expired is not called any more, nor running.
func (w *allowance) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
		w.places.comes(-1)
	}
}
