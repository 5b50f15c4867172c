package server

import (
	"context"
	"crypto/tls"
	"time"

	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
)

// secure makes the TLS handshake by calling handshake, and makes the connection use TLS from then
// on. Until the handshake is complete nothing else is written: a connection that is closed before
// sends no -ERR. The log names the handshake by peer.
func (c *conn) secure(peer string, handshake func(ctx context.Context) (*tls.Conn, error)) error {
	c.omitErr = true
	c.debugf("Starting TLS %s handshake", peer)
	ctx, done := c.abortableByReset() // it may wait for a slot
	defer done()
	tc, err := handshake(ctx)
	if err != nil {
		return err
	}
	c.omitErr = false
	c.link = netio.NewLink(tc, &c.srv.io)
	c.out.SetLink(c.link)
	state := tc.ConnectionState()
	c.mu.Lock()
	c.tls, c.tlsVersion, c.tlsCipher = tc, state.Version, state.CipherSuite
	c.mu.Unlock()
	c.debugf("TLS handshake complete")
	c.debugf("TLS version %s, cipher suite %s", tlsfiles.VersionName(state.Version), tlsfiles.CipherName(state.CipherSuite))
	return nil
}

// peerOf returns the peer in its handshake, for which it may need a pass.
func (c *conn) peerOf(pass *admission.Pass) admission.Peer {
	gone := func() bool { return netio.PeerStateOf(c.nc) == netio.PeerReset }
	return admission.Peer{From: c.source(), Rank: c.rank, Pass: pass, Gone: gone}
}

// writeClear writes text without TLS, and waits until it is written, or the connection is closed:
// the handshake replaces the link next.
func (c *conn) writeClear(text string) error {
	ctx, done := c.abortable()
	defer done()
	c.nc.SetWriteDeadline(time.Now().Add(c.srv.options().WriteDeadline))
	stop := context.AfterFunc(ctx, func() { c.nc.SetWriteDeadline(aLongTimeAgo) })
	_, err := c.nc.Write([]byte(text))
	if stop() {
		c.nc.SetWriteDeadline(time.Time{})
	}
	return err
}

// resumeReading clears the read deadline, unless the connection is closing: then the deadline must
// wake the reader.
func (c *conn) resumeReading() {
	c.nc.SetReadDeadline(time.Time{})
	if c.ended() {
		c.nc.SetReadDeadline(aLongTimeAgo)
	}
}

// unread puts bytes that were read back in front of the next read.
func (c *conn) unread(read []byte) {
	if len(read) > 0 {
		n := copy(c.in.Space(netio.SmallSize), read)
		c.in.Filled(n)
	}
}
