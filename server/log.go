package server

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"gnatsd/conf"
	"gnatsd/logger"
	"gnatsd/server/internal/netio"
)

// Logger receives the log lines of a Server. Its methods must be safe for concurrent use, and not call
// those of the server; only Fatalf, which logs why a start failed, may call Shutdown.
type Logger interface {
	Noticef(format string, v ...any)
	Warnf(format string, v ...any)
	Errorf(format string, v ...any)
	Fatalf(format string, v ...any)
	Debugf(format string, v ...any)
	Tracef(format string, v ...any)
}

// logSink is a logger and the levels that it is sent. It is replaced, never changed.
type logSink struct {
	to           Logger
	debug, trace bool
	keeps        bool   // the logger is that of the sink before, with other levels
	lost         uint64 // lines that the loggers before it lost
}

// linesLost returns how many lines were lost since the start, because the destination did not keep
// up or failed. Loggers that are not of package logger do not say.
func (s *logSink) linesLost() uint64 {
	if s == nil {
		return 0
	}
	if l, ours := s.to.(*logger.Logger); ours {
		return s.lost + l.Dropped()
	}
	return s.lost
}

// close closes the logger if it is an io.Closer.
func (s *logSink) close() {
	if closer, ok := s.to.(io.Closer); ok {
		_ = closer.Close()
	}
}

// end closes the logger at the end of the server. One that is not of package logger belongs to the
// embedding program and stays open.
func (s *logSink) end() {
	if s == nil {
		return
	}
	if l, ours := s.to.(*logger.Logger); ours {
		_ = l.Close() // there is no log for its error
	}
}

// logging writes to the logger, if there is one.
type logging struct {
	sink  atomic.Pointer[logSink]
	ended atomic.Bool // loggers that come now are closed at once
}

// replace puts next in the place of old, which it closes unless next keeps the logger. It reports
// false, and does nothing, if old has been replaced already.
func (l *logging) replace(old, next *logSink) bool {
	keeps := next != nil && next.keeps
	switch {
	case keeps:
		next.lost = old.lost
	case next != nil:
		next.lost = old.linesLost()
	}
	if !l.sink.CompareAndSwap(old, next) {
		return false
	}
	if old != nil && !keeps {
		old.close()
	}
	if l.ended.Load() {
		next.end()
	}
	return true
}

// end closes the logger, and those that come later.
func (l *logging) end() {
	l.ended.Store(true)
	l.sink.Load().end()
}

func (l *logging) tracing() bool {
	s := l.sink.Load()
	return s != nil && s.trace
}

func (l *logging) debugging() bool {
	s := l.sink.Load()
	return s != nil && s.debug
}

// write writes a line to the logger if its level is enabled.
func (l *logging) write(level logLevel, format string, v ...any) {
	s := l.sink.Load()
	if s == nil {
		return
	}
	switch level {
	case levelDebug:
		if s.debug {
			s.to.Debugf(format, v...)
		}
	case levelInfo:
		s.to.Noticef(format, v...)
	case levelWarn:
		s.to.Warnf(format, v...)
	case levelError:
		s.to.Errorf(format, v...)
	case levelFatal:
		s.to.Fatalf(format, v...)
	case levelTrace:
		if s.trace {
			s.to.Tracef(format, v...)
		}
	}
}

// SetLogger replaces the logger; without one (nil) nothing is logged. The previous logger is closed
// if it is an io.Closer.
func (s *Server) SetLogger(l Logger, debug, trace bool) {
	var sink *logSink
	if l != nil {
		sink = &logSink{to: l, debug: debug, trace: trace}
	}
	for !s.log.replace(s.log.sink.Load(), sink) {
	}
}

// Noticef writes a line at level INF.
func (s *Server) Noticef(format string, v ...any) { s.log.write(levelInfo, format, v...) }

// Warnf writes a line at level WRN.
func (s *Server) Warnf(format string, v ...any) { s.log.write(levelWarn, format, v...) }

// Errorf writes a line at level ERR.
func (s *Server) Errorf(format string, v ...any) { s.log.write(levelError, format, v...) }

// Fatalf writes a line at level FTL. It does not end the process.
func (s *Server) Fatalf(format string, v ...any) { s.log.write(levelFatal, format, v...) }

// Debugf writes a line at level DBG if debugging is on.
func (s *Server) Debugf(format string, v ...any) { s.log.write(levelDebug, format, v...) }

// Tracef writes a line at level TRC if tracing is on.
func (s *Server) Tracef(format string, v ...any) { s.log.write(levelTrace, format, v...) }

// logPrefix returns the beginning of log lines about the connection.
func (c *conn) logPrefix() string {
	kind := "cid"
	if c.role == roleRoute {
		kind = "rid"
	}
	host, port := c.peer()
	if host == "" {
		return fmt.Sprintf("- - %s:%d - ", kind, c.id)
	}
	return fmt.Sprintf("%s:%d - %s:%d - ", host, port, kind, c.id)
}

// logf logs a line about the connection. What it has from the peer is made printable: it cannot
// forge lines, nor control a terminal.
func (c *conn) logf(level logLevel, format string, v ...any) {
	c.srv.log.write(level, "%s", c.logPrefix()+conf.Printable(fmt.Sprintf(format, v...)))
}

// errorf logs an error, unless it is the same again as that of many attempts before.
func (c *conn) errorf(format string, v ...any) {
	if c.quiet {
		c.debugf(format, v...)
		return
	}
	c.logf(levelError, format, v...)
}

func (c *conn) noticef(format string, v ...any) { c.logf(levelInfo, format, v...) }

func (c *conn) warnf(format string, v ...any) { c.logf(levelWarn, format, v...) }

func (c *conn) debugging() bool { return c.srv.log.debugging() }

func (c *conn) debugf(format string, v ...any) {
	if c.debugging() {
		c.logf(levelDebug, format, v...)
	}
}

func (c *conn) tracef(format string, v ...any) {
	if c.tracing {
		c.logf(levelTrace, format, v...)
	}
}

// traceIn traces an operation that was read.
func (c *conn) traceIn(o *op) {
	name, args := verbRows[o.verb].name, o.args
	if o.verb == verbConnect {
		args = conf.RedactJSON(args)
	}
	if len(args) == 0 {
		c.tracef("->> [%s]", name)
	} else {
		c.tracef("->> [%s %s]", name, args)
	}
	if verbRows[o.verb].payload {
		c.tracef("->> MSG_PAYLOAD: [%s]", c.srv.cutTrace(bytes.TrimSuffix(o.payload, []byte("\r\n"))))
	}
}

// cutTrace cuts a payload at max_traced_msg_len.
func (s *Server) cutTrace(payload []byte) []byte {
	limit := s.options().MaxTracedMsgLen
	if limit <= 0 || len(payload) <= limit {
		return payload
	}
	return append(payload[:limit:limit], "..."...)
}

// logSlow logs that a slow consumer is disconnected: which limit it exceeded, and what is in its
// write queue.
func (c *conn) logSlow(r closeReason, stats *netio.Stats) {
	limits := c.out.Limits() // those of routes differ from those of clients
	text := fmt.Sprintf("MaxPending of %d Exceeded", limits.MaxPending)
	switch r {
	case closeSlowDeadline:
		text = fmt.Sprintf("WriteDeadline of %v Exceeded", limits.WriteDeadline)
	case closeSlowTotal:
		text = fmt.Sprintf("MaxPendingTotal of %d Exceeded", c.srv.options().MaxPendingTotal)
	case closeSlowMemory:
		text = fmt.Sprintf("GOMEMLIMIT of %d Approached", c.srv.memory.limit)
	}
	half := ""
	if n := c.in.Held(); n > 0 && r == closeSlowMemory {
		half = fmt.Sprintf(", %d bytes for an operation that it has not finished", n)
	}
	c.noticef("Slow Consumer Detected: %s (%s, %d bytes pending for %v%s%s)",
		text, c.ops.describePeer(), stats.Pending, stats.Lag.Round(time.Millisecond), mostOn(stats.Subject), half)
}

// mostOn says for a slow consumer on which subject most of its backlog is, if there are messages in it.
func mostOn(subject string) string {
	if subject == "" {
		return ""
	}
	return fmt.Sprintf(", most on subject %q", subject)
}

// maxPrinted bounds the bytes of a peer's text in a log line.
const maxPrinted = 128

// printable returns text for a log line: cut at maxPrinted bytes, with control bytes escaped.
func printable(text []byte) string {
	return conf.Printable(string(text[:min(len(text), maxPrinted)]))
}

// quotedStart returns text for a log line in quotes, cut at maxPrinted bytes.
func quotedStart(text string) string {
	if len(text) <= maxPrinted {
		return strconv.Quote(text)
	}
	return strconv.Quote(text[:maxPrinted]) + "..."
}

// logLevel is the level of a line in the log.
type logLevel uint8

const (
	levelNone logLevel = iota
	levelTrace
	levelDebug
	levelInfo
	levelWarn
	levelError
	levelFatal
)
