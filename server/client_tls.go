package server

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// This file is the TLS of clients. Where the settings leave it to them they begin in one of three
// ways: INFO and then TLS, TLS and then INFO, or no TLS at all. The first byte says which.

// tlsRecordHandshake is the first byte of every TLS connection. No operation of the protocol
// begins with it.
const tlsRecordHandshake = 0x16

// opensTLS reports whether a client that begins with first wants TLS.
func opensTLS(first []byte) bool { return len(first) > 0 && first[0] == tlsRecordHandshake }

// beginsTLS reports whether TLS comes before INFO, and returns what was read of the client to
// find out.
func (c *client) beginsTLS(g *clientPolicy) (first bool, read []byte) {
	if !g.tlsFirst || g.tlsFallback == 0 {
		return g.tlsFirst, nil
	}
	read = c.firstByte(g.tlsFallback)
	if g.tlsOptional && len(read) > 0 && !opensTLS(read) {
		c.unread(read)
		return false, nil
	}
	return len(read) > 0, read
}

// firstByte waits for the first byte of the client, at most for limit. It returns none if none
// came, whatever the reason: the next read will return it.
func (c *client) firstByte(limit time.Duration) []byte {
	c.nc.SetReadDeadline(time.Now().Add(limit))
	defer c.resumeReading()
	if c.ended() { // its deadline, which wakes the reader, came before ours
		return nil
	}
	first := make([]byte, 1)
	n, _ := c.nc.Read(first)
	return first[:n]
}

// handshake makes the TLS handshake. read is what was read of the client before.
func (c *client) handshake(g *clientPolicy, read []byte) closeReason {
	err := c.secure("client connection", func(ctx context.Context) (*tls.Conn, error) {
		return c.srv.limiter.Handshake(ctx, &unreadConn{c.nc, read}, g.tls.Accepting(), g.tlsTimeout)
	})
	switch {
	case err == nil:
		return keepOpen
	case c.ended(): // the reason it was closed for counts
	case isTimeout(err):
		c.errorf("TLS handshake timeout")
	default:
		c.errorf("TLS handshake error: %v", err)
	}
	return closeTLSFailure
}

// unreadConn is a connection that returns first before anything else.
type unreadConn struct {
	net.Conn
	first []byte // owned by the reader
}

func (u *unreadConn) Read(b []byte) (int, error) {
	if len(u.first) == 0 {
		return u.Conn.Read(b)
	}
	n := copy(b, u.first)
	u.first = u.first[n:]
	return n, nil
}
