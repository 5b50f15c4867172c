package server

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"time"

	"gnatsd/server/internal/netio"
)

// This file limits how fast a user publishes. A reader whose next operation is a publication that
// the user may not make yet pauses, and with it the publisher: TCP holds back what follows. Nothing
// else waits.

// rate is what the connections of a user have published, as a token bucket (GCRA): a number that all
// of them share, and that is taken from in parts, so that none of them takes it all.
type rate struct {
	// at is when what was published will have been paid for, in nanoseconds since the server
	// started. A rate of n a second pays 1/n of a second for each.
	at atomic.Int64
}

const (
	// rateBurst is how long a user may have published nothing before that counts no more: what
	// it may publish at once.
	rateBurst = 100 * time.Millisecond
	// rateParts is in how many parts a full bucket is taken.
	rateParts = 8
	// resumeParts is the part of a full bucket that a pause waits for: to wake for each message
	// would take more time than the messages.
	resumeParts = 4
)

// cost returns what n units take of a rate.
func cost(n, perSecond int64) int64 {
	return int64(math.Ceil(float64(n) * float64(time.Second) / float64(perSecond)))
}

// burst returns what a full bucket holds, in time: one unit at least.
func burst(perSecond int64) int64 { return max(int64(rateBurst), cost(1, perSecond)) }

// take takes some units, none if there are none.
func (r *rate) take(now time.Duration, perSecond int64) (n int64) {
	for {
		at := r.at.Load()
		from := max(at, int64(now))
		n = int64(float64(int64(now)+burst(perSecond)-from) * float64(perSecond) / float64(time.Second))
		if n < 1 {
			return 0
		}
		n = max(1, n/rateParts)
		if r.at.CompareAndSwap(at, from+cost(n, perSecond)) {
			return n
		}
	}
}

// give gives units back, or takes so many more if n is negative.
func (r *rate) give(n, perSecond int64) {
	if n > 0 {
		r.at.Add(-cost(n, perSecond))
	} else if n < 0 {
		r.at.Add(cost(-n, perSecond))
	}
}

// wait returns how long it takes until units can be taken, 0 or less if they can now.
func (r *rate) wait(now time.Duration, perSecond int64) time.Duration {
	full := burst(perSecond)
	return time.Duration(r.at.Load() - int64(now) - full + max(cost(1, perSecond), full/resumeParts))
}

// meter is what a reader has taken of the rates of its user, for the time of one batch.
type meter struct {
	user        *limitedUser // nil while nothing is metered
	start       time.Time    // of the server
	msgs, bytes int64        // taken and not used yet
}

// begin meters what a user publishes, or nothing if u is nil or has no rates. It reports whether it
// meters.
func (m *meter) begin(u *limitedUser, start time.Time) bool {
	m.end()
	if u == nil || !u.limits.Rates() {
		return false
	}
	m.user, m.start = u, start
	return true
}

// end gives back what is not used.
func (m *meter) end() {
	if m.user == nil {
		return
	}
	l := m.user.limits
	if l.MaxMsgsPerSecond > 0 {
		m.user.usage.msgs.give(m.msgs, l.MaxMsgsPerSecond)
	}
	if l.MaxBytesPerSecond > 0 {
		m.user.usage.bytes.give(m.bytes, l.MaxBytesPerSecond)
	}
	*m = meter{}
}

// admit returns how many of n messages of the same size may be published now.
func (m *meter) admit(n, size int64) (admitted int64) {
	for admitted < n {
		k := n - admitted
		if most := m.user.limits.MaxMsgsPerSecond; most > 0 {
			if m.msgs == 0 {
				m.msgs = m.user.usage.msgs.take(time.Since(m.start), most)
			}
			k = min(k, m.msgs)
		}
		if most := m.user.limits.MaxBytesPerSecond; most > 0 {
			k = min(k, m.admitBytes(k, size, most))
		}
		if k == 0 {
			return admitted
		}
		if m.user.limits.MaxMsgsPerSecond > 0 {
			m.msgs -= k
		}
		admitted += k
	}
	return admitted
}

// admitBytes returns how many of n messages may be published by their bytes, and takes these. A
// message that is larger than what is left may be published, and the next ones wait for longer.
func (m *meter) admitBytes(n, size, perSecond int64) int64 {
	if n == 0 {
		return 0
	}
	if m.bytes == 0 {
		m.bytes = m.user.usage.bytes.take(time.Since(m.start), perSecond)
	}
	if m.bytes == 0 {
		return 0
	}
	if size > 0 {
		n = min(n, (m.bytes+size-1)/size)
	}
	if m.bytes -= n * size; m.bytes < 0 {
		m.user.usage.bytes.give(m.bytes, perSecond)
		m.bytes = 0
	}
	return n
}

// wait returns how long the user must wait until it may publish again.
func (u *limitedUser) wait(now time.Duration) (d time.Duration) {
	if most := u.limits.MaxMsgsPerSecond; most > 0 {
		d = u.usage.msgs.wait(now, most)
	}
	if most := u.limits.MaxBytesPerSecond; most > 0 {
		d = max(d, u.usage.bytes.wait(now, most))
	}
	return d
}

// watchOp is called for each operation of a connection that is traced or metered; n is how many
// bytes it takes. It returns how many of them to act on now: none if the reader must pause before.
func (c *conn) watchOp(w *readerScratch, o *op, n int) int {
	if w.meter.user != nil && (o.verb == verbPub || o.verb == verbHpub) {
		k := int(w.meter.admit(int64(o.count), int64(o.size)))
		if k < o.count {
			n = k * (n / o.count)
			o.count = k
		}
		if n == 0 {
			c.overRate = true
			return 0
		}
	}
	if c.tracing {
		c.traceIn(o)
	}
	return n
}

const (
	// rateStep is the longest time that a paused reader does not look whether its peer is gone,
	// or a reload has changed the rate.
	rateStep = 200 * time.Millisecond
	// wakeInterval is the shortest mean time between two looks of all paused readers of a user,
	// and maxSpread the longest between two of one of them that is due to this.
	wakeInterval, maxSpread = 250 * time.Microsecond, 600 * time.Millisecond
	// closedTime is for how long the broker still publishes what a client has sent before it
	// closed its connection, as fast as its user may. It bounds how long such a connection
	// stays.
	closedTime = time.Second
	// probeEvery is how often a paused reader sends a PING.
	probeEvery = time.Second
)

// awaitRate pauses the reader until the user may publish again. It reports false when the connection
// has ended meanwhile.
func (c *conn) awaitRate() bool {
	ctx, done := c.abortable()
	defer done()
	c.link.EndWork() // a pause is no work, others may poll
	c.paused.Store(true)
	defer c.paused.Store(false)
	var among *userUsage // whose paused readers it is counted among
	defer func() { endPause(among) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
		if !c.peerStays() {
			return false
		}
		u := c.limited.Load()
		wait := time.Duration(0)
		if u != nil && u.limits.Rates() {
			wait = u.wait(time.Since(c.srv.start))
		}
		if wait <= 0 {
			c.overRate = false
			return !c.ended()
		}
		timer.Reset(pauseFor(wait, u.usage.beginPause(&among)))
	}
}

// beginPause counts a paused reader, once. It returns how many there are.
func (u *userUsage) beginPause(among **userUsage) int64 {
	if *among != u {
		endPause(*among)
		*among = u
		return u.paused.Add(1)
	}
	return u.paused.Load()
}

// endPause counts a reader as not paused any more; u may be nil.
func endPause(u *userUsage) {
	if u != nil {
		u.paused.Add(-1)
	}
}

// pauseFor returns how long a reader sleeps that may publish after wait, where so many of its user are
// paused. Where there are many they wake one after the other, not all of them for each message that
// one of them may publish: that would take more time than the messages.
func pauseFor(wait time.Duration, paused int64) time.Duration {
	spread := time.Duration(min(paused, int64(maxSpread/wakeInterval))) * wakeInterval
	return max(min(wait, rateStep), spread/2+rand.N(spread+1))
}

const lostLast = "Client closed its connection while it published faster than it may: what it sent last is lost"

// peerStays reports whether the peer of a paused reader is still there, or has not been gone for
// long. If not, the connection is closed. A client that closes its end with input that it has not
// read, or that is sent something afterwards, resets the connection, and what it has sent can be
// read all the same.
func (c *conn) peerStays() bool {
	state := netio.PeerStateOf(c.link.Conn())
	if state == netio.PeerOpen {
		c.probePeer()
		return true
	}
	now := time.Since(c.srv.start)
	if c.peerClosed == 0 {
		c.peerClosed = now
	}
	if now-c.peerClosed < closedTime {
		return true
	}
	c.warnf(lostLast)
	if state == netio.PeerReset {
		c.readFailed(syscall.ECONNRESET)
	} else {
		c.close(closeClient)
	}
	return false
}

// probePeer sends a PING each second of a pause that lasts. Where the peer has sent more than the
// receive window takes, the end of its connection waits behind that, and is not seen; but the system
// of a peer that has closed its end answers what it is sent with a reset. While something waits for
// the socket the system sends again by itself.
func (c *conn) probePeer() {
	now := time.Since(c.srv.start)
	switch since := now - c.probed; {
	case since < probeEvery:
		return
	case since < 2*probeEvery && c.out.Stats().Queued == 0: // it has been paused, with short breaks, all the time
		c.sendPing()
	}
	c.probed = now
}
