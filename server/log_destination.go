package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"gnatsd/logger"
	"gnatsd/server/internal/process"
)

// This file opens the log that the settings ask for, and opens the log file again.

// destination is a kind of log output.
type destination int

const (
	toStderr destination = iota
	toFile
	toRemoteSyslog
	toSyslog // local; the event log on Windows
)

// logDestination returns where the log is written: to a file if one is set, else to a remote
// syslog, else to the local syslog, else to standard error, which a Windows service does not have.
func logDestination(o *Options, service bool) destination {
	switch {
	case o.LogFile != "":
		return toFile
	case o.RemoteSyslog != "":
		return toRemoteSyslog
	case o.Syslog || service:
		return toSyslog
	}
	return toStderr
}

// openLog opens the log that the settings ask for. The texts of its errors are those of gnatsd 1.x,
// for standard error.
func openLog(o *Options) (*logger.Logger, error) {
	l := logger.Options{
		Time:      o.Logtime,
		PID:       true,
		JSON:      o.LogFormat == "json",
		Debug:     true, // the logSink filters levels
		Trace:     true,
		SizeLimit: o.LogSizeLimit,
		MaxFiles:  o.LogMaxNum,
	}
	switch logDestination(o, process.IsService()) {
	case toFile:
		to, err := logger.OpenFile(o.LogFile, l)
		if err != nil {
			return nil, fmt.Errorf("error opening file: %w", pathError(err))
		}
		return to, nil
	case toRemoteSyslog:
		return logger.DialSyslog(o.RemoteSyslog, l)
	case toSyslog:
		return logger.OpenSyslog(l)
	}
	l.Colors = process.IsTerminal(os.Stderr)
	return logger.New(os.Stderr, l), nil
}

// pathError returns the error of the operating system that err wraps, if any: it has path and
// reason.
func pathError(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path
	}
	return err
}

// Stderr returns where errors go before the log is open: to standard error, or to the event log of a
// Windows service, whose standard error is not seen.
func Stderr() io.Writer {
	if process.IsService() {
		return eventErrors{}
	}
	return os.Stderr
}

// eventErrors writes each error as an event.
type eventErrors struct{}

// Write implements io.Writer.
func (eventErrors) Write(text []byte) (int, error) {
	l, err := logger.OpenSyslog(logger.Options{})
	if err != nil {
		return 0, err
	}
	l.Errorf("%s", bytes.TrimSpace(text))
	return len(text), l.Close()
}

// ConfigureLogger opens the log that the options ask for, and replaces the logger. Until it or
// SetLogger is called nothing is logged. With NoLog it does nothing. After an error, which says why
// the log cannot be opened, the previous logger stays.
func (s *Server) ConfigureLogger() error {
	o := s.options()
	if o.NoLog {
		return nil
	}
	l, err := openLog(o)
	if err != nil {
		return fmt.Errorf("%w%s", err, o.where("log_file", "remote_syslog", "syslog"))
	}
	s.SetLogger(l, o.Debug, o.Trace)
	return nil
}

// ReOpenLogFile opens the log file by its name again, after it was renamed. If it cannot be opened,
// the error is logged and the open file stays in use.
func (s *Server) ReOpenLogFile() {
	s.reloading.begin()
	defer s.reloading.end()
	sink := s.log.sink.Load()
	if sink == nil {
		return
	}
	file, ok := sink.to.(interface{ Reopen() error })
	err := logger.ErrNotFile
	if ok {
		err = file.Reopen() // logs that it succeeded
	}
	switch {
	case errors.Is(err, logger.ErrNotFile):
		s.Noticef("File log re-open ignored, not a file logger")
	case err != nil:
		s.Errorf("File log not re-opened, the old file stays in use: %v", pathError(err))
	}
}
