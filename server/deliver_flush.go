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
		b.forget()
	}
}

func (b *batch) handOverAll() {
	b.arrange()
	x := &b.scratch
	x.start(b, time.Now().UnixNano())
	b.chooseSample()
	own := b.targetOf(b.from)
	for i := range b.targets {
		t := &b.targets[i]
		t.later = i == own
		if p := t.c.pool; p != nil {
			t.path = b.from.pathTo(p)
			t.c = &t.path.member().conn
		}
	}
	b.spread(x)
	b.unpin()                    // what is left is for the reader's own connection: no grace period waits for that
	b.srv.cluster.pushInterest() // in subscriptions that have reached their limit
	if own >= 0 {
		x.handOver(&b.targets[own])
	}
	b.reset()
	b.begun, b.steps = time.Time{}, 0
	if x.reached > 0 && len(x.lag) == x.reached && b.from.role == roleClient {
		b.stall(x.lag)
	}
	x.finish()
}

// arrange puts the sources and the entries of each target together.
func (b *batch) arrange() {
	for i := range b.fanouts {
		g := &b.fanouts[i]
		if g.msgs == 0 {
			continue
		}
		for _, sub := range g.whole {
			b.unsorted = append(b.unsorted, source{target: b.target(sub.conn), fanout: uint32(i), sub: sub})
		}
	}
	b.sources = byTarget(b.sources, b.unsorted, b.targets, func(s *source) uint32 { return s.target },
		func(t *target) *extent { return &t.sources })
	if len(b.targets) == 1 {
		b.targets[0].entries.to = uint32(len(b.entries))
		b.sorted, b.entries = b.entries, b.sorted
		return
	}
	b.sorted = byTarget(b.sorted, b.entries, b.targets, func(d *entry) uint32 { return d.target },
		func(t *target) *extent { return &t.entries })
}

// byTarget sorts items by their targets into the memory of sorted (a stable counting sort), and
// notes for each target which are its own.
func byTarget[T any](sorted, items []T, targets []target, of func(*T) uint32, part func(*target) *extent) []T {
	if len(items) == 0 {
		return sorted[:0]
	}
	for i := range items {
		part(&targets[of(&items[i])]).to++
	}
	at := uint32(0)
	for i := range targets {
		p := part(&targets[i])
		p.from, p.to, at = at, at, at+p.to
	}
	sorted = slices.Grow(sorted[:0], len(items))[:len(items)]
	for i := range items {
		p := part(&targets[of(&items[i])])
		sorted[p.to] = items[i]
		p.to++
	}
	return sorted
}

// targetOf returns the index of the target of c, -1 if there is none.
func (b *batch) targetOf(c *conn) int {
	if int(c.slot) < len(b.sparse) {
		if i := int(b.sparse[c.slot]); i < len(b.targets) && b.targets[i].c == c {
			return i
		}
	}
	return -1
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
	clear(b.unsorted)
	clear(b.sources)
	clear(b.targets)
	b.fanouts, b.entries, b.sorted = b.fanouts[:0], b.entries[:0], b.sorted[:0]
	b.unsorted, b.sources, b.targets = b.unsorted[:0], b.sources[:0], b.targets[:0]
	b.texts = b.texts[:0]
	b.forget()
}

// forget forgets what the next match needs to be found again for.
func (b *batch) forget() {
	clear(b.matches)
	b.matches, b.match, b.fanoutsOf = b.matches[:0], 0, b.fanoutsOf[:0]
	b.lines, b.text, b.collected = b.lines[:0], b.text[:0], 0
	b.known.from, b.known.matches = 0, 0
}
