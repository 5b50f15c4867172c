package logger

import (
	"fmt"
	"time"
)

const (
	dedupWindow   = time.Second // how long lines are compared with each other
	dedupFirst    = 10          // equal lines of a window that are written; the others are counted
	dedupMaxText  = 1 << 10     // longest text, in bytes, that is compared
	dedupMaxLines = 1 << 10     // different lines remembered in one window
)

// deduplicator suppresses repeated lines. In each window of a second the first ten equal lines are
// written and the others are counted; the end of the window writes one line with the count. Two
// lines are equal if level and text are; the connection in front of a text does not count for
// notices, warnings and errors, so that a storm from many connections is seen as one. Trace and
// fatal lines are never suppressed, nor is anything when there are too many different lines to
// remember: a line is suppressed only if an equal one was written.
//
// It is not safe for concurrent use.
type deduplicator struct {
	end  time.Time
	seen map[dedupKey]*repeat
	more []*repeat // those with suppressed lines, in order of the first one
}

// dedupKey is what makes lines equal.
type dedupKey struct {
	lv   level
	text string
}

// repeat counts equal lines of one window.
type repeat struct {
	dedupKey
	shown, suppressed int
}

// admit reports whether a line is to be written, and counts it if not. The caller has called sweep
// with the same time.
func (d *deduplicator) admit(now time.Time, lv level, text []byte) bool {
	if lv == trace || lv == fatal || len(text) > dedupMaxText {
		return true
	}
	if lv != debug {
		_, text, _ = cutConn(text)
	}
	r := d.seen[dedupKey{lv, string(text)}]
	if r == nil {
		d.remember(now, dedupKey{lv, string(text)})
		return true
	}
	if r.shown < dedupFirst {
		r.shown++
		return true
	}
	if r.suppressed == 0 {
		d.more = append(d.more, r)
	}
	r.suppressed++
	return false
}

// remember records the first of possibly many equal lines, unless there are too many already.
func (d *deduplicator) remember(now time.Time, k dedupKey) {
	if d.seen == nil {
		d.seen = make(map[dedupKey]*repeat)
	}
	if len(d.seen) == 0 {
		d.end = now.Add(dedupWindow)
	}
	if len(d.seen) < dedupMaxLines {
		d.seen[k] = &repeat{dedupKey: k, shown: 1}
	}
}

// due reports whether the window has ended.
func (d *deduplicator) due(now time.Time) bool { return len(d.seen) > 0 && !now.Before(d.end) }

// sweep ends the window and returns what was counted in it.
func (d *deduplicator) sweep() []*repeat {
	more := d.more
	d.more = nil
	clear(d.seen)
	return more
}

func (r *repeat) String() string { return fmt.Sprintf("%s repeated %d times", r.text, r.suppressed) }
