package server

import (
	"context"
	"crypto/tls"
	"net"

	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
)

// This file is the TLS of routes. The handshake precedes everything else. The server that dialed is
// the TLS client; both sides need certificates.

// handshake makes the TLS handshake, if routes use TLS. If it fails it closes the route and reports
// false.
func (r *route) handshake() bool {
	holder := r.srv.cluster.policy.Load().tls
	if holder == nil {
		return true
	}
	peer, handshake := "route server", r.acceptTLS
	if r.attempt != nil {
		peer, handshake = "route client", r.dialTLS
	}
	err := r.secure(peer, func(ctx context.Context) (*tls.Conn, error) { return handshake(ctx, holder) })
	if err != nil {
		if !r.ended() {
			r.errorf("TLS route handshake error: %v", err)
			r.setCause("TLS route handshake error: " + err.Error())
		}
		r.close(closeTLSFailure)
		return false
	}
	r.socket = r.link
	return true
}

// acceptTLS makes the handshake of an accepted route.
func (r *route) acceptTLS(ctx context.Context, holder *tlsfiles.Holder) (*tls.Conn, error) {
	return r.srv.limiter.Handshake(ctx, netio.NewProgressConn(r.nc), r.peerOf(nil), holder.Accepting(), seconds(r.srv.options().Cluster.TLSTimeout))
}

// dialTLS makes the handshake of a dialed route.
func (r *route) dialTLS(ctx context.Context, holder *tlsfiles.Holder) (*tls.Conn, error) {
	host, _, err := net.SplitHostPort(r.attempt.Addr)
	if err != nil {
		host = r.attempt.Addr
	}
	ctx, cancel := context.WithTimeout(ctx, seconds(r.srv.options().Cluster.TLSTimeout))
	defer cancel()
	tc := tls.Client(netio.NewProgressConn(r.nc), holder.Dialing(host, r.attempt.Names...))
	return tc, tc.HandshakeContext(ctx)
}
