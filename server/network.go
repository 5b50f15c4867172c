package server

import (
	"context"
	"net"
	"strconv"
	"time"
)

// network is how the server reaches others: the operating system's sockets, or
// connections in memory when a whole mesh runs inside one test.
type network interface {
	// Listen opens a listener for TCP connections on host:port.
	Listen(addr string) (net.Listener, error)
	// Dial connects to host:port, waiting at most timeout.
	Dial(addr string, timeout time.Duration) (net.Conn, error)
	// LookupHost returns the addresses of a host name.
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// osNetwork is the network of the machine.
type osNetwork struct{}

func (osNetwork) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

func (osNetwork) Dial(addr string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, timeout)
}

func (osNetwork) LookupHost(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}

// listenOn opens a port of host, one that the system chooses if port is 0 or
// RandomPort, and returns which it is.
func listenOn(n network, host string, port int) (net.Listener, int, error) {
	l, err := n.Listen(net.JoinHostPort(host, strconv.Itoa(max(port, 0))))
	if err != nil {
		return nil, 0, err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		port = tcp.Port
	}
	return l, port, nil
}
