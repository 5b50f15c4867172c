package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEntriesComeTogetherByTarget sorts entries of targets, many of which have none, and compares them
// with those of each target.
func TestEntriesComeTogetherByTarget(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(6, 5))
	b := new(batch)
	for round := range 200 {
		b.targets = make([]target, 1+r.IntN(9))
		n := r.IntN(30)
		b.entries = make([]entry, n)
		want := make([][]entry, len(b.targets))
		for i := range b.entries {
			e := entry{place: place{at: uint32(i)}, target: uint32(r.IntN(len(b.targets)))}
			b.entries[i], want[e.target] = e, append(want[e.target], e)
		}
		b.arrange()
		if len(b.sorted) != n {
			t.Fatalf("round %d: %d entries, want %d", round, len(b.sorted), n)
		}
		for i := range b.targets {
			if got := b.sorted[b.targets[i].from:b.targets[i].to]; !slices.Equal(got, want[i]) {
				t.Fatalf("round %d: target %d of %d has %v, want %v", round, i, len(b.targets), got, want[i])
			}
		}
	}
}

// TestABatchKeepsNothingThatItReferredTo delivers every kind of thing, and looks whether the memory
// that a batch is made of still refers to subscriptions or connections afterwards.
func TestABatchKeepsNothingThatItReferredTo(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c, d := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
	deliverTo(t, c, "SUB a 1\r\nSUB a 2\r\nSUB * 3\r\nSUB a q 4\r\nSUB a 5\r\nUNSUB 5 100\r\n")
	deliverTo(t, d, "SUB a 1\r\nSUB * 2\r\nUNSUB 2 50\r\n")
	d.noEcho = true
	text := "PUB a 2\r\nhi\r\nPUB b 2\r\nho\r\nSUB x 9\r\n"
	b := batchOf(d, text)
	actOn(t, d, b, text)
	if len(b.fanouts) == 0 || len(b.entries) == 0 {
		t.Fatalf("%d fan-outs, %d entries", len(b.fanouts), len(b.entries))
	}
	b.flush()
	if b.pinned.Held() || s.grace.Pinned() != 0 {
		t.Error("it is pinned when everything was handed over")
	}
	for _, g := range b.fanouts[:cap(b.fanouts)] {
		for _, sub := range slices.Concat(g.mixed[:cap(g.mixed)], g.each[:cap(g.each)]) {
			if g.whole != nil || sub != nil {
				t.Fatal("a fan-out refers to subscriptions")
			}
		}
	}
	for _, e := range slices.Concat(b.entries[:cap(b.entries)], b.sorted[:cap(b.sorted)]) {
		if e.sub != nil {
			t.Fatal("an entry refers to a subscription")
		}
	}
	for _, e := range b.targets[:cap(b.targets)] {
		if e.c != nil {
			t.Fatal("a target refers to a connection")
		}
	}
	x := &b.scratch
	for _, e := range x.sources[:cap(x.sources)] {
		if e.subs != nil || e.rest != nil || e.places != nil {
			t.Fatal("a source refers to what it was read from")
		}
	}
	for _, seg := range x.delivery.Segments[:cap(x.delivery.Segments)] {
		if seg.Chunk != nil || seg.Bytes != nil {
			t.Fatal("a part of a write is referred to")
		}
	}
	if len(b.matches) > 0 || len(b.fanoutOf) > 0 || x.b != nil || x.t != nil || x.headSub != nil ||
		len(b.lines)+len(b.text)+len(b.texts)+b.collected+len(b.fanouts)+len(b.entries)+len(b.targets) > 0 {
		t.Errorf("something is left: %+v", b)
	}
	x.allocate(4 * expansionSize)
	if x.finish(); x.mem == nil {
		t.Error("memory for usual control lines is given back")
	}
	x.allocate(4*expansionSize + 1)
	if x.finish(); x.mem != nil || x.buf != nil {
		t.Error("memory for very long control lines is kept")
	}
	x.sources = make([]source, 0, keptSources)
	if x.forgetSources(); x.sources == nil {
		t.Error("memory for usual sources is given back")
	}
	x.sources = make([]source, 0, keptSources+1)
	if x.forgetSources(); x.sources != nil {
		t.Error("memory for very many sources is kept")
	}
	b.end()
	if b.from != nil || b.in != nil {
		t.Error("a batch that has ended refers to its connection")
	}
}

// actOn lets a client act on text, which is in its read buffer, without a flush.
func actOn(t *testing.T, c *client, b *batch, text string) {
	t.Helper()
	var o op
	limits := c.frameLimits()
	for len(c.in.Unread()) > 0 {
		n, _, _, err := limits.next(c.in.Unread(), &o)
		if n == 0 || err != frameOK {
			t.Fatalf("%q is not understood", text)
		}
		b.at = uint32(c.in.Offset())
		if r := c.ops.do(&o, b); r != keepOpen {
			t.Fatalf("the connection ends: %v", r)
		}
		c.in.Consume(n)
	}
}

// TestAnyTargetIsFollowed delivers samples to some connections: each is followed as often as the
// others, and without a sample none is.
func TestAnyTargetIsFollowed(t *testing.T) {
	t.Parallel()
	const targets, rounds = 4, 2000
	var seen [targets]int
	for range rounds {
		b := &batch{readAt: 7, targets: make([]target, targets)}
		b.chooseSample()
		n := 0
		for i := range b.targets {
			if b.targets[i].readAt == 7 {
				seen[i]++
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%d targets are followed", n)
		}
		b.readAt = 0
		b.targets = make([]target, targets)
		if b.chooseSample(); slices.ContainsFunc(b.targets, func(t target) bool { return t.readAt != 0 }) {
			t.Fatal("a target is followed without a sample")
		}
	}
	for i, n := range seen {
		if n < rounds/targets*3/4 || n > rounds/targets*5/4 {
			t.Errorf("target %d is followed %d times of %d", i, n, rounds)
		}
	}
}

// TestARouteLearnsAtOnceThatALimitIsReached has a subscription get its limit when a batch has chosen
// it, and reach it when the batch is handed over, and nothing after it: the other server is told by
// the same flush.
func TestARouteLearnsAtOnceThatALimitIsReached(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	peer, _ := manualPeer(t, s)
	c := dialClient(t, s)
	c.Do("SUB a 1")
	peer.HearAfter("SUB a ")
	const text = "PUB a 2\r\nhi\r\n"
	p := onFake(t, s, new(fakeLink))
	b := batchOf(p, text)
	actOn(t, p, b, text)
	s.clients.find(clientsOf(s)[0]).subOf([]byte("1")).limit.Store(1)
	b.flush()
	c.Want("MSG a 1 2", "hi")
	peer.HearAfter("UNSUB ")
	b.end()
}

// TestTheWorkOfAFlushCounts has one message for many subscriptions of one client: a reader that flushes
// often must let others go on, though it parses little.
func TestTheWorkOfAFlushCounts(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c, p := onFake(t, s, &fakeLink{forgets: true}), onFake(t, s, new(fakeLink))
	const subs = 10_000
	for i := range subs {
		deliverTo(t, c, fmt.Sprintf("SUB a %d\r\n", i))
	}
	text := "PUB a 2\r\nhi\r\n"
	b := batchOf(p, text)
	actOn(t, p, b, text)
	before := b.steps
	b.flush()
	if got, want := b.steps-before, subs*messageWork/stepTime; got < want || before > want/2 {
		t.Errorf("%d steps before the flush and %d in it, want at least %d in it", before, got, want)
	}
}
