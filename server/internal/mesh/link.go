package mesh

import (
	"net"
	"slices"
	"strings"
	"time"
)

// This file is the life of links: which is the route to a server, which is a duplicate, and what
// becomes of them.

// link is a connection to another server.
type link struct {
	id         uint64
	target     *Target  // that led to it; nil if the peer dialed
	attempt    *Attempt // to dial it; nil if the peer dialed
	addr       string   // that was dialed
	peer       string   // server id; "" before INFO has come
	info       *Info    // that came
	gossiper   string   // server id that it gave when it advertised others before it introduced itself
	state      linkState
	registered time.Time // when it became the route
	refused    bool      // this server does not want its peer

	// Of links that belong together.
	pool   *pool // nil if there is none
	member int   // number in the pool; 0 for the link that opened it
	left   bool  // it was retired

	// Of standby.
	since  time.Time
	until  time.Time // when a decision is due; zero while the route is closing: its end decides
	probed bool      // the route has been asked to answer
}

// linkState is how far a link has come.
type linkState uint8

const (
	linkNew        linkState = iota // no INFO yet
	linkStandby                     // a second connection to a server
	linkRegistered                  // the route to a server
	linkMember                      // a member of the pool of a server
	linkClosing                     // Close was emitted
)

const (
	// duplicateGrace is how long a 1.x server gets to close one of two links.
	duplicateGrace = 500 * time.Millisecond
	// decideGrace is how long another server gets before the older link is probed, and
	// standbyLimit how long it gets if that one answers.
	decideGrace  = 3 * time.Second
	standbyLimit = 30 * time.Second
	// maxStandby is how many links to one server wait in standby. Two servers that connect to each
	// other at the same time make one.
	maxStandby = 2
	// expectGrace is how long a connection that was accepted, and that its peer says is the
	// route, may take to introduce itself.
	expectGrace = 10 * time.Second
	// idleLimit is how long a route may be idle before a second link to the same server makes
	// it suspect; probeGrace is then its time to answer.
	idleLimit  = 3 * time.Second
	probeGrace = 1500 * time.Millisecond
)

// Accepted is the event that another server has connected to this one.
func (m *Mesh) Accepted(id uint64) { m.links[id] = &link{id: id} }

// introduced is the event that the peer of a new link has said which server it is.
func (m *Mesh) introduced(now time.Time, l *link, info *Info) {
	p := m.peer(info.ID)
	l.peer, l.info = p.id, info
	m.targetIntroduced(l)
	if p.active == nil {
		m.register(now, p, l)
		return
	}
	if len(p.waiting()) >= maxStandby {
		m.closeDuplicate(l)
		return
	}
	l.state, l.since = linkStandby, now
	p.standby = append(p.standby, l)
	m.judge(now, p, l)
}

// Refused is the event that INFO of the peer of a new link shows that the two servers are not to be
// connected. The caller closes the link. Until one of them is configured differently the next
// attempts have the same end, so they come less and less often.
func (m *Mesh) Refused(id uint64) {
	if l := m.links[id]; l != nil {
		l.refused = true
		if l.target != nil {
			l.target.refusals++
		}
	}
}

// judge decides what becomes of a link in standby, or when to decide it.
func (m *Mesh) judge(now time.Time, p *peer, s *link) {
	switch {
	case p.active.state == linkClosing: // promoteStandby follows when it has ended
	case m.idle(p.active.id) >= idleLimit:
		m.probe(now, p, s)
	case !s.info.Extended:
		s.until = now.Add(duplicateGrace)
	case m.self < p.id:
		m.closeDuplicate(s)
	default:
		s.until = now.Add(decideGrace)
	}
}

// targetIntroduced notes which server the target of a link leads to.
func (m *Mesh) targetIntroduced(l *link) {
	t := l.target
	if t == nil {
		return
	}
	if !t.configured && t.peer != l.peer { // another server has taken the address
		m.misled(t)
		l.target = nil
		return
	}
	t.resolvedTo(l.peer)
	t.reached = l.addr
}

// foundSelf is the discovery that a link leads to this server.
func (m *Mesh) foundSelf(now time.Time, l *link) {
	l.peer = m.self
	if t := l.target; t != nil {
		m.emit(Action{Kind: LogSelf, Link: l.id, Target: t})
		t.avoid = append(t.avoid, l.addr)
		t.self = isAddress(t.addr)
		if !t.self { // others may be behind the same name
			t.due = now
		}
	}
	m.close(l, SelfRoute)
}

// isAddress reports whether the host of host:port is an address rather than a name.
func isAddress(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	return err == nil && net.ParseIP(host) != nil
}

// expectOther is the event that the peer of a route is about to close it, because it has another
// link to this server: one that was accepted and has not introduced itself, or it is mistaken.
func (m *Mesh) expectOther(now time.Time, l *link) {
	for _, o := range m.links {
		if o.target == nil && o.state == linkNew {
			m.peers[l.peer].dialAfter = now.Add(expectGrace)
		}
	}
}

// dialAfter returns the time before which a server is not to be dialed, because a link of it is
// expected to become the route.
func (m *Mesh) dialAfter(id string) time.Time {
	if p := m.peers[id]; p != nil {
		return p.dialAfter
	}
	return time.Time{}
}

// settleStandby decides about links in standby whose time has come.
func (m *Mesh) settleStandby(now time.Time) {
	for _, s := range m.linksIn(linkStandby) {
		if s.until.IsZero() || s.until.After(now) {
			continue
		}
		switch p := m.peers[s.peer]; {
		case m.idle(p.active.id) < idleLimit:
			m.routeAlive(now, p, s)
		case !s.probed, now.Sub(s.until) > probeGrace: // Wake came too late to see the answer
			m.probe(now, p, s)
		default:
			m.close(p.active, StaleRoute)
			m.closeIdle(p)
		}
	}
}

// routeAlive deals with a link in standby when the route has proved to be alive: the peer closes
// one of them, unless it takes too long.
func (m *Mesh) routeAlive(now time.Time, p *peer, s *link) {
	if p.info.Extended && m.self > p.id && now.Sub(s.since) < standbyLimit {
		s.until, s.probed = now.Add(decideGrace), false
		return
	}
	m.closeDuplicate(s)
}

// probe asks the route to p to answer, before s may take its place.
func (m *Mesh) probe(now time.Time, p *peer, s *link) {
	s.probed = true
	s.until = now.Add(probeGrace)
	m.emit(Action{Kind: Probe, Link: p.active.id})
}

// register makes a link the route to its server, and advertises that to the others.
func (m *Mesh) register(now time.Time, p *peer, l *link) {
	others := m.linksIn(linkRegistered)
	p.active, p.info, p.dialAfter = l, l.info, time.Time{}
	l.state, l.registered = linkRegistered, now
	p.pool = m.newPool(l)
	l.pool = p.pool
	register := Action{Kind: Register, Link: l.id}
	if p.pool != nil {
		register.Pool = p.pool.id
	}
	m.emit(register)
	for _, t := range m.targets {
		if t.configured && !t.busy && strings.EqualFold(t.addr, p.info.Addr) {
			t.resolvedTo(p.id)
		}
		if t.peer == p.id {
			t.due, t.waits = time.Time{}, time.Time{}
		}
	}
	for _, o := range others {
		m.emit(Action{Kind: Forward, Link: o.id, Of: l.id})
	}
}

// updated is the event that a server has sent INFO about itself again. If it is to be dialed at another
// address now, the others are told.
func (m *Mesh) updated(l *link, info *Info) {
	p, known := m.peers[l.peer], *l.info
	moved := info.DialAddr != "" && info.DialAddr != p.info.DialAddr
	if known.PoolSize = info.PoolSize; info.DialAddr != "" {
		known.Addr, known.DialAddr = info.Addr, info.DialAddr
	}
	l.info = &known
	if p.info = l.info; l.pool != nil {
		l.pool.most = max(info.PoolSize, 1)
	}
	if !moved {
		return
	}
	for _, o := range m.linksIn(linkRegistered) {
		if o.peer != p.id {
			m.emit(Action{Kind: Forward, Link: o.id, Of: l.id})
		}
	}
}

// close asks for the end of a link. Closed follows.
func (m *Mesh) close(l *link, reason Reason) {
	l.state = linkClosing
	m.emit(Action{Kind: Close, Link: l.id, Reason: reason})
	if p := m.peers[l.peer]; p != nil && p.active == l {
		for _, s := range p.standby {
			s.until = time.Time{}
		}
	}
}

// closeDuplicate asks for the end of a link to a server to which there is another one.
func (m *Mesh) closeDuplicate(l *link) {
	m.emit(Action{Kind: LogDuplicate, Link: l.id, Server: l.peer})
	m.close(l, DuplicateRoute)
}

// Closed is the event that a link has ended. why is for operators.
func (m *Mesh) Closed(now time.Time, id uint64, why string) {
	l := m.links[id]
	if l == nil {
		return
	}
	delete(m.links, id)
	if l.gossiper != "" && !m.connected(l.gossiper) {
		m.forgetAdverts(l.gossiper)
	}
	if l.member > 0 {
		if l.pool != nil {
			m.memberClosed(now, l)
		}
	} else if t := l.target; t != nil {
		t.busy = false
		if l.peer == "" {
			t.failed(why)
			if t = m.notReached(t); l.refused {
				t.due = now.Add(m.refusedDelay(t))
			}
		} else if l.peer != m.self {
			t.lastErr = why
		} else if t.self && !t.configured {
			m.leadsHere(t)
		}
	}
	m.removeFromPeer(now, l)
	m.plan(now)
}

// removeFromPeer takes a link that has ended out of the state of its server.
func (m *Mesh) removeFromPeer(now time.Time, l *link) {
	p := m.peers[l.peer]
	if p == nil {
		return
	}
	if l.pool != nil { // the two servers may have had different routes for a while
		m.forgetAdvertsOf(p.id, l.id)
	}
	if p.active == l {
		p.active = nil
		if m.promoteMember(now, p) {
			return
		}
		if p.pool != nil {
			m.closePool(p)
			p.pool = nil
		}
		if !m.promoteStandby(now, p) {
			m.lost(now, p, l)
		}
		return
	}
	p.standby = slices.DeleteFunc(p.standby, func(s *link) bool { return s == l })
	if l.target != nil && l.member == 0 && p.active != nil {
		l.target.lastErr = ""
		m.emit(Action{Kind: LogAlreadyConnected, Link: l.id, Server: p.id})
	}
}

// waiting returns the links to a server that may become the route, oldest first.
func (p *peer) waiting() []*link {
	return slices.DeleteFunc(slices.Clone(p.standby), func(s *link) bool { return s.state != linkStandby })
}

// Ending is the event that a link ends, and that the caller has not closed it. It reports whether
// the link was in standby: then it does not become the route any more. Closed follows.
func (m *Mesh) Ending(id uint64) (standby bool) {
	l := m.links[id]
	if l == nil || l.state != linkStandby {
		return false
	}
	l.state = linkClosing
	return true
}

// promoteStandby makes the oldest link in standby the route. It reports false if there is none.
func (m *Mesh) promoteStandby(now time.Time, p *peer) bool {
	waiting := p.waiting()
	if len(waiting) == 0 {
		return false
	}
	p.standby = slices.DeleteFunc(p.standby, func(s *link) bool { return s == waiting[0] })
	m.register(now, p, waiting[0])
	for _, s := range waiting[1:] {
		m.judge(now, p, s)
	}
	return true
}

// lost is the event that the only link to p, which was the route, has ended.
func (m *Mesh) lost(now time.Time, p *peer, l *link) {
	for _, o := range m.linksIn(linkRegistered) {
		if m.peers[o.peer].info.Extended {
			m.emit(Action{Kind: Withdraw, Link: o.id, Server: p.id})
		}
	}
	m.forgetAdverts(p.id)
	p.flaps = !p.lostAt.IsZero() && now.Sub(p.lostAt) < flapTime
	p.lostAt = now
	for _, t := range m.targets {
		if t.peer == p.id {
			t.failures, t.left = 0, m.retries
			m.emit(Action{Kind: LogReconnect, Link: l.id, Target: t})
		}
	}
	if p.reconnect {
		p.reconnect = false
		m.dialAgain(now, p)
	}
}

// Reconnect closes the route over a link, which is then made again, by this server if the peer does
// not do it.
func (m *Mesh) Reconnect(id uint64) {
	if l := m.links[id]; l != nil && l.state == linkRegistered {
		m.peers[l.peer].reconnect = true
		m.close(l, RenewedRoute)
	}
}
