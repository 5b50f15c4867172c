package server

import (
	"errors"
	"fmt"

	"gnatsd/conf"
	"gnatsd/server/internal/access"
	"gnatsd/server/internal/tlsfiles"
)

// routePolicy decides which servers may connect, how, and what interest crosses the routes.
type routePolicy struct {
	policy
	permissions *access.RoutePermissions

	// previous is the policy before a reload, while interest that is no longer announced is
	// being withdrawn; else nil.
	previous *routePolicy
}

// newRoutePolicy checks and compiles the settings of routes.
func (k *cluster) newRoutePolicy(o *Options) (*routePolicy, error) {
	p := &routePolicy{policy: policy{auth: &access.Policy{}, hook: o.routerHook, authTimeout: seconds(o.Cluster.AuthTimeout)}}
	err := k.checkRoutes(o)
	if err != nil || !k.on {
		return p, err
	}
	if p.auth, _, err = access.NewPolicy(routeLogin(o), k.srv.verifier); err != nil {
		return nil, &settingError{"cluster.authorization", fmt.Errorf("cluster authorization: %w", err)}
	}
	if p.permissions, err = o.Cluster.Permissions.compile(); err != nil {
		return nil, &settingError{"cluster.permissions", err}
	}
	if o.Cluster.TLSConfig != nil {
		p.tls = tlsfiles.NewHolder(o.Cluster.TLSConfig, tlsfiles.Routes)
	}
	if o.Cluster.tlsOn && !o.Cluster.tlsBy.own {
		files := o.Cluster.tls
		p.tlsFiles = &files
	}
	return p, nil
}

// checkRoutes returns an error if routes are configured without a port for routes, unless that was
// turned off on purpose.
func (k *cluster) checkRoutes(o *Options) error {
	off := o.loaded != nil && o.loaded.values.Origin("cluster.port").Layer != conf.FromDefault
	if !k.on && !off && len(o.Routes) > 0 {
		return &settingError{"cluster.routes", errors.New("solicited routes require cluster capabilities, e.g. --cluster")}
	}
	return nil
}

// announces reports whether a local subscription, or that it was removed, is sent to routes.
func (p *routePolicy) announces(sub *subscription, removed bool) bool {
	if p.permissions.CanImport(sub.subject()).Allowed() {
		return true
	}
	return removed && p.previous != nil && p.previous.permissions.CanImport(sub.subject()).Allowed()
}

// watchCerts starts to watch the certificate files of routes.
func (k *cluster) watchCerts() {
	p := k.policy.Load()
	k.srv.watch(&p.policy, p.tls)
}
