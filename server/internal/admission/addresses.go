package admission

import (
	"maps"
	"sync"
	"time"
)

// Addresses bounds what each [Source] may take: how many connections it has, and how often it logs
// in. The zero Source, this machine without TCP, has no bounds. The zero Addresses is ready for use.
type Addresses struct {
	mu      sync.Mutex // guards what follows
	sources map[Source]*address
	sweep   int // sources above which those without connections and recent logins are removed
}

// address is what one Source has taken.
type address struct {
	connections int
	paid        time.Time // when its logins will have been paid for, see Login
	perSecond   int       // of its last login, on which paid depends
}

// minSweep is the least number of sources that are looked at for some to remove.
const minSweep = 1024

// Connect counts a connection, for which Leave must be called. It reports false, and counts nothing,
// if there are most already; 0 or less is no limit.
func (a *Addresses) Connect(from Source, most int) bool {
	if from == (Source{}) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sourceLocked(from)
	if most > 0 && s.connections >= most {
		return false
	}
	s.connections++
	return true
}

// Leave counts a connection as ended.
func (a *Addresses) Leave(from Source) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sources[from]
	if s == nil {
		return
	}
	if s.connections--; s.connections == 0 && !s.paid.After(time.Now()) {
		delete(a.sources, from)
	}
}

// Login reports whether a Source may log in now, perSecond times a second and as often at once; 0 or
// less is no limit. It is a token bucket (GCRA).
func (a *Addresses) Login(from Source, perSecond int) bool {
	if from == (Source{}) || perSecond <= 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, now := a.sourceLocked(from), time.Now()
	s.chargeLocked(now, perSecond)
	next := s.paid.Add(time.Second / time.Duration(perSecond))
	if next.Sub(now) > time.Second {
		return false
	}
	s.paid = next
	return true
}

// chargeLocked makes paid the time for the logins until now at so many per second, a second later at
// most: as many as may be at once.
func (s *address) chargeLocked(now time.Time, perSecond int) {
	owed := max(0, s.paid.Sub(now))
	if was := s.perSecond; was != perSecond && was > 0 {
		logins := owed.Seconds() * float64(was)
		owed = time.Duration(min(1, logins/float64(perSecond)) * float64(time.Second))
	}
	s.paid, s.perSecond = now.Add(owed), perSecond
}

// sourceLocked returns what a Source has taken. Now and then it removes those that have taken
// nothing.
func (a *Addresses) sourceLocked(from Source) *address {
	if s := a.sources[from]; s != nil {
		return s
	}
	if a.sources == nil {
		a.sources = map[Source]*address{}
	}
	if len(a.sources) >= max(a.sweep, minSweep) {
		now := time.Now()
		maps.DeleteFunc(a.sources, func(_ Source, s *address) bool { return s.connections == 0 && !s.paid.After(now) })
		a.sweep = 2 * len(a.sources)
	}
	s := &address{}
	a.sources[from] = s
	return s
}
