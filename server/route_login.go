package server

import "gnatsd/server/internal/access"

// policy implements authenticator.
func (r *route) policy() *policy { return &r.srv.cluster.policy.Load().policy }

// credentials implements authenticator.
func (r *route) credentials(opts *ConnectOptions) *access.Credentials {
	if opts == nil {
		return &access.Credentials{}
	}
	return &access.Credentials{User: opts.Username, Password: opts.Password, Token: opts.Authorization}
}

// askHook implements authenticator.
func (r *route) askHook(opts *ConnectOptions) *access.Identity {
	v := &hookView{c: &r.conn, opts: opts}
	return v.identify(r.srv.options().CustomRouterAuthentication)
}

// bound implements authenticator. What a route may do does not depend on its identity.
func (r *route) bound(*access.Identity, func(text string)) {}

// logRefused implements authenticator.
func (r *route) logRefused(*ConnectOptions) { r.errorf("authorization error") }
