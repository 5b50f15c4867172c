package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"gnatsd/server/internal/access"
)

// This file is the way in for clients: INFO, TLS, CONNECT, and what becomes of
// them when the rules change.

// greet says INFO and makes the TLS handshake, in the order that the settings
// ask for. refused is why the client cannot stay, if it cannot: it is told
// after INFO and before TLS, but never in clear where TLS comes first.
func (c *client) greet(refused closeReason) closeReason {
	g := c.srv.guard.Load()
	if g.tls == nil {
		c.send(c.srv.infoFor(c))
		return refused
	}
	tlsFirst, begun := c.beginsTLS(g)
	if !tlsFirst {
		if err := c.writeClear(c.srv.infoFor(c)); err != nil {
			return closeWriteError
		}
	}
	if refused != keepOpen {
		c.mute = tlsFirst
		return refused
	}
	if !tlsFirst && g.tlsOptional {
		if begun = c.firstByte(g.tlsTimeout); !opensTLS(begun) {
			c.unread(begun)
			return keepOpen
		}
	}
	if r := c.handshake(g, begun); r != keepOpen {
		return r
	}
	if tlsFirst {
		c.send(c.srv.infoFor(c))
	}
	return keepOpen
}

// awaitCredentials begins the time in which a client must show who it is.
// Before that it may cost little: one small buffer, the bytes of one control
// line and no other operation than CONNECT.
func (c *client) awaitCredentials() {
	for {
		g := c.srv.guard.Load()
		c.mu.Lock()
		c.locked = g.auth.Required()
		c.login = g.auth.Open()
		c.mu.Unlock()
		if c.srv.guard.Load() == g {
			break // or else a reload may have missed us
		}
	}
	if !c.locked {
		return
	}
	c.readLimit = smallChunk
	c.setLimit(c.srv.guard.Load().authTimeout, closeAuthTimeout)
}

// knock judges the first byte of an operation of a peer that has yet to show
// its credentials. Nothing but a CONNECT is listened to.
func (c *conn) knock(first byte) closeReason {
	if first == 'C' || first == 'c' {
		return keepOpen
	}
	c.errorf("authorization error")
	return closeAuthFailure
}

// authenticate decides whether a client with these options may come in, and as
// whom. It waits for bcrypt, but not for longer than the connection lives.
func (c *client) authenticate(opts *ConnectOptions, b *batch) closeReason {
	for {
		g, before := c.srv.guard.Load(), c.owner()
		id, err := c.admit(g, opts, b)
		if err != nil {
			return closeAuthFailure // it was closed meanwhile, and that reason counts
		}
		if id == nil {
			c.refuseLogin(g, opts)
			return closeAuthFailure
		}
		if c.adopt(before, id, opts, b.reply) && c.srv.guard.Load() == g {
			break // or else a reload came in between, and knows better
		}
	}
	c.locked = false
	c.readLimit = readSize
	return keepOpen
}

// admit asks the guard, or the embedder.
func (c *client) admit(g *guard, opts *ConnectOptions, b *batch) (*access.Identity, error) {
	if id := g.auth.Open(); id != nil {
		return id, nil
	}
	if g.auth.Hook() {
		return c.askEmbedder(opts), nil
	}
	b.flush() // the answer may take a while
	ctx, done := c.abortable()
	defer done()
	return g.auth.Check(ctx, c.credentials(opts))
}

// credentials are what the client showed, in CONNECT and in TLS.
func (c *client) credentials(opts *ConnectOptions) *access.Credentials {
	return &access.Credentials{
		User:        opts.Username,
		Password:    opts.Password,
		Token:       opts.Authorization,
		Nkey:        opts.Nkey,
		Signature:   opts.Signature,
		Nonce:       c.nonce,
		Certificate: c.certificate(),
	}
}

// certificate is that of the peer, nil unless TLS has verified it.
func (c *client) certificate() *x509.Certificate {
	if c.tls == nil {
		return nil
	}
	if chains := c.tls.ConnectionState().VerifiedChains; len(chains) > 0 {
		return chains[0][0]
	}
	return nil
}

// refuseLogin logs a login that failed, with the user if there are several.
func (c *client) refuseLogin(g *guard, opts *ConnectOptions) {
	if g.auth.ListsUsers() {
		c.errorf("authorization error - User \"%s\"", printable([]byte(opts.who())))
		return
	}
	c.errorf("authorization error")
}

// adopt logs the client in as id, unless it is not logged in as before any
// more. opts are what it showed; nil leaves those that there are, which only the
// reader may replace. Subscriptions that id may not have end, and tell is given
// the texts.
func (c *client) adopt(before, id *access.Identity, opts *ConnectOptions, tell func(text string)) bool {
	c.mu.Lock()
	same := c.login == before
	if same {
		c.login = id
		if opts != nil {
			c.opts = opts
		}
		c.permissions.Store(id.Permissions)
	}
	c.mu.Unlock()
	if same {
		c.review(tell)
	}
	return same
}

// review ends the subscriptions that the permissions of now forbid, and gives
// the others the filters that belong to them.
func (c *client) review(tell func(text string)) {
	c.mu.Lock()
	ended := c.reviewLocked()
	c.mu.Unlock()
	c.srv.cluster.pushInterest()
	for _, e := range ended {
		c.noticef("Removed sub %q for user %q - not authorized", e.sub.subject, c.user())
		tell("-ERR '" + subscribeRefusal(e.sub.subject, e.sub.queue, e.decision) + fmt.Sprintf(wireLostSid, e.sub.sid) + "'\r\n")
	}
}

// lostSub is a subscription that was taken away, and why.
type lostSub struct {
	sub      *subscription
	decision access.Decision
}

// reviewLocked judges all subscriptions by the permissions of now.
func (c *client) reviewLocked() (ended []lostSub) {
	p := c.permissions.Load()
	for sid, sub := range c.subs {
		if d := p.CanSubscribe(sub.subject, sub.queue); !d.Allowed() {
			delete(c.subs, sid)
			c.srv.subs.Remove(sub.subject, sub.group(), sub)
			c.srv.cluster.interestChanged(sub, true)
			ended = append(ended, lostSub{sub, d})
			continue
		}
		sub.filter.Store(p.Filter(sub.subject, sub.queue))
	}
	return ended
}

// reauthorize judges a client by a new guard. It runs on the goroutine of a
// reload; a check that takes long goes on behind it.
func (c *client) reauthorize(g *guard) {
	c.mu.Lock()
	id, opts := c.login, c.opts
	c.mu.Unlock()
	if id == nil || g.auth.Hook() {
		return // it has yet to come in, or only the embedder can tell
	}
	shown := c.credentials(opts)
	next, certain := g.auth.Revalidate(id, shown)
	if certain {
		c.readmit(g, id, next, opts)
		return
	}
	c.srv.conns.Add(1)
	go func() { // ends with the check, or when the server does, which waits for it
		defer c.srv.conns.Done()
		if next, err := g.auth.Check(c.srv.life, shown); err == nil {
			c.readmit(g, id, next, opts)
		}
	}()
}

// readmit puts next in the place of id, nil if the client is refused, unless it
// has shown other credentials than those in opts meanwhile.
func (c *client) readmit(g *guard, id, next *access.Identity, opts *ConnectOptions) {
	switch {
	case c.owner() != id || c.srv.guard.Load() != g:
	case next == nil:
		c.refuseLogin(g, opts)
		c.close(closeAuthFailure)
	default:
		c.adopt(id, next, nil, c.send)
	}
}

// options are what the client said in CONNECT.
func (c *client) options() *ConnectOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts
}

// owner is what the client is logged in as; nil before.
func (c *client) owner() *access.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login
}

// user is the name that logs and pages show for the client.
func (c *client) user() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.userLocked()
}

func (c *client) userLocked() string {
	if c.login != nil && c.login.Name != "" {
		return c.login.Name
	}
	return c.opts.who()
}

// connectError is an error in the JSON of CONNECT, without the value that caused
// it: that may be a password.
func connectError(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Errorf("json: cannot unmarshal %s into field %q of CONNECT", kind, wrong.Field)
	}
	return err
}

// askEmbedder lets the hook of the options decide.
func (c *client) askEmbedder(opts *ConnectOptions) *access.Identity {
	v := &visitorView{c: c, opts: opts, identity: &access.Identity{}}
	if !c.srv.options().CustomClientAuthentication.Check(v) || v.broken {
		return nil
	}
	return v.identity
}

// visitorView is the [ClientAuthentication] that a hook sees.
type visitorView struct {
	c        *client
	opts     *ConnectOptions
	identity *access.Identity
	broken   bool // permissions that cannot be compiled
}

func (v *visitorView) GetOpts() *ConnectOptions { return v.opts }

func (v *visitorView) GetTLSConnectionState() *tls.ConnectionState {
	if v.c.tls == nil {
		return nil
	}
	state := v.c.tls.ConnectionState()
	return &state
}

func (v *visitorView) RegisterUser(u *User) {
	p, err := access.Compile(u.Permissions.rules())
	if err != nil {
		v.c.errorf("permissions of user %q: %v", u.Username, err)
		v.broken = true
		return
	}
	v.identity = &access.Identity{Name: u.Username, Permissions: p}
}

func (v *visitorView) RemoteAddress() net.Addr { return v.c.nc.RemoteAddr() }
