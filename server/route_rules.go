package server

import (
	"context"
	"errors"
	"fmt"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/tlsfiles"
)

// routeRules say which servers may connect, how, and what interest crosses the
// routes: the part of the options about routes that is compiled before it is
// used. They do not change; a reload makes others.
type routeRules struct {
	auth        *access.Policy
	permissions *access.RoutePermissions
	tls         *tlsfiles.Holder // nil without TLS
	tlsFiles    *TLSConfigOpts   // nil if a program made the configuration

	// former is what was announced until a moment ago, while that which is not any
	// more is being withdrawn; nil otherwise.
	former *routeRules

	stopWatch context.CancelFunc // nil until the server runs; guarded by the reload lock
}

// newRules checks and compiles what o says about routes.
func (k *cluster) newRules(o *Options) (*routeRules, error) {
	err := k.checkRoutes(o)
	if err != nil {
		return nil, err
	}
	rules, login := new(routeRules), access.Settings{}
	if k.on {
		login = routeLogin(o)
	}
	if rules.auth, _, err = access.NewPolicy(login, k.verifier); err != nil {
		return nil, &settingError{"cluster.authorization", fmt.Errorf("cluster authorization: %w", err)}
	}
	if !k.on {
		return rules, nil
	}
	if rules.permissions, err = o.Cluster.Permissions.compile(); err != nil {
		return nil, &settingError{"cluster.permissions", err}
	}
	if o.Cluster.TLSConfig != nil {
		rules.tls = tlsfiles.NewHolder(o.Cluster.TLSConfig, tlsfiles.Routes)
	}
	if o.Cluster.tlsOn {
		files := o.Cluster.tls
		rules.tlsFiles = &files
	}
	return rules, nil
}

// checkRoutes reports that there are routes to dial, but no cluster.
func (k *cluster) checkRoutes(o *Options) error {
	if !k.on && len(o.Routes) > 0 {
		return &settingError{"cluster.routes", errors.New("solicited routes require cluster capabilities, e.g. --cluster")}
	}
	return nil
}

// announces reports whether routes are told of a local subscription, or of its
// end.
func (r *routeRules) announces(sub *subscription, gone bool) bool {
	if r.permissions.CanImport(sub.subject).Allowed() {
		return true
	}
	return gone && r.former != nil && r.former.permissions.CanImport(sub.subject).Allowed()
}

// watchCerts looks after the certificate files of the rules in use until they are
// replaced or the server ends.
func (k *cluster) watchCerts() {
	rules := k.rules.Load()
	ctx, cancel := context.WithCancel(k.srv.life)
	rules.stopWatch = cancel
	k.srv.watchCerts(ctx, rules.tlsFiles, rules.tls)
}
