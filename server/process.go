package server

import (
	"fmt"

	"gnatsd/server/internal/process"
)

// This file connects the server to package process: signals, the pid file and the service manager.

// Run runs a server until it is shut down, for programs whose only purpose is the server: as a
// Windows service if the service manager started the process, and with notifications to systemd if
// it expects them, and with the sockets that systemd has opened. It returns the error that ended
// the server, nil after Shutdown. Other programs use [Server.Start] or [Server.Run].
func Run(s *Server) error {
	s.isProgram = true
	s.notify = process.NewNotifier()
	s.record = process.NewSettingsRecord()
	s.inherited = process.InheritedListeners()
	defer s.record.Close()
	return process.Run(processBroker{s})
}

// processBroker is a Server as package process uses it.
type processBroker struct{ *Server }

// Reload implements process.Actions.
func (b processBroker) Reload() {
	if err := b.Server.Reload(); err != nil {
		b.logRefusedReload(err)
	}
}

// LameDuck implements process.Actions.
func (b processBroker) LameDuck() { b.lameDuckMode() }

// Rebalance implements process.Actions.
func (b processBroker) Rebalance() { b.rebalance() }

// InLameDuck implements process.Actions.
func (b processBroker) InLameDuck() bool {
	select {
	case <-b.done: // it is over
		return false
	default:
		return b.lameDuck.Load()
	}
}

// trapSignals starts to handle the signals of the process, unless NoSigs is set.
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

// releaseSignals stops handling signals, unless the process ends with the server: a late signal, as
// the SIGTERM that Kubernetes sends after lame duck mode, must not spoil its status, nor cut the log.
func (s *Server) releaseSignals() {
	if s.isProgram {
		return
	}
	s.mu.Lock()
	loop := s.signals
	s.signals = nil
	s.mu.Unlock()
	if loop != nil {
		loop.Stop()
	}
}

// A PidFileError is the error of [Server.Run] if it cannot write the pid file. gnatsd prints its
// text on standard error as well as in the log.
type PidFileError struct{ Err error }

// Error returns the text of gnatsd 1.x.
func (e *PidFileError) Error() string { return fmt.Sprintf("Could not write pidfile: %v", e.Err) }

// Unwrap returns the error of the operating system.
func (e *PidFileError) Unwrap() error { return e.Err }

// writePidFile writes the pid file if the options ask for one.
func (s *Server) writePidFile() error {
	o := s.options()
	if err := s.files.WritePid(o.PidFile); err != nil {
		failure := &PidFileError{Err: err}
		return failedStart(failure, "%v%s", failure, o.where("pid_file"))
	}
	return nil
}

// removeFiles removes the pid and ports files.
func (s *Server) removeFiles() {
	for _, err := range s.files.Remove() {
		s.Errorf("%v", err)
	}
}

// notifyOpen is called when all listeners are open. It writes the ports file, notifies the service
// manager, and starts watchdog keepalives.
func (s *Server) notifyOpen() {
	if s.ended() {
		return
	}
	s.closeInherited()
	s.writePortsFile()
	s.startWatchdog()
	s.logNotifyError(s.notify.Ready("Server is ready"))
}

// logNotifyError logs err, the error of a notification to the service manager, unless it is nil.
func (s *Server) logNotifyError(err error) {
	if err != nil {
		s.Warnf("%v", err)
	}
}
