package netio

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRetransmissionsAreBoundedBelowEveryWrapper asks the socket for its limit.
func TestRetransmissionsAreBoundedBelowEveryWrapper(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"a socket":                      func(nc net.Conn) net.Conn { return nc },
		"TLS over a connection of ours": func(nc net.Conn) net.Conn { return tls.Client(&ProgressConn{Conn: nc}, &tls.Config{}) },
	} {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		RetransmitOften(wrap(nc))
		raw, err := nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		var failed error
		raw.Control(func(fd uintptr) { got, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMax) })
		switch {
		case errors.Is(failed, syscall.ENOPROTOOPT):
			t.Skip("needs Linux 6.15")
		case failed != nil || got != 1000:
			t.Errorf("%s: at most %d ms between two attempts, %v; want 1000", name, got, failed)
		}
	}
}
