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
		c.locked = g.auth.required()
		c.account = nil
		if !c.locked {
			c.account = g.auth.one
		}
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
		acc, err := c.admit(g, opts, b)
		if err != nil {
			return closeAuthFailure // it was closed meanwhile, and that reason counts
		}
		if acc == nil {
			c.refuseLogin(g, opts)
			return closeAuthFailure
		}
		if c.adopt(before, acc, opts, b.reply) && c.srv.guard.Load() == g {
			break // or else a reload came in between, and knows better
		}
	}
	c.locked = false
	c.readLimit = readSize
	return keepOpen
}

// admit asks the guard, or the embedder.
func (c *client) admit(g *guard, opts *ConnectOptions, b *batch) (*account, error) {
	switch g.auth.mode {
	case authNone:
		return g.auth.one, nil
	case authHook:
		return c.askEmbedder(opts), nil
	}
	b.flush() // the answer may take a while
	ctx, done := c.abortable()
	defer done()
	r := g.auth.check(ctx, c.credentials(opts))
	return r.account, r.err
}

// credentials are what the client showed, in CONNECT and in TLS.
func (c *client) credentials(opts *ConnectOptions) *credentials {
	return &credentials{
		user:        opts.Username,
		pass:        opts.Password,
		token:       opts.Authorization,
		nkey:        opts.Nkey,
		signature:   opts.Signature,
		nonce:       c.nonce,
		certificate: c.certificate(),
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
	if g.auth.mode == authUsers {
		c.errorf("authorization error - User \"%s\"", printable([]byte(opts.who())))
		return
	}
	c.errorf("authorization error")
}

// adopt makes acc the owner of the connection, unless it is not before's any
// more. opts are what it showed; nil leaves those that there are, which only the
// reader may replace. Subscriptions that acc may not have end, and tell is given
// the texts.
func (c *client) adopt(before, acc *account, opts *ConnectOptions, tell func(text string)) bool {
	c.mu.Lock()
	same := c.account == before
	if same {
		c.account = acc
		if opts != nil {
			c.opts = opts
		}
		c.permissions.Store(acc.permissions)
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
	acc, opts := c.account, c.opts
	c.mu.Unlock()
	if acc == nil || g.auth.mode == authHook {
		return // it has yet to come in, or only the embedder can tell
	}
	shown := c.credentials(opts)
	next, sure := g.auth.renewed(acc, shown)
	if sure {
		c.readmit(g, acc, next, opts)
		return
	}
	c.srv.conns.Add(1)
	go func() { // ends with the check, or when the server does, which waits for it
		defer c.srv.conns.Done()
		if r := g.auth.check(c.srv.life, shown); r.err == nil {
			c.readmit(g, acc, r.account, opts)
		}
	}()
}

// readmit puts next in the place of acc, nil for nobody, unless the client has
// shown other credentials than those in opts meanwhile.
func (c *client) readmit(g *guard, acc, next *account, opts *ConnectOptions) {
	switch {
	case c.owner() != acc || c.srv.guard.Load() != g:
	case next == nil:
		c.refuseLogin(g, opts)
		c.close(closeAuthFailure)
	default:
		c.adopt(acc, next, nil, c.send)
	}
}

// options are what the client said in CONNECT.
func (c *client) options() *ConnectOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts
}

// owner is whose connection it is; nil until that is known.
func (c *client) owner() *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account
}

// user is the name that logs and pages show for the client.
func (c *client) user() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.userLocked()
}

func (c *client) userLocked() string {
	if c.account != nil && c.account.name != "" {
		return c.account.name
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
func (c *client) askEmbedder(opts *ConnectOptions) *account {
	v := &visitorView{c: c, opts: opts, account: &account{}}
	if !c.srv.options().CustomClientAuthentication.Check(v) || v.broken {
		return nil
	}
	return v.account
}

// visitorView is the [ClientAuthentication] that a hook sees.
type visitorView struct {
	c       *client
	opts    *ConnectOptions
	account *account
	broken  bool // permissions that cannot be compiled
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
	v.account = &account{name: u.Username, user: u, permissions: p}
}

func (v *visitorView) RemoteAddress() net.Addr { return v.c.nc.RemoteAddr() }
