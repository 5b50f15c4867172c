package logger

import (
	"io"
	"sync/atomic"
	"time"
)

// stream writes lines to an io.Writer: standard error, or the file of a file sink.
type stream struct {
	// set once
	w io.Writer

	// owned by the queue's goroutine
	partial bool // the last write ended inside a line

	// atomic
	aborted atomic.Bool
}

func (s *stream) write(buf []byte, recs []record) (int, error) {
	if s.partial {
		if _, err := s.w.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		s.partial = false
	}
	from, to := recs[0].from, recs[len(recs)-1].to
	n, err := s.w.Write(buf[from:to])
	if err == nil {
		return len(recs), nil
	}
	whole := 0
	for whole < len(recs) && recs[whole].to <= from+n {
		whole++
	}
	s.partial = n > 0 && buf[from+n-1] != '\n'
	return whole, err
}

func (s *stream) end() {}

// abort ends a hanging write to what has deadlines, which pipes do. A write to a regular file
// cannot be ended.
func (s *stream) abort() {
	s.aborted.Store(true)
	s.deadline(time.Unix(1, 0))
}

// close leaves the writer open, for it belongs to the caller, without the deadline of abort.
func (s *stream) close() error {
	if s.aborted.Load() {
		s.deadline(time.Time{})
	}
	return nil
}

// deadline sets the deadline of writes, where there is one.
func (s *stream) deadline(t time.Time) {
	if d, ok := s.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(t) // fails where there are no deadlines
	}
}
