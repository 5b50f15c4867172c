// Package netio moves bytes in and out of connections: a [Link] reads and writes a socket, a
// [ReadBuffer] holds what has been read and not yet been worked on, a [WriteQueue] what the socket
// did not take at once.
//
// An idle connection holds no buffer, where its kind of socket allows that. Bytes that many
// connections receive stand in memory once ([Chunk]). A reader never waits for a socket to take
// bytes: what does not fit is queued, within [Limits], and written by a goroutine that exists only
// while there is a queue. Small ones are queued, too, while many goroutines wait for a core: a writer has
// more of them at once then. A reader that has run out of bytes may poll for more before it sleeps
// ([BusyPoll]).
//
// The package knows nothing of the protocol, of subscriptions or of settings: bytes come with their
// counts ([Delivery]), limits are values.
package netio

import (
	"net"
	"runtime"
	"sync/atomic"
)

// Shared is what the connections of one server have in common.
type Shared struct {
	Pending  atomic.Int64 // bytes that wait in the write queues of all connections
	SetAside atomic.Int64 // bytes of write queues that have ended, until their Leftover is released
	Unread   atomic.Int64 // bytes of memory that read buffers hold, of those that Hold counts
	BusyPoll BusyPoll
	yielders yielders
	turns    turns
	overload overload
}

// maxLongReaders bounds how many readers and writers may be at work when one makes a long read, and
// with that the memory of readers that have made one and are made to wait: some 16 MB.
const maxLongReaders = 32

// readLimit is how many bytes a read may hold that is to hold limit bytes.
func (s *Shared) readLimit(limit int) int {
	if limit > ReadSize && s.BusyPoll.awake.Load() > maxLongReaders {
		return ReadSize
	}
	return limit
}

// Hold counts what a buffer holds in Unread, if that is more than SmallSize: an idle reader has less. The
// reader calls it before it waits, and when it has cleared the buffer. What it holds while it works is
// not counted: few readers do at a time, and most would count the same again and again.
func (s *Shared) Hold(b *ReadBuffer) {
	held := 0
	if b.chunk != nil && cap(b.chunk.buf) > SmallSize {
		held = cap(b.chunk.buf)
	}
	if before := b.Held(); int64(held) != before {
		b.held.Store(uint32(held))
		s.Unread.Add(int64(held) - before)
	}
}

// Open finds out what can be known of the network that the Go runtime waits for. l is any listener
// of this process, which has a CPU quota or not. No reader may have started.
func (s *Shared) Open(l net.Listener, quota bool) {
	source, err := newPollSource(l)
	if err == nil {
		s.yielders.source = source
	}
	s.BusyPoll.open(source, quota, err)
	_, s.overload.on = l.(*net.TCPListener)
	s.turns.slots = runtime.GOMAXPROCS(0)
}
