package main

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// This file is about what the kernel holds for a connection that does not read.

// largeReceiver dials sockets that may hold n bytes: root may go beyond net.core.rmem_max. The size
// must be set before the handshake, which agrees on the scale of the TCP window.
func largeReceiver(n int) *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n) != nil {
				failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, n)
			}
		})
		if err == nil {
			err = failed
		}
		return err
	}}
}

// receiveBuffer is how many bytes the kernel may hold for a connection, its own bookkeeping
// included.
func receiveBuffer(c *client) (n int, err error) {
	err = askSocket(c, func(fd int) (err error) {
		n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		return err
	})
	return n, err
}

// unreadBytes is how many bytes have arrived at a connection and are not read yet.
func unreadBytes(c *client) (n int, err error) {
	err = askSocket(c, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return n, err
}

// waitFor makes the kernel believe that the reader of a connection waits for n bytes. Until it has
// them it acknowledges what arrives at once; for a connection that could read and does not, it
// delays that by up to 40 ms, and the sender stands still.
func waitFor(c *client, n int) error {
	return askSocket(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, n) })
}

// askSocket calls ask for the file descriptor of a connection without TLS.
func askSocket(c *client, ask func(fd int) error) error {
	raw, err := c.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = ask(int(fd)) }); err != nil {
		failed = err
	}
	if failed != nil {
		return fmt.Errorf("%s: ask the kernel: %w", c.name, failed)
	}
	return nil
}
