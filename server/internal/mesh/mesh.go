// Package mesh is the state of one server's cluster: which servers there are, which addresses to
// dial and when, which of two connections to one server is the route, and which servers are
// advertised to which others.
//
// It is a state machine without goroutines, clocks or sockets. Events go in as method calls,
// together with the time; what is to be done about them comes out of [Mesh.Actions]. It does not
// know how INFO looks on the wire, how servers authenticate, or what crosses a route.
//
// A link is a connection to another server, named by an id that the caller chooses: the later the
// connection, the larger the id. A [Target] is an address that is dialed.
//
// At any time there is at most one route, that is registered link, per server. Another link to the
// same server waits in standby until the older one has ended or has proved to be alive. Of
// two servers of this kind the one with the smaller id decides which link stays and the other waits
// for that; 1.x servers always close the link that they see later, so with them this server waits
// too. Either way the two ends never close opposite connections.
//
// Links to one server may form a pool (pool.go): then one of them is the route, and the others are
// neither routes nor duplicates.
//
// Two servers that come up at the same time make one duplicate at most: each dials the other only
// while it has no connection to it, and a server that learns that its connection was a duplicate
// waits for the other one, which it has accepted already, instead of dialing again.
package mesh

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Mesh is what one server knows of its cluster. It is not safe for concurrent use.
type Mesh struct {
	// Set once.
	self string // own server id
	rand *rand.Rand
	idle func(link uint64) time.Duration

	retries  int
	poolSize int       // links to one server, at most
	targets  []*Target // in the order they were learned
	links    map[uint64]*link
	peers    map[string]*peer // by server id
	adverts  map[string]int   // how many peers a server advertises, by its id
	full     time.Time        // until then no peer can be forgotten for who advertises most
	actions  []Action
}

// Config is what a [Mesh] begins with.
type Config struct {
	ID      string     // of this server
	Retries int        // see [Mesh.SetRetries]
	Pool    int        // see [Mesh.SetPoolSize]; less than 1 is 1
	Rand    *rand.Rand // spreads what several servers would do at the same moment

	// Idle returns how long ago something was received over a link. It is called during events.
	Idle func(link uint64) time.Duration
}

// Info is what INFO says about a server: its own, or one that another server forwards.
type Info struct {
	ID           string
	Addr         string // host:port that the server listens on for routes, as it says
	DialAddr     string // host:port to dial it at; "" if that is not known
	AuthRequired bool   // routes must show credentials

	// Extended says that the server understands Lost and Duplicate, as those of 1.x do not.
	Extended bool
	// Lost says that the sender has lost its route to this server.
	Lost bool
	// Duplicate says that the sender is about to close this connection, because it has another
	// one to the receiver.
	Duplicate bool

	// PoolSize is how many links the server is ready for; 0 if it knows nothing of pools. PoolID
	// names the pool that a dialed link opens or, if Member is not 0, that it is to join.
	PoolSize int
	PoolID   string
	Member   int // number of the link in the pool
}

// peer is another server.
type peer struct {
	id      string
	info    *Info // of the route that was registered last; nil before
	active  *link // the route; nil if there is none
	standby []*link
	pool    *pool // the links that belong to active; nil if the server knows nothing of pools

	reconnect bool      // the route is being closed only to be made again
	dialAfter time.Time // a connection from it is expected to become the route until then
	lostAt    time.Time // when its last link ended last; zero if none has
	flaps     bool      // the one before had ended shortly before

	adverts map[string]advert // what other servers say about it, by their ids
	auth    bool              // they said that it requires credentials
}

// advert is what one server said about another one.
type advert struct {
	at   time.Time
	addr string // host:port to dial
	link uint64 // that it came over
}

// maxPeers bounds how many servers are known. Beyond it, each server that advertises others has the same
// share.
const maxPeers = 1000

// New returns the state of a server that knows no others.
func New(c Config) *Mesh {
	return &Mesh{
		self:    c.ID,
		retries: c.Retries, poolSize: max(c.Pool, 1),
		rand:  c.Rand,
		idle:  c.Idle,
		links: make(map[uint64]*link),
		peers: make(map[string]*peer), adverts: make(map[string]int),
	}
}

// SetRetries sets how many further attempts are made to dial a server that was lost and that no
// other server advertises.
func (m *Mesh) SetRetries(n int) { m.retries = n }

// Actions returns what is to be done about the events so far, in order, and each action once.
func (m *Mesh) Actions() []Action {
	list := m.actions
	m.actions = nil
	return list
}

func (m *Mesh) emit(a Action) { m.actions = append(m.actions, a) }

// peer returns the entry of a server, adding it if need be.
func (m *Mesh) peer(id string) *peer {
	p := m.peers[id]
	if p == nil {
		p = &peer{id: id, adverts: make(map[string]advert)}
		m.peers[id] = p
	}
	return p
}

// connected reports whether there is a route to a server.
func (m *Mesh) connected(id string) bool {
	p := m.peers[id]
	return p != nil && p.active != nil
}

// linksIn returns the links in a state, oldest first.
func (m *Mesh) linksIn(state linkState) []*link {
	return slices.DeleteFunc(m.sortedLinks(), func(l *link) bool { return l.state != state })
}

// sortedLinks returns all links, oldest first.
func (m *Mesh) sortedLinks() []*link {
	return slices.SortedFunc(maps.Values(m.links), func(a, b *link) int { return cmp.Compare(a.id, b.id) })
}

// Received is the event that INFO came over a link. name is the server id that CONNECT gave on it,
// "" if there was none.
func (m *Mesh) Received(now time.Time, link uint64, name string, info *Info) {
	l := m.links[link]
	if l == nil || info.ID == "" {
		return
	}
	inUse := l.state == linkRegistered || l.state == linkMember
	switch {
	case inUse && info.ID != l.peer:
		if !m.gossip(now, l.peer, link, info) {
			return
		}
	case inUse && info.Duplicate:
		m.expectOther(now, l)
	case inUse:
		m.updated(l, info)
	case l.state != linkNew:
	case name != "" && name != info.ID:
		if l.gossiper == "" { // one link counts as one server, whatever names it gives
			l.gossiper = name
		}
		if !m.gossip(now, l.gossiper, link, info) {
			return
		}
	case info.ID == m.self:
		m.foundSelf(now, l)
	case info.Member > 0 || l.member > 0:
		m.memberIntroduced(l, info)
	default:
		m.introduced(now, l, info)
	}
	m.plan(now)
}

// Wake is the event that the time has come that [Mesh.Next] returned.
func (m *Mesh) Wake(now time.Time) {
	m.settleStandby(now)
	m.dialDue(now)
	m.plan(now)
}

// Next returns when Wake is to be called; the zero time means not at all.
func (m *Mesh) Next() (at time.Time) {
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
	for _, p := range m.peers {
		if m.missing(p) {
			sooner(p.pool.due)
		}
	}
	return at
}

// plan gives every target that should be connected, and is not, a time to try again, and every
// server that others advertise a target. It forgets those that are not advertised any more.
func (m *Mesh) plan(now time.Time) {
	m.targets = slices.DeleteFunc(m.targets, func(t *Target) bool {
		if t.busy || m.connected(t.peer) {
			return false
		}
		if !t.configured && t.left <= 0 && !m.advertised(now, m.peer(t.peer)) {
			return true
		}
		if t.due.IsZero() && !(t.self && isAddress(t.addr)) { // others may come to be behind a name
			t.due = latest(now.Add(m.delayOf(now, t)), m.dialAfter(t.peer))
		}
		return false
	})
	targeted := make(map[string]bool, len(m.targets)) // by server id
	for _, t := range m.targets {
		targeted[t.peer] = true
	}
	var wanted []*peer
	for id, p := range m.peers {
		switch {
		case p.active != nil || targeted[id]:
		case m.advertised(now, p):
			wanted = append(wanted, p)
		case len(p.standby) == 0 && len(p.adverts) == 0:
			delete(m.peers, id)
		}
	}
	slices.SortFunc(wanted, func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
	for _, p := range wanted {
		m.addTarget(now, p, p.addrAfter(""), m.delayOf(now, &Target{peer: p.id}))
	}
	m.fill(now)
}
