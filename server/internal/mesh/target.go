package mesh

import (
	"net"
	"net/url"
	"slices"
	"time"
)

// Target is an address that is dialed: a configured one for ever, one that other servers advertise
// as long as they do. What its methods return never changes.
type Target struct {
	// Set once.
	url        *url.URL
	addr       string // host:port
	configured bool

	peer    string // server id it led to last, or is said to lead to
	reached string // the address that led there

	busy     bool      // being dialed, or there is a link that it led to
	claimed  string    // while busy: the address that is dialed or connected to
	due      time.Time // next attempt; zero if none is planned
	waits    time.Time // since when it has been due while others were dialed; zero if it has not
	failures int       // attempts in a row that failed
	refusals int       // attempts in a row that ended with Refused
	left     int       // attempts that are left while no other server advertises it
	self     bool      // it leads to this server
	avoid    []string  // addresses behind its name that lead to this server
	lastErr  string    // why it is not connected
	attempt  *Attempt  // the last one
}

const (
	// quickDelay is the longest wait before a lost route is dialed again, and before each of the
	// first quickTries attempts at a configured one: a server that restarts is mostly back soon.
	// quickJitter is what is subtracted at most, quickYield as retryYield.
	quickDelay  = 250 * time.Millisecond
	quickJitter = 50 * time.Millisecond
	quickYield  = 100 * time.Millisecond
	quickTries  = 20
	// retryDelay is the longest wait before other attempts, as in 1.x; retryJitter is what is
	// subtracted at most.
	retryDelay  = time.Second
	retryJitter = 100 * time.Millisecond
	// flapTime is how soon after another one the loss of a route is no reason to hurry.
	flapTime = 2 * retryDelay
	// maxRefusedDelay is the longest wait before a server that was refused is tried again: the
	// wait doubles with each attempt.
	maxRefusedDelay = 30 * time.Second
	// maxAdvertDelay is the longest wait before an advertised server is tried again that was not
	// reached quickTries times: the wait doubles with each attempt.
	maxAdvertDelay = 10 * time.Second
	// retryYield is how much earlier the server with the smaller id tries: both ends may dial.
	retryYield = 150 * time.Millisecond
	// maxDialing bounds how many advertised targets are dialed at a time; dialPause is how
	// often the others are looked at.
	maxDialing = 64
	dialPause  = 100 * time.Millisecond
	// dialTimeout is how long one address may take to answer at first. After a few failures it
	// grows by half each time, up to a limit, for machines that are slow because they are
	// overloaded.
	dialTimeout    = time.Second
	maxDialTimeout = 3 * time.Second
	fastTries      = 3
	// selfRecheck is how often a name that led to this server is looked up again: others may be
	// behind it by then.
	selfRecheck = 30 * time.Second
)

// URL returns the URL of the target as it is configured, or as it would be.
func (t *Target) URL() *url.URL { return t.url }

// Configured reports whether the target is a configured route.
func (t *Target) Configured() bool { return t.configured }

// resolvedTo notes that the target leads to a server.
func (t *Target) resolvedTo(id string) {
	t.peer = id
	t.due, t.waits = time.Time{}, time.Time{}
	t.failures, t.refusals = 0, 0
	t.lastErr = ""
	t.self = false
}

// failed notes that an attempt failed.
func (t *Target) failed(why string) {
	t.failures++
	t.left--
	t.lastErr = why
}

// timeout returns how long an address may take to answer.
func (t *Target) timeout() time.Duration {
	d := dialTimeout
	for i := fastTries; i < t.failures && d < maxDialTimeout; i++ {
		d += d / 2
	}
	return min(d, maxDialTimeout)
}

// jitter returns a random duration below d.
func (m *Mesh) jitter(d time.Duration) time.Duration { return time.Duration(m.rand.Int64N(int64(d))) }

// delay returns the wait before the next attempt to reach p, which is nil if it is not known who
// is there.
func (m *Mesh) delay(p *peer) time.Duration {
	d := retryDelay - m.jitter(retryJitter)
	if m.yields(p) {
		d -= retryYield
	}
	return d
}

// yields reports whether p waits for this server to dial first.
func (m *Mesh) yields(p *peer) bool {
	return p != nil && p.info != nil && p.info.Extended && m.self < p.id
}

// delayOf returns the wait before the next attempt at a target. What is dialed only a few times,
// because no other server knows it, is given its time to restart, and one whose link was closed as a
// duplicate is given its time to become the route.
func (m *Mesh) delayOf(now time.Time, t *Target) time.Duration {
	p := m.peers[t.peer]
	lost := p != nil && p.lostAt.Equal(now) && !p.flaps && (t.configured || m.advertised(now, p))
	restarting := t.configured && t.failures > 0 && t.failures < quickTries
	if !lost && !restarting {
		return repeated(t, m.delay(p))
	}
	d := quickDelay - m.jitter(quickJitter)
	if m.yields(p) {
		d -= quickYield
	}
	return d
}

// repeated returns how long to wait instead of d before another attempt at a target. What others
// advertise, and is not reached again and again, may never be.
func repeated(t *Target, d time.Duration) time.Duration {
	for i := quickTries; !t.configured && i < t.failures && d < maxAdvertDelay; i++ {
		d *= 2
	}
	return min(d, maxAdvertDelay)
}

// refusedDelay returns the wait before the next attempt to reach a server that was refused.
func (m *Mesh) refusedDelay(t *Target) time.Duration {
	d := m.delay(nil)
	for i := 1; i < t.refusals && d < maxRefusedDelay; i++ {
		d *= 2
	}
	return min(d, maxRefusedDelay)
}

// Configured is the event that the list of routes to dial was set or has changed.
func (m *Mesh) Configured(now time.Time, routes []*url.URL) {
	kept := make([]*Target, 0, len(routes))
	for _, u := range routes {
		same := func(t *Target) bool { return t.configured && t.url.String() == u.String() }
		switch i := slices.IndexFunc(m.targets, same); {
		case slices.ContainsFunc(kept, same): // it is listed twice
		case i >= 0:
			kept = append(kept, m.targets[i])
		default:
			kept = append(kept, &Target{url: u, addr: u.Host, configured: true, due: now})
		}
	}
	for _, t := range m.targets {
		if !t.configured {
			kept = append(kept, t)
		}
	}
	m.targets = kept
	for _, l := range m.links {
		if l.target != nil && !slices.Contains(kept, l.target) && l.state != linkClosing {
			if l.member == 0 || l.state == linkRegistered {
				m.emit(Action{Kind: LogRemoved, Link: l.id, Target: l.target})
			}
			m.close(l, RemovedRoute)
		}
	}
	m.dialDue(now)
}

// addTarget adds a target for a server that is said to be at an address.
func (m *Mesh) addTarget(now time.Time, p *peer, addr string, wait time.Duration) {
	m.targets = append(m.targets, &Target{
		url:  urlOf(addr),
		addr: addr,
		peer: p.id,
		left: 1 + m.retries,
		due:  latest(now.Add(wait), p.dialAfter),
	})
}

// urlOf returns the URL of a route to an advertised address.
func urlOf(addr string) *url.URL { return &url.URL{Scheme: "nats-route", Host: addr, Path: "/"} }

// redirect replaces a target, which nothing dials, by one with another address.
func (m *Mesh) redirect(t *Target, addr string) *Target {
	next := *t
	next.url, next.addr, next.self, next.avoid = urlOf(addr), addr, false, nil
	m.targets[slices.Index(m.targets, t)] = &next
	return &next
}

// hurry brings the next attempt at a new address forward, unless many have failed: a server may be said to
// be at a new one all the time.
func (t *Target) hurry(now time.Time) {
	if soon := now.Add(retryDelay); t.refusals == 0 && t.failures < quickTries && (t.due.IsZero() || t.due.After(soon)) {
		t.due = soon
	}
}

// fails reports whether a target is an advertised one, not being dialed, whose server was not found at its
// address.
func (t *Target) fails() bool { return !t.configured && !t.busy && (t.failures > 0 || t.self) }

// notReached makes a target that was not reached lead to the next address at which its server is
// advertised. It returns what the target has become.
func (m *Mesh) notReached(t *Target) *Target {
	p := m.peers[t.peer]
	if p == nil || !t.fails() || !slices.Contains(m.targets, t) {
		return t
	}
	if next := p.addrAfter(t.addr); next != "" && next != t.addr {
		t = m.redirect(t, next)
		t.due = time.Time{} // plan gives it a time
	}
	return t
}

// leadsHere notes that an advertised target has led to this server. It is tried at other addresses, and
// forgotten with the last advertisement.
func (m *Mesh) leadsHere(t *Target) {
	t.failed("it leads to this server")
	t.left = 0
	m.notReached(t)
}

// dialAgain sees to it that a server is dialed whose route has ended.
func (m *Mesh) dialAgain(now time.Time, p *peer) {
	for _, t := range m.targets {
		if t.peer == p.id {
			t.left = 1 + m.retries
			return
		}
	}
	if p.info.DialAddr != "" {
		m.addTarget(now, p, p.info.DialAddr, m.delay(p))
	}
}

// dialDue dials the targets that are due, those first that have been for longest.
func (m *Mesh) dialDue(now time.Time) {
	var list []*Target
	for _, t := range m.targets {
		if t.busy || t.due.IsZero() || t.due.After(now) {
			continue
		}
		if t.waits.IsZero() {
			t.waits = t.due
		}
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(a, b *Target) int { return a.waits.Compare(b.waits) })
	dialing := m.dialing()
	for _, t := range list {
		if !t.configured && dialing >= maxDialing {
			t.due = now.Truncate(dialPause).Add(dialPause) // at once for all that wait: Wake looks at every target
			continue
		}
		t.due, t.waits = time.Time{}, time.Time{}
		if m.connected(t.peer) {
			continue
		}
		t.busy = true
		dialing++
		t.attempt = m.attempt(t)
		m.emit(Action{Kind: Dial, Attempt: t.attempt})
	}
}

// attempt describes the next attempt at a target.
func (m *Mesh) attempt(t *Target) *Attempt {
	p := m.peers[t.peer]
	return &Attempt{
		Target:         t,
		Addr:           t.addr,
		Avoid:          slices.Clone(t.avoid),
		Names:          m.namesFor(t),
		OwnCredentials: !t.configured && p != nil && p.auth,
		Failures:       t.failures,
		Timeout:        t.timeout(),
		Seed:           m.rand.Uint64(),
	}
}

// namesFor returns the host names of the configured routes that led to the servers which advertise
// a target or, if none did, of all configured routes. Targets that are not dialed by an address
// have their own name, and configured ones too.
func (m *Mesh) namesFor(t *Target) []string {
	p := m.peers[t.peer]
	if t.configured || p == nil || !isAddress(t.addr) {
		return nil
	}
	var led, all []string
	for _, c := range m.targets {
		host, _, err := net.SplitHostPort(c.addr)
		if !c.configured || err != nil || net.ParseIP(host) != nil || slices.Contains(all, host) {
			continue
		}
		all = append(all, host)
		if _, ok := p.adverts[c.peer]; ok {
			led = append(led, host)
		}
	}
	if len(led) > 0 {
		return led
	}
	return all
}

// dialing returns how many targets are being dialed, or wait for INFO.
func (m *Mesh) dialing() (n int) {
	for _, t := range m.targets {
		if t.busy && !m.connected(t.peer) {
			n++
		}
	}
	return n
}

// Claim reports whether a target may dial an address: not while another target does, nor when that
// address is known to lead to a server that is connected. Names may share addresses.
func (m *Mesh) Claim(t *Target, addr string) bool {
	for _, o := range m.targets {
		if o != t && (o.busy && o.claimed == addr || m.connectedAt(o, addr)) {
			return false
		}
	}
	t.claimed = addr
	return true
}

// connectedAt reports whether there is a route to the server that a target has found at an address,
// and that is still there.
func (m *Mesh) connectedAt(t *Target, addr string) bool {
	p := m.peers[t.peer]
	return p != nil && p.active != nil && t.reached == addr && (p.active.addr == addr || p.info.DialAddr == addr)
}

// Dialed is the event that a target answered at an address: there is a link to it. It reports false
// if the target is not wanted any more.
func (m *Mesh) Dialed(t *Target, id uint64, addr string) bool {
	if !slices.Contains(m.targets, t) {
		return false
	}
	m.links[id] = &link{id: id, target: t, attempt: t.attempt, addr: addr}
	return true
}

// DialFailed is the event that a target could not be reached. It returns how many attempts in a row
// have failed.
func (m *Mesh) DialFailed(now time.Time, t *Target, why string) int {
	t.busy = false
	t.refusals = 0 // it may be restarting, with other settings
	t.failed(why)
	m.notReached(t)
	m.plan(now)
	return t.failures
}

// AddrsShared is the event that all addresses behind a target were claimed by others: it leads
// where they do, once that is known.
func (m *Mesh) AddrsShared(now time.Time, t *Target, addrs []string) {
	t.busy = false
	for _, o := range m.targets {
		if o != t && slices.Contains(addrs, o.reached) && m.connectedAt(o, o.reached) {
			if !t.configured && o.peer != t.peer {
				t.failed("another server is there")
				m.notReached(t)
				m.plan(now)
				return
			}
			t.resolvedTo(o.peer)
			t.reached = o.reached
			return
		}
	}
	t.due = now.Add(m.delay(nil))
}

// AddrsAvoided is the event that all addresses behind a target are to be avoided.
func (m *Mesh) AddrsAvoided(now time.Time, t *Target) {
	t.busy = false
	t.self = true
	t.due = now.Add(selfRecheck)
	if !t.configured {
		m.leadsHere(t)
		m.plan(now)
	}
}

// TargetState is a target as monitoring shows it.
type TargetState struct {
	URL        *url.URL
	Configured bool
	Server     string // id of the server it led to last, or is said to lead to
	Connected  bool
	Self       bool // it leads to this server
	Failures   int  // attempts in a row that failed
	LastErr    string
	Next       time.Time // of the next attempt; zero if none is planned
}

// Targets returns the targets, in the order they were learned.
func (m *Mesh) Targets() []TargetState {
	list := make([]TargetState, 0, len(m.targets))
	for _, t := range m.targets {
		list = append(list, TargetState{
			URL: t.url, Configured: t.configured, Server: t.peer, Connected: m.connected(t.peer),
			Self: t.self, Failures: t.failures, LastErr: t.lastErr, Next: t.due,
		})
	}
	return list
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
