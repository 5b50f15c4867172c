package server

import (
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This file and mesh_target.go are the core of clustering: who is dialed and
// when, which of two routes to one server stays, and who is told about whom.
// It is a state machine without goroutines, clocks or sockets: events go in as
// method calls, together with the time; what is to be done about them comes
// out as a list of actions. cluster.go is the shell around it.
//
// There is at most one registered route per server at any time. Another route
// to the same server waits in standby, unread, until the older one is gone or
// has proved to be alive. Of two servers of this kind the one with the smaller
// id decides which stays and the other waits for that; 1.x servers always close
// the one that they see later, so towards them we wait too. Either way no two
// ends ever close opposite connections.
//
// Between two servers that come up there is one duplicate at most: each dials
// the other only while it has no connection to it, and who is told that a
// connection was a duplicate waits for the other one, which it has accepted
// already, instead of dialing again.

// mesh is what one server knows of its cluster.
type mesh struct {
	self    string // own server id
	retries int    // further attempts for servers that nobody advertises
	rand    *rand.Rand
	quiet   func(link uint64) time.Duration // since something was received

	targets []*meshTarget // in the order they were learned
	links   map[uint64]*meshLink
	peers   map[string]*meshPeer // by server id
	actions []meshAction
}

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

// meshPeer is another server.
type meshPeer struct {
	id      string
	info    *peerInfo // the latest, with its address filled in
	active  *meshLink // the registered route; nil if there is none
	standby []*meshLink
	remake  bool                 // its route is closed only to be made again
	adverts map[string]time.Time // servers that told us of it, and when
	heard   string               // host:port they gave
	auth    bool                 // they said it wants credentials
	expect  time.Time            // not to be dialed before: it has a connection to us
}

// actionKind says what the shell is to do.
type actionKind uint8

const (
	doDial     actionKind = iota // target
	doClose                      // link, for reason
	doRegister                   // link
	doProbe                      // link: find out whether it lives
	doForward                    // to link: about
	doWithdraw                   // to link: about.ID is lost
	doNote                       // text, a line for the log, concerning link
	doTell                       // text, a line for the operator
)

// meshAction is one thing the shell is to do.
type meshAction struct {
	kind   actionKind
	link   uint64
	reason closeReason
	dial   dialOrder
	about  *peerInfo
	text   string
}

const (
	// duplicateGrace is how long a 1.x server gets to close one of two routes.
	duplicateGrace = 500 * time.Millisecond
	// decideGrace is how long one of ours gets before we ask whether the older
	// route lives, and standbyLimit how long it gets if that does.
	decideGrace  = 3 * time.Second
	standbyLimit = 30 * time.Second
	// expectGrace is how long a connection that was accepted, and that its peer
	// says is the route, may take to turn out to be that.
	expectGrace = 10 * time.Second
	// quietLimit is how long a route may be silent before a second one to the
	// same server makes us doubt it; probeGrace is then its time to answer.
	quietLimit = 3 * time.Second
	probeGrace = 1500 * time.Millisecond
	// advertLife is how long an advertisement counts that cannot be withdrawn,
	// because a 1.x server made it.
	advertLife = 10 * time.Minute
	// maxPeers bounds how many servers are known: what others tell of further
	// ones is ignored.
	maxPeers = 1000
)

// newMesh returns the state of a server that knows nobody.
func newMesh(self string, retries int, rnd *rand.Rand, quiet func(uint64) time.Duration) *mesh {
	return &mesh{
		self:    self,
		retries: retries,
		rand:    rnd,
		quiet:   quiet,
		links:   make(map[uint64]*meshLink),
		peers:   make(map[string]*meshPeer),
	}
}

// take returns what is to be done, once.
func (m *mesh) take() []meshAction {
	list := m.actions
	m.actions = nil
	return list
}

func (m *mesh) emit(a meshAction) { m.actions = append(m.actions, a) }

func (m *mesh) peer(id string) *meshPeer {
	p := m.peers[id]
	if p == nil {
		p = &meshPeer{id: id, adverts: make(map[string]time.Time)}
		m.peers[id] = p
	}
	return p
}

// connected reports whether there is a route to a server.
func (m *mesh) connected(id string) bool {
	p := m.peers[id]
	return p != nil && p.active != nil
}

// registered returns the registered routes, oldest first.
func (m *mesh) registered() []*meshLink {
	var list []*meshLink
	for _, l := range m.links {
		if l.state == linkRegistered {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *meshLink) int { return int(int64(a.id) - int64(b.id)) })
	return list
}

// accepted is the event that a server has connected to us.
func (m *mesh) accepted(link uint64) { m.links[link] = &meshLink{id: link} }

// learned is the event that INFO came over a link. name is the server id that
// CONNECT gave on it, "" if none did.
func (m *mesh) learned(now time.Time, link uint64, name string, info *peerInfo) {
	l := m.links[link]
	if l == nil || info.ID == "" {
		return
	}
	switch {
	case l.state == linkRegistered && info.ID != l.peer:
		if !m.advertised(now, l.peer, info) {
			return
		}
	case l.state == linkRegistered && info.Duplicate:
		m.replaced(now, l)
	case l.state == linkRegistered:
		m.peers[l.peer].update(info)
	case l.state != linkGreeting:
	case name != "" && name != info.ID:
		l.gossip = name
		m.advertised(now, name, info)
	case info.ID == m.self:
		m.foundSelf(now, l)
	default:
		m.arrived(now, l, info)
	}
	m.plan(now)
}

// update takes what a server says anew of itself. 1.4 also sends an INFO that is
// meant for clients.
func (p *meshPeer) update(info *peerInfo) {
	if info.ClientID != 0 {
		return
	}
	known := *p.info // others read the old one
	known.Import, known.Export = info.Import, info.Export
	p.info = &known
}

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
	m.close(l, endDuplicateRoute)
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
		m.close(l, endRouteRenewed)
	}
}

// unheard forgets what a server told of others.
func (m *mesh) unheard(from string) {
	for _, q := range m.peers {
		delete(q.adverts, from)
	}
}

// advertised is what a server tells us of a third one. It reports whether that
// changes anything beyond what is known.
func (m *mesh) advertised(now time.Time, from string, info *peerInfo) (news bool) {
	if info.ID == m.self {
		return false
	}
	addr := info.routeAddr()
	switch {
	case info.Lost:
		if p := m.peers[info.ID]; p != nil {
			delete(p.adverts, from)
		}
		return true
	case addr == "": // 1.x would dial nowhere
		return false
	case m.peers[info.ID] == nil && len(m.peers) >= maxPeers:
		return false
	}
	p := m.peer(info.ID)
	p.adverts[from] = now
	p.heard, p.auth = addr, info.AuthRequired
	if p.active != nil {
		return false
	}
	for _, t := range m.targets {
		if t.remote == p.id || t.explicit && strings.EqualFold(t.addr, info.addr()) {
			return false
		}
	}
	wait := m.jitter(gossipSpread)
	if info.ours() && m.self > p.id {
		wait += gossipYield // the other one may be dialing us
	}
	m.addImplicit(now, p, wait)
	return true
}

// wanted reports whether somebody still says that p is there.
func (m *mesh) wanted(now time.Time, p *meshPeer) bool {
	for from, at := range p.adverts {
		by := m.peers[from]
		if by != nil && by.active != nil && (by.info.ours() || now.Sub(at) < advertLife) {
			return true
		}
	}
	return false
}

// decide ends the standby of links whose time has come.
func (m *mesh) decide(now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(m.peers)) {
		p := m.peers[id]
		if p.active == nil || p.active.state == linkClosing {
			continue
		}
		for _, s := range slices.Clone(p.standby) {
			if s.state != linkStandby || s.until.IsZero() || s.until.After(now) {
				continue
			}
			switch {
			case m.quiet(p.active.id) < quietLimit:
				m.outlived(now, p, s)
			case !s.probed, now.Sub(s.until) > probeGrace: // not asked, or we had no time to hear the answer
				m.probe(now, p, s)
			default:
				m.close(p.active, endStale)
			}
			if p.active.state == linkClosing {
				break
			}
		}
	}
}

// outlived deals with a link in standby when the older route has proved to be
// alive: the peer closes one of them, unless it takes too long.
func (m *mesh) outlived(now time.Time, p *meshPeer, s *meshLink) {
	if p.info.ours() && m.self > p.id && now.Sub(s.since) < standbyLimit {
		s.until, s.probed = now.Add(decideGrace), false
		return
	}
	m.closeDuplicate(s)
}

// wake is the event that the time next asked for has come.
func (m *mesh) wake(now time.Time) {
	m.decide(now)
	m.dialDue(now)
	m.plan(now)
}

// next returns when wake is to be called; the zero time means not at all.
func (m *mesh) next() (at time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, t := range m.targets {
		if !t.busy {
			sooner(t.due)
		}
	}
	for _, l := range m.links {
		if l.state == linkStandby {
			sooner(l.until)
		}
	}
	return at
}

// isAddress reports whether the host of host:port is an address rather than a name.
func isAddress(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	return err == nil && net.ParseIP(host) != nil
}

// userOf returns the credentials in a URL as name and password.
func userOf(u *url.URL) (name, password string) {
	if u == nil || u.User == nil {
		return "", ""
	}
	password, _ = u.User.Password()
	return u.User.Username(), password
}
