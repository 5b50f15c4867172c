package admission

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// The server's side of TLS handshakes. What costs is the computation between a message of the peer
// and the answer: only that needs a slot. A peer that sends nothing, or stops in the middle of a
// message, takes none.

// handshakeConn is a connection in a handshake. With a read that completes something to compute, see
// [flight], it waits for a slot, which it releases when it reads on or writes.
type handshakeConn struct {
	net.Conn
	ctx       context.Context // ends the waiting
	limiter   *Limiter
	peer      Peer
	timer     *Timer // of the handshake; nil if another limits its time
	untilSent bool   // only what precedes the first answer needs a slot

	// Owned by the handshake, until no slot is needed any more.
	flight  *flight
	waits   int  // for a slot
	partial bool // the peer has sent something
	waiting bool // the peer waits for this process
	ahead   bool // there is something to compute after the next write

	// Atomic.
	slot atomic.Pointer[Slot]
	done atomic.Bool // no slot is needed any more
}

// newHandshakeConn returns a handshakeConn on a connection.
func newHandshakeConn(ctx context.Context, l *Limiter, conn net.Conn, peer Peer) *handshakeConn {
	return &handshakeConn{Conn: conn, ctx: ctx, limiter: l, peer: peer, flight: &flight{}}
}

// Peer is the other side of a connection before its login.
type Peer struct {
	From Source
	Rank func(Rank)  // is called with what it has done; nil if that is of no interest
	Pass *Pass       // of its handshake; nil if it needs none
	Gone func() bool // reports whether it has reset the connection; nil if that is not known
}

// rank reports what the peer has done.
func (p *Peer) rank(r Rank) {
	if p.Rank != nil {
		p.Rank(r)
	}
}

// WaitingRank returns the rank of a connection that has sent what it has to send, and waits for
// this process.
func (l *Limiter) WaitingRank(from Source) Rank {
	if l.Suspected(from) {
		return Waiting
	}
	return Kept
}

// maxPauses is how many waits of a handshake stop its clock. One needs two to four; a peer that
// sends its messages in many records does not get more time by that.
const maxPauses = 16

// Handshake makes the server's side of a TLS handshake on conn. The peer may take timeout for it,
// not counting the time for which this process computes, or the handshake waits for a slot; then
// the error is [os.ErrDeadlineExceeded]. ctx ends it early. After an error conn is closed.
func (l *Limiter) Handshake(ctx context.Context, conn net.Conn, peer Peer, config *tls.Config, timeout time.Duration) (*tls.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := newTimer(timeout, func() time.Duration { return peer.Pass.more(timeout) }, func() { cancel(os.ErrDeadlineExceeded) })
	h := newHandshakeConn(ctx, l, conn, peer)
	h.timer = timer
	defer h.finish()
	c := tls.Server(h, config)
	err := c.HandshakeContext(ctx)
	timer.Stop()
	if err == nil {
		peer.Pass.done()
		h.finish()
		h.ctx, h.timer, h.peer, h.flight = nil, nil, Peer{}, nil // the connection outlives them
		return c, nil
	}
	conn.Close()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return nil, err
}

// NetConn returns the connection below.
func (h *handshakeConn) NetConn() net.Conn { return h.Conn }

// Read waits for the peer without a slot, and then for a slot if there is something to compute.
func (h *handshakeConn) Read(b []byte) (int, error) {
	if h.done.Load() {
		h.release()
		return h.Conn.Read(b)
	}
	h.await()
	n, err := h.Conn.Read(b)
	if n == 0 || h.done.Load() {
		return n, err
	}
	var work int
	if work, h.ahead = h.flight.received(b[:n]); work == 0 {
		h.more()
		return n, err
	}
	if err := h.acquire(); err != nil {
		return 0, err
	}
	return n, err
}

// more says that the peer has sent a part of a message. That is noted once, however many parts
// there are: it is not evicted later for them, and has its pass for no longer.
func (h *handshakeConn) more() {
	if !h.partial {
		h.partial = true
		h.peer.rank(Partial)
	}
}

// acquire waits for a slot. From now until the next read or write the peer waits for this process.
func (h *handshakeConn) acquire() error {
	h.partial, h.waiting = true, true
	if h.waits++; h.timer != nil && h.waits <= maxPauses {
		h.timer.pause()
	}
	h.peer.Pass.received()
	h.peer.rank(h.limiter.WaitingRank(h.peer.From))
	slot, err := h.limiter.Acquire(h.ctx, h.peer.From)
	h.peer.rank(Partial)
	h.slot.Store(slot)
	if err == nil && h.peer.Gone != nil && h.peer.Gone() {
		h.release()
		return errPeerReset // what it has sent is not worth the computation
	}
	return err
}

var errPeerReset = errors.New("connection reset by peer")

// Write releases the slot and writes. It waits for another one if crypto/tls goes on with what it has
// read already.
func (h *handshakeConn) Write(b []byte) (int, error) {
	if h.done.Load() {
		h.release()
		return h.Conn.Write(b)
	}
	answer := h.flight.sent(b)
	if answer != anotherHello && h.untilSent {
		h.finish()
	}
	h.await()
	n, err := h.Conn.Write(b)
	if err != nil || !h.ahead || answer == refused || h.done.Load() {
		return n, err
	}
	return n, h.acquire()
}

// await releases the slot: the next is up to the peer, which has to read or to write.
func (h *handshakeConn) await() {
	h.release()
	if !h.waiting {
		return
	}
	h.waiting = false
	if h.timer != nil {
		h.timer.resume()
	}
	h.peer.Pass.await()
}

// Close releases the slot and closes the connection.
func (h *handshakeConn) Close() error {
	h.finish()
	return h.Conn.Close()
}

// finish releases the slot for good.
func (h *handshakeConn) finish() {
	h.done.Store(true)
	h.release()
}

// release gives up the slot, if there is one.
func (h *handshakeConn) release() {
	if h.slot.Load() == nil { // most calls, and Swap is dear
		return
	}
	if slot := h.slot.Swap(nil); slot != nil {
		slot.Release()
	}
}

// listener makes what it accepts wait for slots.
type listener struct {
	net.Listener
	ctx     context.Context
	limiter *Limiter
}

// Listener returns a listener that accepts from inner, for a user that makes TLS handshakes on its
// own and limits their time, as an HTTP server does. They wait for slots of l up to the first
// answer. ctx ends the waiting.
func (l *Limiter) Listener(ctx context.Context, inner net.Listener) net.Listener {
	return &listener{inner, ctx, l}
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := newHandshakeConn(l.ctx, l.limiter, c, Peer{From: SourceOf(c.RemoteAddr())})
	h.untilSent = true
	return h, nil
}
