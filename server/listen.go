package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/admission"
)

const (
	// Pauses after an Accept that failed, for lack of file descriptors or memory: doubled each
	// time.
	acceptMinPause = 10 * time.Millisecond
	acceptMaxPause = time.Second
	// acceptBurst is how many connections are accepted between two pauses under overload.
	acceptBurst = 4
)

// network is how a server listens and dials: with the sockets of the operating system, or with
// connections in memory where tests run a whole cluster.
type network interface {
	// Listen opens a listener for TCP connections on host:port.
	Listen(addr string) (net.Listener, error)
	// Dial connects to host:port, waiting at most timeout.
	Dial(addr string, timeout time.Duration) (net.Conn, error)
	// LookupHost returns the addresses of a host name.
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// osNetwork is the network of the operating system.
type osNetwork struct{}

func (osNetwork) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

func (osNetwork) Dial(addr string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, timeout)
}

func (osNetwork) LookupHost(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}

// listenOn listens on a port of host, a free one if port is 0 or RandomPort, and returns the port. If
// the service manager has a listener for the port, it is that one, whatever its address.
func (s *Server) listenOn(host string, port int) (net.Listener, int, error) {
	for i, l := range s.inherited {
		if port > 0 && l.Addr().(*net.TCPAddr).Port == port {
			s.inherited = slices.Delete(s.inherited, i, i+1)
			return l, port, nil
		}
	}
	l, err := s.options().network.Listen(net.JoinHostPort(host, strconv.Itoa(max(port, 0))))
	if err != nil {
		return nil, 0, err
	}
	switch addr := l.Addr().(type) {
	case nil: // getsockname has failed
		l.Close()
		return nil, 0, fmt.Errorf("listen tcp %s: the system does not say at which address", net.JoinHostPort(host, strconv.Itoa(max(port, 0))))
	case *net.TCPAddr:
		port = addr.Port
	}
	return l, port, nil
}

// listenOnAll is listenOn for a first address and further ones, host:port. It opens all of them or
// none. addrs are their addresses as they are configured, with the ports that were chosen; after an
// error the last one is that which could not be opened.
func (s *Server) listenOnAll(host string, port int, also []string) (listeners []net.Listener, addrs []string, err error) {
	for i := range 1 + len(also) {
		if i > 0 {
			host, port, _ = hostAndPort(also[i-1], 0) // check has found errors
		}
		l, actual, err := s.listenOn(host, port)
		if err != nil {
			closeAll(listeners)
			return nil, append(addrs, net.JoinHostPort(host, strconv.Itoa(max(port, 0)))), err
		}
		listeners, addrs = append(listeners, l), append(addrs, net.JoinHostPort(host, strconv.Itoa(actual)))
	}
	return listeners, addrs, nil
}

// furtherAddrs returns the text of all addresses but the first.
func furtherAddrs(addrs []net.Addr) (list []string) {
	for _, a := range addrs[min(1, len(addrs)):] {
		list = append(list, a.String())
	}
	return list
}

// closeInherited closes listeners of the service manager that no setting has a use for.
func (s *Server) closeInherited() {
	for _, l := range s.inherited {
		s.Warnf("The service manager listens on %s, which is no port of the settings: it is closed", l.Addr())
		l.Close()
	}
	s.inherited = nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// listen opens the ports for clients and routes, and starts to accept connections.
func (s *Server) listen() error {
	if s.options().DontListen {
		s.Noticef("Not listening for client connections: clients are those of this process")
	} else if ready, err := s.listenForClients(); !ready {
		return err
	}
	s.Debugf("Server id is %s", s.id)
	s.Noticef("Server is ready")
	if err := s.cluster.listen(); err != nil {
		return err
	}
	s.tellPorts()
	s.startAccepting()
	close(s.ready)
	if s.cluster.ready() {
		s.cluster.solicit(s.options().Routes)
	}
	return nil
}

// listenForClients opens the ports for clients. It reports false if it cannot, or, without an error,
// if the server is stopping.
func (s *Server) listenForClients() (ready bool, err error) {
	opts := s.options()
	listeners, addrs, err := s.listenOnAll(opts.Host, opts.Port, opts.AlsoListen)
	if err != nil {
		return false, failedStart(fmt.Errorf("listen for clients: %w", err),
			"Error listening on port: %s, %q%s", addrs[len(addrs)-1], err, opts.where("port", "host"))
	}
	if err := s.cluster.adverts.advertise(addrs); err != nil {
		closeAll(listeners)
		return false, failedStart(fmt.Errorf("client advertise %q: %w", opts.ClientAdvertise, err),
			"Error setting server INFO with ClientAdvertise value of %s, err=%v%s", conf.Printable(opts.ClientAdvertise), err, opts.where("client_advertise"))
	}
	s.mu.Lock()
	s.listeners = listeners
	stopping := s.stopping
	s.mu.Unlock()
	if stopping {
		closeAll(listeners)
		return false, nil
	}
	s.openNetwork(listeners[0])
	for _, addr := range addrs {
		s.Noticef("Listening for client connections on %s", addr)
	}
	if p := s.policy.Load(); p.tls != nil && !p.tlsOptional {
		s.Noticef("TLS required for client connections")
	}
	return true, nil
}

// startAccepting starts to accept clients, if there are ports for them.
func (s *Server) startAccepting() {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	for _, l := range listeners {
		if s.countConn() {
			go s.accept(l, "Client", s.roomForClient, s.serveClient) // ends when Shutdown closes l and waits for it
		}
	}
	runtime.Gosched() // clients may wait already: they come before the rest of the start
}

// countConn counts a goroutine that Shutdown waits for. It reports false if the server is stopping.
func (s *Server) countConn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.conns.Add(1)
	}
	return !s.stopping
}

// accept calls serve for each connection, on a new goroutine, until the listener is closed.
// Connections for which room says that there is none are closed at once. Shutdown waits for the
// goroutines through s.conns. After an error, such as too many open files, accept pauses and tries
// again.
func (s *Server) accept(l net.Listener, kind string, room func() bool, serve func(net.Conn)) {
	defer s.conns.Done()
	pause := acceptMinPause
	for n := 1; ; n++ {
		nc, err := l.Accept()
		if err == nil {
			pause = acceptMinPause
			if !room() {
				s.Debugf("%s connection from %v is closed: too many files are open", kind, nc.RemoteAddr())
				nc.Close()
				continue
			}
			s.conns.Add(1)
			go serve(nc)      // teardown calls Done; Shutdown closes the connection and waits
			runtime.Gosched() // messages come first: connections can wait in the kernel
			if n%acceptBurst == 0 && s.limiter.Overloaded() {
				s.pause(admission.YieldInterval)
			}
			continue
		}
		if s.ended() || errors.Is(err, net.ErrClosed) {
			return
		}
		s.Errorf("Temporary %s Accept Error (%v), sleeping %dms", kind, err, pause.Milliseconds())
		if !s.pause(pause) {
			return
		}
		pause = min(2*pause, acceptMaxPause)
	}
}

// pause waits for d. It reports false, early, if the server is shut down meanwhile.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.quit:
		return false
	case <-timer.C:
		return true
	}
}
