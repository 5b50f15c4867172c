package server

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/netio"
)

// This file is the TLS of clients. Depending on the settings a connection begins with INFO and then
// TLS, with TLS and then INFO, or without TLS. Where the settings allow several, the first byte
// that the client sends decides.

// tlsRecordHandshake is the first byte of every TLS connection. No operation of the protocol begins
// with it.
const tlsRecordHandshake = 0x16

// opensTLS reports whether bytes that a client sent first are the beginning of TLS.
func opensTLS(first []byte) bool { return len(first) > 0 && first[0] == tlsRecordHandshake }

// beginsTLS reports whether the handshake comes before INFO, and returns what it read from the
// client to find out.
func (c *client) beginsTLS(p *clientPolicy) (first bool, read []byte) {
	if !p.tlsFirst || p.tlsFallback == 0 {
		return p.tlsFirst, nil
	}
	read = c.firstByte(p.tlsFallback)
	if p.tlsOptional && len(read) > 0 && !opensTLS(read) {
		c.unread(read)
		return false, nil
	}
	return len(read) > 0, read
}

// firstByte waits at most limit for the first byte from the client, and returns it. It returns
// nothing after a timeout or an error; the next read reports the error.
func (c *client) firstByte(limit time.Duration) []byte {
	c.nc.SetReadDeadline(time.Now().Add(limit))
	defer c.resumeReading()
	if c.ended() { // close set its deadline before SetReadDeadline above replaced it
		return nil
	}
	first := make([]byte, 1)
	n, _ := c.nc.Read(first)
	return first[:n]
}

// handshake makes the TLS handshake, for which the client has a pass. read is what was read from
// the client before.
func (c *client) handshake(p *clientPolicy, read []byte, pass *admission.Pass) closeReason {
	err := c.secure("client connection", func(ctx context.Context) (*tls.Conn, error) {
		return c.srv.limiter.Handshake(ctx, &unreadConn{netio.NewProgressConn(c.nc), read}, c.peerOf(pass), p.tls.Accepting(), p.tlsTimeout)
	})
	switch {
	case err == nil:
		return keepOpen
	case c.ended(): // it already has a reason
	case isTimeout(err):
		c.srv.limiter.Failed(c.source())
		c.errorf("TLS handshake timeout")
	default:
		c.srv.limiter.Failed(c.source())
		c.errorf("TLS handshake error: %v", err)
	}
	return closeTLSFailure
}

// unreadConn is a connection whose reads return first before what is on the socket.
type unreadConn struct {
	net.Conn
	first []byte // owned by the reader
}

// NetConn returns the connection below.
func (u *unreadConn) NetConn() net.Conn { return u.Conn }

func (u *unreadConn) Read(b []byte) (int, error) {
	if len(u.first) == 0 {
		return u.Conn.Read(b)
	}
	n := copy(b, u.first)
	u.first = u.first[n:]
	return n, nil
}
