package server

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// The server's side of TLS handshakes. What costs is the arithmetic between a
// message of the peer and our answer: only for that is a place needed. A peer
// that sends nothing, or stops in the middle, keeps nobody waiting.

// sparePlaces is how many pieces of long arithmetic may run at a time so that
// one processor stays free for messages. With bcrypt on both of two, the median
// round trip of a message rose from 0.03 ms to 28 ms; with it on one, to 0.03.
func sparePlaces() int { return max(runtime.GOMAXPROCS(0)-1, 1) }

// gatedConn is a connection in a handshake. With what it reads it waits for a
// place, which it leaves when it reads on or writes.
type gatedConn struct {
	net.Conn
	ctx    context.Context // ends the waiting
	places *admission
	limit  *allowance  // of the handshake; nil if others see to that
	once   bool        // only what precedes the first answer needs a place
	inside atomic.Bool // has a place
	open   atomic.Bool // no place is needed any more
}

// serveTLS makes the handshake on conn, which takes at most timeout, not counting
// the time in which there was a queue for the places. config comes from
// [tlsHolder.accepting]. ctx ends it early. The deadline of the connection
// returned is none; after an error conn is closed.
func serveTLS(ctx context.Context, conn net.Conn, config *tls.Config, places *admission, timeout time.Duration) (*tls.Conn, error) {
	g := &gatedConn{Conn: conn, places: places}
	c := tls.Server(g, config)
	if err := g.shake(ctx, c, timeout); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// shake makes the handshake of c, which is around g.
func (g *gatedConn) shake(ctx context.Context, c *tls.Conn, timeout time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g.ctx = ctx
	defer g.unlock()
	g.limit = g.places.allow(timeout, func() {
		g.SetDeadline(aLongTimeAgo)
		cancel(os.ErrDeadlineExceeded)
	})
	err := c.HandshakeContext(ctx)
	g.limit.stop()
	if err == nil {
		return g.SetDeadline(time.Time{})
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Read waits for the peer without a place, and then for a place.
func (g *gatedConn) Read(b []byte) (int, error) {
	g.leave()
	n, err := g.Conn.Read(b)
	if n == 0 || g.open.Load() {
		return n, err
	}
	if err := g.enter(); err != nil {
		return 0, err
	}
	return n, err
}

// enter waits for a place, which does not count against the peer.
func (g *gatedConn) enter() error {
	if g.limit == nil {
		_, err := g.places.enter(g.ctx)
		g.inside.Store(err == nil)
		return err
	}
	g.limit.pause()
	waited, err := g.places.enter(g.ctx)
	g.inside.Store(err == nil)
	g.limit.resume(waited)
	return err
}

// Write leaves the place and writes.
func (g *gatedConn) Write(b []byte) (int, error) {
	if g.once {
		g.unlock()
	}
	g.leave()
	return g.Conn.Write(b)
}

// Close leaves the place and closes.
func (g *gatedConn) Close() error {
	g.unlock()
	return g.Conn.Close()
}

// unlock says that no place is needed any more.
func (g *gatedConn) unlock() {
	g.open.Store(true)
	g.leave()
}

// leave gives up the place, if there is one.
func (g *gatedConn) leave() {
	if g.inside.Load() && g.inside.CompareAndSwap(true, false) {
		g.places.leave()
	}
}

// gatedListener makes those it accepts wait for a place in their handshakes,
// which others make: the HTTP server.
type gatedListener struct {
	net.Listener
	ctx    context.Context
	places *admission
}

// Accept waits for the next connection.
func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatedConn{Conn: c, ctx: l.ctx, places: l.places, once: true}, nil
}
