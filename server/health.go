package server

import (
	"io"
	"net"
)

// Whether the server works: asked by the service manager's watchdog, as often
// as that wants to know.

// probe is a connection of the server to itself, in memory. It goes the way of
// all connections but for the socket, takes no file descriptor and no client's
// place, and knows only PING.
type probe struct {
	conn
	peer net.Conn // the other end
}

// newProbe opens a probe. Who calls it must call end.
func newProbe(s *Server) *probe {
	here, there := net.Pipe()
	p := &probe{peer: there}
	p.conn.init(s, roleClient, here, p)
	s.conns.Add(1)
	go p.serve() // ended by end; Shutdown waits for it
	return p
}

func (p *probe) end() { p.close(endShutdown) }

// do implements operator.
func (p *probe) do(o *op, st *stage) closeReason {
	if o.verb == verbPing {
		st.reply(answerPong)
	}
	return goOn
}

// leave implements operator.
func (p *probe) leave(closeReason, map[string]*subscription) { p.peer.Close() }

// identity implements operator.
func (p *probe) identity() string { return "watchdog" }

// label implements operator.
func (p *probe) label() string { return "Watchdog" }

// answers reports whether a PING is answered. It waits for as long as that takes.
func (p *probe) answers() bool {
	if _, err := io.WriteString(p.peer, "PING\r\n"); err != nil {
		return false
	}
	answer := make([]byte, len(answerPong))
	_, err := io.ReadFull(p.peer, answer)
	return err == nil && string(answer) == answerPong
}

// healthy reports whether the server's locks can be had and a probe is answered.
// If the server hangs so does healthy.
func (s *Server) healthy(p *probe) bool {
	s.Addr()
	s.NumClients()
	s.subs.Match([]byte("_"))
	return p.answers() && !s.ended()
}

// startWatchdog gives the service manager signs of life, if it wants any.
func (s *Server) startWatchdog() {
	if s.notify.watchdog <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	p := newProbe(s)
	stop := s.notify.startWatchdog(func() bool { return s.healthy(p) })
	s.unwatch = func() { stop(); p.end() }
}

// endWatchdog ends the signs of life.
func (s *Server) endWatchdog() {
	s.mu.Lock()
	end := s.unwatch
	s.unwatch = nil
	s.mu.Unlock()
	if end != nil {
		end()
	}
}
