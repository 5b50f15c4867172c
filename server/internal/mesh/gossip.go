package mesh

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// This file is what other servers say about third ones.

const (
	// advertLife is how long an advertisement counts that cannot be withdrawn, because a 1.x
	// server made it.
	advertLife = 10 * time.Minute
	// gossipSpread spreads the dialing of advertised servers; gossipYield is how much longer
	// the one with the larger id waits for the other one to dial, if both may know of each other.
	gossipSpread = 10 * time.Millisecond
	gossipYield  = 100 * time.Millisecond
	// introduced is how soon after a route was made its server has told all others of this one.
	introduced = 2 * time.Second
)

// gossip takes what a server says over a link about a third one. It reports whether that changes anything.
func (m *Mesh) gossip(now time.Time, from string, link uint64, info *Info) (news bool) {
	if info.ID == m.self {
		return false
	}
	switch p := m.peers[info.ID]; {
	case p != nil && p.adverts[from].link > link && m.links[p.adverts[from].link] != nil:
		return false // it was under way on a lost carrier, and has been said again since
	case info.Lost:
		if p != nil {
			m.unadvertise(p, from)
		}
		return true
	case info.DialAddr == "" || len(info.DialAddr) > maxAddr: // 1.x would dial an empty address
		return false
	case p == nil && len(m.peers) >= maxPeers && !m.makeRoom(now, from):
		return false
	}
	p := m.peer(info.ID)
	if _, known := p.adverts[from]; !known {
		m.adverts[from]++
	}
	fresh := !p.advertisedAt(info.DialAddr)
	p.adverts[from] = advert{now, info.DialAddr, link}
	p.auth = info.AuthRequired
	if p.active != nil {
		return false
	}
	wait := m.jitter(gossipSpread)
	if info.Extended && m.self > p.id && m.introducedByOthers(now, from) {
		wait += gossipYield
	}
	switch t := m.targeted(p.id, info.Addr); {
	case t == nil:
		m.addTarget(now, p, info.DialAddr, wait)
	case fresh && t.fails(): // its address may be wrong
		m.redirect(t, info.DialAddr).hurry(now)
	default:
		return false
	}
	return true
}

// maxAddr is the longest address that is dialed: a host name has 253 characters at most.
const maxAddr = 253 + len(":65535")

// advertisedAt reports whether a server says that p is at an address.
func (p *peer) advertisedAt(addr string) bool {
	for _, a := range p.adverts {
		if a.addr == addr {
			return true
		}
	}
	return false
}

// addrAfter returns the address that follows addr among those at which p is advertised: servers that see p
// from different networks may have different ones, of which some lead nowhere from here.
func (p *peer) addrAfter(addr string) (next string) {
	least := ""
	for _, a := range p.adverts {
		if least == "" || a.addr < least {
			least = a.addr
		}
		if a.addr > addr && (next == "" || a.addr < next) {
			next = a.addr
		}
	}
	return cmp.Or(next, least)
}

// misled forgets what was said about the server of a target, whose address leads elsewhere. A server may
// be advertised at other addresses, too.
func (m *Mesh) misled(t *Target) {
	m.targets = slices.DeleteFunc(m.targets, func(x *Target) bool { return x == t })
	p := m.peer(t.peer)
	for from, a := range p.adverts {
		if a.addr == t.addr {
			m.unadvertise(p, from)
		}
	}
}

// makeRoom forgets a server that is not connected: one that is not advertised any more or, if from
// advertises less than others, one that only the server advertises which advertises most. So one that
// advertises many does not keep out what others say. It reports false if there is none.
func (m *Mesh) makeRoom(now time.Time, from string) bool {
	most := from
	for by, n := range m.adverts {
		if n > m.adverts[most] || n == m.adverts[most] && by < most {
			most = by
		}
	}
	fair := m.adverts[most] <= m.adverts[from]+1
	if fair && now.Before(m.full) {
		return false
	}
	kept := map[string]bool{} // a target that is configured or being dialed leads to them
	for _, t := range m.targets {
		kept[t.peer] = kept[t.peer] || t.configured || t.busy
	}
	unadvertised, victim := "", ""
	for id, p := range m.peers {
		_, byMost := p.adverts[most]
		switch {
		case p.active != nil || len(p.standby) > 0 || kept[id]:
		case len(p.adverts) == 0:
			unadvertised = max(unadvertised, id)
		case byMost && len(p.adverts) == 1 && !fair:
			victim = max(victim, id)
		}
	}
	if victim = cmp.Or(unadvertised, victim); victim == "" {
		m.full = now.Add(dialPause)
		return false
	}
	m.unadvertise(m.peers[victim], most)
	delete(m.peers, victim)
	m.targets = slices.DeleteFunc(m.targets, func(t *Target) bool { return t.peer == victim })
	return true
}

// unadvertise notes that a server no longer advertises p.
func (m *Mesh) unadvertise(p *peer, from string) {
	if _, ok := p.adverts[from]; !ok {
		return
	}
	delete(p.adverts, from)
	m.full = time.Time{}
	if m.adverts[from]--; m.adverts[from] == 0 {
		delete(m.adverts, from)
	}
}

// introducedByOthers reports whether another server than except, which advertises a third one, may be
// advertising this server to that third one. A server that comes is advertised to those that are
// there, and they are not advertised to it.
func (m *Mesh) introducedByOthers(now time.Time, except string) bool {
	return slices.ContainsFunc(m.linksIn(linkRegistered), func(l *link) bool {
		return l.peer != except && now.Sub(l.registered) < introduced
	})
}

// targeted returns a target for a server or, configured, for its address; nil if there is none.
func (m *Mesh) targeted(id, addr string) *Target {
	for _, t := range m.targets {
		if t.peer == id || t.configured && strings.EqualFold(t.addr, addr) {
			return t
		}
	}
	return nil
}

// advertised reports whether a connected server still says that p is there.
func (m *Mesh) advertised(now time.Time, p *peer) bool {
	for from, a := range p.adverts {
		by := m.peers[from]
		if by != nil && by.active != nil && (by.info.Extended || now.Sub(a.at) < advertLife) {
			return true
		}
	}
	return false
}

// forgetAdvertsOf forgets what a server said about others over a link that has ended: what it said last may
// have been lost with it, and it says all of it again over the next route.
func (m *Mesh) forgetAdvertsOf(from string, link uint64) {
	for _, p := range m.peers {
		if p.adverts[from].link == link {
			m.unadvertise(p, from)
		}
	}
}

// forwardOthers sends INFO of all others that there are routes to over a link that has become a route.
func (m *Mesh) forwardOthers(l *link) {
	for _, o := range m.linksIn(linkRegistered) {
		if o != l {
			m.emit(Action{Kind: Forward, Link: l.id, Of: o.id})
		}
	}
}

// forgetAdverts forgets what a server said about others.
func (m *Mesh) forgetAdverts(from string) {
	for _, p := range m.peers {
		m.unadvertise(p, from)
	}
}
