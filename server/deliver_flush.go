package server

import (
	"math/rand/v2"
	"slices"
	"time"
)

// flush hands over what is collected: to all others first and to the reader's own connection last,
// so that a PONG comes after everything that was published before its PING was handed on.
func (b *batch) flush() {
	if b.inMsgs > 0 { // before a client can know that a message has arrived
		now := time.Now().UnixNano()
		b.from.countIn(b.inMsgs, b.inBytes, now)
		if b.from.role == roleClient {
			b.sampleSubjects(now)
		}
		b.from.flushCursor()
		b.inMsgs, b.inBytes = 0, 0
	}
	if b.noReceivers > 0 { // also of the rest of a publication that was counted before
		b.srv.counters.unheard(b.from, b.noReceivers)
	}
	b.unheard, b.noReceivers = subjectSample{}, 0
	b.srv.cluster.pushInterest()
	if len(b.fanouts)+len(b.entries) > 0 {
		b.handOverAll()
	} else {
		b.unpin()
		b.reset()
	}
}

func (b *batch) handOverAll() {
	b.arrange()
	b.claimForMembers()
	x := &b.scratch
	x.start(b, time.Now().UnixNano())
	b.chooseSample()
	others := b.targets
	if i := slices.IndexFunc(others, func(t target) bool { return t.c == b.from }); i >= 0 {
		last := len(others) - 1
		others[i], others[last] = others[last], others[i]
		others = others[:last]
	}
	for i := range others {
		t := &others[i]
		if p := t.c.pool; p != nil {
			t.path = b.from.pathTo(p)
			t.c = &t.path.member().conn
		}
	}
	b.spread(x, others)
	b.unpin()                    // what is left is for the reader's own connection: no grace period waits for that
	b.srv.cluster.pushInterest() // in subscriptions that have reached their limit
	if len(others) < len(b.targets) {
		x.handOver(&b.targets[len(others)])
	}
	b.thin = x.reached <= maxThin && x.bytes < thinWrite*x.reached
	b.reset()
	if x.reached > 0 && len(x.lag) == x.reached && b.from.role == roleClient {
		b.stall(x.lag)
	}
	x.finish()
}

// arrange adds the entries of fanouts, and sorts all entries by their targets (a stable counting
// sort).
func (b *batch) arrange() {
	for i := range b.fanouts {
		g := &b.fanouts[i]
		if g.msgs == 0 {
			continue
		}
		for _, sub := range g.whole {
			all := place{line: fanoutLine, n: uint32(i)}
			b.entries = append(b.entries, entry{place: all, target: b.target(sub.conn), sub: sub})
		}
	}
	if len(b.targets) == 1 {
		b.targets[0].to = uint32(len(b.entries))
		b.sorted, b.entries = b.entries, b.sorted
		return
	}
	for i := range b.entries {
		b.targets[b.entries[i].target].to++
	}
	at := uint32(0)
	for i := range b.targets {
		t := &b.targets[i]
		t.from, t.to, at = at, at, at+t.to
	}
	b.sorted = slices.Grow(b.sorted[:0], len(b.entries))[:len(b.entries)]
	for i := range b.entries {
		t := &b.targets[b.entries[i].target]
		b.sorted[t.to] = b.entries[i]
		t.to++
	}
}

// chooseSample chooses the target whose bytes are followed to the socket. Any one has the same
// chance, the first to be written to and the last. There is none if nothing that matched is
// delivered.
func (b *batch) chooseSample() {
	if b.readAt != 0 && len(b.targets) > 0 {
		b.targets[rand.IntN(len(b.targets))].readAt = b.readAt
	}
}

// reset forgets what has been handed over. Memory is kept, but nothing that it referred to.
func (b *batch) reset() {
	for i := range b.fanouts {
		g := &b.fanouts[i]
		clear(g.mixed)
		clear(g.each)
		*g = fanout{mixed: g.mixed[:0], each: g.each[:0], places: g.places[:0]}
	}
	if len(b.fanouts) > 0 {
		clear(b.fanoutOf)
	}
	clear(b.entries)
	clear(b.sorted)
	clear(b.targets)
	b.fanouts, b.entries, b.sorted, b.targets = b.fanouts[:0], b.entries[:0], b.sorted[:0], b.targets[:0]
	clear(b.matches)
	b.matches, b.match, b.fanoutsOf = b.matches[:0], 0, b.fanoutsOf[:0]
	b.known.past += uint64(len(b.lines))
	b.lines, b.text, b.texts, b.collected = b.lines[:0], b.text[:0], b.texts[:0], 0
	b.known.from, b.queued = 0, false
	b.begun, b.steps = time.Time{}, 0
}
