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
	err := raw.Control(func(fd uintptr) {
		if held, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = held
		}
	})
	if err != nil {
		return -1
	}
	return n
}
