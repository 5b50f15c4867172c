package server

import (
	"context"
	"crypto/tls"
	"net"
)

// Routes begin with the TLS handshake, if there is one: nothing is said before.
// The server that dialed is the client, and both show certificates.

// wrapRoute puts TLS around the connection of a route, if routes use it. addr is
// what was dialed, "" if the peer did. The handshake is still to be made.
func (k *cluster) wrapRoute(nc net.Conn, addr string) net.Conn {
	holder := k.rules.Load().tls
	switch {
	case holder == nil:
		return nc
	case addr == "":
		return tls.Server(&gatedConn{Conn: nc, places: k.srv.handshakes}, holder.accepting())
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return tls.Client(nc, holder.dialing(host))
}

// handshake makes the TLS handshake, if there is one to be made. It reports
// false, and the route is ending, if that failed.
func (r *route) handshake() bool {
	tc, ok := r.link.conn().(*tls.Conn)
	if !ok {
		return true
	}
	side := "client"
	if r.attempt == nil {
		side = "server"
	}
	r.debugf("Starting TLS route %s handshake", side)
	if err := r.shake(tc); err != nil {
		if !r.ended() {
			r.errorf("TLS route handshake error: %v", err)
			r.fail("TLS route handshake error: " + err.Error())
		}
		r.close(closeTLSFailure)
		return false
	}
	state := tc.ConnectionState()
	r.secured(state)
	r.debugf("TLS handshake complete")
	r.debugf("TLS version %s, cipher suite %s", tlsVersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
	return true
}

// shake makes the handshake as the side that it is. Who accepts waits for a
// place first, and that does not count.
func (r *route) shake(tc *tls.Conn) error {
	ctx, done := r.abortable()
	defer done()
	timeout := seconds(r.srv.options().Cluster.TLSTimeout)
	if g, ok := tc.NetConn().(*gatedConn); ok {
		return g.shake(ctx, tc, timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return tc.HandshakeContext(ctx)
}
