package server

import (
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/mesh"
)

// prepareRoutePolicy compiles what the settings say about routes. What has not changed
// is taken over.
func (s *Server) prepareRoutePolicy(c *change) (err error) {
	if c.routes, err = s.cluster.newRoutePolicy(c.new); err != nil {
		return err
	}
	old := s.cluster.policy.Load()
	if !c.effects[onRouteTLS] {
		c.routes.tls = old.tls
	}
	if !c.effects[onRouteAuth] {
		c.routes.auth = old.auth
	}
	if !c.effects[onPermissions] {
		c.routes.permissions = old.permissions
	}
	return nil
}

// applyRoutePolicy replaces the policy of routes, and sends every route what changed for it.
func (s *Server) applyRoutePolicy(c *change) {
	k := s.cluster
	old := k.policy.Load()
	if c.effects[onPermissions] {
		c.routes.former = old
	}
	k.replacePolicy(c.routes)
	k.renewOwn(c.new)
	if c.old.Cluster.NoAdvertise != c.new.Cluster.NoAdvertise {
		k.relearn()
	}
	if c.effects[onPermissions] {
		k.announceAgain(c.routes)
	}
}

// replacePolicy replaces the policy of routes. Servers that may not connect any more are closed.
func (k *cluster) replacePolicy(p *routePolicy) {
	before := k.policy.Swap(p)
	var routes []*conn
	for _, r := range k.all() {
		routes = append(routes, &r.conn)
	}
	k.srv.policyReplaced(&before.policy, &p.policy, k.watchCerts, routes)
}

// announceAgain brings live routes in line with new permissions. Peers that can
// take updates get them: first INFO, then the interest that has become theirs to know,
// then what is withdrawn. 1.1 cannot be: its route is closed and made again.
func (k *cluster) announceAgain(rules *routePolicy) {
	var updated []*route // those that come later get all interest, by the new rules
	for _, r := range k.active() {
		if r.takesInfo() {
			r.send(k.info())
			updated = append(updated, r)
		} else {
			k.event(func(m *mesh.Mesh, _ time.Time) { m.Reconnect(r.id) })
		}
		r.recheck()
	}
	var removed []*subscription
	for e := range k.srv.subs.All {
		sub := e.Value
		if sub.conn.role != roleClient {
			continue
		}
		now, before := rules.announces(sub, false), rules.former.announces(sub, false)
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
	settled := *rules
	settled.former = nil
	k.policy.Store(&settled)
	k.pushInterest()
}

// announceTo queues a subscription, or its withdrawal, for routes, if the client
// still has it.
func (k *cluster) announceTo(routes []*route, sub *subscription, removed bool) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[sub.sid] != sub {
		return
	}
	for _, r := range routes {
		r.interest.add(interestChange{sub: sub, removed: removed}, 1)
	}
}

// recheck ends the interest of the peer that may not be exported any more.
func (r *route) recheck() {
	p := r.srv.cluster.policy.Load().permissions
	r.recheckSubs(
		func(sub *subscription) access.Decision { return p.CanExport(sub.subject, sub.queue) },
		func(sub *subscription) *access.Filter { return p.ExportFilter(sub.subject, sub.queue) },
	)
}

// exportsChanged sends a peer the interest that it has begun to take: before, it
// dropped what was announced of it. It runs on the reader of the route.
func (r *route) exportsChanged(before, now *peerPermission) {
	was, err := before.compile()
	is, err2 := now.compile()
	all := err != nil || err2 != nil // rules that are not understood: it gets everything again
	k := r.srv.cluster
	for e := range r.srv.subs.All {
		sub := e.Value
		if sub.conn.role != roleClient || !k.policy.Load().announces(sub, false) {
			continue
		}
		if all || is.CanExport(sub.subject, sub.queue).Allowed() && !was.CanExport(sub.subject, sub.queue).Allowed() {
			r.interest.addCurrent(sub)
		}
	}
	r.interest.push()
}
