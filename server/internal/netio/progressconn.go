package netio

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// ProgressConn is the socket below TLS. A write of TLS cannot be continued after a timeout, so the
// socket itself decides whether the peer makes progress: a write fails only after nothing was sent, and
// nothing acknowledged, for as long as the limits of the queue say.
type ProgressConn struct {
	net.Conn
	raw   syscall.RawConn            // nil if there is no socket
	queue atomic.Pointer[WriteQueue] // that writes to it; nil during the handshake, which has a deadline
	end   atomic.Pointer[time.Time]  // from when on nothing is waited for; nil while it is open

	noWait bool // reads do not wait; owned by the reader
}

// NewProgressConn returns a ProgressConn that writes to nc.
func NewProgressConn(nc net.Conn) *ProgressConn { return &ProgressConn{Conn: nc, raw: rawOf(nc)} }

// rawOf returns the socket of a connection or a listener, nil if it has none.
func rawOf(c io.Closer) syscall.RawConn {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// Read reads. While it is not to wait, it returns [os.ErrDeadlineExceeded] if there is nothing to
// read: TLS takes that for an error after which it can go on.
func (c *ProgressConn) Read(b []byte) (int, error) {
	if !c.noWait {
		return c.Conn.Read(b)
	}
	switch n, err := readNow(c.raw, b); {
	case err != nil:
		return 0, c.opError("read", err)
	case n > 0:
		return n, nil
	}
	return 0, os.ErrDeadlineExceeded
}

// opError is what package net returns for an error of a system call.
func (c *ProgressConn) opError(call string, err error) error {
	return &net.OpError{Op: call, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, err)}
}

// Write writes b, as long as there is progress. TLS also writes what it answers by itself, such as
// new keys, and does so while the reader reads: that is limited in the same way.
func (c *ProgressConn) Write(b []byte) (total int, err error) {
	q := c.queue.Load()
	if q == nil {
		return c.Conn.Write(b)
	}
	switch n, err := writeNow(c.raw, b); { // mostly the socket takes it, and there is no need to look at its progress
	case err != nil:
		return n, c.opError("write", err)
	case n == len(b):
		return n, nil
	default:
		total = n
	}
	defer c.Conn.SetWriteDeadline(time.Time{}) // the next write begins without one
	w := wait{queue: q, once: !writesResume}
	for {
		queued := unsent(c.raw)
		deadline := w.begin()
		if err := c.Conn.SetWriteDeadline(deadline); err != nil {
			return total, err
		}
		if end := c.end.Load(); end != nil && end.Before(deadline) {
			c.Conn.SetWriteDeadline(*end)
		}
		n, err := c.Conn.Write(b[total:])
		total += n
		if err == nil || !isTimeout(err) {
			return total, err
		}
		if end := c.end.Load(); end != nil && !time.Now().Before(*end) || !w.mayRetry(n > 0 || moved(queued, unsent(c.raw))) {
			return total, err
		}
	}
}

// End says that the connection ends: no write waits for the peer from t on.
func (c *ProgressConn) End(t time.Time) {
	if end := c.end.Load(); end == nil || t.Before(*end) {
		c.end.Store(&t) // first: a write that begins sees it
		c.Conn.SetWriteDeadline(t)
	}
}

// moved reports whether the peer has acknowledged something of what was in the socket.
func moved(before, after int) bool { return 0 <= after && after < before }

// closeNotifyTime is how long TLS may take to say that it ends. The peer may not read.
const closeNotifyTime = time.Second

// SetWriteDeadline is how TLS limits the time of its last record: by five seconds, which is long
// for a server that ends.
func (c *ProgressConn) SetWriteDeadline(t time.Time) error {
	if end := time.Now().Add(closeNotifyTime); t.After(end) {
		t = end
	}
	if !t.IsZero() {
		c.End(t)
	}
	return c.Conn.SetWriteDeadline(t)
}

// NetConn returns the connection below.
func (c *ProgressConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the writing.
func (c *ProgressConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// progressConnOf returns the ProgressConn below nc, nil if there is none.
func progressConnOf(nc net.Conn) *ProgressConn {
	for {
		switch c := nc.(type) {
		case *ProgressConn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}
