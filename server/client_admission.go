package server

import "net"

// This file is the beginning of a client: whether there is room for it, and what runs its connection.

// roomForClient reports whether there are descriptors for another client, be it to tell it that
// there is no room.
func (s *Server) roomForClient() bool {
	return s.sockets.clients.Load() < int64(s.descriptors.clients)+int64(s.descriptors.refused)
}

// admit registers a client. Where there is no room for it, one is closed that has not logged in: a
// client that says nothing must not keep others out.
func (s *Server) admit(c *client) (refused closeReason) {
	if !c.enterAddress() {
		if c.logsAddress() {
			c.errorf("max_connections_per_address exceeded")
		}
		return closeAddressLimit
	}
	refused = s.clients.add(c)
	for refused == closeMaxConnections {
		victim, ok := s.arrivals.Evict()
		if !ok {
			return refused
		}
		s.clients.leave(victim.ops.(*client))
		victim.close(closeEvicted)
		refused = s.clients.add(c)
	}
	if refused == keepOpen {
		c.entry = s.arrivals.Add(c.source(), &c.conn)
	}
	return refused
}

// serveClient runs the connection of a client that was accepted.
func (s *Server) serveClient(nc net.Conn) { s.runClient(newClient(s, nc)) }

// runClient runs a client connection. It sends INFO before it reads anything or rejects the client.
func (s *Server) runClient(c *client) {
	s.counters.connections.Add(1)
	refused := s.admit(c)
	c.setWriteLimits() // again: a reload before add has missed this client
	c.debugf("Client connection created")
	if r := c.sendInfo(refused); r != keepOpen {
		c.close(r)
		c.teardown()
		return
	}
	if r := c.awaitCredentials(); r != keepOpen {
		c.close(r)
		c.teardown()
		return
	}
	c.setWriteLimits()
	c.startPing()
	c.serve()
}
