package server

import (
	"fmt"

	"gnatsd/server/internal/process"
)

// The server as a process: signals, the pid file, and the service manager. How that is done on each
// system is in package process.

// Run runs a server as the purpose of this process, until it has stopped: under the service manager
// of Windows if that started the process, and with notifications to systemd if that wants them.
// Programs with another purpose use [Server.Start].
func Run(s *Server) error {
	s.notify = process.NewNotifier()
	s.record = process.NewSettingsRecord()
	defer s.record.Close()
	return process.Run(processBroker{s})
}

// A processBroker is a Server as package process drives it.
type processBroker struct{ *Server }

// Reload implements process.Actions.
func (b processBroker) Reload() {
	if err := b.Server.Reload(); err != nil {
		b.logRefusedReload(err)
	}
}

// LameDuck implements process.Actions.
func (b processBroker) LameDuck() { b.lameDuckMode() }

// trapSignals makes the server obey the signals of the process.
func (s *Server) trapSignals() {
	if s.options().NoSigs {
		return
	}
	loop := process.StartSignalLoop(processBroker{s}, s.exit)
	s.mu.Lock()
	stopping := s.stopping
	if !stopping {
		s.signals = loop
	}
	s.mu.Unlock()
	if stopping {
		loop.Stop()
	}
}

// releaseSignals gives the signals back.
func (s *Server) releaseSignals() {
	s.mu.Lock()
	loop := s.signals
	s.signals = nil
	s.mu.Unlock()
	if loop != nil {
		loop.Stop()
	}
}

// A PidFileError says why [Server.Run] could not write the pid file. Its text belongs on standard
// error as well as in the log.
type PidFileError struct{ Err error }

// Error implements error.
func (e *PidFileError) Error() string { return fmt.Sprintf("Could not write pidfile: %v", e.Err) }

// Unwrap returns the error of the system.
func (e *PidFileError) Unwrap() error { return e.Err }

// writePidFile writes the pid file that the options ask for.
func (s *Server) writePidFile() error {
	if err := s.files.WritePid(s.options().PidFile); err != nil {
		failure := &PidFileError{Err: err}
		s.Fatalf("%v", failure)
		return failure
	}
	return nil
}

// removeFiles removes the pid and ports files.
func (s *Server) removeFiles() {
	for _, err := range s.files.Remove() {
		s.Errorf("%v", err)
	}
}

// opened makes known that all listeners are open: by the ports file and to the service manager,
// which gets watchdog keepalives from here on.
func (s *Server) opened() {
	if s.ended() {
		return
	}
	s.writePortsFile()
	s.startWatchdog()
	s.logNotifyError(s.notify.Ready("Server is ready"))
}

// logNotifyError logs that a notification did not reach the service manager.
func (s *Server) logNotifyError(err error) {
	if err != nil {
		s.Warnf("%v", err)
	}
}
