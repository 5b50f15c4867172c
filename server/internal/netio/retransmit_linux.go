package netio

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// retransmitMax is the longest time between two attempts of the system to send again what was
	// not acknowledged. It doubles the time without end otherwise: after a network that was cut for
	// five seconds nothing would arrive for more than another one, after twelve for thirteen.
	retransmitMax = time.Second
	// tcpRTOMax is TCP_RTO_MAX_MS, which Linux has since 6.15.
	tcpRTOMax = 44
)

// RetransmitOften has the system send what the peer does not acknowledge again at least once a
// second, where it can. A peer that acknowledges nothing for a quarter of a minute loses the
// connection then.
func RetransmitOften(nc net.Conn) {
	raw := rawOf(below(nc))
	if raw == nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMax, int(retransmitMax/time.Millisecond)) // an older system refuses it
	})
}
