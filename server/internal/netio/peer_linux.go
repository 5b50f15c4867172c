package netio

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerState asks a socket, which may be nil. It knows of the end of the peer also while there are
// bytes before it.
func peerState(raw syscall.RawConn) (state PeerState) {
	if raw == nil {
		return PeerOpen
	}
	err := raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if _, err := unix.Poll(p, 0); err != nil {
			return
		}
		switch {
		case p[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			state = PeerReset
		case p[0].Revents&unix.POLLRDHUP != 0:
			state = PeerClosed
		}
	})
	if err != nil {
		return PeerReset
	}
	return state
}
