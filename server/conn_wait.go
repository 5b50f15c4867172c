package server

import (
	"context"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/netio"
)

// This file is for readers that wait for something other than the socket, and for steps that have a time limit.

// abortable returns a context that is canceled when the connection is closed, for the reader to
// wait for something other than the socket. It must call done afterwards.
func (c *conn) abortable() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.abort.Store(&cancel)
	c.link.EndTurn()
	if c.ended() {
		cancel()
	}
	return ctx, func() {
		c.abort.Store(nil)
		cancel()
	}
}

// resetLook is how often a connection that waits for something else is asked whether the peer has reset
// it.
const resetLook = 500 * time.Millisecond

// abortableByReset is abortable for a wait that may be long. It also ends, and the connection is
// closed, when the peer has reset the connection: the reader does not notice, as it does not read.
func (c *conn) abortableByReset() (ctx context.Context, done func()) {
	ctx, end := c.abortable()
	var timer atomic.Pointer[time.Timer]
	timer.Store(time.AfterFunc(resetLook, func() { // ends with ctx
		switch t := timer.Load(); {
		case ctx.Err() != nil || t == nil:
		case netio.PeerStateOf(c.nc) == netio.PeerReset:
			c.close(closeReadError)
		default:
			t.Reset(resetLook)
		}
	}))
	return ctx, func() {
		end()
		timer.Load().Stop()
	}
}

// startStepTimer closes the connection for a reason unless stopStepTimer is called within d.
func (c *conn) startStepTimer(d time.Duration, r closeReason) {
	c.stepTimer = admission.AfterFunc(d, func() { c.close(r) })
}

// stopStepTimer stops the timer, if there is one.
func (c *conn) stopStepTimer() {
	if c.stepTimer != nil {
		c.stepTimer.Stop()
		c.stepTimer = nil
	}
}
