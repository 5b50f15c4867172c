package server

import (
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
// stirs it goes to sleep, which lets the runtime look. One request at a time,
// two idle cores: p50 80 → 51 µs, p99 180 → 90 µs.
//
// Watching costs processor time, so it is done only where it pays: by one reader
// at a time, while no other is at work; not in a stream; less and less on connections after which
// nothing comes soon (see [habit]); and not for a while where others want the
// processor.
type busyPoll struct {
	// Set before the first reader starts.
	source    pollSource // nil where it cannot be done
	hindrance error      // why

	// Atomic.
	off      atomic.Bool  // by no_busy_poll
	atWork   atomic.Int32 // readers that work on a batch
	watching atomic.Bool  // somebody watches

	// Owned by whoever has set watching.
	trust int           // grows with undisturbed watches
	rest  time.Duration // nobody watches before that time of the source
}

// pollSource is what a watch needs from the system.
type pollSource interface {
	// ready reports, without waiting, whether there is something to read from the
	// socket or anything that the runtime would wake somebody for.
	ready(socket int) bool
	// yield lets others have the processor, if they want it.
	yield()
	// now is the time since some moment.
	now() time.Duration
	// switches is how often the calling thread had to leave the processor to others.
	switches() int64
}

const (
	// watchTime is how long a reader watches: the time that clients on the same
	// machine, or near in the network, take to answer.
	watchTime = 100 * time.Microsecond
	// single is how many bytes a read brings at most that is no part of a stream. A
	// stream is faster when its bytes may gather: watching for them cost a third of
	// the throughput of small messages.
	single = 4 << 10
	// lookTime is more than a look takes, below 1 µs, unless somebody else got the
	// processor meanwhile, or the machine itself was held up.
	lookTime = 4 * time.Microsecond
	// One disturbance costs the trust that so many quiet watches earn.
	disturbed = 32
	trustMax  = 8 * disturbed
	trustNew  = 2 * disturbed
	// restTime is how long nobody watches once there is no trust left.
	restTime = 100 * time.Millisecond
)

// watch returns when there may be something to read, from the socket or for
// anybody else, or when watching any longer would not pay. got is how many bytes
// the last read of the socket brought.
func (p *busyPoll) watch(socket, got int, h *habit) {
	if p.source == nil || got > single || p.off.Load() || p.atWork.Load() > 0 || !h.due() {
		return
	}
	if !p.watching.CompareAndSwap(false, true) {
		return
	}
	defer p.watching.Store(false)
	start := p.source.now()
	if start < p.rest {
		return
	}
	switches := p.source.switches()
	for last, now := start, start; ; last, now = now, p.source.now() {
		heldUp := now-last >= lookTime && p.source.switches() != switches
		switch {
		case p.source.ready(socket):
			p.trust = min(p.trust+1, trustMax)
			h.hit()
			return
		case heldUp:
			p.disturbed(now)
			return
		case now-start >= watchTime:
			h.miss()
			return
		case p.atWork.Load() > 0:
			return
		}
		p.source.yield()
	}
}

// disturbed notes that somebody else wanted the processor, and that it was not
// somebody who then sent something.
func (p *busyPoll) disturbed(now time.Duration) {
	if p.trust -= disturbed; p.trust < 0 {
		p.trust, p.rest = trustNew, now+restTime
	}
}

// habit is what watching was good for on one connection. With every watch in vain
// twice as many occasions are let pass before the next.
type habit struct{ misses, pass uint8 }

// rareness bounds how rare watches become: one in 2^rareness occasions.
const rareness = 8

// due reports whether to watch on this occasion.
func (h *habit) due() bool {
	if h.pass > 0 {
		h.pass--
		return false
	}
	return true
}

func (h *habit) hit() {
	if h.misses > 0 {
		h.misses--
	}
	h.pass = 1<<h.misses - 1
}

func (h *habit) miss() {
	h.misses = min(h.misses+1, rareness)
	h.pass = 1<<h.misses - 1
}

// openBusyPoll finds out whether readers can watch. l is any listener that the
// runtime waits for.
func (s *Server) openBusyPoll(l net.Listener) {
	p := &s.busyPoll
	if p.hindrance = enoughProcessors(runtime.GOMAXPROCS(0), runtime.NumCPU()); p.hindrance == nil {
		p.source, p.hindrance = newPollSource(l)
	}
	s.setBusyPoll(s.options().NoBusyPoll)
}

// setBusyPoll lets readers watch, or not.
func (s *Server) setBusyPoll(off bool) {
	s.busyPoll.off.Store(off)
	switch hindrance := s.busyPoll.hindrance; {
	case off:
		s.Debugf("Busy polling is off (no_busy_poll)")
	case hindrance != nil:
		s.Debugf("Busy polling is not possible: %v", hindrance)
	default:
		s.Debugf("Busy polling is on")
	}
}

// enoughProcessors refuses to watch where that would take the only processor
// from the others, or eat up a quota.
func enoughProcessors(ours, all int) error {
	if ours < 2 || ours < all {
		return fmt.Errorf("this process may use %d of %d processors, and at least 2 and all are needed", ours, all)
	}
	return nil
}
