package server

import (
	"errors"
	"fmt"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/tlsfiles"
)

// routePolicy is which servers may connect, how, and what interest crosses the routes.
type routePolicy struct {
	policy
	permissions *access.RoutePermissions

	// former is what was announced before a reload, while what is not any more is being withdrawn;
	// nil otherwise.
	former *routePolicy
}

// newRoutePolicy checks and compiles what o says about routes.
func (k *cluster) newRoutePolicy(o *Options) (*routePolicy, error) {
	p := &routePolicy{policy: policy{auth: &access.Policy{}, authTimeout: seconds(o.Cluster.AuthTimeout)}}
	err := k.checkRoutes(o)
	if err != nil || !k.on {
		return p, err
	}
	if p.auth, _, err = access.NewPolicy(routeLogin(o), k.verifier); err != nil {
		return nil, &settingError{"cluster.authorization", fmt.Errorf("cluster authorization: %w", err)}
	}
	if p.permissions, err = o.Cluster.Permissions.compile(); err != nil {
		return nil, &settingError{"cluster.permissions", err}
	}
	if o.Cluster.TLSConfig != nil {
		p.tls = tlsfiles.NewHolder(o.Cluster.TLSConfig, tlsfiles.Routes)
	}
	if o.Cluster.tlsOn {
		files := o.Cluster.tls
		p.tlsFiles = &files
	}
	return p, nil
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
func (p *routePolicy) announces(sub *subscription, gone bool) bool {
	if p.permissions.CanImport(sub.subject).Allowed() {
		return true
	}
	return gone && p.former != nil && p.former.permissions.CanImport(sub.subject).Allowed()
}

// watchCerts watches the certificate files of routes.
func (k *cluster) watchCerts() {
	p := k.policy.Load()
	k.srv.watch(&p.policy, p.tls)
}
