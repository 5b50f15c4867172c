package server

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/admission"
)

// ConnectOptions are the fields of a CONNECT operation.
type ConnectOptions struct {
	Verbose       bool   `json:"verbose"`
	Pedantic      bool   `json:"pedantic"`
	Echo          bool   `json:"echo"`
	TLSRequired   bool   `json:"tls_required"`
	Authorization string `json:"auth_token"`
	Username      string `json:"user"`
	Password      string `json:"pass"`
	Nkey          string `json:"nkey"` // public key
	Signature     string `json:"sig"`  // of the nonce in INFO, made with the private key; base64
	Name          string `json:"name"`
	Lang          string `json:"lang"`
	Version       string `json:"version"`
	Protocol      int    `json:"protocol"`
	Headers       bool   `json:"headers"`
	NoResponders  bool   `json:"no_responders"`
}

// userName returns the nkey or user name that the client gave, "" if none.
func (o *ConnectOptions) userName() string { return cmp.Or(o.Nkey, o.Username) }

// sendInfo sends INFO and makes the TLS handshake, in the configured order. If refused is not
// keepOpen, it is the reason to reject the client: sendInfo then returns it after INFO and before
// TLS. Where TLS comes first, such a client gets no -ERR, which would be plain text.
func (c *client) sendInfo(refused closeReason) closeReason {
	var pass *admission.Pass
	if refused == keepOpen && !c.inProcess && c.srv.policy.Load().tls != nil {
		var err error
		if pass, err = c.awaitPass(); err != nil {
			return c.reason()
		}
		defer pass.Release()
	}
	p := c.srv.policy.Load()
	if p.tls == nil || c.inProcess {
		c.sendAppended(c.appendInfo)
		return refused
	}
	tlsFirst, read := c.beginsTLS(p)
	if !tlsFirst {
		if err := c.writeClear(string(c.appendInfo(nil))); err != nil {
			if !c.ended() {
				c.logBroken("Error flushing: %v", err)
			}
			return closeWriteError
		}
	}
	if refused != keepOpen {
		c.omitErr = tlsFirst
		return refused
	}
	if !tlsFirst && p.tlsOptional {
		if read = c.firstByte(p.tlsTimeout); !opensTLS(read) {
			c.unread(read)
			return keepOpen
		}
	}
	if r := c.handshake(p, read, pass); r != keepOpen {
		return r
	}
	if tlsFirst {
		c.sendAppended(c.appendInfo)
	}
	return keepOpen
}

// awaitPass waits until the client may begin its handshake. The error says that the connection was
// closed meanwhile.
func (c *client) awaitPass() (*admission.Pass, error) {
	ctx, done := c.abortableByReset()
	defer done()
	return c.srv.gate.Acquire(ctx, c.source())
}

// policy implements authenticator.
func (c *client) policy() *policy { return &c.srv.policy.Load().policy }

// bound implements authenticator. It ends the subscriptions that the client may no longer have.
func (c *client) bound(id *access.Identity, reply func(text string)) {
	c.permissions.Store(id.Permissions)
	c.recheck(reply)
	c.payloadLimited()
	c.setWriteLimits()
}

// payloadLimited sends INFO if the user's limit of the size of a message has changed.
func (c *client) payloadLimited() {
	most := int32(0)
	if u := c.limited.Load(); u != nil {
		most = int32(min(max(u.limits.MaxPayload, 0), math.MaxInt32))
	}
	c.mu.Lock()
	known := c.payloadLimit
	c.payloadLimit = most
	c.mu.Unlock()
	if known != most {
		c.infoChanged()
	}
}

// logRefused implements authenticator. It names the user if there is a list of users.
func (c *client) logRefused(opts *ConnectOptions) {
	if c.policy().auth.ListsUsers() {
		c.errorf("authorization error - User \"%s\"", printable([]byte(opts.userName())))
		return
	}
	c.errorf("authorization error")
}

// credentials implements authenticator. They come from CONNECT and from TLS.
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

// certificate returns the peer's certificate, nil unless TLS has verified it.
func (c *client) certificate() *x509.Certificate {
	if c.tls == nil {
		return nil
	}
	if chains := c.tls.ConnectionState().VerifiedChains; len(chains) > 0 {
		return chains[0][0]
	}
	return nil
}

// recheck ends the subscriptions that the permissions of the client no longer allow. It calls reply
// with an -ERR for each.
func (c *client) recheck(reply func(text string)) {
	p := c.permissions.Load()
	ended := c.recheckSubs(
		func(sub *subscription) access.Decision { return p.CanSubscribe(sub.subject(), sub.queue()) },
		func(sub *subscription) *access.Filter { return p.Filter(sub.subject(), sub.queue()) },
	)
	c.srv.cluster.pushInterest()
	for _, e := range ended {
		c.traceRemoved(e.sub)
		c.limitedf(levelInfo, "Removed sub %q for user %q - not authorized", e.sub.subject(), c.user())
		reply("-ERR '" + subscribeRefusal(e.sub.subject(), e.sub.queue(), e.decision) + fmt.Sprintf(wireLostSid, e.sub.sid()) + "'\r\n")
	}
}

// user returns the user name that logs and monitoring pages show for the client.
func (c *client) user() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.userLocked()
}

func (c *client) userLocked() string {
	if c.login != nil && c.login.Name != "" {
		return c.login.Name
	}
	return c.opts.userName()
}

// connectError returns an error in the JSON of CONNECT without the value that caused it, which may
// be a password.
func connectError(err error) error { return jsonError(err, "CONNECT") }

// jsonError returns an error in the JSON of something without the value that caused it.
func jsonError(err error, of string) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Errorf("json: cannot unmarshal %s into field %q of %s", kind, wrong.Field, of)
	}
	return err
}
