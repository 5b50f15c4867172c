package netio

import (
	"crypto/tls"
	"time"
)

// This file is how long a write waits for a socket: as long as the limits of its queue say, which
// may change meanwhile.

// wait is a write that waits, in steps, after each of which it looks at the limits again.
type wait struct {
	queue *WriteQueue
	once  bool // a step is the whole time, since the write cannot go on after one

	until time.Time     // when the step ends
	step  time.Duration // how long it is
	spent time.Duration // in steps before it, since something has moved
}

// maxWaitStep is the longest step. The default of write_deadline needs no second one.
const maxWaitStep = 2 * time.Second

// begin begins a step and returns when it ends.
func (w *wait) begin() time.Time {
	if w.step = w.queue.Limits().patience() - w.spent; !w.once {
		w.step = min(w.step, maxWaitStep)
	}
	w.until = time.Now().Add(w.step)
	return w.until
}

// mayRetry ends a step that has timed out, and reports whether another one may follow. It may not
// after the last one, nor if the write was interrupted because it is to stop.
func (w *wait) mayRetry(moved bool) bool {
	if moved {
		w.spent = 0
		return true
	}
	if w.spent += w.step; w.spent >= w.queue.Limits().patience() {
		return false
	}
	return !w.once && !(w.queue.stopping() && time.Now().Before(w.until))
}

// resumes reports whether a write over a link can go on after a timeout. Over TLS the socket below
// decides how long it waits, see [ProgressConn].
func resumes(l Link) bool {
	_, secure := l.Conn().(*tls.Conn)
	return writesResume && !secure
}
