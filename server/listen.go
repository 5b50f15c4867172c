package server

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"

	"gnatsd/server/internal/admission"
)

// Pauses after an accept that failed for want of resources.
const (
	acceptMinPause = 10 * time.Millisecond
	acceptMaxPause = time.Second
	// acceptBurst is how many are accepted between two pauses while there is an overload.
	acceptBurst = 4
)

// listen opens the client port and starts to accept.
func (s *Server) listen() error {
	opts := s.options()
	l, port, err := listenOn(opts.network, opts.Host, opts.Port)
	if err != nil {
		s.Fatalf("Error listening on port: %s, %q", net.JoinHostPort(opts.Host, strconv.Itoa(max(opts.Port, 0))), err)
		return fmt.Errorf("listen for clients: %w", err)
	}
	if err := s.cluster.adverts.advertise(port); err != nil {
		l.Close()
		s.Fatalf("Error setting server INFO with ClientAdvertise value of %s, err=%v", opts.ClientAdvertise, err)
		return fmt.Errorf("client advertise %q: %w", opts.ClientAdvertise, err)
	}
	s.mu.Lock()
	s.listener = l
	stopping := s.stopping
	if !stopping {
		s.conns.Add(1) // here, so that Shutdown waits for accept or accept does not start
	}
	s.mu.Unlock()
	if stopping {
		l.Close()
		return nil
	}
	s.openBusyPoll(l)
	s.Noticef("Listening for client connections on %s", net.JoinHostPort(opts.Host, strconv.Itoa(port)))
	if g := s.policy.Load(); g.tls != nil && !g.tlsOptional {
		s.Noticef("TLS required for client connections")
	}
	s.Debugf("Server id is %s", s.id)
	s.Noticef("Server is ready")
	if err := s.cluster.listen(); err != nil {
		s.conns.Done()
		return err
	}
	go s.accept(l, "Client", s.serveClient) // ends when Shutdown closes l, which waits for it
	close(s.ready)
	s.cluster.solicit(s.options().Routes)
	return nil
}

// accept hands each connection to serve, on a goroutine of its own, until the
// listener is closed. Shutdown waits for what serve has begun: every conn tells
// s.conns when it is torn down. When the system is out of something it pauses.
func (s *Server) accept(l net.Listener, kind string, serve func(net.Conn)) {
	defer s.conns.Done()
	pause := acceptMinPause
	for n := 1; ; n++ {
		nc, err := l.Accept()
		if err == nil {
			pause = acceptMinPause
			s.conns.Add(1)
			go serve(nc)      // its teardown says Done; Shutdown closes it and waits
			runtime.Gosched() // connections wait in the kernel rather than in front of the messages
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

// pause waits, and reports false if the server ends meanwhile.
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

// serveClient runs one client connection. INFO goes out before anything is
// read or refused.
func (s *Server) serveClient(nc net.Conn) {
	c := newClient(s, nc)
	s.counters.connections.Add(1)
	refused := s.clients.add(c)
	c.out.SetLimits(s.writeLimits.Load()) // a reload sees it from here on
	c.debugf("Client connection created")
	if r := c.sendInfo(refused); r != keepOpen {
		c.close(r)
		c.teardown()
		return
	}
	c.awaitCredentials()
	c.startPing()
	c.serve()
}
