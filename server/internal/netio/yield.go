package netio

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// yielders make the Go runtime look at the network. It does so only when a thread has nothing else
// to run, or after 10 ms: readers that never run out of bytes would delay every other connection
// that long at each hop. [runtime.Gosched] does not help, since it only lets those run that are
// known to be ready. So a reader waits for a pipe that it has just written to: to find it, the
// runtime asks the network, and finds whatever else is ready.
//
// That takes some 5 µs, and more where it wakes a thread. It is not done while nothing is ready:
// mostly another thread waits for the network then.
type yielders struct {
	source pollSource // nil where it is not known whether anything is ready
	idle   sync.Pool
}

// yielder is one pipe. One goroutine at a time uses it.
type yielder struct {
	r, w  *os.File
	raw   syscall.RawConn
	ready func(fd uintptr) bool // write
	wrote bool
	err   error // of that
}

// Pace says when a goroutine yields that goes on without waiting.
type Pace struct {
	Steps, Bytes int           // either of them is done between two looks at the clock
	Streak       time.Duration // then it yields
}

// reads is the pace of readers. With four that do not yield on one core, a request and its reply wait
// sixteen times as long.
var reads = Pace{Steps: 4, Bytes: 32 << 10, Streak: 150 * time.Microsecond}

// Streak is how long a goroutine has gone on without waiting. The zero streak begins.
type Streak struct {
	steps int
	bytes int
	since time.Time // of the first look at the clock
}

// Step counts a step of a flush with n bytes, and yields if the streak is long for the pace.
func (s *Shared) Step(t *Streak, n int, p *Pace) {
	if t.due(n, p) {
		s.yielders.yield()
	}
}

// due counts a step with n bytes, and reports whether to yield before the next. Then a streak begins.
func (s *Streak) due(n int, p *Pace) bool {
	s.steps++
	s.bytes += n
	if s.steps < p.Steps && s.bytes < p.Bytes {
		return false
	}
	s.steps, s.bytes = 0, 0
	now := time.Now()
	if s.since.IsZero() {
		s.since = now
		return false
	}
	if now.Sub(s.since) < p.Streak {
		return false
	}
	*s = Streak{}
	return true
}

// yield lets the runtime look at the network before the caller goes on, if that may help. It reports
// whether it did.
func (y *yielders) yield() (looked bool) {
	if y.source != nil && !y.source.ready() {
		runtime.Gosched()
		return false
	}
	one, _ := y.idle.Get().(*yielder)
	if one == nil {
		one = newYielder()
	}
	if one == nil || !one.wait() {
		runtime.Gosched()
		return false
	}
	y.idle.Put(one)
	return true
}

// newYielder returns nil where pipes cannot be waited for. Its pipe is closed when it is collected.
func newYielder() *yielder {
	if runtime.GOOS == "windows" { // its pipes block a thread
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	raw, err := r.SyscallConn()
	if err != nil {
		return nil
	}
	y := &yielder{r: r, w: w, raw: raw}
	y.ready = y.write
	return y
}

// write writes to the pipe when it is asked for the first time whether that is ready, which makes
// the runtime wait for it.
func (y *yielder) write(uintptr) bool {
	if y.wrote {
		return true
	}
	y.wrote = true
	_, y.err = y.w.Write([]byte{0})
	return y.err != nil
}

// wait waits until the runtime has found the pipe ready. It reports false if it cannot.
func (y *yielder) wait() bool {
	y.wrote = false
	if err := y.raw.Read(y.ready); err != nil || y.err != nil {
		return false // nothing is in the pipe
	}
	var b [1]byte
	_, err := y.r.Read(b[:])
	return err == nil
}
