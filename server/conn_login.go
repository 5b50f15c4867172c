package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"reflect"
	"slices"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
)

// This file is the login of clients and of accepted routes: it waits for CONNECT, checks the
// credentials, binds the connection to an identity, and checks it again when a reload changes who
// may connect.

// policy decides who may connect to a port, and has its certificates: it is compiled from the
// settings that clients and routes have in common. It does not change; a reload replaces it.
type policy struct {
	auth        *access.Policy
	hook        *hookRef         // an embedder's, which decides if auth says so
	authTimeout time.Duration    // for CONNECT, after INFO and TLS
	tls         *tlsfiles.Holder // nil without TLS
	tlsFiles    *TLSConfigOpts   // nil if a program made the TLS configuration
	warnings    []access.Warning // for the log at start

	stopWatch context.CancelFunc // nil until the server runs; guarded by the reload lock
}

// authenticator is what the login needs of a role.
type authenticator interface {
	// policy returns the policy in force.
	policy() *policy
	// credentials returns those in opts, which may be nil, in TLS and in the nonce.
	credentials(opts *ConnectOptions) *access.Credentials
	// bound is called after the connection was bound to an identity. It calls reply with protocol
	// lines for the peer.
	bound(id *access.Identity, reply func(text string))
	// logRefused logs a failed login.
	logRefused(opts *ConnectOptions)
}

// auth returns the login of the role of the connection, which has one.
func (c *conn) auth() authenticator { return c.ops.(authenticator) }

// awaitCredentials starts the timer for CONNECT if the policy requires credentials. Until the login
// the peer gets a small read buffer, and only CONNECT is accepted. Any result but keepOpen closes the
// connection.
func (c *conn) awaitCredentials() closeReason {
	for {
		p := c.auth().policy()
		c.unauthenticated = p.auth.Required()
		id := p.auth.Open()
		c.mu.Lock()
		u, fits := c.bindUserLocked(id, true)
		c.login = id
		c.mu.Unlock()
		if !fits {
			c.logTooMany(u)
			return closeUserConnections
		}
		if c.auth().policy() == p {
			break // else a reload may have missed this connection
		}
	}
	if c.unauthenticated {
		c.readLimit = netio.SmallSize
		c.startStepTimer(c.auth().policy().authTimeout, closeAuthTimeout)
	}
	return keepOpen
}

// beforeLogin checks the first byte of an operation of an unauthenticated peer. Only CONNECT is
// accepted.
func (c *conn) beforeLogin(first byte) closeReason {
	if first == 'C' || first == 'c' {
		return keepOpen
	}
	c.errorf("authorization error")
	return closeAuthFailure
}

// logIn decides whether a peer that sent opts may connect, and binds the connection to its
// identity. It may wait for bcrypt, until the connection is closed.
func (c *conn) logIn(opts *ConnectOptions, b *batch) closeReason {
	c.stopStepTimer()
	for {
		p, before := c.auth().policy(), c.currentIdentity()
		id, err := c.check(p, opts, b)
		if err != nil {
			return closeAuthFailure // has no effect: the connection was closed for another reason
		}
		if id == nil {
			c.srv.limiter.Failed(c.source())
			c.auth().logRefused(opts)
			return closeAuthFailure
		}
		same, fits := c.bind(before, id, opts, b.reply, true)
		if !fits {
			return closeUserConnections
		}
		if same && c.auth().policy() == p {
			break // else a reload replaced the policy or the identity: check again
		}
	}
	c.unauthenticated, c.readLimit = false, netio.ReadSize
	return keepOpen
}

// check returns the identity for the credentials in opts, nil to reject the peer. The error says
// that the connection was closed meanwhile.
func (c *conn) check(p *policy, opts *ConnectOptions, b *batch) (*access.Identity, error) {
	if id := p.auth.Open(); id != nil {
		return id, nil
	}
	b.flush() // the check may take long
	c.rank(c.srv.limiter.WaitingRank(c.source()))
	defer c.rank(admission.Partial)
	if p.auth.Hook() {
		return c.askHook(p.hook, opts), nil
	}
	ctx, done := c.abortableByReset()
	defer done()
	return p.auth.Check(ctx, c.shown(opts))
}

// shown returns the credentials that the peer has shown.
func (c *conn) shown(opts *ConnectOptions) *access.Credentials {
	credentials := c.auth().credentials(opts)
	credentials.From = c.source()
	return credentials
}

// bind binds the connection to an identity, if it is still bound to before, and reports whether it
// was. opts, which only the reader may replace, are stored with it unless they are nil. With admit,
// fits reports whether the user may have one more connection: if not, nothing is bound.
func (c *conn) bind(before, id *access.Identity, opts *ConnectOptions, reply func(text string), admit bool) (same, fits bool) {
	u, same, fits := c.bindTo(before, id, opts, admit)
	switch {
	case !fits:
		c.logTooMany(u)
	case same:
		c.auth().bound(id, reply)
	}
	return same, fits
}

// bindTo is bind, without what follows from it. u is the user, if it has limits.
func (c *conn) bindTo(before, id *access.Identity, opts *ConnectOptions, admit bool) (u *userUsage, same, fits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.login != before {
		return nil, false, true
	}
	if opts != nil {
		c.opts = opts
	}
	if u, fits = c.bindUserLocked(id, admit); fits {
		c.login = id
	}
	return u, true, fits
}

// revalidate checks the identity of a connection by a new policy. It runs on the goroutine of the
// reload; a check that takes long, or the embedder's hook, continues on another. It skips connections
// that are not logged in yet, which are checked at login.
func (c *conn) revalidate(p *policy) {
	c.mu.Lock()
	id, opts := c.login, c.opts
	c.mu.Unlock()
	if id == nil {
		return
	}
	credentials := c.shown(opts)
	check := func() (*access.Identity, error) { return p.auth.Check(c.srv.ctx, credentials) }
	if p.auth.Hook() {
		check = func() (*access.Identity, error) { return c.askHook(p.hook, opts), nil }
	} else if next, certain := p.auth.Revalidate(id, credentials); certain {
		c.rebind(p, id, next, opts)
		return
	}
	c.srv.conns.Add(1)
	go func() { // ends with the check, or when the server stops; Shutdown waits for it
		defer c.srv.conns.Done()
		if next, err := check(); err == nil {
			c.rebind(p, id, next, opts)
			c.srv.closeExcess()
		}
	}()
}

// rebind replaces the identity id by next, or closes the connection if next is nil. It does nothing
// if the identity or the policy has changed since.
func (c *conn) rebind(p *policy, id, next *access.Identity, opts *ConnectOptions) {
	switch {
	case c.currentIdentity() != id || !c.auth().policy().decidesAs(p):
	case next == nil || next.System != id.System: // its subscriptions are in the other table
		c.auth().logRefused(opts)
		c.close(closeAuthFailure)
	default:
		c.bind(id, next, nil, c.send, false)
	}
}

// currentIdentity returns the identity that the connection is bound to, nil before its login.
func (c *conn) currentIdentity() *access.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login
}

// connectOptions returns the options of the last CONNECT.
func (c *conn) connectOptions() *ConnectOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts
}

// policyReplaced is called when a reload has replaced a policy. It watches the certificate files of
// the new one, logs its new warnings, and revalidates conns if the credentials have changed.
func (s *Server) policyReplaced(before, now *policy, watch func(), conns []*conn) {
	if before.stopWatch != nil {
		before.stopWatch()
		watch()
	}
	for _, w := range now.warnings {
		known := func(b access.Warning) bool { return b.Text == w.Text }
		if !slices.ContainsFunc(before.warnings, known) {
			s.Warnf("%s", w.String())
		}
	}
	if now.decidesAs(before) {
		return
	}
	for _, c := range conns {
		c.revalidate(now)
	}
	s.closeExcess()
}

// watch starts to watch the certificate files of a policy, until it is replaced or the server
// stops.
func (s *Server) watch(p *policy, holders ...*tlsfiles.Holder) {
	ctx, cancel := context.WithCancel(s.ctx)
	p.stopWatch = cancel
	s.watchCerts(ctx, p.tlsFiles, holders...)
}

// hookView is a connection as an embedder's [Authentication] sees it.
type hookView struct {
	c        *conn
	opts     *ConnectOptions
	identity *access.Identity
	invalid  bool // the hook set permissions or limits that are invalid
}

// askHook calls an embedder's hook. It returns the identity that the hook set, nil if the hook rejects
// the connection.
func (c *conn) askHook(hook *hookRef, opts *ConnectOptions) *access.Identity {
	v := &hookView{c: c, opts: cmp.Or(opts, &ConnectOptions{}), identity: &access.Identity{}}
	if !hook.Check(v) || v.invalid {
		return nil
	}
	return v.identity
}

// hookRef is a hook that a program has set once: hooks that cannot be compared are the same if their
// references are.
type hookRef struct{ Authentication }

// newHookRef returns a reference to a hook, nil for nil.
func newHookRef(hook Authentication) *hookRef {
	if hook == nil {
		return nil
	}
	return &hookRef{hook}
}

// sameHook reports whether two hooks, of which each may be nil, are the same.
func sameHook(a, b *hookRef) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	return reflect.ValueOf(a.Authentication).Comparable() && reflect.ValueOf(b.Authentication).Comparable() && a.Authentication == b.Authentication
}

// decidesAs reports whether two policies let the same peers in.
func (p *policy) decidesAs(q *policy) bool {
	return p.auth == q.auth || p.hook != nil && sameHook(p.hook, q.hook)
}

// GetOpts implements ClientAuthentication.
func (v *hookView) GetOpts() *ConnectOptions { return v.opts }

// GetTLSConnectionState implements ClientAuthentication.
func (v *hookView) GetTLSConnectionState() *tls.ConnectionState {
	if v.c.tls == nil {
		return nil
	}
	state := v.c.tls.ConnectionState()
	return &state
}

// RegisterUser implements ClientAuthentication. It has no effect on routes.
func (v *hookView) RegisterUser(u *User) {
	p, err := access.Compile(u.Permissions.rules())
	if err != nil {
		v.c.errorf("permissions of user %q: %v", u.Username, err)
		v.invalid = true
		return
	}
	if err := u.Limits.check(); err != nil {
		v.c.errorf("limits of user %q: %v", u.Username, err)
		v.invalid = true
		return
	}
	v.identity = &access.Identity{Name: u.Username, Permissions: p, Limits: u.Limits.limits(v.c.srv.options().defaultLimits)}
}

// RemoteAddress implements ClientAuthentication.
func (v *hookView) RemoteAddress() net.Addr { return v.c.nc.RemoteAddr() }
