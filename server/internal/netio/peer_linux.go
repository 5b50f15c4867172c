package netio

import (
	"math"
	"net"
	"syscall"
	"time"

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

// SinceReceived returns how long ago the system received bytes of the peer that this process may not have
// read yet, or be able to read as an operation; very long if that is not known.
func SinceReceived(nc net.Conn) time.Duration {
	since := time.Duration(math.MaxInt64)
	raw := rawOf(below(nc))
	if raw == nil {
		return since
	}
	raw.Control(func(fd uintptr) { // not called if it is closed
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil && info.Advmss > 0 { // some sandboxes leave most of it 0
			since = time.Duration(info.Last_data_recv) * time.Millisecond
		}
	})
	return since
}
