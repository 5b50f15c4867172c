package server

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// busyPoll lets a reader that has run out of bytes watch for more, for a moment,
// before it sleeps. A sleeping thread is woken by the kernel and, on a processor
// that has gone to sleep too, that takes longer than all that the broker does for
// a message. In a rhythm of requests and replies the next bytes come soon, mostly
// for another connection than the one that has just been served: the reader
// watches them all, by what the runtime itself waits on, and as soon as anything
// stirs it goes to sleep, which lets the runtime look. One request at a time, two
// idle cores: p50 83 → 57 µs, p99 173 → 105 µs; with clients that do not sleep,
// p50 43 → 19 µs.
//
// (The runtime looks by itself only while none of its threads waits for events.
// If one does, it is woken as ever, and the watch was for nothing.)
//
// Watching costs processor time, so it is done only where it pays: by one reader
// at a time, while nobody is at work; not in a stream; less and less on
// connections after which nothing comes soon (see [habit]); and only while work
// goes on that much sooner after a watch than after a sleep (see pays). That is
// measured all the time, because it depends on what nobody tells: a processor that
// somebody else wants, or one that is awake anyway, makes watching useless or worse.
// With 2 000 to 40 000 single messages a second that nobody waits for, it costs
// nothing that can be measured.
//
// What it does to who else runs here is not measured: on two cores, one of them half
// taken by another program in turns of 0.5 ms, p50 was 46 µs without and 64 with it;
// with one core taken wholly, or both, between 0.85 and 1.15 of what it is without.
//
// Who waits in the middle of work, for a subscriber that lags or for a password to
// be checked, is at work: a server under pressure does not watch. Servers in one
// process do not know of each other; each may have a reader that watches.
type busyPoll struct {
	// Set before the first reader starts.
	source    pollSource // nil where it cannot be done
	hindrance error      // why

	// Atomic.
	off      atomic.Bool  // by no_busy_poll
	atWork   atomic.Int32 // readers that work on a batch, and writers
	watching atomic.Bool  // somebody watches
	idle     atomic.Int64 // when a reader last ran out of bytes, if that pause is to be measured; negative before a watch
	watched  pause        // from then to the next batch
	slept    pause        // the same without a watch

	// Owned by whoever has set watching.
	occasions uint
}

// pollSource is what a watch needs from the system.
type pollSource interface {
	// ready reports, without waiting, whether the runtime should look: mostly
	// because there is something to read.
	ready() bool
	// yield lets others have the processor, if they want it.
	yield()
	// now is the time since some moment, more than 0.
	now() time.Duration
}

const (
	// watchTime is how long a reader watches: the time that clients on the same
	// machine, or next to it in the network, take to answer.
	watchTime = 100 * time.Microsecond
	// single is how many bytes a read brings at most that is no part of a stream. A
	// stream is faster when its bytes may gather: watching for them cost a third of
	// the throughput of small messages.
	single = 4 << 10
	// looksInARow is how often a reader looks before it lets others have the
	// processor: for 2 µs.
	looksInARow = 5
	// trial is how often readers do what does not seem to pay, to measure it: on one
	// of so many occasions. It is odd, because occasions mostly come in pairs.
	trial = 61
	// longPause is what longer pauses count for.
	longPause = 2 * watchTime
)

// begin says that a reader has a batch to work on.
func (p *busyPoll) begin() {
	if p.source == nil {
		return
	}
	p.atWork.Add(1)
	if idle := p.idle.Load(); idle != 0 && p.idle.CompareAndSwap(idle, 0) {
		p.measure(time.Duration(idle))
	}
}

// end says that the reader has done with it.
func (p *busyPoll) end() {
	if p.source != nil {
		p.atWork.Add(-1)
	}
}

// writing says that a writer begins or ends: it needs the processor that a reader
// would watch on.
func (p *busyPoll) writing(begins bool) {
	if begins {
		p.atWork.Add(1)
	} else {
		p.atWork.Add(-1)
	}
}

// measure takes down a pause that ends now.
func (p *busyPoll) measure(idle time.Duration) {
	kind := &p.slept
	if idle < 0 {
		kind, idle = &p.watched, -idle
	}
	kind.add(min(p.source.now()-idle, longPause))
}

// pays reports whether work goes on sooner after a watch than after a sleep, and
// so much so that a watch takes less than twice the time it saves. A rhythm of
// requests does that (20 µs instead of 36). Messages that come whenever they like
// do it only where there is one every 40 µs.
func (p *busyPoll) pays() bool { return p.watched.mean() <= p.slept.mean()*2/3 }

// watch returns when there may be something to read for anybody, or when watching
// any longer would not pay. got is how many bytes the last read of the connection
// brought, and h what became of its watches before.
func (p *busyPoll) watch(got int, h *habit) {
	if p.source == nil || got > single || p.off.Load() || p.atWork.Load() > 0 || !h.due() {
		return
	}
	if !p.watching.CompareAndSwap(false, true) {
		return
	}
	defer p.watching.Store(false)
	p.occasions++
	trying := p.occasions%trial == 0
	start := p.source.now()
	if p.pays() == trying {
		p.pausing(int64(start))
		return
	}
	p.pausing(-int64(start))
	for looks := 1; !p.source.ready(); looks++ {
		if looks%looksInARow != 0 {
			continue
		}
		if p.atWork.Load() > 0 {
			return
		}
		if p.source.now()-start >= watchTime {
			break
		}
		p.source.yield()
	}
	if p.source.now()-start < watchTime { // not if it stirred while somebody else had the processor
		h.hit()
	} else {
		h.miss()
	}
}

// pausing notes that a pause begins, unless it has ended already.
func (p *busyPoll) pausing(since int64) {
	p.idle.Store(since)
	if p.atWork.Load() > 0 {
		p.idle.CompareAndSwap(since, 0)
	}
}

// pause is the mean length of pauses, of the recent ones mostly. It is safe for
// concurrent use, but may forget one of two that are added at the same time.
type pause struct{ ns atomic.Int64 }

// recent is how many pauses the mean is made of, about.
const recent = 64

func (p *pause) add(d time.Duration) {
	old := p.ns.Load()
	if old == 0 {
		old = int64(d)
	}
	p.ns.Store(old + (int64(d)-old)/recent)
}

func (p *pause) mean() time.Duration { return time.Duration(p.ns.Load()) }

// habit is what watching was good for on one connection. With every watch in vain
// twice as many occasions are let pass before the next.
type habit struct {
	vain uint8 // watches in vain that are not yet made up for
	good uint8 // watches in time since
	pass uint8 // occasions to let pass
}

const (
	// rareness bounds how rare watches become: one in 2^rareness occasions, and
	// pass holds 2^8 - 1.
	rareness = 8
	// makesUp is how many watches in time make up for one in vain: watching goes on
	// where three in four are in time.
	makesUp = 3
)

// due reports whether to watch on this occasion.
func (h *habit) due() bool {
	if h.pass > 0 {
		h.pass--
		return false
	}
	return true
}

func (h *habit) hit() {
	if h.good++; h.good >= makesUp {
		h.vain, h.good = max(h.vain, 1)-1, 0
	}
	h.pass = uint8(1<<uint(h.vain) - 1)
}

func (h *habit) miss() {
	h.vain, h.good = min(h.vain+1, rareness), 0
	h.pass = uint8(1<<uint(h.vain) - 1)
}

// writing lets nobody watch while the writer of c has something to do.
func (c *conn) writing(begins bool) { c.srv.busyPoll.writing(begins) }

// openBusyPoll finds out whether readers can watch. l is any listener that the
// runtime waits for.
func (s *Server) openBusyPoll(l net.Listener) {
	p := &s.busyPoll
	if p.source == nil { // no test has brought one
		if p.hindrance = scarceProcessors(runtime.GOMAXPROCS(0), runtime.NumCPU(), hasCPUQuota()); p.hindrance == nil {
			p.source, p.hindrance = newPollSource(l)
		}
	}
	if s.options().NoBusyPoll { // otherwise the log begins as in 1.x
		s.setBusyPoll(true)
	}
}

// setBusyPoll lets readers watch, or not.
func (s *Server) setBusyPoll(off bool) {
	p := &s.busyPoll
	p.off.Store(off)
	switch {
	case off:
		s.Debugf("Busy polling is off (no_busy_poll)")
	case p.hindrance != nil:
		s.Debugf("Busy polling is not possible: %v", p.hindrance)
	default:
		s.Debugf("Busy polling is on")
	}
}

// scarceProcessors refuses to watch where that would take the only processor from
// the others, or use up what the process is allowed.
func scarceProcessors(ours, all int, quota bool) error {
	if quota {
		return errors.New("the process has a CPU quota, and watching would use it up")
	}
	if ours < 2 || ours < all {
		return fmt.Errorf("GOMAXPROCS is %d and there are %d processors; it needs all of them, and 2 at least", ours, all)
	}
	return nil
}
