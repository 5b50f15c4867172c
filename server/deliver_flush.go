package server

import (
	"math/rand/v2"
	"slices"
	"time"
)

// longWork is the estimated time of a flush, in ns, that takes long.
const longWork = int64(time.Millisecond)

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
		b.deliverAll()
	} else {
		b.unpin()
		b.reset()
	}
}

func (b *batch) deliverAll() {
	b.addFanouts()
	b.arrange()
	for beyond := b.claim(); len(beyond) > 0; beyond = b.claim() {
		b.disarrange()
		b.redeliverBeyond(beyond)
		b.arrange()
	}
	b.chooseSample()
	receivers, others := b.targets, b.targets
	if i := slices.IndexFunc(others, func(t target) bool { return t.c == b.from }); i >= 0 {
		last := len(others) - 1
		others[i], others[last] = others[last], others[i]
		others = others[:last]
		if !b.hasMessages(&receivers[last]) {
			receivers = others
		}
	}
	for i := range others {
		t := &others[i]
		if p := t.c.pool; p != nil {
			t.path = b.from.pathTo(p)
			t.c = &t.path.member().conn
		}
	}
	b.room = b.awaitRoom(receivers)
	work := b.work()
	if b.steps += int(work / stepTime); work >= longWork {
		b.narrowTo(others)
	}
	x, now := &b.scratch, time.Now().UnixNano()
	x.start(b, now)
	b.srv.io.CheckOverload(now)
	if c, ok := b.from.ops.(*systemConn); ok {
		ready := c.ready(b, others)
		b.spread(x, ready)
		c.noteSent(b, ready)
	} else {
		b.spread(x, others)
	}
	b.unpin()                    // what is left is for the reader's own connection: no grace period waits for that
	b.srv.cluster.pushInterest() // in subscriptions that have reached their limit
	if len(others) < len(b.targets) {
		x.deliver(&b.targets[len(others)])
	}
	b.room.Release()
	b.thin = len(b.targets) > 1 && len(b.targets) <= maxThin && x.bytes < thinWrite*max(1, x.reached) // helpers write as much to each
	b.reset()
	x.finish()
}

// hasMessages reports whether a target gets messages, and not only text.
func (b *batch) hasMessages(t *target) bool {
	return slices.ContainsFunc(b.sorted[t.from:t.to], func(e entry) bool { return e.line != textLine })
}

// messagesOf returns how many messages a target gets.
func (b *batch) messagesOf(t *target) (n int64) {
	for _, e := range b.sorted[t.from:t.to] {
		switch e.line {
		case textLine:
		case fanoutLine:
			n += int64(e.at)
		default:
			n += int64(e.n &^ claimed)
		}
	}
	return n
}

// addFanouts adds the entries of fanouts.
func (b *batch) addFanouts() {
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
}

// arrange sorts the entries by their targets (a stable counting sort).
func (b *batch) arrange() {
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

// disarrange is the reverse of arrange: others can be added.
func (b *batch) disarrange() {
	clear(b.entries)
	b.entries, b.sorted = b.sorted, b.entries[:0]
	for i := range b.targets {
		b.targets[i].from, b.targets[i].to = 0, 0
	}
}

// claim counts what subscriptions get of the batch, which is arranged, as far as that is not counted
// yet: each may have a limit by now. It returns what is beyond the limits of members of queue groups.
func (b *batch) claim() (beyond []entry) {
	for list := b.sorted; len(list) > 0; {
		d, k := &list[0], 1
		switch {
		case d.line == textLine || d.n&claimed != 0:
		case d.line == fanoutLine:
			d.at = uint32(d.sub.claim(b.fanouts[d.n].msgs))
			d.n |= claimed
		default:
			sum := int64(d.n)
			for ; k < len(list) && list[k].sub == d.sub && list[k].n&claimed == 0 && list[k].line != fanoutLine; k++ {
				sum += int64(list[k].n)
			}
			beyond = b.divide(list[:k], d.sub.claim(sum), beyond)
		}
		list = list[k:]
	}
	return beyond
}

// divide gives the messages that a subscription has claimed to its entries, the first ones first. It
// appends the rest to beyond if others of a queue group may get them.
func (b *batch) divide(list []entry, left int64, beyond []entry) []entry {
	for i := range list {
		e := &list[i]
		n := uint32(min(int64(e.n), left))
		left -= int64(n)
		if n < e.n && e.sub.queue() != "" {
			beyond = append(beyond, entry{place: b.lines[e.line].behind(e.place, n), sub: e.sub})
		}
		e.n = n | claimed
	}
	return beyond
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
	b.matches = b.matches[:0]
	b.known.past += uint64(len(b.lines))
	b.lines, b.text, b.texts, b.collected, b.single = b.lines[:0], b.text[:0], b.texts[:0], 0, 0
	b.known.from = 0
	b.begun, b.toSelf = time.Time{}, false
}
