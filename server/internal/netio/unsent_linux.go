package netio

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent returns how many bytes a socket holds that the peer has not acknowledged, -1 if that is
// not known.
func unsent(raw syscall.RawConn) int {
	n := -1
	if raw == nil {
		return n
	}
	raw.Control(func(fd uintptr) { // not called if it is closed
		if held, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = held
		}
	})
	return n
}

// writable reports whether a socket takes a record of TLS at once: a third of its memory is free.
func writable(raw syscall.RawConn) (ok bool) {
	if raw == nil {
		return false
	}
	raw.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds[:], 0)
		ok = err == nil && n == 1 && fds[0].Revents == unix.POLLOUT
	})
	return ok
}
