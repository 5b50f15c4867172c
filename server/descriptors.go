package server

import (
	"net"
	"sync/atomic"
)

// This file divides the file descriptors of the process, so that no port can take all of them:
// where clients have used up theirs, monitoring still answers and routes still connect.

// descriptors is how many descriptors each purpose may have.
type descriptors struct {
	limit   int // of the process; 0 = not known
	clients int // sockets of clients that are connected
	routes  int // sockets of routes, also of those that do not log in
	refused int // further sockets of clients, which are told that there is no room
	monitor int // connections to each of the monitoring ports
}

// ownDescriptors is how many are left to the process itself: listeners, logs, a reload, and what
// the program that embeds the server has. Where there are few it is a quarter.
const ownDescriptors = 32

// noLimit stands for no limit. Others can be added to it.
const noLimit = 1 << 30

// divideDescriptors divides a limit.
func divideDescriptors(limit int) descriptors {
	if limit == 0 {
		return descriptors{clients: noLimit, routes: noLimit, refused: 1024, monitor: 256}
	}
	d := descriptors{
		limit:   limit,
		routes:  min(max(limit/16, 8), 512),
		refused: min(max(limit/16, 8), 1024),
		monitor: min(max(limit/16, 8), 256),
	}
	d.clients = max(limit-min(ownDescriptors, limit/4)-d.routes-d.refused-2*d.monitor, 1)
	return d
}

// enoughClients is more than most servers have: with the default of max_connections a limit that is
// lower than that, but allows so many, is no reason for a warning.
const enoughClients = 4096

// warning returns what the log says at start if fewer clients can connect than max_connections
// allows, else "".
func (d descriptors) warning(maxConn int) (format string, args []any) {
	if maxConn < 0 || d.limit == 0 || d.clients >= maxConn || maxConn == Defaults().MaxConn && d.clients >= enoughClients {
		return "", nil
	}
	return "The limit of open files is %d: only %d clients can connect at a time, fewer than max_connections (%d)", []any{d.limit, d.clients, maxConn}
}

// sockets counts the open sockets, by role.
type sockets struct{ clients, routes atomic.Int64 }

// of returns the count of a role.
func (s *sockets) of(r role) *atomic.Int64 {
	if r == roleRoute {
		return &s.routes
	}
	return &s.clients
}

// fewDescriptors reports whether most of the descriptors for a role are in use, so that none is to
// be kept longer than necessary.
func (s *Server) fewDescriptors(r role) bool {
	most := s.descriptors.clients
	if r == roleRoute {
		most = s.descriptors.routes
	}
	return s.sockets.of(r).Load() > int64(most)/4*3
}

// isSocket reports whether a connection has a descriptor: in tests they may be in memory.
func isSocket(nc net.Conn) bool {
	_, ok := nc.(*net.TCPConn)
	return ok
}
