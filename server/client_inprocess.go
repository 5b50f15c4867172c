package server

import (
	"errors"
	"net"

	"gnatsd/server/internal/netio"
)

// errNotRunning is the error of InProcessConn without a server.
var errNotRunning = errors.New("the server is not running")

// InProcessConn connects a client in the same process, without a socket, and returns its end of the
// connection. It is what nats.InProcessServer asks for. The login is that of every client, but there
// is no TLS. The error says that the server has not been started, is in lame duck mode, or has been
// shut down.
func (s *Server) InProcessConn() (net.Conn, error) {
	if !s.accepting() || !s.countConn() {
		return nil, errNotRunning
	}
	here, there := netio.Pipe()
	c := newClient(s, here)
	c.inProcess = true
	go s.runClient(c) // teardown calls Done; Shutdown closes the connection and waits
	return there, nil
}
