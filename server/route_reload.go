package server

import (
	"time"

	"gnatsd/server/internal/mesh"
)

// This file is what a reload does to the routes that there are.

// prepareRules compiles what the settings say about routes. What has not changed
// is taken over.
func (s *Server) prepareRules(c *change) (err error) {
	if c.rules, err = s.cluster.newRules(c.new); err != nil {
		return err
	}
	old := s.cluster.rules.Load()
	if !c.effects[onRouteTLS] {
		c.rules.tls = old.tls
	}
	if !c.effects[onRouteAuth] {
		c.rules.auth = old.auth
	}
	if !c.effects[onPermissions] {
		c.rules.permissions = old.permissions
	}
	return nil
}

// applyRules puts the new rules in force, makes routes that were accepted meet
// them, and sends every route what changed for it.
func (s *Server) applyRules(c *change) {
	k := s.cluster
	old := k.rules.Load()
	if c.effects[onPermissions] {
		c.rules.former = old
	}
	k.replaceRules(c.rules)
	k.renewOwn(c.new)
	if c.effects[onRouteAuth] && c.new.CustomRouterAuthentication == nil {
		for _, r := range k.all() {
			r.reauthorize(c.rules)
		}
	}
	if c.old.Cluster.NoAdvertise != c.new.Cluster.NoAdvertise {
		k.learnAgain()
	}
	if c.effects[onPermissions] {
		k.announceAgain(c.rules)
	}
}

// replaceRules puts rules in the place of those in force.
func (k *cluster) replaceRules(rules *routeRules) {
	old := k.rules.Swap(rules)
	if old.stopWatch != nil {
		old.stopWatch()
		k.watchCerts()
	}
}

// announceAgain brings live routes in line with new permissions. Peers that can
// take updates get them: first INFO, then the interest that has become theirs to know,
// then what is withdrawn. 1.1 cannot be: its route is closed and made again.
func (k *cluster) announceAgain(rules *routeRules) {
	var updated []*route // those that come later get all interest, by the new rules
	for _, r := range k.active() {
		if r.takesInfo() {
			r.send(k.info())
			updated = append(updated, r)
		} else {
			k.event(func(m *mesh.Mesh, _ time.Time) { m.Reconnect(r.id) })
		}
		r.review()
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
	k.rules.Store(&settled)
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

// review drops interest of the peer that may not be exported any more, and gives
// the rest the filters that belong to it.
func (r *route) review() {
	permissions := r.srv.cluster.rules.Load().permissions
	r.mu.Lock()
	defer r.mu.Unlock()
	for sid, sub := range r.subs {
		if !permissions.CanExport(sub.subject, sub.queue).Allowed() {
			delete(r.subs, sid)
			r.srv.subs.Remove(sub.subject, sub.group(), sub)
			continue
		}
		sub.filter.Store(permissions.ExportFilter(sub.subject, sub.queue))
	}
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
		if sub.conn.role != roleClient || !k.rules.Load().announces(sub, false) {
			continue
		}
		if all || is.CanExport(sub.subject, sub.queue).Allowed() && !was.CanExport(sub.subject, sub.queue).Allowed() {
			r.interest.addCurrent(sub)
		}
	}
	r.interest.push()
}
