package admission

import (
	"sync"
	"time"
)

// Timer is a pausable timer: the time that a peer has for one step of its login. It stands still
// while the peer has sent what it has to send and waits for this process, and it does not count
// time in which this process did not run.
type Timer struct {
	mu      sync.Mutex           // guards what follows
	more    func() time.Duration // how much more time there is when it is over, asked once; nil for none
	f       func()               // nil once the timer was stopped in time: the runtime may keep it until then
	timer   *time.Timer          // nil once it has expired or was stopped
	expired chan struct{}        // closed when f has returned; nil unless it has expired
	due     time.Time            // when the time is over; while paused, the time of that
	left    time.Duration        // while paused
	paused  bool
	asked   bool // for more
	lates   int  // how often it was late
}

const (
	// lateness is how late a timer must be to mean that this process was suspended, or had no
	// processor: what the peer has sent may not have been read yet.
	lateness = 50 * time.Millisecond
	// lateGrace is how much more time a peer gets then, a few times at most.
	lateGrace = 200 * time.Millisecond
	maxLates  = 10
)

// AfterFunc returns a Timer that calls f, once, unless it is stopped within limit. f must not wait,
// nor call methods of the Timer.
func AfterFunc(limit time.Duration, f func()) *Timer { return newTimer(limit, nil, f) }

func newTimer(limit time.Duration, more func() time.Duration, f func()) *Timer {
	t := &Timer{more: more, f: f, due: time.Now().Add(limit)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(limit, t.check)
	return t
}

// check calls f if the time is over.
func (t *Timer) check() {
	var left time.Duration
	if more := t.asks(); more != nil {
		left = more()
	}
	if f := t.expire(left); f != nil {
		f()
		close(t.expired)
	}
}

// asks returns more, which is called without the lock.
func (t *Timer) asks() func() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.more
}

// expire ends the timer if its time is over, and waits for the rest otherwise. The first time there
// is more. It returns f if the caller must call it.
func (t *Timer) expire(more time.Duration) func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil || t.paused {
		return nil
	}
	late := time.Since(t.due)
	if late >= 0 && !t.asked {
		t.asked = true
		t.due = t.due.Add(more)
		late -= more
	}
	if late > lateness && t.lates < maxLates {
		t.lates++
		t.due = time.Now().Add(lateGrace)
		late = -lateGrace
	}
	if late < 0 {
		t.timer.Reset(-late)
		return nil
	}
	t.timer, t.expired = nil, make(chan struct{})
	return t.f
}

// pause stops the clock: the peer waits for this process.
func (t *Timer) pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.paused {
		t.left, t.paused = time.Until(t.due), true
	}
}

// resume starts the clock after pause.
func (t *Timer) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.paused {
		return
	}
	t.paused = false
	left := max(t.left, 0)
	t.due = time.Now().Add(left)
	if t.timer != nil {
		t.timer.Reset(left)
	}
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
		t.timer, t.f, t.more = nil, nil, nil
	}
	return t.expired
}
