package server

import (
	"sync/atomic"
	"time"

	"gnatsd/server/internal/netio"
)

// This file notices routes that have gone idle.

// receivingLink notes when something is received.
type receivingLink struct {
	netio.Link
	start    time.Time // of the server: the clock of the machine may be set meanwhile
	received *atomic.Int64
}

func (l *receivingLink) Recv(b *netio.ReadBuffer, limit int) (int, error) {
	n, err := l.Link.Recv(b, limit)
	if n > 0 {
		l.received.Store(int64(time.Since(l.start)))
	}
	return n, err
}

// noteReceived makes the link note when something is received.
func (r *route) noteReceived() {
	r.link = &receivingLink{Link: r.link, start: r.srv.start, received: &r.received}
}

// idle returns how long ago something was received.
func (r *route) idle() time.Duration {
	return time.Since(r.srv.start) - time.Duration(r.received.Load())
}

// idleCheck notices early, between servers of this kind, that nothing is received: a
// PING goes out after a tick in which nothing came, and a route that is idle for more
// than maxIdleTicks is closed. Towards 1.x there is only the ping timer that clients
// have too.
type idleCheck struct {
	timer    *time.Timer
	due      time.Time // of the next tick
	received int64     // route.received at the last tick
	idle     int       // ticks without anything received
}

const (
	idleTick     = 2 * time.Second
	maxIdleTicks = 3
)

// startIdleCheck begins, if the peer is of this kind, and ends with the subscriptions.
func (r *route) startIdleCheck() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.subsDropped && r.remote.extended() {
		r.check.due = time.Now().Add(idleTick)
		r.check.timer = time.AfterFunc(idleTick, r.checkIdle)
	}
}

func (r *route) stopIdleCheck() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.check.timer != nil {
		r.check.timer.Stop()
	}
}

// checkIdle runs at every tick, on the timer's goroutine.
func (r *route) checkIdle() {
	switch idle := r.idleTicks(); {
	case idle > maxIdleTicks:
		r.close(closeStale)
	case idle > 0:
		r.tracef("<<- [PING]")
		r.send("PING\r\n")
	}
}

// idleTicks counts one tick, and sets the timer for the next. A tick that is late does
// not count: this server was stopped, or is overloaded, and may have had no time to read.
func (r *route) idleTicks() int {
	received, now := r.received.Load(), time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.check
	switch {
	case received != c.received:
		c.idle, c.received = 0, received
	case c.idle == 0 || now.Sub(c.due) < idleTick/2:
		c.idle++
	}
	if !r.subsDropped {
		c.due = now.Add(idleTick)
		c.timer.Reset(idleTick)
	}
	return c.idle
}
