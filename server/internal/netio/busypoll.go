package netio

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// BusyPoll lets a reader that has run out of bytes poll for more, for a moment, before it sleeps. A
// sleeping thread is woken by the kernel and, on a processor that has gone to sleep too, that takes
// longer than all that the broker does for a message. While requests and replies follow each other
// the next bytes come soon, mostly for another connection than the one that has just been served:
// the reader polls for all of them, by what the runtime itself waits on, and as soon as anything is
// ready it goes to sleep, which lets the runtime look. One request at a time, two idle cores: p50
// 83 → 57 µs, p99 173 → 105 µs; with clients that do not sleep, p50 43 → 19 µs.
//
// (The runtime looks by itself only while none of its threads waits for events. If one does, it is
// woken all the same, and polling was for nothing.)
//
// Polling costs processor time, so it is done only where it pays: by one reader at a time, while no
// other works; not in a stream; less and less on connections after which nothing comes soon (see
// [backoff]); and only while work goes on that much sooner after polling than after a sleep (see
// pays). That is measured all the time, because it depends on what cannot be asked for: a processor
// that another process wants, or one that is awake anyway, makes polling useless or worse. With 2
// 000 to 40 000 single messages a second that no client waits for, it costs nothing that can be
// measured.
//
// What it does to other processes is not measured: on two cores, one of them half taken by another
// program in turns of 0.5 ms, p50 was 46 µs without and 64 with it; with one core taken wholly, or
// both, between 0.85 and 1.15 of what it is without.
//
// A reader that waits in the middle of work, for a subscriber that lags or for a password to be
// checked, counts as working: a server under pressure does not poll. Servers in one process do not
// know of each other; each may have a reader that polls.
type BusyPoll struct {
	// Set by Open.
	source    pollSource // nil where it cannot be done
	hindrance error      // why

	// Atomic.
	off     atomic.Bool
	working atomic.Int32 // readers that work on a batch, and writers
	polling atomic.Bool  // a reader polls
	idle    atomic.Int64 // when a reader last ran out of bytes, if that pause is to be measured; negative before polling
	polled  pause        // from then to the next batch
	slept   pause        // the same without polling

	// Owned by the reader that has set polling.
	attempts uint
}

// pollSource is what polling needs from the system.
type pollSource interface {
	// ready reports, without waiting, whether the runtime should look: mostly because there is
	// something to read.
	ready() bool
	// yield lets other threads have the processor, if they want it.
	yield()
	// now is the time since some moment, more than 0.
	now() time.Duration
}

const (
	// pollTime is how long a reader polls: the time that clients on the same machine, or next
	// to it in the network, take to answer.
	pollTime = 100 * time.Microsecond
	// maxPolledRead is how many bytes a read returns at most that is no part of a stream. A
	// stream is faster when its bytes may gather: polling for them cost a third of the
	// throughput of small messages.
	maxPolledRead = 4 << 10
	// yieldEvery is how often a reader looks before it lets others have the processor: for 2
	// µs.
	yieldEvery = 5
	// exploreEvery is how often readers do what does not seem to pay, to measure it: on one of
	// so many attempts. It is odd, because attempts mostly come in pairs.
	exploreEvery = 61
	// longPause is what longer pauses count for.
	longPause = 2 * pollTime
)

// Open finds out whether readers can poll. l is any listener that the runtime waits for. No reader
// may have started.
func (p *BusyPoll) Open(l net.Listener) {
	if p.hindrance = scarceProcessors(runtime.GOMAXPROCS(0), runtime.NumCPU(), hasCPUQuota()); p.hindrance == nil {
		p.source, p.hindrance = newPollSource(l)
	}
}

// Allow lets readers poll from now on, or not. It returns why they cannot.
func (p *BusyPoll) Allow(on bool) error {
	p.off.Store(!on)
	return p.hindrance
}

// Begin notes that a reader has a batch to work on.
func (p *BusyPoll) Begin() {
	if p.source == nil {
		return
	}
	p.working.Add(1)
	if idle := p.idle.Load(); idle != 0 && p.idle.CompareAndSwap(idle, 0) {
		p.measure(time.Duration(idle))
	}
}

// End notes that the reader has done with it.
func (p *BusyPoll) End() {
	if p.source != nil {
		p.working.Add(-1)
	}
}

// writing notes that a writer begins or ends: it needs the processor that a reader would poll on.
func (p *BusyPoll) writing(begins bool) {
	if begins {
		p.working.Add(1)
	} else {
		p.working.Add(-1)
	}
}

// measure adds a pause that ends now.
func (p *BusyPoll) measure(idle time.Duration) {
	kind := &p.slept
	if idle < 0 {
		kind, idle = &p.polled, -idle
	}
	kind.add(min(p.source.now()-idle, longPause))
}

// pays reports whether work goes on sooner after polling than after a sleep, and so much so that
// polling takes less than twice the time it saves. Requests that follow each other do that (20 µs
// instead of 36). Messages that come at any time do it only where there is one every 40 µs.
func (p *BusyPoll) pays() bool { return p.polled.mean() <= p.slept.mean()*2/3 }

// poll returns when there may be something to read for any connection, or when polling any longer
// would not pay. got is how many bytes the last read of the connection returned, and b what became
// of its attempts before.
func (p *BusyPoll) poll(got int, b *backoff) {
	if p.source == nil || got > maxPolledRead || p.off.Load() || p.working.Load() > 0 || !b.due() {
		return
	}
	if !p.polling.CompareAndSwap(false, true) {
		return
	}
	defer p.polling.Store(false)
	p.attempts++
	exploring := p.attempts%exploreEvery == 0
	start := p.source.now()
	if p.pays() == exploring {
		p.pausing(int64(start))
		return
	}
	p.pausing(-int64(start))
	for looks := 1; !p.source.ready(); looks++ {
		if looks%yieldEvery != 0 {
			continue
		}
		if p.working.Load() > 0 {
			return
		}
		if p.source.now()-start >= pollTime {
			break
		}
		p.source.yield()
	}
	if p.source.now()-start < pollTime { // not if it was ready while another process had the processor
		b.hit()
	} else {
		b.miss()
	}
}

// pausing notes that a pause begins, unless it has ended already.
func (p *BusyPoll) pausing(since int64) {
	p.idle.Store(since)
	if p.working.Load() > 0 {
		p.idle.CompareAndSwap(since, 0)
	}
}

// pause is the mean length of pauses, of the recent ones mostly (EWMA). It is safe for concurrent
// use, but may forget one of two that are added at the same time.
type pause struct{ ns atomic.Int64 }

// recentPauses is how many pauses the mean is made of, about.
const recentPauses = 64

func (p *pause) add(d time.Duration) {
	old := p.ns.Load()
	if old == 0 {
		old = int64(d)
	}
	p.ns.Store(old + (int64(d)-old)/recentPauses)
}

func (p *pause) mean() time.Duration { return time.Duration(p.ns.Load()) }

// backoff is what polling was good for on one connection. With every miss twice as many attempts
// are skipped before the next.
type backoff struct {
	misses uint8 // that are not yet made up for
	hits   uint8 // since
	skip   uint8 // attempts
}

const (
	// maxBackoff bounds how rare polling becomes: one in 2^maxBackoff attempts, and skip holds
	// 2^8-1.
	maxBackoff = 8
	// hitsPerMiss is how many hits make up for one miss: polling goes on where three in four
	// are hits.
	hitsPerMiss = 3
)

// due reports whether to poll at this attempt.
func (b *backoff) due() bool {
	if b.skip > 0 {
		b.skip--
		return false
	}
	return true
}

func (b *backoff) hit() {
	if b.hits++; b.hits >= hitsPerMiss {
		b.misses, b.hits = max(b.misses, 1)-1, 0
	}
	b.skip = uint8(1<<uint(b.misses) - 1)
}

func (b *backoff) miss() {
	b.misses, b.hits = min(b.misses+1, maxBackoff), 0
	b.skip = uint8(1<<uint(b.misses) - 1)
}

// scarceProcessors refuses to poll where that would take the only processor from the others, or use
// up what the process is allowed.
func scarceProcessors(ours, all int, quota bool) error {
	if quota {
		return errors.New("the process has a CPU quota, and polling would use it up")
	}
	if ours < 2 || ours < all {
		return fmt.Errorf("GOMAXPROCS is %d and there are %d processors; it needs all of them, and 2 at least", ours, all)
	}
	return nil
}
