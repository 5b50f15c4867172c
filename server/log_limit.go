package server

import (
	"sync/atomic"
	"time"
)

// logLimit bounds the lines about one connection that its peer can cause as often as it wants, such
// as those about refused publications. The first ones are written at once, then one per interval (a
// leaky bucket). The others are counted.
type logLimit struct {
	// Atomic.
	drained atomic.Int64 // when as many lines as at the start may be written at once, since the server started
	leftOut atomic.Int64 // lines since the last report of them
}

const (
	logBurst    = 20 // lines at once
	logInterval = time.Second
)

// admit reports whether a line may be written at now, the time since the server started. It counts
// the line if not.
func (l *logLimit) admit(now time.Duration) bool {
	for {
		at := l.drained.Load()
		next := max(at, int64(now)) + int64(logInterval)
		if next-int64(now) > int64(logBurst*logInterval) {
			l.leftOut.Add(1)
			return false
		}
		if l.drained.CompareAndSwap(at, next) {
			return true
		}
	}
}

// reportLeftOut passes a text to warnf that begins with how many lines were left out since the last report,
// if any were.
func (l *logLimit) reportLeftOut(warnf func(format string, v ...any), format string, v ...any) {
	if n := l.leftOut.Swap(0); n > 0 {
		warnf(format, append([]any{n}, v...)...)
	}
}

// later is a text that is made only if its line is written.
type later func() string

func (f later) String() string { return f() }

// limitedf logs a line that the peer can cause as often as it wants.
func (c *conn) limitedf(level logLevel, format string, v ...any) {
	if level == levelDebug && !c.debugging() || !c.logLimit.admit(time.Since(c.srv.start)) {
		return
	}
	c.reportLeftOut()
	c.logf(level, format, v...)
}

// reportLeftOut logs how many lines were left out since the last report.
func (c *conn) reportLeftOut() {
	c.logLimit.reportLeftOut(c.warnf, "Left out %d log lines about what this connection repeats")
}
