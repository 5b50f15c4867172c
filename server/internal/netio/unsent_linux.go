package netio

import (
	"net"
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

// maxUnsent is how much a socket takes beyond what it has sent, where that is limited: 0.6 s at 100 KB/s.
const maxUnsent = 64 << 10

// LimitUnsent limits what the socket of a connection takes, or no longer does. What it has taken cannot be
// dropped, and on a slow line it takes megabytes: what is sent after them comes half a minute later.
func LimitUnsent(nc net.Conn, on bool) {
	raw, most := rawOf(below(nc)), 0 // what the system is set to
	if raw == nil {
		return
	}
	if on {
		most = maxUnsent
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, most) // a socket that is none of TCP refuses it
	})
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
