package transcript

import (
	"encoding/binary"
	"net"
	"syscall"
	"time"

	"gnatsd/test/wire"
)

// unread knows whether the broker has read everything that was written to a connection. That is
// what makes a cut between two writes a cut between two reads: TCP by itself is free to join them.
// Linux tells, for any local socket, how many bytes have arrived and how many of them wait for a
// read (sock_diag(7)); where it does not, waiting is a no-op, cuts are only likely, and the framing
// fuzzers of the server remain the proof.
type unread struct {
	fd      int // netlink socket, -1 if there is none
	request []byte
	sent    uint64
}

// Numbers of <linux/sock_diag.h>, <linux/inet_diag.h> and <linux/tcp.h>.
const (
	netlinkSockDiag   = 4
	sockDiagByFamily  = 20
	inetDiagInfo      = 2
	tcpEstablished    = 1
	inetDiagMsgLen    = 72
	queueOffset       = 56  // inet_diag_msg.idiag_rqueue
	receivedOffset    = 128 // tcp_info.tcpi_bytes_received
	netlinkHeaderLen  = 16
	attrHeaderLen     = 4
	noCookie          = 0xffffffff
	allStates         = 0xffffffff
	diagRequestLength = 56
)

// newUnread watches the far end of an IPv4 loopback connection.
func newUnread(c net.Conn) *unread {
	u := &unread{fd: -1}
	far, ok1 := c.RemoteAddr().(*net.TCPAddr)
	near, ok2 := c.LocalAddr().(*net.TCPAddr)
	if !ok1 || !ok2 || far.IP.To4() == nil {
		return u
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return u
	}
	u.fd, u.request = fd, diagRequest(far, near)
	if _, _, ok := u.ask(); !ok {
		u.close()
	}
	return u
}

// diagRequest asks for the socket with these ends, and its tcp_info.
func diagRequest(local, remote *net.TCPAddr) []byte {
	b := make([]byte, 0, netlinkHeaderLen+diagRequestLength)
	b = binary.NativeEndian.AppendUint32(b, netlinkHeaderLen+diagRequestLength)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, syscall.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence and port: one request at a time
	b = append(b, syscall.AF_INET, syscall.IPPROTO_TCP, 1<<(inetDiagInfo-1), 0)
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.BigEndian.AppendUint16(b, uint16(local.Port))
	b = binary.BigEndian.AppendUint16(b, uint16(remote.Port))
	b = append(append(b, local.IP.To4()...), make([]byte, 12)...)
	b = append(append(b, remote.IP.To4()...), make([]byte, 12)...)
	b = append(b, make([]byte, 4)...) // any interface
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	return binary.NativeEndian.AppendUint32(b, noCookie)
}

// ask returns how many bytes have arrived at the far end since it was opened and how many of them
// have not been read. ok is false if there is no such established socket, or the answer is not
// understood.
func (u *unread) ask() (received uint64, queued uint32, ok bool) {
	if err := syscall.Sendto(u.fd, u.request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return 0, 0, false
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(u.fd, answer, 0)
	if err != nil || n < netlinkHeaderLen+inetDiagMsgLen {
		return 0, 0, false
	}
	if binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return 0, 0, false
	}
	msg := answer[netlinkHeaderLen:n]
	if msg[1] != tcpEstablished {
		return 0, 0, false
	}
	queued = binary.NativeEndian.Uint32(msg[queueOffset:])
	for attrs := msg[inetDiagMsgLen:]; len(attrs) >= attrHeaderLen; {
		size := int(binary.NativeEndian.Uint16(attrs))
		kind := binary.NativeEndian.Uint16(attrs[2:])
		if size < attrHeaderLen || size > len(attrs) {
			return 0, 0, false
		}
		if value := attrs[attrHeaderLen:size]; kind == inetDiagInfo && len(value) >= receivedOffset+8 {
			return binary.NativeEndian.Uint64(value[receivedOffset:]), queued, true
		}
		attrs = attrs[min(len(attrs), (size+3)&^3):]
	}
	return 0, 0, false
}

// certain reports whether waiting waits.
func (u *unread) certain() bool { return u.fd >= 0 }

// wrote counts n bytes written.
func (u *unread) wrote(n int) { u.sent += uint64(n) }

// wait returns when the broker has read all that was written, has closed, or will not read. The
// kernel has no event for another socket's read, so it asks again and again, parking in between: a
// loop that only yields would keep the scheduler from looking at the network, and so the broker
// from reading.
func (u *unread) wait() {
	if u.fd < 0 {
		return
	}
	const pause = 10 * time.Microsecond
	for end := time.Now().Add(wire.Patience); time.Now().Before(end); time.Sleep(pause) {
		received, queued, ok := u.ask()
		if !ok || received >= u.sent && queued == 0 {
			return
		}
	}
}

func (u *unread) close() {
	if u.fd >= 0 {
		syscall.Close(u.fd)
		u.fd = -1
	}
}
