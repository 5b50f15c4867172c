package server

import (
	"time"

	"gnatsd/server/internal/netio"
)

// This file closes routes that have been idle for too long.

// noteReceived notes that something is received.
func (r *route) noteReceived() { r.received.Store(int64(time.Since(r.srv.start))) }

// idle returns how long ago something was received.
func (r *route) idle() time.Duration {
	if r.waiting.Load() {
		return 0
	}
	return time.Since(r.srv.start) - time.Duration(r.received.Load())
}

// idleCheck closes an idle route earlier than the ping timer, if the peer is a server of this kind. A
// tick in which nothing was received, or nothing but PINGs and PONGs was sent, sends PING. After more
// than maxIdleTicks in a row without anything received the route is closed. A server that sends
// nothing sends PING for the sake of the peer: where all messages go one way, over a slow line, the
// PINGs of the peer come after what it has pending, and their answers much later. For peers of 1.x
// there is only the ping timer.
type idleCheck struct {
	timer    *ownedTimer[route]
	due      time.Time // of the next tick
	received int64     // route.activity at the last tick
	written  int64     // bytes that the socket had taken, at the last tick
	wire     int64     // compressed bytes that had been received then
	idle     int       // ticks in a row without anything received
}

const (
	idleTick     = 2 * time.Second
	maxIdleTicks = 3
	// maxQuiet is how many bytes of PINGs and PONGs are written in a tick.
	maxQuiet = 32
	// maxRetiredTicks is how many ticks in a row a connection may have that is left by this server
	// and on which no messages come or go: the peer is to close it.
	maxRetiredTicks = 15
)

// startIdleCheck starts the ticks, if the peer is a server of this kind. They end at teardown. With
// them the system may send often what is not acknowledged: what it would give up for that is closed
// before.
func (r *route) startIdleCheck() {
	if r.peerInfo().extended() {
		netio.RetransmitOften(r.nc)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.subsDropped && r.remote.extended() {
		tick := r.srv.cluster.idleTick
		r.check.due = time.Now().Add(tick)
		r.check.timer = newOwnedTimer(tick, r, (*route).checkIdle)
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
	if r.waiting.Load() { // the peer must not take it for idle
		r.sendPing()
	}
	idle, quiet := r.idleTicks()
	switch {
	case r.retired():
		if idle > maxRetiredTicks {
			r.close(closeStale)
		}
	case idle > maxIdleTicks:
		r.close(closeStale)
	case idle > 0 || quiet:
		r.sendPing()
	}
}

// activity returns a number that changes with what is received or, once the connection is left, with
// messages only.
func (r *route) activity() int64 {
	if !r.retired() {
		return r.received.Load()
	}
	_, written := r.out.Progress()
	return r.inMsgs.Load() + written
}

// noteBlock notes that something is received where that is a part of a compressed block.
func (r *route) noteBlock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.compression.in == nil {
		return
	}
	if _, wire := r.compression.in.Bytes(); wire != r.check.wire {
		r.check.wire = wire
		r.noteReceived()
	}
}

// idleTicks counts a tick, sets the timer for the next, and returns the number of idle ticks, and
// whether nothing but PINGs and PONGs has been sent since the last one. A late tick is not counted:
// this process was suspended or overloaded, and may not have read what was sent.
func (r *route) idleTicks() (idle int, quiet bool) {
	r.noteBlock()
	received, now, tick := r.activity(), time.Now(), r.srv.cluster.idleTick
	_, written := r.out.Progress()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.check
	quiet, c.written = written-c.written <= maxQuiet, written
	switch {
	case received != c.received || r.waiting.Load():
		c.idle, c.received = 0, received
	case c.idle == 0 || now.Sub(c.due) < tick/2:
		c.idle++
	}
	if !r.subsDropped {
		c.due = now.Add(tick)
		c.timer.Reset(tick)
	}
	return c.idle, quiet
}
