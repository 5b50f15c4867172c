package admission

import (
	"sync"
	"time"
)

// Timer is a pausable timer: the time that a peer has for one step of its login. It stands still
// while its Limiter is overloaded: the peers and this process are slower then than usual, and no
// peer is to be refused for that.
type Timer struct {
	limiter *Limiter
	f       func()

	mu       sync.Mutex    // guards what follows
	timer    *time.Timer   // nil once it has expired or was stopped
	expired  chan struct{} // closed when f has returned; nil unless it has expired
	end      time.Time     // at the latest
	left     time.Duration // at read
	read     time.Time     // when left was computed
	overload time.Duration // of the Limiter, at read
	paused   bool
}

// maxOverload is how much longer than without overload a step may take.
const maxOverload = 30 * time.Second

// AfterFunc returns a Timer that calls f, once, unless it is stopped within limit. f must not wait,
// nor call methods of the Timer.
func (l *Limiter) AfterFunc(limit time.Duration, f func()) *Timer {
	l.addPending(1)
	now := time.Now()
	t := &Timer{limiter: l, f: f, end: now.Add(limit + maxOverload), left: limit, read: now, overload: l.overloadTime()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(limit, t.check)
	return t
}

// check calls f if the time is over.
func (t *Timer) check() {
	if t.expire() {
		t.f()
		close(t.expired)
	}
}

// expire ends the timer if its time is over, and waits for the rest otherwise. It reports whether
// the caller must call f.
func (t *Timer) expire() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil || t.paused {
		return false
	}
	t.readLocked()
	if left := min(t.left, t.end.Sub(t.read)); left > 0 {
		t.timer.Reset(left)
		return false
	}
	t.timer, t.expired = nil, make(chan struct{})
	t.limiter.addPending(-1)
	return true
}

// readLocked computes how much time is left.
func (t *Timer) readLocked() {
	now, overload := time.Now(), t.limiter.overloadTime()
	t.left -= now.Sub(t.read) - (overload - t.overload)
	t.read, t.overload = now, overload
}

// pause stops the clock: the peer waits for this process.
func (t *Timer) pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readLocked()
	t.paused = true
}

// resume starts the clock after pause.
func (t *Timer) resume() {
	t.resumeClock()
	t.check() // which may have passed while the clock stood
}

func (t *Timer) resumeClock() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = t.end.Add(time.Since(t.read))
	t.read, t.overload = time.Now(), t.limiter.overloadTime()
	t.paused = false
}

// Stop ends the timer. When it returns, f has been called and has returned, or is never called.
func (t *Timer) Stop() {
	if expired := t.stop(); expired != nil {
		<-expired
	}
}

// stop returns what is closed when f has returned, nil if f is not called.
func (t *Timer) stop() (expired chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
		t.limiter.addPending(-1)
	}
	return t.expired
}
