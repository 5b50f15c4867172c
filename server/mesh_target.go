package server

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"
)

// meshTarget is an address that is dialed: a configured one for ever, one that
// others told us of as long as they do.
type meshTarget struct {
	addr     string   // host:port
	url      *url.URL // as configured; nil if others told us
	explicit bool
	remote   string // server id it led to last, or is said to lead to

	busy     bool      // being dialed, or a link came of it and lives
	claimed  string    // while busy: the address that is dialed or connected to
	reached  string    // the address that led to remote
	due      time.Time // next attempt; zero = none is planned
	failures int       // attempts in a row that led nowhere
	left     int       // attempts of one that nobody advertises
	self     bool      // it leads to ourselves
	avoid    []string  // addresses behind its name that lead to ourselves
	lastErr  string    // why it is not connected
}

// dialOrder is what the shell needs to know to dial a target.
type dialOrder struct {
	target   *meshTarget
	addr     string
	user     string // credentials from the configured URL
	pass     string
	explicit bool // configured
	own      bool // show our own credentials: the peer is said to want some
	avoid    []string
	wait     time.Duration // for one address to answer
	order    uint64        // in which they are tried: a random number
}

const (
	// lossDelay is the wait before a lost route or a failed attempt is tried
	// again, as in 1.x; lossJitter is what is added at most.
	lossDelay  = time.Second
	lossJitter = 100 * time.Millisecond
	// maxDelay is the longest wait between attempts, which grows by half each
	// time after the first few.
	maxDelay  = 3 * time.Second
	fastTries = 3
	// maxDialing bounds how many servers that others told us of are dialed at a
	// time.
	maxDialing = 64
	// dialWait is how long one address may take to answer, at first; it grows as
	// the delay does, for machines that are slow because there is too much to do.
	dialWait = time.Second
	// gossipSpread spreads the dialing of servers that others told us of;
	// gossipYield is how much longer the one with the larger id waits, as
	// lossYield is after a loss.
	gossipSpread = 30 * time.Millisecond
	gossipYield  = 300 * time.Millisecond
	lossYield    = 500 * time.Millisecond
	// selfRecheck is how often a name that led to ourselves is looked up again:
	// others may be behind it by then.
	selfRecheck = 30 * time.Second
)

// name is how the log calls the target.
func (t *meshTarget) name() string {
	if t.url != nil {
		return redactURL(t.url)
	}
	return routeScheme + t.addr + "/"
}

// led notes that the target leads to a server.
func (t *meshTarget) led(id string) {
	t.remote = id
	t.due = time.Time{}
	t.failures = 0
	t.lastErr = ""
	t.self = false
}

// failed notes that an attempt led nowhere.
func (t *meshTarget) failed(why string) {
	t.failures++
	t.left--
	t.lastErr = why
}

// jitter returns a random duration below d.
func (m *mesh) jitter(d time.Duration) time.Duration { return time.Duration(m.rand.Int64N(int64(d))) }

// delay returns the wait before the next attempt. Of two servers that have lost
// each other both may try again at that time: the one with the larger id waits
// for the other.
func (m *mesh) delay(t *meshTarget) time.Duration {
	d := t.grown(lossDelay, maxDelay) + m.jitter(lossJitter)
	if p := m.peers[t.remote]; p != nil && p.info != nil && p.info.ours() && m.self > p.id {
		d += lossYield
	}
	return d
}

// grown returns d, by half longer for every failure after the first few, up to a
// limit.
func (t *meshTarget) grown(d, limit time.Duration) time.Duration {
	for i := fastTries; i < t.failures && d < limit; i++ {
		d += d / 2
	}
	return min(d, limit)
}

// configured is the event that the list of routes was set or has changed.
func (m *mesh) configured(now time.Time, urls []*url.URL) {
	kept := make([]*meshTarget, 0, len(urls))
	for _, u := range urls {
		i := slices.IndexFunc(m.targets, func(t *meshTarget) bool { return t.explicit && t.url.String() == u.String() })
		switch {
		case i >= 0 && !slices.Contains(kept, m.targets[i]):
			kept = append(kept, m.targets[i])
		case i < 0 && !slices.ContainsFunc(kept, func(t *meshTarget) bool { return t.url.String() == u.String() }):
			kept = append(kept, &meshTarget{addr: u.Host, url: u, explicit: true, due: now})
		}
	}
	for _, t := range m.targets {
		if !t.explicit {
			kept = append(kept, t)
		}
	}
	removed := slices.DeleteFunc(slices.Clone(m.targets), func(t *meshTarget) bool { return slices.Contains(kept, t) })
	m.targets = kept
	for _, l := range m.links {
		if slices.Contains(removed, l.target) && l.state != linkClosing {
			m.emit(meshAction{kind: doTell, link: l.id, text: noteRemoved(l.target.name())})
			m.close(l, closeRouteRemoved)
		}
	}
	m.dialDue(now)
}

// addImplicit adds a target for a server that others told us of.
func (m *mesh) addImplicit(now time.Time, p *meshPeer, wait time.Duration) {
	t := &meshTarget{addr: p.heard, remote: p.id, left: 1 + m.retries, due: later(now.Add(wait+m.jitter(lossJitter)), p.expect)}
	m.targets = append(m.targets, t)
}

// dialAgain sees to it that a server is dialed whose route has ended.
func (m *mesh) dialAgain(now time.Time, p *meshPeer) {
	for _, t := range m.targets {
		if t.remote == p.id {
			t.left = 1 + m.retries
			return
		}
	}
	if p.heard = p.info.routeAddr(); p.heard != "" {
		m.addImplicit(now, p, lossDelay)
	}
}

// dialDue dials what is due.
func (m *mesh) dialDue(now time.Time) {
	dialing := m.dialing()
	for _, t := range m.targets {
		if t.busy || t.due.IsZero() || t.due.After(now) {
			continue
		}
		if !t.explicit && dialing >= maxDialing {
			t.due = now.Add(lossJitter)
			continue
		}
		t.due = time.Time{}
		if m.connected(t.remote) {
			continue
		}
		t.busy = true
		dialing++
		user, pass := userOf(t.url)
		p := m.peers[t.remote]
		m.emit(meshAction{kind: doDial, dial: dialOrder{
			target: t, addr: t.addr, user: user, pass: pass, explicit: t.explicit,
			own:   !t.explicit && p != nil && p.auth,
			avoid: slices.Clone(t.avoid),
			wait:  t.grown(dialWait, maxDelay),
			order: m.rand.Uint64(),
		}})
	}
}

// dialing returns how many targets are being dialed or wait for INFO.
func (m *mesh) dialing() (n int) {
	for _, t := range m.targets {
		if t.busy && !m.connected(t.remote) {
			n++
		}
	}
	return n
}

// dialed is the event that a target answered: a link has come of it. It reports
// false if the target is not wanted any more.
func (m *mesh) dialed(t *meshTarget, link uint64, addr string) bool {
	if !slices.Contains(m.targets, t) {
		return false
	}
	m.links[link] = &meshLink{id: link, target: t, addr: addr}
	return true
}

// claim reports whether a target may dial an address: not while another one
// does, or when it is known to lead to a server that we are connected to. Names
// may share addresses.
func (m *mesh) claim(t *meshTarget, addr string) bool {
	for _, o := range m.targets {
		if o != t && (o.busy && o.claimed == addr || m.at(o, addr)) {
			return false
		}
	}
	t.claimed = addr
	return true
}

// at reports whether there is a route to the server that a target has found at
// an address, and that is still there.
func (m *mesh) at(t *meshTarget, addr string) bool {
	p := m.peers[t.remote]
	return p != nil && p.active != nil && t.reached == addr && (p.active.addr == addr || p.info.routeAddr() == addr)
}

// covered is the event that addresses behind a target are those of others: it
// leads where they do, once that is known.
func (m *mesh) covered(now time.Time, t *meshTarget, addrs []string) {
	t.busy = false
	for _, o := range m.targets {
		if o != t && slices.Contains(addrs, o.reached) && m.at(o, o.reached) {
			t.led(o.remote)
			t.reached = o.reached
			return
		}
	}
	t.due = now.Add(lossDelay + m.jitter(lossJitter))
}

// dialFailed is the event that a target could not be reached.
func (m *mesh) dialFailed(now time.Time, t *meshTarget, why string) {
	t.busy = false
	t.failed(why)
	m.plan(now)
}

// onlySelf is the event that all addresses behind a target are to be avoided.
func (m *mesh) onlySelf(now time.Time, t *meshTarget) {
	t.busy = false
	t.self = true
	t.due = now.Add(selfRecheck)
}

// foundSelf is the discovery that a link leads to ourselves.
func (m *mesh) foundSelf(now time.Time, l *meshLink) {
	l.peer = m.self
	if t := l.target; t != nil {
		m.emit(meshAction{kind: doNote, link: l.id, text: noteSelf(t.name())})
		t.avoid = append(t.avoid, l.addr)
		t.self = isAddress(t.addr)
		if !t.self { // others may be behind the same name
			t.due = now
		}
	}
	m.close(l, closeDuplicateRoute)
}

// plan gives every target that should be connected, and is not, a time to try
// again, and every server that somebody advertises a target. It forgets those
// that nobody wants any more.
func (m *mesh) plan(now time.Time) {
	m.targets = slices.DeleteFunc(m.targets, func(t *meshTarget) bool {
		if t.busy || m.connected(t.remote) {
			return false
		}
		if !t.explicit && t.left <= 0 && !m.wanted(now, m.peer(t.remote)) {
			return true
		}
		if t.due.IsZero() && !t.self {
			t.due = later(now.Add(m.delay(t)), m.expected(t.remote))
		}
		return false
	})
	targeted := make(map[string]bool, len(m.targets)) // by server id
	for _, t := range m.targets {
		targeted[t.remote] = true
	}
	for _, id := range slices.Sorted(maps.Keys(m.peers)) {
		p := m.peers[id]
		switch {
		case p.active != nil || targeted[id]:
		case m.wanted(now, p):
			m.addImplicit(now, p, lossDelay)
		case len(p.standby) == 0 && len(p.adverts) == 0:
			delete(m.peers, id)
		}
	}
}

// expected returns the time before which a server is not to be dialed, because
// a connection of it is expected to turn out to be the route.
func (m *mesh) expected(id string) time.Time {
	if p := m.peers[id]; p != nil {
		return p.expect
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Lines of the log, facts of the classic broker.

func noteRemoved(name string) string { return fmt.Sprintf("Removed route %s", name) }

func noteDuplicate(id string) string { return fmt.Sprintf("Detected duplicate remote route %q", id) }

func noteSelf(name string) string { return fmt.Sprintf("Detected route to self, ignoring %q", name) }

func noteReconnect(name string) string {
	return fmt.Sprintf("Attempting reconnect for solicited route \"%s\"", name)
}

func noteNoReconnect(id string) string {
	return fmt.Sprintf("Not attempting reconnect for solicited route, already connected to \"%s\"", id)
}
