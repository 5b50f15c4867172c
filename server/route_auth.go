package server

import (
	"context"
	"crypto/tls"
	"net"
)

// This file decides about the credentials that a server shows when it dials us.

// authenticate judges a CONNECT.
func (r *route) authenticate(opts *ConnectOptions) closeReason {
	if hook := r.srv.options().CustomRouterAuthentication; hook != nil {
		if !hook.Check(&routeVisitor{r, opts}) {
			return r.unauthorized()
		}
		return goOn
	}
	ctx, cancel := context.WithTimeout(context.Background(), seconds(r.srv.options().Cluster.AuthTimeout))
	defer cancel()
	given := credentials{user: opts.Username, pass: opts.Password, token: opts.Authorization}
	if r.srv.cluster.auth.check(ctx, &given).account == nil {
		return r.unauthorized()
	}
	return goOn
}

func (r *route) unauthorized() closeReason {
	r.errorf("authorization error")
	return endAuthFailure
}

// routeVisitor is a route as an embedder's [Authentication] sees it.
type routeVisitor struct {
	r    *route
	opts *ConnectOptions
}

func (v *routeVisitor) GetOpts() *ConnectOptions { return v.opts }

func (v *routeVisitor) GetTLSConnectionState() *tls.ConnectionState {
	tc, ok := v.r.link.conn().(*tls.Conn)
	if !ok {
		return nil
	}
	state := tc.ConnectionState()
	return &state
}

// RegisterUser has no meaning for routes.
func (v *routeVisitor) RegisterUser(*User) {}

func (v *routeVisitor) RemoteAddress() net.Addr { return v.r.link.conn().RemoteAddr() }
