// Package logger writes the broker's log: to standard error, a file, syslog or the Windows event
// log, as classic text lines or as JSON.
//
// Logging never waits for the destination. A caller formats its line and appends it to a bounded
// queue; one goroutine per logger writes. If the destination stalls, lines are dropped and counted,
// and a line in the log reports how many.
package logger

import (
	"errors"
	"io"
	"log"
	"os"
)

// ErrNotFile is returned by Reopen if the log does not go to a file.
var ErrNotFile = errors.New("not a file logger")

// errStalled is returned by Reopen and SetSizeLimit if the destination hangs.
var errStalled = errors.New("re-open log: a write to the file hangs; it is re-opened after that, unless the log is closed first")

// Options are the format of the lines, which levels are written, and limits. The zero value is the
// default.
type Options struct {
	Time   bool // lines begin with date and time, local unless UTC
	UTC    bool
	PID    bool // lines begin with the process id
	Colors bool // coloured labels, for a terminal; no effect on JSON
	JSON   bool // one JSON object a line instead of text; no effect on syslog
	Debug  bool // write debug lines
	Trace  bool // write trace lines

	SizeLimit int64 // bytes at which a file is rotated; 0: never; not for devices and pipes
	MaxFiles  int   // files kept by rotation, the new one included; 0: all
	MaxLine   int   // bytes of text in a line, the rest is cut; 0: half of QueueSize, the maximum
	QueueSize int   // bytes of memory for lines that wait to be written, at least 4 KiB; 0: 2 MiB
}

// encoder returns the encoder for lines of this process.
func (o Options) encoder() encoder {
	if o.JSON {
		return jsonEncoder(o, os.Getpid())
	}
	return textEncoder(o, os.Getpid())
}

// Logger writes log lines to one destination. It is safe for concurrent use. Only Fatalf, Flush,
// Reopen and Close wait for the destination, for at most two seconds. A line of a level that is not
// written costs the passing of its arguments.
type Logger struct {
	// set once
	debug, trace bool
	q            *queue
	file         *file // nil if the log does not go to a file
}

// New returns a Logger that writes to w. Close does not close w.
func New(w io.Writer, o Options) *Logger {
	enc := o.encoder()
	return &Logger{debug: o.Debug, trace: o.Trace, q: newQueue(&stream{w: w}, enc, o)}
}

// OpenFile returns a Logger that appends to the named file, which is created with mode 0660 (before
// umask) if it does not exist.
func OpenFile(name string, o Options) (*Logger, error) {
	enc := o.encoder()
	f, err := newFile(name, enc, o)
	if err != nil {
		return nil, err
	}
	return &Logger{debug: o.Debug, trace: o.Trace, q: newQueue(f, enc, o), file: f}, nil
}

// NewStdLogger returns a Logger that writes to standard error.
func NewStdLogger(time, debug, trace, colors, pid bool) *Logger {
	return New(os.Stderr, Options{Time: time, Debug: debug, Trace: trace, Colors: colors, PID: pid})
}

// NewFileLogger is [OpenFile], but ends the process if the file cannot be opened, as that of gnatsd
// 1.x.
//
// Deprecated: use OpenFile.
func NewFileLogger(filename string, time, debug, trace, pid bool) *Logger {
	l, err := OpenFile(filename, Options{Time: time, Debug: debug, Trace: trace, PID: pid})
	if err != nil {
		log.Fatalf("error opening file: %v", err)
	}
	return l
}

// Noticef writes a line at level INF.
func (l *Logger) Noticef(format string, v ...any) { l.q.logf(notice, format, v...) }

// Warnf writes a line at level WRN.
func (l *Logger) Warnf(format string, v ...any) { l.q.logf(warning, format, v...) }

// Errorf writes a line at level ERR.
func (l *Logger) Errorf(format string, v ...any) { l.q.logf(failure, format, v...) }

// Fatalf writes a line at level FTL and waits until it is written, at most two seconds. It does not
// end the process.
func (l *Logger) Fatalf(format string, v ...any) {
	l.q.logf(fatal, format, v...)
	l.Flush()
}

// Debugf writes a line at level DBG, if Options.Debug is set.
func (l *Logger) Debugf(format string, v ...any) {
	if l.debug {
		l.q.logf(debug, format, v...)
	}
}

// Tracef writes a line at level TRC, if Options.Trace is set. Repeated ones are never suppressed.
func (l *Logger) Tracef(format string, v ...any) {
	if l.trace {
		l.q.logf(trace, format, v...)
	}
}

// Flush waits until the lines logged so far are written, at most two seconds, and reports whether
// they are.
func (l *Logger) Flush() bool { return l.q.control(func() {}) }

// Dropped returns how many lines were lost because the destination did not keep up, or failed.
func (l *Logger) Dropped() uint64 { return l.q.dropped.Load() }

// Reopen closes the log file and opens it by name again, for use after it was renamed. The first
// line of the new file says "File log re-opened". If the file cannot be opened, the error is
// returned and the old one stays in use. Without a file the error is ErrNotFile.
func (l *Logger) Reopen() error {
	if l.file == nil {
		return ErrNotFile
	}
	return l.onFile(l.file.reopen)
}

// SetSizeLimit changes Options.SizeLimit. Without a file the error is ErrNotFile.
//
// Deprecated: use OpenFile.
func (l *Logger) SetSizeLimit(limit int64) error {
	if l.file == nil {
		return ErrNotFile
	}
	return l.onFile(func() error { return l.file.setLimit(limit) })
}

// onFile calls f, which works on the log file, when what is queued is written.
func (l *Logger) onFile(f func() error) error {
	result := make(chan error, 1)
	if !l.q.control(func() { result <- f() }) {
		return errStalled
	}
	return <-result
}

// Close writes what is queued, waiting at most two seconds, and releases the destination. Standard
// error stays open. Lines logged after Close are dropped and counted.
func (l *Logger) Close() error { return l.q.close() }
