package admission

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// The server's side of TLS handshakes. What costs is the computation between a message of the peer
// and the answer: only that needs a slot. A peer that sends nothing, or stops in the middle,
// occupies none.

// handshakeConn is a connection in a handshake. With what it reads it waits for a slot, which it
// releases when it reads on or writes.
type handshakeConn struct {
	net.Conn
	ctx       context.Context // ends the waiting
	limiter   *Limiter
	timer     *Timer      // of the handshake; nil if another limits its time
	untilSent bool        // only what precedes the first answer needs a slot
	admitted  atomic.Bool // has a slot
	done      atomic.Bool // no slot is needed any more
}

// Handshake makes the server's side of a TLS handshake on conn. It takes at most timeout, not
// counting overload and the time for which it waits for slots; then the error is
// [os.ErrDeadlineExceeded]. ctx ends it early. After an error conn is closed.
func (l *Limiter) Handshake(ctx context.Context, conn net.Conn, config *tls.Config, timeout time.Duration) (*tls.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := l.AfterFunc(timeout, func() { cancel(os.ErrDeadlineExceeded) })
	h := &handshakeConn{Conn: conn, ctx: ctx, limiter: l, timer: timer}
	defer h.finish()
	c := tls.Server(h, config)
	err := c.HandshakeContext(ctx)
	timer.Stop()
	if err == nil {
		h.finish()
		h.ctx, h.timer = nil, nil // the connection outlives them
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

// Read waits for the peer without a slot, and then for a slot.
func (h *handshakeConn) Read(b []byte) (int, error) {
	h.release()
	n, err := h.Conn.Read(b)
	if n == 0 || h.done.Load() {
		return n, err
	}
	if err := h.acquire(); err != nil {
		return 0, err
	}
	return n, err
}

// acquire waits for a slot, which does not count against the peer.
func (h *handshakeConn) acquire() error {
	if h.timer != nil {
		h.timer.pause()
		defer h.timer.resume()
	}
	_, err := h.limiter.Acquire(h.ctx)
	h.admitted.Store(err == nil)
	return err
}

// Write releases the slot and writes.
func (h *handshakeConn) Write(b []byte) (int, error) {
	if h.untilSent {
		h.finish()
	}
	h.release()
	return h.Conn.Write(b)
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
	if h.admitted.Load() && h.admitted.CompareAndSwap(true, false) {
		h.limiter.Release()
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
	return &handshakeConn{Conn: c, ctx: l.ctx, limiter: l.limiter, untilSent: true}, nil
}
