package logger

import (
	"fmt"
	"time"
)

const (
	foldWindow = time.Second // how long lines are compared with each other
	foldFirst  = 10          // equal lines written in one window before the others are only counted
	foldText   = 1 << 10     // longest text, in bytes, that is compared
	foldLines  = 1 << 10     // different lines remembered in one window
)

// folder counts equal lines. In each window of a second the first ten of them are written and the others are counted; the end of
// the window writes one line with the count. Two lines are equal if level and text are; the connection in front of a text
// does not count for notices, warnings and errors, so that a storm from many connections is seen as one. Trace and fatal lines
// are never folded, nor is anything when there are too many different lines to remember: no line is hidden that was not shown.
//
// A folder is not safe for concurrent use.
type folder struct {
	end  time.Time
	seen map[foldKey]*repeat
	more []*repeat // those with a count, in order of the first that was not written
}

type foldKey struct {
	lv   level
	text string
}

type repeat struct {
	foldKey
	shown, folded int
}

// admit reports whether a line is to be written, and counts it if not. The caller has called sweep with the same time.
func (f *folder) admit(now time.Time, lv level, text []byte) bool {
	if lv == trace || lv == fatal || len(text) > foldText {
		return true
	}
	if lv != debug {
		_, text, _ = cutConn(text)
	}
	r := f.seen[foldKey{lv, string(text)}]
	if r == nil {
		f.remember(now, foldKey{lv, string(text)})
		return true
	}
	if r.shown < foldFirst {
		r.shown++
		return true
	}
	if r.folded == 0 {
		f.more = append(f.more, r)
	}
	r.folded++
	return false
}

func (f *folder) remember(now time.Time, k foldKey) {
	if f.seen == nil {
		f.seen = make(map[foldKey]*repeat)
	}
	if len(f.seen) == 0 {
		f.end = now.Add(foldWindow)
	}
	if len(f.seen) < foldLines {
		f.seen[k] = &repeat{foldKey: k, shown: 1}
	}
}

// due reports whether the window has ended.
func (f *folder) due(now time.Time) bool { return len(f.seen) > 0 && !now.Before(f.end) }

// sweep ends the window and returns what was counted in it.
func (f *folder) sweep() []*repeat {
	more := f.more
	f.more = nil
	clear(f.seen)
	return more
}

func (r *repeat) String() string { return fmt.Sprintf("%s repeated %d times", r.text, r.folded) }
