package server

import (
	"slices"
	"sync"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/netio"
)

// This file is what a connection is sent beside messages, and what its write queue reports.

// send queues text for the peer. Any goroutine may call it.
func (c *conn) send(text string) {
	c.sendAppended(func(b []byte) []byte { return append(b, text...) })
}

// sendAppended queues what add appends for the peer. Any goroutine may call it.
func (c *conn) sendAppended(add func(b []byte) []byte) {
	t := texts.Get().(*textBuffer)
	t.bytes = add(t.bytes[:0])
	t.segment[0].Bytes = t.bytes
	t.delivery = netio.Delivery{Segments: t.segment[:], Bytes: len(t.bytes)}
	c.out.Push(&t.delivery)
	if cap(t.bytes) <= maxTextBuffer {
		texts.Put(t)
	}
}

// push queues text for the peer. It reports false if the connection takes nothing any more.
func (c *conn) push(text []byte) bool {
	d := netio.Delivery{Segments: []netio.Segment{{Bytes: text}}, Bytes: len(text)}
	c.out.Push(&d)
	return !d.Refused
}

// maxTextBuffer bounds the memory that is kept for texts. INFO is the longest that is common.
const maxTextBuffer = 32 << 10

// textBuffer is memory for a text that is sent: a server whose clients all come at once would have
// to collect one of each.
type textBuffer struct {
	bytes    []byte
	segment  [1]netio.Segment
	delivery netio.Delivery
}

var texts = sync.Pool{New: func() any { return new(textBuffer) }}

// sendErr queues an -ERR.
func (c *conn) sendErr(text string) {
	if c.tracing {
		c.tracef("<<- [-ERR %s]", text)
	}
	c.send("-ERR '" + text + "'\r\n")
}

// SlowConsumer implements netio.Owner: the connection has exceeded a limit of its write queue.
func (c *conn) SlowConsumer(exceeded netio.Limit) {
	if exceeded == netio.LimitDeadline {
		c.slowConsumer(closeSlowDeadline)
		return
	}
	c.slowConsumer(closeSlowPending)
}

// slowConsumer closes a connection that does not keep up, and logs it.
func (c *conn) slowConsumer(r closeReason) {
	if c.ended() {
		return
	}
	stats := c.out.Stats()
	c.slowStats.CompareAndSwap(nil, &stats) // first: the record of the closed connection has it
	if !c.ending.CompareAndSwap(0, uint32(r)) {
		return
	}
	c.srv.counters.slow(c.role, r)
	c.logSlow(r, &stats)
	c.wake()
}

// Dropped implements netio.Owner: the connection has lost messages. The first of a backlog are
// logged.
func (c *conn) Dropped(lost netio.Lost, by netio.DropPolicy, first bool) {
	c.srv.counters.dropped[by].Add(lost.Messages)
	if !first {
		return
	}
	stats, policy := c.out.Stats(), access.SlowConsumer(slices.Index(dropPolicies[:], by))
	c.limitedf(levelWarn, "Slow Consumer: messages are dropped (%s, %s, %d bytes pending for %v%s)",
		policy, c.ops.describePeer(), stats.Pending, stats.Lag.Round(time.Millisecond), mostOn(stats.Subject))
}

// WriteFailed implements netio.Owner: a write to the socket failed.
func (c *conn) WriteFailed(err error) {
	if isTimeout(err) {
		return // SlowConsumer has been called
	}
	c.logBroken("Error flushing: %v", err)
	c.close(closeWriteError)
}
