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
				m.close(p.active, closeStale)
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
