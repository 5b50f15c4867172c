package server

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// The server as a process: signals, the files that tell others of it, and the
// service manager.

// Run runs a server as the purpose of this process, until it has stopped: under
// the service manager of Windows if that started the process, and telling
// systemd how it is if that wants to know. Programs with another purpose use
// [Server.Start].
func Run(s *Server) error {
	s.notify = newNotifier()
	s.tell = newSettingsTeller()
	defer s.tell.close()
	return runAsProcess(s)
}

// trapSignals makes the server obey the signals of the process.
func (s *Server) trapSignals() {
	if s.options().NoSigs {
		return
	}
	loop := startSignalLoop(s, s.exit)
	s.mu.Lock()
	stopping := s.stopping
	if !stopping {
		s.signals = loop
	}
	s.mu.Unlock()
	if stopping {
		loop.stop()
	}
}

// releaseSignals gives the signals back.
func (s *Server) releaseSignals() {
	s.mu.Lock()
	loop := s.signals
	s.signals = nil
	s.mu.Unlock()
	if loop != nil {
		loop.stop()
	}
}

// A PidFileError says why [Server.Run] could not write the pid file. Its text
// belongs on standard error as well as in the log.
type PidFileError struct{ Err error }

// Error implements error.
func (e *PidFileError) Error() string { return fmt.Sprintf(msgPidNotWritten, e.Err) }

// Unwrap returns the error of the system.
func (e *PidFileError) Unwrap() error { return e.Err }

// writePidFile writes the pid file that the options ask for.
func (s *Server) writePidFile() error {
	if err := s.files.writePid(s.options().PidFile); err != nil {
		failure := &PidFileError{Err: err}
		s.Fatalf("%v", failure)
		return failure
	}
	return nil
}

// opened tells that all listeners are open: by the ports file and to the service
// manager, which hears signs of life from here on.
func (s *Server) opened() {
	if s.ended() {
		return
	}
	s.writePortsFile()
	s.startWatchdog()
	s.notified(s.notify.ready("Server is ready"))
}

// writePortsFile writes the ports file that the options ask for, once there are
// ports to write of.
func (s *Server) writePortsFile() {
	dir := s.options().PortsFileDir
	if dir == "" || !s.listening() {
		return
	}
	if path, err := s.files.writePorts(dir, s.ports()); err != nil {
		s.Errorf(msgPortsNotWritten, path, err)
	}
}

// removeFiles removes what writePidFile and opened have written.
func (s *Server) removeFiles() {
	for _, failure := range s.files.remove() {
		s.Errorf("%s", failure)
	}
}

// notified logs that the service manager could not be told something.
func (s *Server) notified(err error) {
	if err != nil {
		s.Warnf("%v", err)
	}
}

// PortsInfo waits at most maxWait until all listeners are open, and returns where
// they are; nil if they are not.
func (s *Server) PortsInfo(maxWait time.Duration) *Ports {
	if !s.ReadyForConnections(maxWait) {
		return nil
	}
	ports := s.ports()
	return &ports
}

// ports are the URLs of the listeners that are open.
func (s *Server) ports() Ports {
	var ports Ports
	o := s.options()
	for _, l := range []struct {
		urls   *[]string
		scheme string
		addr   net.Addr
	}{
		{&ports.Nats, clientScheme(o.TLSConfig != nil), s.Addr()},
		{&ports.Monitoring, monitoringScheme(o), s.MonitorAddr()},
		{&ports.Cluster, clientScheme(o.Cluster.TLSConfig != nil), s.ClusterAddr()},
		{&ports.Profile, "http", s.ProfilerAddr()},
	} {
		urls, err := portURLs(l.scheme, l.addr, net.InterfaceAddrs)
		if err != nil {
			s.Errorf("Ports not complete: %v", err)
		}
		*l.urls = urls
	}
	return ports
}

// clientScheme is the scheme of a URL for clients, or routes.
func clientScheme(tls bool) string {
	if tls {
		return "tls"
	}
	return "nats"
}

// monitoringScheme is the scheme of the URL of the monitoring port.
func monitoringScheme(o *Options) string {
	if o.HTTPSPort != 0 {
		return "https"
	}
	return "http"
}

// processFiles are the files that tell others of this process. They go at its
// end, whenever that begins.
type processFiles struct {
	mu sync.Mutex // held while files are written or removed, by nobody whom others wait for

	// Guarded by mu.
	pids  []string // a reload may have added some
	ports string
	ended bool
}

// writePid writes a pid file; the path may be empty.
func (f *processFiles) writePid(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || path == "" {
		return nil
	}
	if err := writePidFile(path); err != nil {
		return err
	}
	if !slices.Contains(f.pids, path) {
		f.pids = append(f.pids, path)
	}
	return nil
}

// writePorts writes the ports file, and returns its path also with an error.
func (f *processFiles) writePorts(dir string, ports Ports) (path string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return "", nil
	}
	path, err = writePortsFile(dir, ports)
	if err == nil {
		f.ports = path
	}
	return path, err
}

// removePorts removes the ports file before another is written.
func (f *processFiles) removePorts() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || f.ports == "" {
		return nil
	}
	path := f.ports
	f.ports = ""
	if err := removePortsFile(path); err != nil {
		return fmt.Errorf(msgPortsNotRemoved, path, err)
	}
	return nil
}

// remove removes the files, for good. It returns what to log.
func (f *processFiles) remove() (failures []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for _, path := range f.pids {
		if err := removePidFile(path); err != nil {
			failures = append(failures, fmt.Sprintf(msgPidNotRemoved, path, err))
		}
	}
	if f.ports != "" {
		if err := removePortsFile(f.ports); err != nil {
			failures = append(failures, fmt.Sprintf(msgPortsNotRemoved, f.ports, err))
		}
	}
	return failures
}
