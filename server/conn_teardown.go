package server

import (
	"time"
)

// This file ends a connection: any goroutine may ask for it, and its reader alone does it.

// close asks the reader to end the connection, and does not wait for it. The first reason counts.
// Any goroutine may call it.
func (c *conn) close(r closeReason) {
	if c.ending.CompareAndSwap(0, uint32(r)) {
		c.wake()
	}
}

// wake ends what the reader waits for.
func (c *conn) wake() {
	c.out.End(c.finishTime())
	c.nc.SetReadDeadline(aLongTimeAgo)
	if c.unpark() {
		go c.serve() // ends with teardown
	}
	if cancel := c.abort.Load(); cancel != nil {
		(*cancel)()
	}
}

// finishTime is how long what is pending may take to be written when the connection has ended.
func (c *conn) finishTime() time.Duration {
	if closeRows[c.reason()].abrupt {
		return 0
	}
	return finishWait
}

func (c *conn) ended() bool { return c.ending.Load() != 0 }

func (c *conn) reason() closeReason { return closeReason(c.ending.Load()) }

const (
	// finishWait bounds the time that teardown waits for the write queue to be written, and for what
	// the socket holds.
	finishWait = time.Second
	// lameDuckWait is how long it waits for what the socket holds in lame duck mode, until the server ends.
	lameDuckWait = 10 * time.Second
)

// teardown ends the connection. The reader calls it last.
func (c *conn) teardown() {
	cl, isClient := c.ops.(*client)
	if isClient {
		c.srv.leaving.Add(1)
		c.srv.clients.leave(cl) // before settle: a client that counts and cannot be evicted keeps others out
	}
	r := c.reason()
	row := &closeRows[r]
	c.stopPing()
	c.settle()
	taken := c.srv.memoryTaken()
	subs := c.dropSubs()
	c.srv.peak.note(taken + 2*subs.text)
	c.logClose(row)
	c.ops.unregister(r, &subs)
	c.passOn(row, &subs)
	if isClient {
		c.srv.leaving.Add(-1)
	}
	wait, begun := c.finishTime(), time.Now()
	if row.wire != "" && !c.omitErr {
		c.sendErr(row.wire)
	}
	c.out.Finish(wait)
	left, _ := c.out.Leave(0) // of what is given to no other
	left.Release()
	switch {
	case c.omitErr || c.srv.fewDescriptors(c.role):
	case row.linger:
		c.linger()
	case row.received:
		c.awaitReceived(begun)
	}
	if wait == 0 {
		c.nc.Close() // else TLS would wait to send close_notify to a peer that does not read
	}
	c.link.Close()
	if isSocket(c.nc) {
		c.srv.sockets.of(c.role).Add(-1)
	}
	c.in.Clear()
	c.srv.io.Hold(&c.in)
	c.reportLeftOut()
	c.debugf("%s connection closed", c.ops.label())
	c.srv.slots.give(c.slot)
	c.srv.conns.Done()
}

func (c *conn) logClose(row *closeRow) {
	switch row.level {
	case levelDebug:
		c.debugf("%s", row.log)
	case levelError:
		c.errorf("%s", row.log)
	}
}

// linger lets the peer read what it was sent last: closing a socket with unread input resets the
// connection, and the peer may lose what it has not read. So linger discards input for up to
// lingerTime. It is not for peers that send too much or do not answer: their next write must fail.
func (c *conn) linger() {
	nc := c.link.Conn()
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	nc.SetReadDeadline(time.Now().Add(lingerTime))
	var scrap [512]byte
	for n := 0; n < lingerBytes; {
		k, err := nc.Read(scrap[:])
		if err != nil {
			return
		}
		n += k
	}
}

// awaitReceived lets a peer that goes on to send receive what the socket holds, as far as that is known.
// Lame duck mode does not hurry, but the end of the server does.
func (c *conn) awaitReceived(begun time.Time) {
	c.out.AwaitReceived(func() bool {
		waited := time.Since(begun)
		return waited < finishWait || waited < lameDuckWait && c.reason() == closeLameDuck && !c.srv.ended()
	})
}

// Bounds of linger, in time and bytes.
const (
	lingerTime  = 200 * time.Millisecond
	lingerBytes = 256 << 10
)
