package server

import (
	"errors"
	"fmt"
	"os"

	"gnatsd/logger"
	"gnatsd/server/internal/process"
)

// Where the log goes: the choice among the settings, and opening the log file
// again.

// destination is a kind of place where a log can go.
type destination int

const (
	toStderr destination = iota
	toFile
	toRemoteSyslog
	toSyslog // of this machine; on Windows its event log
)

// logDestination chooses among the settings: a file comes before a remote
// syslog, that before the local one, that before standard error, which a
// Windows service does not have.
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

// openLog opens the log that the settings ask for. Its errors are texts of the
// classic broker, for standard error.
func openLog(o *Options) (*logger.Logger, error) {
	l := logger.Options{
		Time:      o.Logtime,
		PID:       true,
		JSON:      o.LogFormat == "json",
		Debug:     true, // what of it is wanted, the sink knows, and a reload may change
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
	l.Colors = isTerminal(os.Stderr)
	return logger.New(os.Stderr, l), nil
}

// pathError is the system's own error inside err, which says path and reason.
func pathError(err error) error {
	if path := (*os.PathError)(nil); errors.As(err, &path) {
		return path
	}
	return err
}

// isTerminal reports whether somebody may be looking at f: it is a character
// device.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ConfigureLogger makes the server log where its options say, instead of where
// it did before. Until it or SetLogger is called a server is silent, and it
// stays so with NoLog. If the destination cannot be opened the error says why,
// and nothing changes.
func (s *Server) ConfigureLogger() error {
	o := s.options()
	if o.NoLog {
		return nil
	}
	l, err := openLog(o)
	if err != nil {
		return err
	}
	s.SetLogger(l, o.Debug, o.Trace)
	return nil
}

// ReOpenLogFile opens the log file by its name again, after somebody has
// renamed it. If it cannot be opened, the log goes on where it is.
func (s *Server) ReOpenLogFile() {
	s.reloading.begin()
	defer s.reloading.end()
	sink := s.log.sink.Load()
	if sink == nil {
		return // and nobody could be told
	}
	file, ok := sink.to.(interface{ Reopen() error })
	err := logger.ErrNotFile
	if ok {
		err = file.Reopen() // tells of its success
	}
	switch {
	case errors.Is(err, logger.ErrNotFile):
		s.Noticef("File log re-open ignored, not a file logger")
	case err != nil:
		s.Errorf("File log not re-opened, going on with the old file: %v", pathError(err))
	}
}

// closeLog writes the last lines. A logger that is not ours stays open: it
// belongs to the embedding program.
func (s *Server) closeLog() {
	sink := s.log.sink.Load()
	if sink == nil {
		return
	}
	if l, ok := sink.to.(*logger.Logger); ok {
		_ = l.Close() // of a log that takes no lines nobody can be told
	}
}
