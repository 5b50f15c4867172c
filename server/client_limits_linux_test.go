package server

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// unsentLimit returns how much a socket takes beyond what it has sent; 0 if that is not limited.
func unsentLimit(t *testing.T, nc net.Conn) (n int) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	okay(t, err)
	okay(t, raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT) }))
	okay(t, err)
	return n
}
