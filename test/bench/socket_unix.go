//go:build unix

package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// socket is a connection that is read and written by system calls, past the runtime, which would
// have a thread of its own woken for everything that arrives.
type socket struct {
	fd int

	mu     sync.Mutex // guards what follows
	closed bool
}

// newSocket takes a connection over. Reads of a socket that is awake ask again and again; others
// sleep.
func newSocket(conn *net.TCPConn, awake bool) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := new(socket)
	var failed error
	if err := raw.Control(func(fd uintptr) { s.fd, failed = dup(int(fd)) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	if err := syscall.SetNonblock(s.fd, awake); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := conn.Close(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// dup copies a file descriptor, for this process only.
func dup(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(fd)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	return fd, err
}

func (s *socket) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(s.fd, b)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err != syscall.EAGAIN && err != syscall.EINTR:
			return 0, err
		}
	}
}

func (s *socket) Write(b []byte) (total int, err error) {
	for total < len(b) {
		n, err := syscall.Write(s.fd, b[total:])
		if err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
			return total, err
		}
		total += max(n, 0)
	}
	return total, nil
}

// shut ends the connection for the goroutine that reads or writes.
func (s *socket) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		_ = syscall.Shutdown(s.fd, syscall.SHUT_RDWR) // fails only if the peer has closed
	}
}

func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return syscall.Close(s.fd)
}
