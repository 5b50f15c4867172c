package server

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gnatsd/server/internal/access"
)

// sendInfo sends INFO and makes the TLS handshake, in the order that the settings
// ask for. refused is why the client cannot stay, if it cannot: it is told
// after INFO and before TLS, but never in clear where TLS comes first.
func (c *client) sendInfo(refused closeReason) closeReason {
	g := c.srv.policy.Load()
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

// policy implements authenticator.
func (c *client) policy() *policy { return &c.srv.policy.Load().policy }

// askHook implements authenticator.
func (c *client) askHook(opts *ConnectOptions) *access.Identity {
	v := &hookView{c: &c.conn, opts: opts}
	return v.ask(c.srv.options().CustomClientAuthentication)
}

// bound implements authenticator. Subscriptions that the client may not have any more end.
func (c *client) bound(id *access.Identity, reply func(text string)) {
	c.permissions.Store(id.Permissions)
	c.recheck(reply)
}

// logRefused implements authenticator. The log says which user it was if there are several.
func (c *client) logRefused(opts *ConnectOptions) {
	if c.policy().auth.ListsUsers() {
		c.errorf("authorization error - User \"%s\"", printable([]byte(opts.who())))
		return
	}
	c.errorf("authorization error")
}

// credentials implements authenticator: what the client showed in CONNECT and in TLS.
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

// recheck ends the subscriptions that the permissions of the client do not allow any more. The
// texts for the client go to reply.
func (c *client) recheck(reply func(text string)) {
	p := c.permissions.Load()
	ended := c.recheckSubs(
		func(sub *subscription) access.Decision { return p.CanSubscribe(sub.subject, sub.queue) },
		func(sub *subscription) *access.Filter { return p.Filter(sub.subject, sub.queue) },
	)
	c.srv.cluster.pushInterest()
	for _, e := range ended {
		c.noticef("Removed sub %q for user %q - not authorized", e.sub.subject, c.user())
		reply("-ERR '" + subscribeRefusal(e.sub.subject, e.sub.queue, e.decision) + fmt.Sprintf(wireLostSid, e.sub.sid) + "'\r\n")
	}
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
