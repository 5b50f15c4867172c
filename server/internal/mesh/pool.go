package mesh

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// This file is the pools: two servers may have several links that belong together. One of them is
// the route, the others are members that joined it. The server that dialed the first link dials the
// others, and those that replace lost ones. When the route is lost a member becomes the route, so
// the two servers stay connected as long as one link is left.

// pool is the links to one server that belong together.
type pool struct {
	id      string   // of the server that dials it is the id of its first link; the other one knows what INFO said
	most    int      // links that the other server is ready for
	first   *Attempt // to dial the first link; nil if the other server dials
	target  *Target  // of the first link; nil if it has none any more
	addr    string   // where it was dialed
	members []*link  // that have joined, without the route; oldest first
	last    int      // number of the link that was dialed last, or has joined last

	// Of the server that dials.
	ready    bool // the other server has made the first link the route, too
	dialing  bool // a link is being dialed, or has not joined yet
	failures int  // attempts in a row that failed
	due      time.Time
}

const (
	// joinDelay is the wait after an attempt failed for the first time, which doubles each time;
	// joinFailed is the longest.
	joinDelay  = 100 * time.Millisecond
	joinFailed = 3 * time.Second
)

// SetPoolSize sets how many links to one server this server wants, at least 1.
func (m *Mesh) SetPoolSize(now time.Time, n int) {
	m.poolSize = max(n, 1)
	m.fill(now)
}

// newPool returns the pool that a link opens which becomes the route, nil if the other server knows
// nothing of pools.
func (m *Mesh) newPool(l *link) *pool {
	switch {
	case l.info.PoolSize < 1:
		return nil
	case l.attempt != nil:
		return &pool{id: strconv.FormatUint(l.id, 10), most: l.info.PoolSize, first: l.attempt, target: l.target, addr: l.addr}
	case l.info.PoolID == "":
		return nil
	}
	return &pool{id: l.info.PoolID, most: l.info.PoolSize}
}

// size returns how many links the pool is to have.
func (m *Mesh) size(p *pool) int { return min(m.poolSize, p.most) }

// missing reports whether this server is to dial another link to p.
func (m *Mesh) missing(p *peer) bool {
	l := p.pool
	return l != nil && l.first != nil && l.ready && !l.dialing && p.active != nil && p.active.state == linkRegistered &&
		1+len(l.members) < m.size(l)
}

// fill dials the links that are missing in pools, one at a time for each, and retires those that are
// too many.
func (m *Mesh) fill(now time.Time) {
	var list []*peer
	for _, p := range m.peers {
		if p.pool != nil && p.pool.first != nil && p.active != nil {
			m.trim(p.pool)
		}
		if m.missing(p) && !p.pool.due.After(now) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
	for _, p := range list {
		l := p.pool
		l.dialing, l.due = true, time.Time{}
		l.last++
		a := *l.first
		a.Member, a.PoolID, a.At, a.peer, a.pool = l.last, l.id, l.addr, p.id, l
		m.emit(Action{Kind: Dial, Attempt: &a})
	}
}

// trim retires the youngest members of a pool that has too many.
func (m *Mesh) trim(p *pool) {
	for n := len(p.members); n > 0 && 1+n > m.size(p); n-- {
		l := p.members[n-1]
		p.members[n-1], p.members = nil, p.members[:n-1]
		if l.state == linkMember {
			l.state, l.left = linkClosing, true
			m.emit(Action{Kind: Retire, Link: l.id})
		}
	}
}

// Left is the event that the other server has retired a link. What it has sent has been received.
func (m *Mesh) Left(now time.Time, id uint64) {
	l := m.links[id]
	if l == nil || l.pool == nil || l.state != linkMember && l.state != linkRegistered {
		return
	}
	l.state, l.left = linkClosing, true
	p := m.peers[l.peer]
	if p.active == l {
		p.active = nil
		if !m.promoteMember(now, p) { // it was the only one: the other server is mistaken
			p.active = l
			m.close(l, RenewedRoute)
			return
		}
	}
	l.pool.members = slices.DeleteFunc(l.pool.members, func(o *link) bool { return o == l })
	l.pool.due = latest(l.pool.due, now.Add(retryDelay-m.jitter(retryJitter)))
	m.emit(Action{Kind: Retire, Link: l.id})
	m.plan(now)
}

// MemberDialed is the event that an attempt for a pool has connected. It reports false if the link
// is not wanted any more.
func (m *Mesh) MemberDialed(a *Attempt, id uint64) bool {
	p := m.peers[a.peer]
	if p == nil || p.pool != a.pool {
		return false
	}
	m.links[id] = &link{id: id, target: a.pool.target, attempt: a, addr: a.At, peer: a.peer, pool: a.pool, member: a.Member}
	return true
}

// MemberFailed is the event that an attempt for a pool has failed.
func (m *Mesh) MemberFailed(now time.Time, a *Attempt) {
	a.pool.failed(now, m.jitter(retryJitter))
	m.plan(now)
}

// failed notes that a link could not be dialed, or did not join.
func (l *pool) failed(now time.Time, jitter time.Duration) {
	wait := joinDelay
	for range l.failures {
		if wait < joinFailed {
			wait *= 2
		}
	}
	l.failures++
	l.dialing, l.due = false, now.Add(min(wait, joinFailed)+jitter)
}

// Joined is the event that the other server has accepted a dialed link: the first one of a pool as
// its route, or another one as a member.
func (m *Mesh) Joined(now time.Time, id uint64) {
	l := m.links[id]
	switch {
	case l == nil || l.pool == nil:
		return
	case l.member == 0:
		l.pool.ready = true
	case l.state == linkNew && l.info != nil:
		l.pool.dialing, l.pool.failures = false, 0
		m.join(l)
	default:
		return
	}
	m.plan(now)
}

// join makes a link a member of its pool.
func (m *Mesh) join(l *link) {
	l.state = linkMember
	l.pool.members = append(l.pool.members, l)
	m.emit(Action{Kind: Join, Link: l.id, Of: m.peers[l.peer].active.id, Number: l.member})
}

// memberIntroduced is the event that the peer of a new link, which is to be a member of a pool, has
// said which server it is. A link that this server has dialed waits for Joined; one that it has
// accepted joins if there is room.
func (m *Mesh) memberIntroduced(l *link, info *Info) {
	if l.member > 0 {
		if l.info != nil {
			return
		}
		l.info = info
		if info.ID != l.peer { // another server has taken the address
			m.close(l, DuplicateRoute)
		}
		return
	}
	l.peer, l.member, l.info = info.ID, info.Member, info
	p := m.peers[info.ID]
	if p == nil || p.pool == nil || p.pool.first != nil || p.pool.id != info.PoolID || info.Member <= p.pool.last || p.active == nil || 1+len(p.pool.members) >= m.size(p.pool) {
		m.closeDuplicate(l)
		return
	}
	l.pool, p.pool.last = p.pool, info.Member
	m.join(l)
}

// memberClosed takes a link that has ended, and was to be a member, out of its pool.
func (m *Mesh) memberClosed(now time.Time, l *link) {
	p := l.pool
	switch i := slices.Index(p.members, l); {
	case l.left, m.peers[l.peer] != nil && m.peers[l.peer].active == l: // the latter is no member any more
	case i >= 0:
		p.members = slices.Delete(p.members, i, i+1)
		p.due = latest(p.due, now.Add(retryDelay-m.jitter(retryJitter)))
	case p.first != nil:
		p.failed(now, m.jitter(retryJitter))
	}
}

// promoteMember makes the oldest member the route to a server that has lost it. It reports false if
// there is none.
func (m *Mesh) promoteMember(now time.Time, p *peer) bool {
	if p.pool == nil {
		return false
	}
	i := slices.IndexFunc(p.pool.members, func(l *link) bool { return l.state == linkMember })
	if i < 0 {
		return false
	}
	l := p.pool.members[i]
	p.pool.members = slices.Delete(p.pool.members, i, i+1)
	p.pool.due = latest(p.pool.due, now.Add(retryDelay-m.jitter(retryJitter)))
	if p.info != nil { // INFO came on the one before
		info := *l.info
		info.Addr, info.DialAddr, info.PoolSize = p.info.Addr, p.info.DialAddr, p.info.PoolSize
		l.info = &info
	}
	p.active, p.info = l, l.info
	l.state = linkRegistered
	m.emit(Action{Kind: Promote, Link: l.id})
	m.forwardOthers(l)
	for _, s := range slices.Clone(p.standby) {
		if s.state == linkStandby {
			m.judge(now, p, s)
		}
	}
	return true
}

// closePool closes what is left of the pool of a server, whose route is closed too.
func (m *Mesh) closePool(p *peer) {
	for _, l := range m.sortedLinks() {
		if l.pool == p.pool && l.member > 0 && l.state != linkClosing && l != p.active {
			m.close(l, RenewedRoute)
		}
	}
}

// closeIdle closes the members of a pool whose route was found to be dead, as far as they are idle.
func (m *Mesh) closeIdle(p *peer) {
	if p.pool == nil {
		return
	}
	for _, l := range slices.Clone(p.pool.members) {
		if l.state == linkMember && m.idle(l.id) >= idleLimit {
			m.close(l, StaleRoute)
		}
	}
}
