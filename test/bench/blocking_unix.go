//go:build unix

package main

import (
	"net"
	"os"
	"syscall"
)

// blockingSocket is a connection whose reads and writes are blocking system calls.
type blockingSocket struct{ *os.File }

// newBlockingSocket takes a connection away from the runtime, which would otherwise have a thread of its own woken for
// everything that arrives, beside the one that reads.
func newBlockingSocket(conn *net.TCPConn) (blockingSocket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return blockingSocket{}, err
	}
	fd, failed := 0, error(nil)
	if err := raw.Control(func(socket uintptr) {
		if fd, failed = syscall.Dup(int(socket)); failed == nil {
			failed = syscall.SetNonblock(fd, false) // before it is a file, so that it is no business of the runtime's
		}
	}); err != nil {
		return blockingSocket{}, err
	}
	if failed != nil {
		return blockingSocket{}, failed
	}
	return blockingSocket{os.NewFile(uintptr(fd), "socket")}, conn.Close()
}

// shut makes the reader see the end of the connection.
func (b blockingSocket) shut() {
	raw, err := b.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RD) }) // fails only if it is closed
}
