package server

import (
	"context"
	"crypto/tls"
	"net"

	"gnatsd/server/internal/access"
)

// This file decides about the credentials that a server shows when it dials us,
// and about those it has shown when a reload changes what is asked for.

// awaitCredentials begins the time in which a server that dialed us must show
// who it is, if routes are asked for that.
func (r *route) awaitCredentials() {
	k := r.srv.cluster
	for {
		rules := k.rules.Load()
		r.mustAuth = rules.auth.Required()
		if !r.mustAuth {
			r.admit(nil)
		}
		if k.rules.Load() == rules {
			break // or else a reload may have missed us
		}
	}
	if r.mustAuth {
		r.locked, r.readLimit = true, smallChunk
		r.setLimit(seconds(r.srv.options().Cluster.AuthTimeout), closeAuthTimeout)
	}
}

// admit notes for what credentials the route may stay.
func (r *route) admit(shown *ConnectOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.admitted, r.shown = true, shown
}

// authenticate judges a CONNECT.
func (r *route) authenticate(opts *ConnectOptions) closeReason {
	if hook := r.srv.options().CustomRouterAuthentication; hook != nil {
		if !hook.Check(&routeVisitor{r, opts}) {
			return r.unauthorized()
		}
		return keepOpen
	}
	ctx, done := r.abortable()
	defer done()
	for {
		rules := r.srv.cluster.rules.Load()
		if !r.passes(ctx, rules, opts) {
			return r.unauthorized()
		}
		r.admit(opts)
		if r.srv.cluster.rules.Load() == rules {
			return keepOpen // or else a reload came in between
		}
	}
}

// passes reports whether rules admit a server that has shown opts, nil for
// nothing. It waits for bcrypt, however many ask before it, until ctx ends.
func (r *route) passes(ctx context.Context, rules *routeRules, opts *ConnectOptions) bool {
	var given access.Credentials
	if opts != nil {
		given = access.Credentials{User: opts.Username, Password: opts.Password, Token: opts.Authorization}
	}
	id, err := rules.auth.Check(ctx, &given)
	return id != nil && err == nil
}

func (r *route) unauthorized() closeReason {
	r.errorf("authorization error")
	return closeAuthFailure
}

// reauthorize judges a server that dialed us by new rules, on a goroutine of its
// own: that may take a while. One that has yet to come in will meet them anyway.
func (r *route) reauthorize(rules *routeRules) {
	r.mu.Lock()
	admitted, shown := r.admitted, r.shown
	r.mu.Unlock()
	if r.attempt != nil || !admitted {
		return
	}
	r.srv.conns.Add(1)
	go func() { // ends with the check, or with the server, which waits for it
		defer r.srv.conns.Done()
		if !r.passes(r.srv.life, rules, shown) && !r.srv.ended() {
			r.close(r.unauthorized())
		}
	}()
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
