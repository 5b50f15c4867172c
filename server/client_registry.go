package server

import (
	"errors"
	"math/rand/v2"
	"sync"
)

// registry holds the connected clients.
type registry struct {
	mu     sync.Mutex // guards what follows
	byID   map[uint64]*client
	limit  int  // of clients; negative = unlimited
	closed bool // no more clients are added

	sockets    int // of clients that are not leaving
	maxSockets int
	leaving    int // clients that are being closed and have not been removed yet
}

// slots assigns small numbers that are unique among the open connections, for tables indexed by
// connection.
type slots struct {
	mu   sync.Mutex // guards what follows
	next uint32
	free []uint32
}

func (s *slots) take() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := len(s.free); k > 0 {
		slot := s.free[k-1]
		s.free = s.free[:k-1]
		return slot
	}
	s.next++
	return s.next - 1
}

func (s *slots) give(slot uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, slot)
}

// add registers a client. If it cannot, it returns the reason to reject the client, else keepOpen.
func (r *registry) add(c *client) closeReason {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return closeShutdown
	}
	if r.limit >= 0 && len(r.byID)-r.leaving >= r.limit {
		return closeMaxConnections
	}
	if isSocket(c.nc) {
		if r.sockets >= r.maxSockets {
			return closeMaxConnections
		}
		r.sockets++
	}
	if r.byID == nil {
		r.byID = make(map[uint64]*client)
	}
	r.byID[c.id] = c
	return keepOpen
}

// setLimit changes how many clients may be connected. It returns the clients above the limit,
// chosen at random.
func (r *registry) setLimit(limit int) (excess []*client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = limit
	var staying []*client
	for _, c := range r.byID {
		if !c.ended() {
			staying = append(staying, c)
		}
	}
	if limit < 0 || len(staying) <= limit {
		return nil
	}
	rand.Shuffle(len(staying), func(i, j int) { staying[i], staying[j] = staying[j], staying[i] })
	return staying[limit:]
}

func (r *registry) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.byID[c.id] == nil: // it was not added
		return
	case c.leaves:
		r.leaving--
	case isSocket(c.nc):
		r.sockets--
	}
	delete(r.byID, c.id)
}

// leave makes room for another client: c is being closed.
func (r *registry) leave(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[c.id] == nil || c.leaves {
		return
	}
	c.leaves = true
	r.leaving++
	if isSocket(c.nc) {
		r.sockets--
	}
}

// find returns the client with an id, nil if it is not connected.
func (r *registry) find(id uint64) *client {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
}

// all returns the connected clients, in no order.
func (r *registry) all() []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*client, 0, len(r.byID))
	for _, c := range r.byID {
		list = append(list, c)
	}
	return list
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byID)
}

// shutdown makes add reject further clients, and returns the connected ones.
func (r *registry) shutdown() []*client {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return r.all()
}

// errNoClient is the error about the id of a client that is not connected.
var errNoClient = errors.New("no such client id")

// DisconnectClientByID disconnects the client with this id. The client is not sent a reason, and
// may connect again. The error says that there is no such client.
func (s *Server) DisconnectClientByID(id uint64) error {
	c := s.clients.find(id)
	if c == nil {
		return errNoClient
	}
	c.close(closeKicked)
	return nil
}
