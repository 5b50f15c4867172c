package server

import (
	"maps"
	"slices"
	"time"

	"gnatsd/server/internal/mesh"
)

// This file is what a reload does to the routes that there are.

// ready reports whether routes can connect.
func (k *cluster) ready() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.listener != nil && !k.shut
}

// all returns the connections to other servers, registered or not, in no order.
func (k *cluster) all() []*route {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Values(k.routes))
}

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
		c.rules.permits = old.permits
	}
	return nil
}

// applyRules puts the new rules in force, makes routes that were accepted meet
// them, and tells every route of what changed for it.
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

// renewOwn renews what routes are told of this server.
func (k *cluster) renewOwn(o *Options) {
	k.mu.Lock()
	listening, retries := k.own != nil, o.Cluster.ConnectRetries
	k.mesh.SetRetries(retries)
	k.mu.Unlock()
	addr := k.srv.ClusterAddr()
	if !listening || addr == nil {
		return
	}
	own, err := k.describe(o, addr.Port)
	if err != nil {
		k.srv.Errorf("Error setting route INFO with Cluster.Advertise value of %s, err=%v", o.Cluster.Advertise, err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own = own
}

// learnAgain takes the addresses that peers give for their clients, or forgets
// them, as the setting now says.
func (k *cluster) learnAgain() {
	for _, r := range k.active() {
		if k.srv.options().Cluster.NoAdvertise {
			k.adverts.withdraw(r)
			continue
		}
		r.mu.Lock()
		peer := r.remote
		r.mu.Unlock()
		k.adverts.learn(r, peer.ConnectURLs)
	}
}

// announceAgain brings live routes in line with new permissions. Peers that can
// be told are: first by INFO, then the interest that has become theirs to know,
// then what is withdrawn. 1.1 cannot be: its route is closed and made again.
func (k *cluster) announceAgain(rules *routeRules) {
	var told []*route // those that come later get all interest, by the new rules
	for _, r := range k.active() {
		if r.takesInfo() {
			r.send(k.info())
			told = append(told, r)
		} else {
			k.event(func(m *mesh.Mesh, _ time.Time) { m.Reconnect(r.id) })
		}
		r.review()
	}
	var gone []*subscription
	for e := range k.srv.subs.All {
		sub := e.Value
		if sub.conn.role != roleClient {
			continue
		}
		now, before := rules.announces(sub, false), rules.former.announces(sub, false)
		switch {
		case now && !before:
			k.announceTo(told, sub, false)
		case before && !now:
			gone = append(gone, sub)
		}
	}
	for _, sub := range gone {
		k.announceTo(told, sub, true)
	}
	settled := *rules
	settled.former = nil
	k.rules.Store(&settled)
	k.pushInterest()
}

// announceTo queues a subscription, or its withdrawal, for routes, if the client
// still has it.
func (k *cluster) announceTo(routes []*route, sub *subscription, gone bool) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[sub.sid] != sub {
		return
	}
	for _, r := range routes {
		r.feed.add(interestChange{sub: sub, gone: gone}, 1)
	}
}

// takesInfo reports whether the peer takes a second INFO as an update. 1.1 takes
// it for a duplicate of itself.
func (r *route) takesInfo() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remote != nil && r.remote.Proto >= 1
}

// review drops interest of the peer that may not be exported any more, and gives
// the rest the filters that belong to it.
func (r *route) review() {
	permits := r.srv.cluster.rules.Load().permits
	r.mu.Lock()
	defer r.mu.Unlock()
	for sid, sub := range r.subs {
		if !permits.canExport(sub.subject, sub.queue).allowed() {
			delete(r.subs, sid)
			r.srv.subs.Remove(sub.subject, sub.queue, sub)
			continue
		}
		sub.filter.Store(permits.exportFilter(sub.subject, sub.queue))
	}
}

// exportsChanged sends a peer the interest that it has begun to take: before, it
// dropped what was announced of it. It runs on the reader of the route.
func (r *route) exportsChanged(before, now *peerPermission) {
	was, err := before.compile()
	is, err2 := now.compile()
	if err != nil || err2 != nil {
		was, is = side{}, side{} // not for us to judge: it gets everything again
	}
	all := err != nil || err2 != nil
	k := r.srv.cluster
	for e := range r.srv.subs.All {
		sub := e.Value
		if sub.conn.role != roleClient || !k.rules.Load().announces(sub, false) {
			continue
		}
		if all || is.covers(sub.subject, sub.queue).allowed() && !was.covers(sub.subject, sub.queue).allowed() {
			r.feed.addLiving(sub)
		}
	}
	r.feed.push()
}
