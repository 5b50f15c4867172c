package netio

import (
	"bytes"
	"sync/atomic"
)

// Delivery is what one push hands to a connection: bytes, and what they are counted as.
type Delivery struct {
	Segments []Segment // lent for the time of the push
	Bytes    int       // in Segments
	Messages int64     // in them, 0 if they are no messages
	Payload  int64     // bytes of payload in them
	Subject  []byte    // of one of the messages
	ReadAt   int64     // UnixNano of the moment the messages were read; 0 = not measured
	TooLarge bool      // one message alone is more than may be pending
	Last     bool      // nothing is taken after it
	Reserved bool      // its bytes have been reserved; if it is refused, it must be dropped
	Room     int64     // bytes that a [Room] has reserved for it
	Refused  bool      // set by Push: the connection takes nothing any more

	// Counter is incremented at the moment that the delivery gets its place among all that is
	// pushed: who has seen the new count pushes behind it, here and elsewhere. nil = none.
	Counter *atomic.Int64
	Count   int64 // set by Push: the new count, 0 if the delivery has no place

	// Then is the link that what follows is written to; nil = the same as before.
	Then Link

	// Droppable says that the delivery may be dropped, as a whole: it is nothing but whole messages.
	Droppable bool
	lost      Lost // that were dropped for it, or are in it
	firstLost bool // of the backlog

	own bool // it holds references of its own
}

// Keep makes the segments and the subject the delivery's own, so that it can be pushed later. One that is
// never pushed must be dropped.
func (d *Delivery) Keep() {
	if !d.own {
		d.Segments, d.own = kept(d.Segments), true
		d.Subject = bytes.Clone(d.Subject[:min(len(d.Subject), maxTopSubject)])
	}
}

// Drop gives up the segments if they are the delivery's own.
func (d *Delivery) Drop() {
	if d.own {
		releaseAll(d.Segments)
	}
}
