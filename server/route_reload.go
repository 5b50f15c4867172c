package server

import (
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/mesh"
)

// prepareRoutePolicy compiles the policy of routes. Parts that have not changed are those of the
// old policy.
func (s *Server) prepareRoutePolicy(c *change) (err error) {
	if c.routes, err = s.cluster.newRoutePolicy(c.new); err != nil {
		return err
	}
	old := s.cluster.policy.Load()
	if !c.effects[onRouteTLS] {
		c.routes.tls = old.tls
	}
	if !c.effects[onRouteAuth] {
		c.routes.auth, c.routes.hook = old.auth, old.hook
	}
	if !c.effects[onPermissions] {
		c.routes.permissions = old.permissions
	}
	return nil
}

// applyRoutePolicy replaces the policy of routes, and sends every route what has changed for it.
func (s *Server) applyRoutePolicy(c *change) {
	k := s.cluster
	old := k.policy.Load()
	if c.effects[onPermissions] {
		c.routes.previous = old
	}
	k.replacePolicy(c.routes)
	if k.renewOwn(c.new) {
		k.sendInfo()
	}
	if c.effects[onPoolSize] {
		k.resizePools(c.new.Cluster.PoolSize)
	}
	if c.effects[onCompression] {
		k.recompress()
	}
	if c.old.Cluster.NoAdvertise != c.new.Cluster.NoAdvertise {
		k.relearn()
	}
	if c.effects[onPermissions] {
		k.reannounce(c.routes)
	}
}

// replacePolicy replaces the policy of routes. Servers that may no longer connect are disconnected.
func (k *cluster) replacePolicy(p *routePolicy) {
	before := k.policy.Swap(p)
	var routes []*conn
	for _, r := range k.all() {
		routes = append(routes, &r.conn)
	}
	k.srv.policyReplaced(&before.policy, &p.policy, k.watchCerts, routes)
}

// sendInfo sends the other servers the INFO of this one again, if they treat that as an update.
func (k *cluster) sendInfo() {
	for _, r := range k.active() {
		if r.takesInfo() {
			r.sendInfo()
		}
	}
}

// resizePools makes the pools larger or smaller.
func (k *cluster) resizePools(size int) {
	k.event(func(m *mesh.Mesh, now time.Time) { m.SetPoolSize(now, size) })
}

// reannounce applies new permissions to open routes. Peers, which have been sent INFO, are sent
// interest that they may now receive, then withdrawals. gnatsd 1.1 takes no updates: its route is
// closed and dialed again.
func (k *cluster) reannounce(p *routePolicy) {
	var updated []*route // routes that are registered later get all interest by the new policy
	for _, r := range k.active() {
		if r.takesInfo() {
			updated = append(updated, r)
		} else {
			k.event(func(m *mesh.Mesh, _ time.Time) { m.Reconnect(r.id) })
		}
		r.recheck()
	}
	var removed []*subscription
	for e := range k.srv.allSubs {
		sub := e.Value
		if sub.conn.role != roleClient {
			continue
		}
		now, before := p.announces(sub, false), p.previous.announces(sub, false)
		switch {
		case now && !before:
			k.announceTo(updated, sub, false)
		case before && !now:
			removed = append(removed, sub)
		}
	}
	for _, sub := range removed {
		k.announceTo(updated, sub, true)
	}
	final := *p
	final.previous = nil
	k.policy.Store(&final)
	k.pushInterest()
}

// announceTo queues a subscription, or its withdrawal, for routes, unless the client has ended it.
func (k *cluster) announceTo(routes []*route, sub *subscription, removed bool) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.with(sub.sid()) != sub {
		return
	}
	for _, r := range routes {
		if removed {
			r.interest.add(sub, true)
		} else {
			r.interest.addAgain(sub)
		}
	}
}

// recheck ends interest of the peer that may no longer be exported.
func (r *route) recheck() {
	p := r.srv.cluster.policy.Load().permissions
	r.holder().recheckSubs(
		func(sub *subscription) access.Decision { return p.CanExport(sub.subject(), sub.queue()) },
		func(sub *subscription) *access.Filter { return p.ExportFilter(sub.subject(), sub.queue()) },
	)
}

// exportsChanged is called when a peer has changed what it exports. It sends the interest that the
// peer now accepts and dropped before. It runs on the reader of the route.
func (r *route) exportsChanged(before, now *peerPermission) {
	was, err := before.compile()
	is, err2 := now.compile()
	all := err != nil || err2 != nil // unknown permissions: send everything again
	k, carrier := r.srv.cluster, r.carrier()
	if carrier == nil {
		return
	}
	q := &carrier.interest
	for e := range r.srv.allSubs {
		sub := e.Value
		if sub.conn.role != roleClient || !k.policy.Load().announces(sub, false) {
			continue
		}
		if all || is.CanExport(sub.subject(), sub.queue()).Allowed() && !was.CanExport(sub.subject(), sub.queue()).Allowed() {
			q.addCurrent(sub)
		}
	}
	q.push()
}
