package server

import (
	"slices"
	"strings"
	"time"
)

// This file is the life of the connections of a mesh: which is the route to a
// server, which a duplicate, and what becomes of them.

// meshLink is a connection to another server, by its connection id.
type meshLink struct {
	id     uint64
	target *meshTarget // that led to it; nil if the peer dialed
	addr   string      // that was dialed
	peer   string      // server id, once INFO has come
	gossip string      // server id in whose name it told of others, before that
	state  linkState
	since  time.Time // of standby: when it began
	until  time.Time // of standby: when a decision is due
	probed bool      // of standby: the older route has been asked whether it lives
}

// linkState is how far a connection has come.
type linkState uint8

const (
	linkGreeting   linkState = iota // no INFO yet
	linkStandby                     // a second connection to a server
	linkRegistered                  // the route to a server
	linkClosing                     // told to close
)

// accepted is the event that a server has connected to us.
func (m *mesh) accepted(link uint64) { m.links[link] = &meshLink{id: link} }

// arrived gives a link, over which its peer has introduced itself, its place.
func (m *mesh) arrived(now time.Time, l *meshLink, info *peerInfo) {
	p := m.peer(info.ID)
	l.peer = p.id
	if t := l.target; t != nil {
		if !t.explicit && t.remote != p.id { // another server has taken the address
			m.targets = slices.DeleteFunc(m.targets, func(x *meshTarget) bool { return x == t })
			clear(m.peer(t.remote).adverts)
			l.target = nil
		}
		t.led(p.id)
		t.reached = l.addr
	}
	if p.active == nil {
		p.info = info
		m.register(p, l)
		return
	}
	l.state = linkStandby
	p.standby = append(p.standby, l)
	l.since = now
	switch {
	case p.active.state == linkClosing: // register follows when it is gone
	case m.quiet(p.active.id) >= quietLimit:
		m.probe(now, p, l)
	case !info.ours():
		l.until = now.Add(duplicateGrace)
	case m.self < p.id:
		m.closeDuplicate(l)
	default:
		l.until = now.Add(decideGrace)
	}
}

// replaced is the event that the peer of a route is about to close it, because
// it has another one to us: one that we have accepted and not yet read from, or
// it is mistaken.
func (m *mesh) replaced(now time.Time, l *meshLink) {
	for _, o := range m.links {
		if o.target == nil && o.state == linkGreeting {
			m.peers[l.peer].expect = now.Add(expectGrace)
		}
	}
}

// probe asks the route to p whether it lives, before s may take its place.
func (m *mesh) probe(now time.Time, p *meshPeer, s *meshLink) {
	s.probed = true
	s.until = now.Add(probeGrace)
	m.emit(meshAction{kind: doProbe, link: p.active.id})
}

// register makes a link the route to its peer, and tells others of it.
func (m *mesh) register(p *meshPeer, l *meshLink) {
	others := m.registered()
	p.active, p.expect = l, time.Time{}
	l.state = linkRegistered
	m.emit(meshAction{kind: doRegister, link: l.id})
	for _, t := range m.targets {
		if t.explicit && !t.busy && strings.EqualFold(t.addr, p.info.addr()) {
			t.led(p.id)
		}
		if t.remote == p.id {
			t.due = time.Time{}
		}
	}
	for _, o := range others {
		m.emit(meshAction{kind: doForward, link: o.id, about: p.info})
	}
}

// close asks for the end of a link. closed follows.
func (m *mesh) close(l *meshLink, reason closeReason) {
	l.state = linkClosing
	m.emit(meshAction{kind: doClose, link: l.id, reason: reason})
}

// closeDuplicate asks for the end of a link to a server to which there is
// another one.
func (m *mesh) closeDuplicate(l *meshLink) {
	m.emit(meshAction{kind: doNote, link: l.id, text: noteDuplicate(l.peer)})
	m.close(l, closeDuplicateRoute)
}

// closed is the event that a link has ended. why is for the operator.
func (m *mesh) closed(now time.Time, link uint64, why string) {
	l := m.links[link]
	if l == nil {
		return
	}
	delete(m.links, link)
	if l.gossip != "" && !m.connected(l.gossip) {
		m.unheard(l.gossip)
	}
	if t := l.target; t != nil {
		t.busy = false
		if l.peer == "" {
			t.failed(why)
		} else if l.peer != m.self {
			t.lastErr = why
		}
	}
	m.ended(now, l)
	m.plan(now)
}

// ended takes a link out of the state of its peer.
func (m *mesh) ended(now time.Time, l *meshLink) {
	p := m.peers[l.peer]
	if p == nil {
		return
	}
	if p.active == l {
		p.active = nil
		m.succeed(now, p, l)
		return
	}
	p.standby = slices.DeleteFunc(p.standby, func(s *meshLink) bool { return s == l })
	if l.target != nil && p.active != nil {
		l.target.lastErr = ""
		m.emit(meshAction{kind: doNote, link: l.id, text: noteNoReconnect(p.id)})
	}
}

// succeed finds a successor of the route to p that has ended.
func (m *mesh) succeed(now time.Time, p *meshPeer, l *meshLink) {
	for _, s := range p.standby {
		if s.state == linkStandby {
			p.standby = slices.DeleteFunc(p.standby, func(x *meshLink) bool { return x == s })
			m.register(p, s)
			return
		}
	}
	m.lost(now, p, l)
}

// lost is called when the only route to p has ended.
func (m *mesh) lost(now time.Time, p *meshPeer, l *meshLink) {
	for _, o := range m.registered() {
		if m.peers[o.peer].info.ours() {
			m.emit(meshAction{kind: doWithdraw, link: o.id, about: &peerInfo{Info: Info{ID: p.id}}})
		}
	}
	m.unheard(p.id)
	for _, t := range m.targets {
		if t.remote == p.id {
			t.failures, t.left = 0, m.retries
			m.emit(meshAction{kind: doNote, link: l.id, text: noteReconnect(t.name())})
		}
	}
	if p.remake {
		p.remake = false
		m.dialAgain(now, p)
	}
}

// remake closes the route over a link, which is then made again, by us if the
// peer does not.
func (m *mesh) remake(link uint64) {
	if l := m.links[link]; l != nil && l.state == linkRegistered {
		m.peers[l.peer].remake = true
		m.close(l, closeRouteRenewed)
	}
}
