package server

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
)

// This file is the login of clients and of routes that were accepted: waiting for credentials,
// checking them, binding the connection to the identity they prove, and doing so again when a
// reload changes who may connect.

// policy is who may connect to one port, and with which certificates: the part of the options that
// clients and routes have in common and that is compiled before it is used. It does not change; a
// reload makes another.
type policy struct {
	auth        *access.Policy
	authTimeout time.Duration    // for CONNECT, once INFO and TLS are done
	tls         *tlsfiles.Holder // nil without TLS
	tlsFiles    *TLSConfigOpts   // nil if a program made the configuration
	warnings    []string         // for the log at start

	stopWatch context.CancelFunc // nil until the server runs; guarded by the reload lock
}

// authenticator is what the login needs of a role.
type authenticator interface {
	// policy returns the one in force.
	policy() *policy
	// credentials are what the peer has shown in opts, nil for nothing, and otherwise.
	credentials(opts *ConnectOptions) *access.Credentials
	// askHook lets the embedder decide. It returns nil to refuse the connection.
	askHook(opts *ConnectOptions) *access.Identity
	// bound is called when the connection has got an identity. Texts for the peer go to reply.
	bound(id *access.Identity, reply func(text string))
	// logRefused logs a login that failed.
	logRefused(opts *ConnectOptions)
}

// awaitCredentials begins the time in which a peer must log in, if it has to. Before that it may
// cost little: one small buffer, the bytes of one control line and no other operation than CONNECT.
func (c *conn) awaitCredentials() {
	for {
		p := c.auth.policy()
		c.locked = p.auth.Required()
		c.mu.Lock()
		c.login = p.auth.Open()
		c.mu.Unlock()
		if c.auth.policy() == p {
			break // else a reload may have missed this connection
		}
	}
	if c.locked {
		c.readLimit = netio.SmallSize
		c.setLimit(c.auth.policy().authTimeout, closeAuthTimeout)
	}
}

// beforeLogin checks the first byte of an operation of a peer that has not logged in. Only CONNECT
// is accepted.
func (c *conn) beforeLogin(first byte) closeReason {
	if first == 'C' || first == 'c' {
		return keepOpen
	}
	c.errorf("authorization error")
	return closeAuthFailure
}

// logIn decides whether a peer that sent opts may connect, and binds the connection to its identity.
// It waits for bcrypt, but not for longer than the connection lives.
func (c *conn) logIn(opts *ConnectOptions, b *batch) closeReason {
	c.endLimit()
	for {
		p, before := c.auth.policy(), c.currentIdentity()
		id, err := c.check(p, opts, b)
		if err != nil {
			return closeAuthFailure // it was closed meanwhile, and that reason counts
		}
		if id == nil {
			c.auth.logRefused(opts)
			return closeAuthFailure
		}
		if c.bind(before, id, opts, b.reply) && c.auth.policy() == p {
			break // else a reload came in between, and knows better
		}
	}
	c.locked, c.readLimit = false, netio.ReadSize
	return keepOpen
}

// check returns the identity that opts prove, nil for none.
func (c *conn) check(p *policy, opts *ConnectOptions, b *batch) (*access.Identity, error) {
	if id := p.auth.Open(); id != nil {
		return id, nil
	}
	b.flush() // the answer may take a while
	if p.auth.Hook() {
		return c.auth.askHook(opts), nil
	}
	ctx, done := c.abortable()
	defer done()
	return p.auth.Check(ctx, c.auth.credentials(opts))
}

// bind gives the connection an identity in the place of before, unless it has another one by now.
// opts are what the peer showed; nil keeps those that there are, which only the reader may replace.
func (c *conn) bind(before, id *access.Identity, opts *ConnectOptions, reply func(text string)) bool {
	c.mu.Lock()
	same := c.login == before
	if same {
		c.login = id
		if opts != nil {
			c.opts = opts
		}
	}
	c.mu.Unlock()
	if same {
		c.auth.bound(id, reply)
	}
	return same
}

// revalidate checks the identity of a connection by the policy of a reload, on whose goroutine it
// runs; a check that takes long goes on behind it. A peer that has yet to log in will meet the
// policy then, and only the embedder knows about those that its hook decides.
func (c *conn) revalidate(p *policy) {
	c.mu.Lock()
	id, opts := c.login, c.opts
	c.mu.Unlock()
	if id == nil || p.auth.Hook() {
		return
	}
	shown := c.auth.credentials(opts)
	next, certain := p.auth.Revalidate(id, shown)
	if certain {
		c.rebind(p, id, next, opts)
		return
	}
	c.srv.conns.Add(1)
	go func() { // ends with the check, or when the server does, which waits for it
		defer c.srv.conns.Done()
		if next, err := p.auth.Check(c.srv.life, shown); err == nil {
			c.rebind(p, id, next, opts)
		}
	}()
}

// rebind puts next in the place of id, nil if the peer is refused, unless it has shown other
// credentials than those in opts meanwhile.
func (c *conn) rebind(p *policy, id, next *access.Identity, opts *ConnectOptions) {
	switch {
	case c.currentIdentity() != id || c.auth.policy() != p:
	case next == nil:
		c.auth.logRefused(opts)
		c.close(closeAuthFailure)
	default:
		c.bind(id, next, nil, c.send)
	}
}

// currentIdentity is what the connection is bound to, nil before its login.
func (c *conn) currentIdentity() *access.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login
}

// connectOptions are what the peer said in CONNECT.
func (c *conn) connectOptions() *ConnectOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts
}

// replaced finishes the replacement of a policy at a reload: the certificate files of the new one
// are watched, and connections are checked again if it is not the same who may connect.
func (s *Server) replaced(before, now *policy, watch func(), conns []*conn) {
	if before.stopWatch != nil {
		before.stopWatch()
		watch()
	}
	for _, w := range now.warnings {
		if !slices.Contains(before.warnings, w) {
			s.Warnf("%s", w)
		}
	}
	if now.auth == before.auth {
		return
	}
	for _, c := range conns {
		c.revalidate(now)
	}
}

// watch watches the certificate files of a policy until it is replaced or the server ends.
func (s *Server) watch(p *policy, holders ...*tlsfiles.Holder) {
	ctx, cancel := context.WithCancel(s.life)
	p.stopWatch = cancel
	s.watchCerts(ctx, p.tlsFiles, holders...)
}

// hookView is a connection as an embedder's [Authentication] sees it.
type hookView struct {
	c        *conn
	opts     *ConnectOptions
	identity *access.Identity
	broken   bool // permissions that cannot be compiled
}

// ask returns what the hook makes of the connection, nil if it refuses it.
func (v *hookView) ask(hook Authentication) *access.Identity {
	v.identity = &access.Identity{}
	if !hook.Check(v) || v.broken {
		return nil
	}
	return v.identity
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

// RegisterUser implements ClientAuthentication. It has no meaning for routes.
func (v *hookView) RegisterUser(u *User) {
	p, err := access.Compile(u.Permissions.rules())
	if err != nil {
		v.c.errorf("permissions of user %q: %v", u.Username, err)
		v.broken = true
		return
	}
	v.identity = &access.Identity{Name: u.Username, Permissions: p}
}

// RemoteAddress implements ClientAuthentication.
func (v *hookView) RemoteAddress() net.Addr { return v.c.nc.RemoteAddr() }
