package server

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// The server's side of TLS handshakes. What costs is the arithmetic between the
// peer's first message and our answer: only for that is a place needed. A peer
// that sends nothing, or stops in the middle, keeps nobody waiting.

// sparePlaces is how many pieces of long arithmetic may run at a time so that
// one processor stays free for messages. With bcrypt on both of two, the median
// round trip of a message rose from 0.03 ms to 28 ms; with it on one, to 0.03.
func sparePlaces() int { return max(runtime.GOMAXPROCS(0)-1, 1) }

// gatedConn is a connection in a handshake. When the peer's first message is
// there, it waits for a place; it leaves it with the first byte of the answer.
type gatedConn struct {
	net.Conn
	places *admission
	inside atomic.Bool // has a place

	// owned by the handshake
	deadline time.Time // zero: it has none that this knows of
	waited   time.Duration
}

// serveTLS makes the handshake on conn, which takes at most timeout, not counting
// the time spent waiting for a place, which it returns. config comes from
// [tlsHolder.accepting]. ctx ends it early. The deadline of the connection
// returned is none; after an error conn is closed.
func serveTLS(ctx context.Context, conn net.Conn, config *tls.Config, places *admission, timeout time.Duration) (*tls.Conn, time.Duration, error) {
	g := &gatedConn{Conn: conn, places: places}
	c := tls.Server(g, config)
	if err := g.shake(ctx, c, timeout); err != nil {
		conn.Close()
		return nil, g.waited, err
	}
	return c, g.waited, nil
}

// shake makes the handshake of c, which is around g.
func (g *gatedConn) shake(ctx context.Context, c *tls.Conn, timeout time.Duration) error {
	defer g.leave()
	g.deadline = time.Now().Add(timeout)
	if err := g.SetDeadline(g.deadline); err != nil {
		return err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	return g.SetDeadline(time.Time{})
}

// enter waits for a place and moves the deadline by the time that took.
func (g *gatedConn) enter(ctx context.Context) error {
	waited, err := g.places.enter(ctx)
	g.waited += waited
	if err != nil {
		return err
	}
	g.inside.Store(true)
	if g.deadline.IsZero() {
		return nil
	}
	g.deadline = g.deadline.Add(waited)
	return g.SetDeadline(g.deadline)
}

// Close leaves the place and closes.
func (g *gatedConn) Close() error {
	g.leave()
	return g.Conn.Close()
}

// leave gives up the place, if there is one.
func (g *gatedConn) leave() {
	if g.inside.Load() && g.inside.CompareAndSwap(true, false) {
		g.places.leave()
	}
}

// Write leaves the place and writes.
func (g *gatedConn) Write(b []byte) (int, error) {
	g.leave()
	return g.Conn.Write(b)
}

// gatedListener makes those it accepts wait for a place in their handshakes,
// which others make: the HTTP server.
type gatedListener struct {
	net.Listener
	places *admission
}

// Accept waits for the next connection.
func (l *gatedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatedConn{Conn: c, places: l.places}, nil
}
