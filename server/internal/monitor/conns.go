package monitor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/admission"
)

// This file bounds what the clients of a port can hold: how many connections there are, and for how
// long a write may make no progress.

// webConn is a connection to the monitoring or the profiling port.
type webConn struct {
	net.Conn
	entry *admission.Entry[*webConn]
	piece int // how many bytes are written next at once; owned by who writes

	// Atomic. Times are whole ones, with the monotonic clock: the system clock may be set.
	until   atomic.Pointer[time.Time] // when the answer must have been written, as net/http set it; nil = any time
	moved   atomic.Pointer[time.Time] // when the last write was done; nil = never
	closing atomic.Bool               // it is being closed, and nothing is written any more
}

// webProgress is how long a write may make no progress.
const webProgress = 10 * time.Second

// An answer is written in pieces of webPiece bytes, each of which has a deadline and must make progress;
// of up to webMostPiece where the client takes one within webQuick. Each is a system call.
const (
	webPiece     = 16 << 10
	webMostPiece = 64 << 10
	webQuick     = time.Millisecond
)

// Write writes in pieces, each of which must make progress.
func (c *webConn) Write(b []byte) (total int, err error) {
	for len(b) > 0 {
		piece := b[:min(len(b), max(c.piece, webPiece))]
		begin := time.Now()
		c.Conn.SetWriteDeadline(c.deadline())
		if c.closing.Load() { // close has set a deadline before
			return total, net.ErrClosed
		}
		n, err := c.Conn.Write(piece)
		now := time.Now()
		c.moved.Store(&now)
		if now.Sub(begin) < webQuick {
			c.piece = min(max(c.piece, 2*len(piece)), webMostPiece)
		} else {
			c.piece = webPiece
		}
		total += n
		if err != nil && (n < webPiece || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return total, err
		}
		b = b[n:]
	}
	return total, nil
}

// deadline returns when the next piece must have been written.
func (c *webConn) deadline() time.Time {
	end := time.Now().Add(webProgress)
	if until := c.until.Load(); until != nil && until.Before(end) {
		return *until
	}
	return end
}

// SetWriteDeadline sets when the whole answer must have been written.
func (c *webConn) SetWriteDeadline(t time.Time) error {
	until := &t
	if t.IsZero() {
		until = nil
	}
	c.until.Store(until)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *webConn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// CloseWrite ends the writing, so that the peer can read an answer before its unread request makes
// the system reset the connection.
func (c *webConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the connection. Any goroutine may call it.
func (c *webConn) Close() error {
	c.entry.Remove()
	return c.Conn.Close()
}

// evict closes the connection at once, whatever is under way.
func (c *webConn) evict() {
	c.closing.Store(true)
	c.Close()
}

// webListener bounds the number of open connections: where one more comes, another one is closed.
type webListener struct {
	net.Listener
	max   int
	conns *admission.Evictor[*webConn]
	log   Log
}

// Accept waits for the next connection. After an error other than [net.ErrClosed] it may be called
// again.
func (l *webListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if errors.Is(err, net.ErrClosed) {
		return nil, err
	}
	if err != nil {
		l.log.Errorf("Temporary Monitoring Accept Error (%v)", err)
		return nil, acceptError{err}
	}
	for l.conns.Len() >= l.max {
		victim, ok := l.conns.Evict()
		if !ok {
			break
		}
		victim.evict()
	}
	c := &webConn{Conn: nc}
	c.entry = l.conns.Add(admission.SourceOf(nc.RemoteAddr()), c)
	return c, nil
}

// acceptError is an error of Accept after which an HTTP server pauses and goes on. It ends for errors
// that do not say so themselves, such as a lack of memory, which pass as well.
type acceptError struct{ error }

// Temporary and Timeout are what [net.Error] asks for.
func (acceptError) Temporary() bool { return true }
func (acceptError) Timeout() bool   { return false }

// Unwrap returns the error of the operating system.
func (e acceptError) Unwrap() error { return e.error }

// webConnOf returns the connection below what secures it, nil if it is not of a webListener.
func webConnOf(nc net.Conn) *webConn {
	for {
		switch c := nc.(type) {
		case *webConn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

// webConnKey is the key of the connection in the context of its requests.
type webConnKey struct{}

// withConn notes the connection in the context of its requests.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, webConnKey{}, webConnOf(nc))
}

// connOf returns the connection of a request, nil if another program's port serves it.
func connOf(r *http.Request) *webConn {
	c, _ := r.Context().Value(webConnKey{}).(*webConn)
	return c
}

// sourceOf returns where a request comes from.
func sourceOf(r *http.Request) admission.Source {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return admission.Source{} // a Unix socket
	}
	return admission.SourceOf(net.TCPAddrFromAddrPort(peer))
}

// connState ranks a connection by what it does: the first to go are those without a request, then
// those that send one, and last those whose request is being answered.
func connState(nc net.Conn, state http.ConnState) {
	c := webConnOf(nc)
	if c == nil {
		return
	}
	switch state {
	case http.StateActive:
		c.entry.Rank(admission.Partial)
	case http.StateIdle:
		c.entry.Rank(admission.Idle)
	}
}

// serving calls serve with the connection ranked as one whose request is being answered.
func serving(serve http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := connOf(r); c != nil {
			c.entry.Rank(admission.Waiting)
		}
		serve.ServeHTTP(w, r)
	})
}
