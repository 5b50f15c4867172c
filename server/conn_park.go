package server

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/netio"
)

// parking saves idle clients their goroutines, which take half of the memory of an idle connection,
// and more with TLS. A client that sends nothing for some time is parked: its reader ends, and one
// goroutine waits for the sockets of all that are parked. What arrives on a socket starts a reader
// again, and so does conn.close. What a parked client receives needs no reader.
//
// Clients are parked where package netio has a Poller, and if they have a socket. While there are few,
// none is: they take little memory, and tests of programs count the goroutines of their process.
type parking struct {
	// Set once.
	srv   *Server
	after time.Duration // parkAfter
	least int           // parkLeast

	parked atomic.Int64

	mu      sync.Mutex    // guards what follows
	young   []*client     // with a reader, and connected for less than after
	readers []*client     // with a reader
	swept   time.Time     // when readers was last looked through
	timer   *time.Timer   // of the next sweep; nil while none can be parked
	poller  *netio.Poller // nil before the ports are open
	ended   bool          // none is parked any more
}

const (
	// parkAfter is for how long a client has sent no message when it is parked: to start a reader
	// takes some microseconds.
	parkAfter = 5 * time.Second
	// youngFraction is the fraction of that which is enough in the first seconds of a connection:
	// where many clients connect that do nothing yet, each uses the memory of those before it.
	youngFraction = 50
	// parkLeast is how many clients must be connected for any to be parked.
	parkLeast = 64
)

// States of conn.reader.
const (
	readerRuns   uint32 = iota
	readerAsked         // to park the client
	readerParked        // there is none
)

// init prepares the parking of a server. Unless idle is 0, a client is parked after so long, however
// few there are.
func (p *parking) init(s *Server, idle time.Duration) {
	p.srv, p.after, p.least = s, parkAfter, parkLeast
	if idle != 0 {
		p.after, p.least = idle, 0
	}
}

// add has a client parked when it is idle. It has a reader.
func (p *parking) add(c *client) {
	if !isSocket(c.nc) {
		return
	}
	few := p.few()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	if p.isYoung(c, time.Now()) {
		p.young = append(p.young, c)
	} else {
		p.readers = append(p.readers, c)
	}
	p.schedule(few)
}

// few reports whether so few clients are connected that none is parked.
func (p *parking) few() bool { return p.srv.clients.len() < p.least }

// removeEnded forgets clients that have ended. Where there are many, the next sweep does.
func (p *parking) removeEnded() {
	if !p.few() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.young, p.readers = slices.DeleteFunc(p.young, (*client).ended), slices.DeleteFunc(p.readers, (*client).ended)
}

func (p *parking) isYoung(c *client, now time.Time) bool {
	return now.UnixNano()-c.start < int64(p.after)
}

// schedule sets the timer, unless there are few clients, with mu held.
func (p *parking) schedule(few bool) {
	switch {
	case few || p.timer != nil || p.ended:
	case len(p.young) > 0:
		p.timer = time.AfterFunc(p.after/youngFraction, p.sweep)
	case len(p.readers) > 0:
		p.timer = time.AfterFunc(p.after/2, p.sweep)
	}
}

// sweep asks the readers of idle clients to park them.
func (p *parking) sweep() {
	p.srv.peak.note(p.srv.memoryTaken())
	now := time.Now()
	young, readers := p.take(now)
	young = slices.DeleteFunc(young, func(c *client) bool {
		if p.isYoung(c, now) {
			return c.leavesReaders(now, p.after/youngFraction)
		}
		readers = append(readers, c)
		return true
	})
	readers = slices.DeleteFunc(readers, func(c *client) bool { return c.leavesReaders(now, p.after) })
	few := p.few()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.young = slices.DeleteFunc(append(young, p.young...), (*client).ended) // meanwhile
	p.readers = slices.DeleteFunc(append(readers, p.readers...), (*client).ended)
	p.timer = nil
	p.schedule(few)
}

// take returns the clients to look at, young ones and others. The latter are many where clients are
// at work, and are looked at less often.
func (p *parking) take(now time.Time) (young, readers []*client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	young, p.young = p.young, nil
	if now.Sub(p.swept) >= p.after/2 {
		p.swept = now
		readers, p.readers = p.readers, nil
	}
	return young, readers
}

// leavesReaders asks the reader of a client to park it, if the client has been idle for d. It
// reports whether that is so, or the client has ended.
func (c *client) leavesReaders(now time.Time, d time.Duration) bool {
	if c.ended() {
		return true
	}
	if now.UnixNano()-c.lastIn.Load() < int64(d) {
		return false
	}
	if c.reader.CompareAndSwap(readerRuns, readerAsked) {
		c.nc.SetReadDeadline(aLongTimeAgo)
	}
	return true
}

// park ends the reader, which has been asked to and must return if park reports true: there may be
// another one already.
func (p *parking) park(c *client) bool {
	c.in.Shrink()
	c.srv.io.Hold(&c.in)
	c.flushCursor()
	c.cursor = nil
	p.parked.Add(1)
	c.reader.Store(readerParked)
	if p.watch(c) && !c.ended() {
		return true
	}
	if !c.unpark() {
		return true
	}
	p.add(c)
	return false
}

// watch waits for the socket of a client. It reports false if that cannot be done.
func (p *parking) watch(c *client) bool {
	poller := p.open()
	if poller == nil {
		return false
	}
	return poller.Watch(c.nc, c.id) == nil
}

// open returns the poller, nil if there is none. It is opened with the ports, so that what clients do
// later takes no descriptor; where none was left then, it is tried again.
func (p *parking) open() *netio.Poller {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.poller == nil && !p.ended {
		var err error
		if p.poller, err = netio.OpenPoller(p.readable); errors.Is(err, errors.ErrUnsupported) {
			p.end()
		}
	}
	return p.poller
}

// readable starts the reader of a parked client.
func (p *parking) readable(id uint64) {
	if c := p.srv.clients.find(id); c != nil && c.unpark() {
		go c.serve() // ends with teardown, or when the client is parked
		p.add(c)
	}
}

// unpark reports whether the client was parked. If so, the caller is its reader, or starts it.
func (c *conn) unpark() bool {
	if !c.reader.CompareAndSwap(readerParked, readerRuns) {
		return false
	}
	c.srv.parking.parked.Add(-1)
	return true
}

// close ends the parking. No client is parked any more.
func (p *parking) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	if p.poller != nil {
		p.poller.Close()
		p.poller = nil
	}
}

// end has no more clients parked, with mu held.
func (p *parking) end() {
	p.ended = true
	p.young, p.readers = nil, nil
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}
