package server

import (
	"cmp"
	"slices"
	"time"

	"gnatsd/server/internal/admission"
)

// This file limits what clients of one address may take: connections, and logins a second.

// enterAddress counts a client for its address. It reports false if that has too many.
func (c *client) enterAddress() bool {
	c.ofAddress = c.srv.addresses.Connect(c.source(), c.srv.options().MaxConnPerAddress)
	return c.ofAddress
}

// leaveAddress is called when a client has ended.
func (c *client) leaveAddress() {
	if c.ofAddress {
		c.ofAddress = false
		c.srv.addresses.Leave(c.source())
	}
}

// mayLogIn reports whether the address of a client may log in once more.
func (c *client) mayLogIn() bool {
	return c.srv.addresses.Login(c.source(), c.srv.options().MaxLoginsPerAddress)
}

// logsAddress reports whether a line is to be written about an address that exceeds its limits.
// There may be many such clients: the lines are few.
func (c *client) logsAddress() bool {
	limit := &c.srv.sourceLines
	if !limit.admit(time.Since(c.srv.start)) {
		return false
	}
	limit.reportLeftOut(c.srv.Warnf, "Left out %d log lines about addresses that exceed their limits")
	return true
}

// closeAddressExcess disconnects the newest clients of each address that has too many.
func (s *Server) closeAddressExcess(most int) {
	if most <= 0 {
		return
	}
	all := s.clients.all()
	slices.SortFunc(all, func(a, b *client) int { return cmp.Compare(a.id, b.id) })
	count, closed := map[admission.Source]int{}, 0
	for _, c := range all {
		from := c.source()
		if from == (admission.Source{}) || c.ended() {
			continue
		}
		if count[from]++; count[from] > most {
			c.close(closeMaxConnections)
			closed++
		}
	}
	if closed > 0 {
		s.Noticef("Closed %d connections to fall within max_connections_per_address", closed)
	}
}
