// Package logger writes the broker's log: to standard error, a file, syslog or the Windows event log, as classic text lines or
// as JSON.
//
// Logging never waits for the destination. A caller formats its line and appends it to a bounded queue; one goroutine per logger
// writes. If the destination stalls, lines are dropped and counted, and a line in the log tells how many.
package logger

import (
	"errors"
	"io"
	"os"
)

// ErrNotFile is returned by Reopen if the log does not go to a file.
var ErrNotFile = errors.New("not a file logger")

// errStalled is returned by Reopen if the destination hangs.
var errStalled = errors.New("re-open log: the file takes no writes now; it is re-opened as soon as it does, unless the log is closed first")

// Options say what the lines look like, which are written, and how much room they may take. The zero value is fine.
type Options struct {
	Time   bool // date and time in front, local unless UTC
	UTC    bool
	PID    bool // process id in front
	Colors bool // coloured labels: only for a terminal; no effect on JSON
	JSON   bool // one JSON object a line instead of text; no effect on syslog
	Debug  bool // write debug lines
	Trace  bool // write trace lines

	SizeLimit int64 // bytes a file may have before a new one is begun; 0: no limit; no effect on devices and pipes
	MaxFiles  int   // files to keep when a new one is begun, the new one included; 0: all
	MaxLine   int   // bytes of text in a line; what is longer is cut and says so; 0, or more than half of QueueSize: half of QueueSize
	QueueSize int   // bytes of memory for lines that wait for the destination, at least 4 KiB; 0: 2 MiB
}

// encoder returns the encoder for lines of this process.
func (o Options) encoder() encoder {
	if o.JSON {
		return jsonEncoder(o, os.Getpid())
	}
	return textEncoder(o, os.Getpid())
}

// Logger writes log lines to one destination. Its methods may be called by many goroutines; none waits for the destination but
// Fatalf, Flush, Reopen and Close, and those for at most two seconds. A line of a level that is not written costs nothing but what
// Go spends on passing its arguments.
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

// OpenFile returns a Logger that appends to the named file, which is created with mode 0660 (minus umask) if it is not there.
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

// NewFileLogger returns a Logger that appends to the named file. Other than the classic one it returns the error and lives on.
func NewFileLogger(filename string, time, debug, trace, pid bool) (*Logger, error) {
	return OpenFile(filename, Options{Time: time, Debug: debug, Trace: trace, PID: pid})
}

// Noticef writes a line that an operator wants to see.
func (l *Logger) Noticef(format string, v ...any) { l.q.logf(notice, format, v...) }

// Warnf writes a line about something an operator should change.
func (l *Logger) Warnf(format string, v ...any) { l.q.logf(warning, format, v...) }

// Errorf writes a line about something that failed.
func (l *Logger) Errorf(format string, v ...any) { l.q.logf(failure, format, v...) }

// Fatalf writes a line about the reason why the process is about to end, and waits until it is written, at most two seconds. To end
// the process is the caller's job.
func (l *Logger) Fatalf(format string, v ...any) {
	l.q.logf(fatal, format, v...)
	l.Flush()
}

// Debugf writes a line for somebody who looks for a fault, if debug lines were asked for.
func (l *Logger) Debugf(format string, v ...any) {
	if l.debug {
		l.q.logf(debug, format, v...)
	}
}

// Tracef writes a line of the protocol, if trace lines were asked for. Such lines are never folded.
func (l *Logger) Tracef(format string, v ...any) {
	if l.trace {
		l.q.logf(trace, format, v...)
	}
}

// Flush waits until the lines logged so far are written, at most two seconds, and reports whether they are.
func (l *Logger) Flush() bool { return l.q.control(func() {}) }

// Dropped returns how many lines were lost because the destination did not take them in time, or refused them.
func (l *Logger) Dropped() uint64 { return l.q.dropped.Load() }

// Reopen closes the log file and opens it by name again, for use after it was renamed. The first line of the new file says
// "File log re-opened". If the file cannot be opened, the error is returned and the old one stays in use. Without a file the
// error is ErrNotFile.
func (l *Logger) Reopen() error {
	if l.file == nil {
		return ErrNotFile
	}
	result := make(chan error, 1)
	if !l.q.control(func() { result <- l.file.reopen() }) {
		return errStalled
	}
	return <-result
}

// Close writes what is queued, waiting at most two seconds, and releases the destination. Standard error stays open. Lines logged
// after Close are dropped and counted.
func (l *Logger) Close() error { return l.q.close() }
