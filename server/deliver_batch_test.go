package server

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/sublist"
	"gnatsd/test/wire"
)

// onFake returns a client of s whose socket is a script and which reads only what deliverTo gives
// it.
func onFake(t *testing.T, s *Server, l *fakeLink) *client {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	c := newClient(s, near)
	c.link = fakeConn{l, near}
	c.out.SetLink(c.link)
	c.verbose, c.pedantic = false, false
	return c
}

// fakeConn is a fakeLink over something that can be closed.
type fakeConn struct {
	*fakeLink
	nc net.Conn
}

func (f fakeConn) Conn() net.Conn { return f.nc }

func (f fakeConn) Close() error { return f.nc.Close() }

// deliverTo gives a client bytes as if it had read them in one go, and lets it work.
func deliverTo(t *testing.T, c *client, text string) {
	t.Helper()
	n := copy(c.in.Space(len(text)), text)
	if n < len(text) {
		t.Fatalf("room for %d bytes of %d", n, len(text))
	}
	c.in.Filled(n)
	if r := c.work(); r != keepOpen {
		t.Fatalf("the connection ends: %v", r)
	}
}

// batchOf begins a batch of c, which has read text and has yet to act on it.
func batchOf(c *client, text string) *batch {
	copy(c.in.Space(len(text)), text)
	c.in.Filled(len(text))
	b := &newReaderScratch(c.srv).batch
	b.begin(&c.conn)
	return b
}

// TestDeliveryAgreesWithTheObviousWay publishes random batches to random subscribers whose sockets
// are erratic, and compares what each subscription gets with the frames that the obvious way makes.
// Connections come and go, so that slots are used again.
func TestDeliveryAgreesWithTheObviousWay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			newBatchModel(t, seed).run()
		})
	}
}

// batchModel is a server whose connections are driven by hand, and what each subscription should
// have received.
type batchModel struct {
	t    *testing.T
	r    *rand.Rand
	srv  *Server
	pub  *client
	subs []*modelClient
}

type modelClient struct {
	c        *client
	link     *fakeLink
	patterns map[string]string   // by sid
	want     map[string][]string // payloads by sid
}

func newBatchModel(t *testing.T, seed uint64) *batchModel {
	s, err := NewServer(&Options{MaxPending: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	m := &batchModel{t: t, r: rand.New(rand.NewPCG(seed, 3)), srv: s}
	m.pub = onFake(t, s, new(fakeLink))
	return m
}

func (m *batchModel) run() {
	for range 12 {
		m.join()
	}
	for round := range 30 {
		deliverTo(m.t, m.pub, m.batch(round))
		if m.r.IntN(3) == 0 {
			m.close(m.r.IntN(len(m.subs)))
			m.join()
		}
	}
	for len(m.subs) > 0 {
		m.close(0)
	}
	if got := m.srv.io.Pending.Load(); got != 0 {
		m.t.Errorf("%d bytes pending when all have left", got)
	}
	if got, most := m.srv.slots.next, uint32(14); got > most {
		m.t.Errorf("%d slots were handed out, want %d at most", got, most)
	}
}

// join adds a client with some subscriptions. Sids are often those of others.
func (m *batchModel) join() {
	seed := m.r.Uint64()
	l := &fakeLink{try: erratic(seed, false), wait: erratic(seed+1, true)}
	mc := &modelClient{c: onFake(m.t, m.srv, l), link: l, patterns: map[string]string{}, want: map[string][]string{}}
	var text strings.Builder
	for range 1 + m.r.IntN(4) {
		sid := fmt.Sprint(m.r.IntN(30))
		if m.r.IntN(2) == 0 {
			sid = fmt.Sprint(m.r.IntN(2))
		}
		if mc.patterns[sid] == "" {
			mc.patterns[sid] = []string{"a.x", "a.y", "a.*", ">", "b.>", "b.z"}[m.r.IntN(6)]
			fmt.Fprintf(&text, "SUB %s %s\r\n", mc.patterns[sid], sid)
		}
	}
	deliverTo(m.t, mc.c, text.String())
	m.subs = append(m.subs, mc)
}

// batch returns publications, many of which repeat the line before.
func (m *batchModel) batch(round int) string {
	var b strings.Builder
	subject, size := "", 0
	for i := range 1 + m.r.IntN(80) {
		if i == 0 || m.r.IntN(3) == 0 {
			subject = []string{"a.x", "a.y", "b.z", "c"}[m.r.IntN(4)]
			size = []int{10, 11, 200, 5000, 9000, 30000}[m.r.IntN(6)]
			if size > 200 && m.r.IntN(5) > 0 {
				size = 12
			}
		}
		payload := fmt.Sprintf("%d.%d.", round, i)
		payload += strings.Repeat("p", size-len(payload))
		fmt.Fprintf(&b, "PUB %s %d\r\n%s\r\n", subject, size, payload)
		for _, mc := range m.subs {
			for sid, pattern := range mc.patterns {
				if sublist.Matches(pattern, subject) {
					mc.want[sid] = append(mc.want[sid], subject+" "+payload)
				}
			}
		}
	}
	return b.String()
}

// close ends a client and checks what it got.
func (m *batchModel) close(i int) {
	m.t.Helper()
	mc := m.subs[i]
	m.subs = slices.Delete(m.subs, i, i+1)
	allWritten(m.t, &mc.c.out)
	mc.c.dropSubs()
	m.srv.slots.give(mc.c.slot)
	out, overlap := mc.link.taken()
	if overlap {
		m.t.Error("two wrote to one socket at a time")
	}
	got := map[string][]string{}
	messages, _ := wire.Messages(out) // the last one may be cut off
	for _, d := range messages {
		got[d.Sid] = append(got[d.Sid], d.Subject+" "+string(d.Payload))
	}
	if !maps.EqualFunc(got, mc.want, slices.Equal) {
		for sid, want := range mc.want {
			if !slices.Equal(got[sid], want) {
				m.t.Errorf("slot %d, SUB %s %s: got %d messages, want %d, or their bytes differ", mc.c.slot, mc.patterns[sid], sid, len(got[sid]), len(want))
			}
		}
	}
}

// checkSubjects reads n messages and checks that each has the subject that its publisher gave it.
func checkSubjects(t *testing.T, w *wire.Client, n int) {
	t.Helper()
	for range n {
		d, err := w.Next()
		okay(t, err)
		if d == nil {
			t.Fatal("got a PONG, want a message")
		}
		if d.Subject != string(d.Payload) {
			t.Fatalf("a message published on %q arrived on %q", d.Payload, d.Subject)
		}
	}
}

// inTurn is publications on two subjects, the second one repeated, whose payloads are their
// subjects.
func inTurn(n int) string {
	return strings.Repeat("PUB q.a 3\r\nq.a\r\nPUB q.b 3\r\nq.b\r\nPUB q.b 3\r\nq.b\r\n", n)
}

func TestHeadsAreCopiedForTheirOwnLineOnly(t *testing.T) {
	t.Parallel()
	const n = 2000
	s := broker(t, nil)
	a, b, p := dialClient(t, s), dialClient(t, s), dialClient(t, s)
	for _, w := range []*wire.Client{a, b} {
		okay(t, w.Send("SUB q.* group 1\r\n"))
		w.Drain()
	}
	okay(t, p.Send(inTurn(n)))
	p.Drain()
	total := 0
	for _, w := range []*wire.Client{a, b} {
		for _, d := range w.Drain() {
			total++
			if d.Subject != string(d.Payload) {
				t.Fatalf("a message published on %q arrived on %q", d.Payload, d.Subject)
			}
		}
	}
	if total != 3*n {
		t.Errorf("got %d messages, want %d", total, 3*n)
	}
}

func TestHeadsAreRightAcrossARoute(t *testing.T) {
	t.Parallel()
	const n = 1000
	far := startServer(t, nil)
	near := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, far)} })
	meshed(t, near, far)
	sub, p := dialClient(t, far), dialClient(t, near)
	okay(t, sub.Send("SUB q.* group 1\r\n")) // a group: one target, no stream
	sub.Drain()
	eventually(t, "interest is known", func() bool { return near.NumSubscriptions() > 0 })
	okay(t, p.Send(inTurn(n)))
	checkSubjects(t, sub, 3*n)
}

func TestInfoComesAfterTheFirstPong(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := new(fakeLink)
	c := onFake(t, s, l)
	c.opts = &ConnectOptions{Protocol: 1}
	c.infoChanged() // before the PING: to be sent later
	b := batchOf(c, "PING\r\n")
	c.answerPing(b)
	c.infoChanged() // while the batch of the PING is still worked on
	b.end()
	out, _ := l.taken()
	if lines := strings.SplitAfter(string(out), "\n"); len(lines) != 4 || lines[0] != "PONG\r\n" {
		t.Errorf("got %.100q, want PONG and two INFO", out)
	}
}

// TestASampleWithoutAnyTarget publishes what only its publisher subscribes to, without echo: there
// is nothing to deliver, and no target whose bytes could be followed.
func TestASampleWithoutAnyTarget(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := onFake(t, s, new(fakeLink))
	c.noEcho = true
	deliverTo(t, c, "SUB foo 1\r\nSUB foo 2\r\n")
	for range 100 { // some of these batches are samples
		deliverTo(t, c, "PUB foo 2\r\nhi\r\n")
	}
}

func TestOnePushIsBounded(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := new(fakeLink)
	largest := 0
	l.try = func(n int) (int, error) { largest = max(largest, n); return n, nil }
	c, p := onFake(t, s, l), onFake(t, s, new(fakeLink))
	for i := range 20 {
		deliverTo(t, c, fmt.Sprintf("SUB foo %d\r\n", i))
	}
	deliverTo(t, p, strings.Repeat("PUB foo 10000\r\n"+strings.Repeat("x", 10000)+"\r\n", 90))
	if want := highWater + 11000; largest > want {
		t.Errorf("a target got %d bytes in one push, want %d at most", largest, want)
	}
}

// TestFanOutTakesMemoryOfOneTarget delivers messages to many subscribers: no copy is made for each.
func TestFanOutTakesMemoryOfOneTarget(t *testing.T) { // alone: it counts allocations
	s, err := NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	const targets, size, rounds = 1000, 50_000, 5
	var got atomic.Int64 // idle processors help
	for range targets {
		l := &fakeLink{forgets: true}
		l.try = func(n int) (int, error) { got.Add(int64(n)); return n, nil }
		deliverTo(t, onFake(t, s, l), "SUB foo 1\r\n")
	}
	p := onFake(t, s, new(fakeLink))
	text := fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size))
	deliverTo(t, p, text) // memory that is kept is taken
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got.Store(0)
	for range rounds {
		deliverTo(t, p, text)
	}
	runtime.ReadMemStats(&after)
	if want := int64(rounds * targets * size); got.Load() < want {
		t.Fatalf("%d bytes are delivered, want %d", got.Load(), want)
	}
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(rounds*targets*size/20); took > most {
		t.Errorf("%d bytes were allocated for %d that were delivered, want %d at most", took, got.Load(), most)
	}
}

// TestSpeedABatchIsBoundedInTime publishes what matches expensively and is delivered to none, all
// in one read. Meanwhile another client unsubscribes again and again: each time it waits for a
// small part of that only.
func TestSpeedABatchIsBoundedInTime(t *testing.T) {
	if raceEnabled {
		t.Skip("speed under the race detector says nothing; make test runs this again without it")
	}
	t.Parallel()
	s := broker(t, nil)
	pub, other := dialClient(t, s), dialClient(t, s)
	pub.Say(`CONNECT {"verbose":false,"pedantic":false,"echo":false}`)
	var subs strings.Builder
	const groups = 5000
	for i := range groups {
		fmt.Fprintf(&subs, "SUB work g%d %d\r\n", i, i+1)
	}
	okay(t, pub.Send(subs.String()))
	pub.Sync()

	const tries = 5 // another process may have the CPU
	for try := range tries {
		done := make(chan time.Duration, 1)
		go func() { // ends when the publisher has its answer
			begun := time.Now()
			pub.Say(strings.Repeat("PUB work 0\r\n\r\n", netio.ReadSize/len("PUB work 0\r\n\r\n")-1) + "PING")
			pub.Want("PONG")
			done <- time.Since(begun)
		}()
		var longest, whole time.Duration
		waits := 0
		for ; whole == 0; waits++ {
			at := time.Now()
			other.Do("SUB news 1", "UNSUB 1")
			longest = max(longest, time.Since(at))
			select {
			case whole = <-done:
			default:
			}
		}
		t.Logf("%d UNSUBs, the longest took %v of %v", waits, longest, whole)
		if longest <= whole/4 {
			return
		}
		if try == tries-1 {
			t.Errorf("an UNSUB waited %v, of the %v that the publications took; want a quarter at most", longest, whole)
		}
	}
}

// TestABatchIsFlushedInTime looks at each of its bounds, and at the clock, which is looked at after a
// number of steps only.
func TestABatchIsFlushedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := new(fakeLink)
		newBatch := func() *batch {
			return &batch{srv: new(Server), from: &conn{link: link}, limit: 1000}
		}
		for name, change := range map[string]func(b *batch, less int){
			"bytes of one connection": func(b *batch, less int) { b.collected = b.limit - less },
			"entries":                 func(b *batch, less int) { b.entries = make([]entry, maxEntries-less) },
			"fan-outs":                func(b *batch, less int) { b.fanouts = make([]fanout, maxFanouts-less) },
			"text":                    func(b *batch, less int) { b.text = make([]byte, maxText-less) },
		} {
			b := newBatch()
			if change(b, 1); b.due() {
				t.Errorf("%s: it is flushed below the bound", name)
			}
			if change(b, 0); !b.due() {
				t.Errorf("%s: it is not flushed at the bound", name)
			}
		}
		b := newBatch()
		if b.steps = stepsPerLook; b.due() {
			t.Error("it is flushed at the first look")
		}
		b.steps = stepsPerLook - 1
		time.Sleep(batchTime)
		if b.due() {
			t.Error("the clock is looked at too often")
		}
		if b.steps = stepsPerLook; !b.due() || b.steps != 0 {
			t.Errorf("it is not flushed after %v; %d steps", batchTime, b.steps)
		}
		b, link.yields = newBatch(), 0
		b.steps = stepsPerLook
		b.due()
		if b.yielded.IsZero() {
			t.Error("the time since others went on is not measured")
		}
		time.Sleep(yieldEvery)
		if b.steps = stepsPerLook; b.due() || !b.yielded.IsZero() || link.yields != 1 {
			t.Errorf("after %v: the reader has yielded %d times, want 1", yieldEvery, link.yields)
		}
		b, link.yields = newBatch(), 0
		for range 2 {
			if b.collected, b.steps = b.limit, stepsPerLook; !b.due() {
				t.Error("it is not flushed at a bound, when the clock is looked at, too")
			}
			time.Sleep(yieldEvery)
		}
		if link.yields != 1 {
			t.Errorf("after %v in a batch that is full again and again: the reader has yielded %d times, want 1", yieldEvery, link.yields)
		}
		b = newBatch()
		for _, wait := range []time.Duration{0, batchTime - 1} {
			time.Sleep(wait)
			if b.steps = stepsPerLook; b.due() || b.steps != 0 {
				t.Errorf("it is flushed %v after the first look", wait)
			}
		}
		time.Sleep(time.Nanosecond)
		if b.steps = stepsPerLook; !b.due() {
			t.Errorf("it is not flushed %v after the first look", batchTime)
		}
	})
}

// TestABatchHoldsAQuarterOfWhatMayBePending looks at the bound for other sizes.
func TestABatchHoldsAQuarterOfWhatMayBePending(t *testing.T) {
	t.Parallel()
	for maxPending, want := range map[int64]int{1 << 30: highWater, 64 << 20: highWater, 2 << 20: highWater / 2, 6000: 1500, 1: 1} {
		s, err := NewServer(&Options{MaxPending: maxPending})
		okay(t, err)
		b := batchOf(onFake(t, s, new(fakeLink)), "PING\r\n")
		if b.limit != want || b.maxPending != maxPending {
			t.Errorf("max_pending %d: %d bytes of %d, want %d", maxPending, b.limit, b.maxPending, want)
		}
		b.end()
	}
}

// TestAPartOfAPublicationFitsTheBatch has publications of one line of which a batch has room for some
// only.
func TestAPartOfAPublicationFitsTheBatch(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c := onFake(t, s, new(fakeLink))
	deliverTo(t, c, "SUB plain 1\r\nSUB queues a 2\r\nSUB queues b 3\r\nSUB queues c 4\r\n")
	size := uint32(1000 - maxHead - 5 - 5) // with the subject and the tail
	for _, tt := range []struct {
		name      string
		subject   string
		collected int
		n, want   uint32
	}{
		{"one", "plain", 0, 1, 1},
		{"all", "plain", 0, 10, 10},
		{"as many as there is room for", "plain", 0, 11, 10},
		{"those beside others", "plain", 7000, 11, 3},
		{"not a part of one", "plain", 7001, 11, 2},
		{"one at least", "plain", 9999, 11, 1},
		{"one, even if it does not fit", "plain", 9999, 1, 1},
	} {
		b := &batch{from: &c.conn, limit: 10_000, collected: tt.collected, lines: []line{{}, {subjectLen: 5, tailLen: 5, size: size}}}
		got := b.part(place{at: 77, line: 1, n: tt.n}, c.match([]byte(tt.subject)))
		if got != (place{at: 77, line: 1, n: tt.want}) || b.collected != tt.collected || b.steps != int(tt.want) {
			t.Errorf("%s: got %+v, %d bytes, %d steps, want %d", tt.name, got, b.collected, b.steps, tt.want)
		}
	}
	for subject, want := range map[string]uint32{"plain": maxEntries, "queues": maxEntries / 4} {
		b := &batch{from: &c.conn, limit: 1 << 30, lines: []line{{}}}
		if got := b.part(place{n: 2 * maxEntries}, c.match([]byte(subject))); got.n != want {
			t.Errorf("%s: %d messages, want %d", subject, got.n, want)
		}
	}
}

// TestMembersThatRefuseBoundAPart has a queue group of so many members that few messages may be looked
// at in one go: each member may refuse.
func TestMembersThatRefuseBoundAPart(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c := sunk(t, s)
	const members = 20_000
	var text strings.Builder
	for i := range members {
		fmt.Fprintf(&text, "SUB x q %d\r\n", i)
	}
	handle(t, c, text.String())
	b := &batch{from: c, limit: 1 << 30, lines: []line{{}}}
	if got := b.part(place{n: 1000}, c.match([]byte("x"))); got.n == 0 || got.n*members > maxTries {
		t.Errorf("%d messages for %d members at a time", got.n, members)
	}
}

// TestAnswersWithoutRespondersAreFlushed has one operation, many equal requests, whose answers go to
// many subscriptions: what they take must not add up.
func TestAnswersWithoutRespondersAreFlushed(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]string{"no receiver": "", "an echo": "SUB ask 0\r\n"} {
		s, err := NewServer(nil)
		okay(t, err)
		c := sunk(t, s)
		const subs, requests = 500, 400
		var text strings.Builder
		text.WriteString("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,\"echo\":false}\r\n" + other)
		for i := range subs {
			fmt.Fprintf(&text, "SUB answer %d\r\n", i+1)
		}
		handle(t, c, text.String())
		w := newReaderScratch(s)
		b := &w.batch
		b.begin(c)
		asks := strings.Repeat("PUB ask answer 0\r\n\r\n", requests)
		n := copy(c.in.Space(len(asks)), asks)
		c.in.Filled(n)
		b.in = c.in.Bytes()[:0]
		most := 0
		for len(c.in.Unread()) > 0 {
			var o op
			w.limits = c.frameLimits()
			n, _, _, err := w.limits.next(c.in.Unread(), &o)
			if err != frameOK || n == 0 {
				t.Fatalf("%s: got %v, %d bytes", name, err, n)
			}
			if r := c.ops.do(&o, b); r != keepOpen {
				t.Fatalf("%s: %v", name, r)
			}
			c.in.Consume(n)
			most = max(most, cap(b.text), cap(b.texts))
		}
		b.end()
		if got := c.out.Stats().Messages; got != subs*requests {
			t.Errorf("%s: got %d answers, want %d", name, got, subs*requests)
		}
		if most > 8*maxText {
			t.Errorf("%s: %d bytes of answers were collected", name, most)
		}
	}
}

// TestVeryLargeMaximumIsNoEnd has limits that no counter reaches.
func TestVeryLargeMaximumIsNoEnd(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	for _, most := range []int64{1<<62 - 1, 1 << 62, 1<<63 - 1} {
		c := dialClient(t, s)
		c.Say("SUB a 1", fmt.Sprintf("UNSUB 1 %d", most), "PUB a 2\r\nhi", "PING")
		c.Want("MSG a 1 2\r\nhi", "PONG")
		okay(t, c.Close())
	}
}

// TestTheEndOfALineIsWrittenInOneForm publishes lines of many forms: they are passed on in one.
func TestTheEndOfALineIsWrittenInOneForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want string
	}{
		{"PUB a 2\r\n", "2\r\n"},
		{"PUB a 0\r\n", "0\r\n"},
		{"PUB  a\t2\r\n", "2\r\n"},
		{"PUB a 02\r\n", "2\r\n"},
		{"PUB a 00\r\n", "0\r\n"},
		{"PUB a 2 \r\n", "2\r\n"},
		{"PUB a 2\n", "2\r\n"},
		{"PUB a 2\t\n", "2\r\n"},
		{"PUB a r 2\r\n", "r 2\r\n"},
		{"PUB a  r 2\r\n", "r 2\r\n"},
		{"PUB a r  2\r\n", "r 2\r\n"},
		{"PUB a r\t2\r\n", "r 2\r\n"},
		{"PUB a r 02\r\n", "r 2\r\n"},
		{"PUB a r 0\r\n", "r 0\r\n"},
		{"PUB a 0r 2\r\n", "0r 2\r\n"},
		{"PUB a reply.12 10\r\n", "reply.12 10\r\n"},
		{"HPUB a 1 2\r\n", "1 2\r\n"},
		{"HPUB a 1  2\r\n", "1 2\r\n"},
		{"HPUB a 01 2\r\n", "1 2\r\n"},
		{"HPUB a 1 02\r\n", "1 2\r\n"},
		{"HPUB a 0 2\r\n", "2\r\n"},
		{"HPUB a r 0 2\r\n", "r 2\r\n"},
		{"HPUB a r 1 2\r\n", "r 1 2\r\n"},
		{"HPUB a r 1\t2\r\n", "r 1 2\r\n"},
		{"HPUB a r\t1 2\r\n", "r 1 2\r\n"},
		{"HPUB a r  1 2\r\n", "r 1 2\r\n"},
		{"HPUB a r 01 2\r\n", "r 1 2\r\n"},
		{"HPUB a 0r 1 2\r\n", "0r 1 2\r\n"},
		{"MSG a s 2\r\n", "2\r\n"},
		{"MSG a s r 2\r\n", "r 2\r\n"},
		{"HMSG a s r 1 2\r\n", "r 1 2\r\n"},
		{"HMSG a s 1 2\r\n", "1 2\r\n"},
	} {
		l := &frameLimits{role: roleClient, line: 64, payload: 100}
		if strings.Contains(tt.line, "MSG") {
			l.role = roleRoute
		}
		var o op
		words := strings.Fields(tt.line)
		size, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			t.Fatal(err)
		}
		stream := []byte(tt.line + strings.Repeat("x", size) + "\r\n")
		if _, _, _, err := l.next(stream, &o); err != frameOK {
			t.Fatalf("%q: error %d", tt.line, err)
		}
		b := &batch{in: stream[:0]}
		b.add(o.arg[0], o.reply(), &o)
		if got := string(b.tail(&b.lines[0])); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

// TestSlowMatchesCountMore has matches that a cache has, and others, which may take milliseconds where
// there are many patterns: the clock is looked at after a few of these.
func TestSlowMatchesCountMore(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c := onFake(t, s, new(fakeLink))
	deliverTo(t, c, "SUB *.a 1\r\n")
	b := batchOf(c, "PING\r\n")
	for i, tt := range []struct {
		subject string
		want    int
	}{{"x.a", slowSteps}, {"x.a", 0}, {"y.a", slowSteps}, {"x.a", 0}, {"y.b", slowSteps}} {
		b.steps = 0
		if b.lookUp([]byte(tt.subject)); b.steps != tt.want {
			t.Errorf("match %d, %s: counts for %d steps, want %d", i, tt.subject, b.steps, tt.want)
		}
	}
	b.end()
}

// TestManyWithALittleShareABatch has receivers of one read that are all clients of their own, in queue
// groups or under patterns that differ: it is handed over in few writes.
func TestManyWithALittleShareABatch(t *testing.T) {
	t.Parallel()
	const receivers, messages = 300, 60
	for name, subscribe := range map[string]func(i int) string{
		"queue groups": func(i int) string { return fmt.Sprintf("SUB a.b.c.d.e.f.g.h.i g%d 1\r\n", i) },
		"patterns": func(i int) string {
			tokens := strings.Split("a.b.c.d.e.f.g.h.i", ".")
			for k := range tokens {
				if i>>k&1 == 1 {
					tokens[k] = "*"
				}
			}
			return "SUB " + strings.Join(tokens, ".") + " 1\r\n"
		},
	} {
		s, err := NewServer(nil)
		okay(t, err)
		writes := 0
		for i := range receivers {
			l := &fakeLink{forgets: true, try: func(n int) (int, error) { writes++; return n, nil }}
			deliverTo(t, onFake(t, s, l), subscribe(i))
		}
		p := onFake(t, s, new(fakeLink))
		deliverTo(t, p, strings.Repeat("PUB a.b.c.d.e.f.g.h.i 1000\r\n"+strings.Repeat("x", 1000)+"\r\n", messages))
		if most := 4 * receivers; writes > most {
			t.Errorf("%s: %d writes to %d clients, want %d at most", name, writes, receivers, most)
		}
	}
}

// TestQueueGroupsDoNotDivideMessagesOfRoutes has a message from a route for a plain subscription, on a
// subject that has a large queue group, too, which does not get it.
func TestQueueGroupsDoNotDivideMessagesOfRoutes(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	writes := 0
	deliverTo(t, onFake(t, s, &fakeLink{forgets: true, try: func(n int) (int, error) { writes++; return n, nil }}), "SUB a 1\r\n")
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "SUB a q%d %d\r\n", i/1000, i)
	}
	handle(t, sunk(t, s), text.String())
	handle(t, sunkRoute(t, s, false), strings.Repeat("MSG a RSID:1:1 2\r\nhi\r\n", 1000))
	if writes > 2 {
		t.Errorf("messages that were read at once took %d writes", writes)
	}
}

// TestUnsubInABatchIsWhatItIsAlone has a client subscribe, unsubscribe after a few messages and publish to
// itself at random, in one batch, and each operation in a batch of its own: each subscription gets the
// same messages.
func TestUnsubInABatchIsWhatItIsAlone(t *testing.T) {
	t.Parallel()
	subjects := []string{"a.b", "a.*", "a.>", "c"}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		var ops []string
		for i := range 60 {
			sid := r.IntN(6)
			switch r.IntN(4) {
			case 0:
				ops = append(ops, fmt.Sprintf("SUB %s %d\r\n", subjects[r.IntN(len(subjects))], sid))
			case 1:
				ops = append(ops, fmt.Sprintf("UNSUB %d %d\r\n", sid, r.IntN(4)))
			default:
				subject := []string{"a.b", "c"}[r.IntN(2)]
				ops = append(ops, strings.Repeat(fmt.Sprintf("PUB %s 2\r\n%02d\r\n", subject, i), 1+r.IntN(3)))
			}
		}
		var got [2]map[string][]string
		for way, texts := range [][]string{{strings.Join(ops, "")}, ops} {
			s, err := NewServer(nil)
			okay(t, err)
			l := new(fakeLink)
			c := onFake(t, s, l)
			for _, text := range texts {
				deliverTo(t, c, text)
			}
			got[way] = make(map[string][]string)
			for m := range strings.SplitSeq(string(l.out), "MSG ") {
				if f := strings.Fields(m); len(f) == 4 {
					got[way][f[1]] = append(got[way][f[1]], f[0]+" "+f[3])
				}
			}
		}
		if !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("seed %d: got %v, want %v, of\n%s", seed, got[0], got[1], strings.Join(ops, ""))
		}
	}
}

// TestRequestsOfOldClientsAreOneWrite has a client subscribe to an inbox, unsubscribe after one message
// and ask, again and again: all that was read together goes to the responder at once.
func TestRequestsOfOldClientsAreOneWrite(t *testing.T) {
	for name, text := range map[string]string{
		"to another": "SUB inbox.%d %d\r\nUNSUB %[2]d 1\r\nPUB work inbox.%[1]d 2\r\nhi\r\n",
		"to itself":  "SUB inbox.%d %d\r\nUNSUB %[2]d 1\r\nPUB inbox.%[1]d 2\r\nhi\r\n",
	} {
		synctest.Test(t, func(t *testing.T) { // no batch is flushed for the time that it takes
			s, err := NewServer(nil)
			okay(t, err)
			writes := 0
			count := func(n int) (int, error) { writes++; return n, nil }
			responder, c := onFake(t, s, &fakeLink{try: count}), onFake(t, s, &fakeLink{try: count})
			deliverTo(t, responder, "SUB work 1\r\n")
			var all strings.Builder
			for i := range 100 {
				fmt.Fprintf(&all, text, i, i)
			}
			if deliverTo(t, c, all.String()); writes != 1 {
				t.Errorf("%s: %d writes, want 1", name, writes)
			}
		})
	}
}
