package server

import (
	"io"
	"net"
)

// This file sends watchdog keepalives to the service manager, as long as the server answers a connection of its own.

// selfCheck is a connection of the server to itself, in memory. It has a reader and a write queue
// like every connection, but no file descriptor, is not counted as a client, and answers only PING.
type selfCheck struct {
	conn
	peer net.Conn // the other end
}

// newSelfCheck opens a self-check. The caller must call end when it is done.
func newSelfCheck(s *Server) *selfCheck {
	here, there := net.Pipe()
	p := &selfCheck{peer: there}
	p.conn.init(s, roleClient, here, p)
	s.conns.Add(1)
	go p.serve() // ended by end; Shutdown waits for it
	return p
}

func (p *selfCheck) end() { p.close(closeShutdown) }

// answersEach implements operator.
func (p *selfCheck) answersEach() bool { return false }

// do implements operator.
func (p *selfCheck) do(o *op, b *batch) closeReason {
	if o.verb == verbPing {
		b.reply(answerPong)
	}
	return keepOpen
}

// unregister implements operator.
func (p *selfCheck) unregister(closeReason, *subscriptions) { p.peer.Close() }

// describePeer implements operator.
func (p *selfCheck) describePeer() string { return "watchdog" }

// label implements operator.
func (p *selfCheck) label() string { return "Watchdog" }

// answers reports whether a PING is answered. It has no timeout.
func (p *selfCheck) answers() bool {
	if _, err := io.WriteString(p.peer, "PING\r\n"); err != nil {
		return false
	}
	answer := make([]byte, len(answerPong))
	_, err := io.ReadFull(p.peer, answer)
	return err == nil && string(answer) == answerPong
}

// healthy reports whether the server's locks can be taken and it answers p. If the server hangs, so
// does healthy.
func (s *Server) healthy(p *selfCheck) bool {
	s.Addr()
	s.NumClients()
	s.subs.Match([]byte("_"))
	return p.answers() && !s.ended()
}

// startWatchdog starts to send watchdog keepalives to the service manager, if it expects them.
func (s *Server) startWatchdog() {
	if !s.notify.WantsWatchdog() {
		return
	}
	p := newSelfCheck(s)
	stop := s.notify.StartWatchdog(func() bool { return s.healthy(p) })
	s.stopWatchdog = func() { stop(); p.end() }
}
