package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gnatsd/sublist"
)

// TestWhatASubscriptionIsOffered has subscriptions that take all messages, some of them or none, and
// says how many: the rest has no receiver.
func TestWhatASubscriptionIsOffered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(c *client, sub *subscription)
		want   int64 // of 5 messages
	}{
		{"all", func(*client, *subscription) {}, 5},
		{"of the publisher, without echo", func(c *client, _ *subscription) { c.noEcho = true }, 0},
		{"may not have the subject", func(_ *client, sub *subscription) {
			sub.filter.Store(mustCompile(t, &Permissions{Subscribe: list("!a")}).Filter(">", ""))
		}, 0},
		{"may have the subject", func(_ *client, sub *subscription) {
			sub.filter.Store(mustCompile(t, &Permissions{Subscribe: list("!b")}).Filter(">", ""))
		}, 5},
		{"has ended", func(_ *client, sub *subscription) { sub.limit.Or(endedBit) }, 0},
		{"has a limit far away", func(_ *client, sub *subscription) { sub.limit.Store(9) }, 5},
		{"has a limit", func(_ *client, sub *subscription) { sub.limit.Store(3) }, 3},
		{"has a limit and some", func(_ *client, sub *subscription) { sub.limit.Store(6); sub.delivered.Store(2) }, 4},
		{"has reached its limit", func(_ *client, sub *subscription) { sub.limit.Store(3); sub.delivered.Store(3) }, 0},
	} {
		for _, subscribe := range []string{"SUB > 1\r\n", "SUB > q 1\r\n"} {
			s, err := NewServer(nil)
			okay(t, err)
			c := onFake(t, s, new(fakeLink))
			deliverTo(t, c, subscribe)
			tt.change(c, c.subOf([]byte("1")))
			deliverTo(t, c, strings.Repeat("PUB a 2\r\nhi\r\n", 5))
			if got := c.out.Stats().Messages; got != tt.want || s.counters.noReceivers() != 5-tt.want {
				t.Errorf("%s: got %d messages, %d without a receiver, want %d of 5", tt.name, got, s.counters.noReceivers(), tt.want)
			}
			sub := newSubscription(&c.conn, []byte(">"), []byte("q"), []byte("2"))
			before := sub.delivered.Load()
			tt.change(c, sub)
			b := batchOf(c, "PUB a 0\r\n\r\n")
			before = sub.delivered.Load() - before
			takes := tt.want
			if c.noEcho {
				takes = 1 // of those that come over a route there is no echo
			}
			if got := sub.takesOne([]byte("a")); got != (takes > 0) {
				t.Errorf("%s: one message is taken: %v", tt.name, got)
			}
			if limit := sub.limit.Load(); limit > 0 && limit&endedBit == 0 && sub.delivered.Load() == before {
				t.Errorf("%s: a message is not counted", tt.name)
			}
			b.end()
		}
	}
}

// TestAFilterIsAskedOncePerMessage gives the batch an answer that is wrong: it is taken for all
// subscriptions with the same filter, and for no other filter or subject.
func TestAFilterIsAskedOncePerMessage(t *testing.T) {
	t.Parallel()
	for _, subscribe := range []string{"SUB > %d\r\n", "SUB > q %d\r\n"} {
		s, err := NewServer(nil)
		okay(t, err)
		c := onFake(t, s, new(fakeLink))
		p := mustCompile(t, &Permissions{Subscribe: list("!b")})
		f, same := p.Filter(">", ""), mustCompile(t, &Permissions{Subscribe: list("!b")}).Filter(">", "")
		const members = 3
		for sid := range members {
			deliverTo(t, c, fmt.Sprintf(subscribe, sid))
			c.subOf(fmt.Append(nil, sid)).filter.Store(f)
		}
		all := int64(members)
		if strings.Contains(subscribe, "q") {
			all = 1
		}
		for _, tt := range []struct {
			name  string
			known filterAnswer
			text  string
			want  int64
		}{
			{"nothing is known", filterAnswer{}, "PUB a 0\r\n\r\n", all},
			{"nothing is known of what is denied", filterAnswer{}, "PUB b 0\r\n\r\n", 0},
			{"the answer is known", filterAnswer{f, []byte("a"), true}, "PUB a 0\r\n\r\n", 0},
			{"that of another subject is", filterAnswer{f, []byte("x"), true}, "PUB a 0\r\n\r\n", all},
			{"that of a longer subject is", filterAnswer{f, []byte("a.a"), true}, "PUB a 0\r\n\r\n", all},
			{"that of another filter is", filterAnswer{same, []byte("a"), true}, "PUB a 0\r\n\r\n", all},
			{"subjects in turn", filterAnswer{}, "PUB a 0\r\n\r\nPUB b 0\r\n\r\nPUB a 0\r\n\r\n", 2 * all},
		} {
			before := c.out.Stats().Messages
			b := batchOf(c, tt.text)
			b.filtered = tt.known
			actOn(t, c, b, tt.text)
			b.end()
			if got := c.out.Stats().Messages - before; got != tt.want {
				t.Errorf("%s: got %d messages, want %d", tt.name, got, tt.want)
			}
		}
	}
}

// TestAnswersGoToThePlainSubscriptionsOfTheClient has a request without a receiver, where others, and
// queue groups, subscribe to the reply subject, too.
func TestAnswersGoToThePlainSubscriptionsOfTheClient(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	l := new(fakeLink)
	c, other := onFake(t, s, l), onFake(t, s, new(fakeLink))
	deliverTo(t, other, "SUB in.* 1\r\nSUB in.* q 2\r\n")
	deliverTo(t, c, `CONNECT {"verbose":false,"headers":true,"no_responders":true,"echo":false}`+"\r\n"+
		"SUB in.a 1\r\nSUB in.* q 2\r\nSUB > 3\r\nSUB in.> 4\r\nUNSUB 4 1\r\nSUB in.> 5\r\nSUB in.> 6\r\n")
	c.subOf([]byte("5")).filter.Store(mustCompile(t, &Permissions{Subscribe: list("!in.a")}).Filter("in.>", ""))
	c.subOf([]byte("6")).filter.Store(mustCompile(t, &Permissions{Subscribe: list("!in.b")}).Filter("in.>", ""))
	const times = 2
	for range times {
		deliverTo(t, c, "PUB none in.a 2\r\nhi\r\n")
	}
	out, _ := l.taken()
	block := statusNoResponders + "none" + headerEnd
	for sid, want := range map[int]int{1: times, 2: 0, 3: times, 4: 1, 5: 0, 6: times} {
		if got := strings.Count(string(out), fmt.Sprintf("HMSG in.a %d %d %[2]d\r\n%s\r\n", sid, len(block), block)); got != want {
			t.Errorf("subscription %d got %d answers, want %d", sid, got, want)
		}
	}
	if messages, payload, _ := frames(t, out); messages != 7 || payload != int64(7*len(block)) {
		t.Errorf("%d messages, %d bytes", messages, payload)
	}
	if got := other.out.Stats().Messages; got != 0 {
		t.Errorf("another client got %d answers", got)
	}
	if !strings.Contains(block, fmt.Sprint(http.StatusServiceUnavailable)) {
		t.Error("the status is another one")
	}
	// Nothing but answers is in this batch: it is pinned since before the match.
	b := batchOf(c, "")
	if b.answer([]byte("in.x"), 0, []byte("text")); s.grace.Pinned() != 1 {
		t.Error("the batch of an answer is not pinned")
	}
	b.end()
	out, _ = l.taken()
	if want := "\r\nMSG in.x 3 4\r\ntext\r\n"; !strings.Contains(string(out), want) || s.grace.Pinned() != 0 {
		t.Errorf("got %q, want an answer without headers in it", out)
	}
}

// TestWorkOnMembersIsCounted has what is looked at for messages counted as steps, so that the clock
// is looked at in time: at least one for each subscription, or member of a group.
func TestWorkOnMembersIsCounted(t *testing.T) {
	t.Parallel()
	const members = 50
	for name, tt := range map[string]struct {
		subscribe, publish string
		change             func(b *batch)
		least              int
	}{
		"a fan-out":                      {"SUB a %d\r\n", "PUB a 0\r\n\r\n", func(*batch) {}, members},
		"messages":                       {"SUB a %d\r\n", strings.Repeat("PUB a 0\r\n\r\n", 70), func(*batch) {}, members + 70},
		"one by one":                     {"SUB a %d\r\nUNSUB %[1]d 9\r\n", "PUB a 0\r\n\r\n", func(*batch) {}, 2 * members},
		"a group of members that refuse": {"SUB a q %d\r\n", "PUB a 0\r\n\r\n", func(b *batch) { b.from.noEcho = true }, members},
		"no receiver":                    {"SUB b %d\r\n", strings.Repeat("PUB a 0\r\n\r\n", 70), func(*batch) {}, 70},
	} {
		s, err := NewServer(nil)
		okay(t, err)
		c := onFake(t, s, new(fakeLink))
		for i := range members {
			deliverTo(t, c, fmt.Sprintf(tt.subscribe, i))
		}
		b := batchOf(c, tt.publish)
		tt.change(b)
		b.steps = 0 // without those of CONNECT
		if actOn(t, c, b, tt.publish); b.steps < tt.least {
			t.Errorf("%s: %d steps, want %d at least", name, b.steps, tt.least)
		}
		b.end()
		if b.begin(&c.conn); b.steps != 0 || !b.begun.IsZero() {
			t.Errorf("%s: %d steps of the next batch", name, b.steps)
		}
	}
	s, err := NewServer(nil)
	okay(t, err)
	p := onFake(t, s, new(fakeLink))
	for i := range members {
		deliverTo(t, p, fmt.Sprintf("SUB a q %d\r\n", i))
	}
	b, at := onePublished(p)
	g := p.match([]byte("a")).Queues()[0]
	for name, choose := range map[string]func(){
		"none":        func() { b.toMember(&g, []byte("a"), at, func(*conn) bool { return false }) },
		"for a route": func() { b.from.role = roleClient; b.toRoute(allButRoute(&g, p), []byte("a"), at) },
	} {
		b.steps = 0
		if choose(); b.steps < members {
			t.Errorf("%s: %d steps, want %d at least", name, b.steps, members)
		}
	}
	b.end()
}

// onePublished returns a batch with a message on "a", and its place.
func onePublished(p *client) (*batch, place) {
	b := batchOf(p, "PUB a 0\r\n\r\n")
	var o op
	limits := p.frameLimits()
	limits.next(p.in.Unread(), &o)
	return b, b.add(o.arg[0], nil, &o)
}

// TestMembersThatRefuseAreTriedAFewTimes counts how often a member is asked before none is found: a
// small group is not asked as often as a large one.
func TestMembersThatRefuseAreTriedAFewTimes(t *testing.T) {
	t.Parallel()
	for members, most := range map[int]int{1: 2, 2: 3, randomTries: randomTries + 1, 8 * randomTries: 9 * randomTries} {
		s, err := NewServer(nil)
		okay(t, err)
		p := onFake(t, s, new(fakeLink))
		for i := range members {
			deliverTo(t, p, fmt.Sprintf("SUB a q %d\r\n", i))
		}
		b, at := onePublished(p)
		g := p.match([]byte("a")).Queues()[0]
		asked := 0
		if b.toMember(&g, []byte("a"), at, func(*conn) bool { asked++; return false }) {
			t.Errorf("a member of %d takes what none may have", members)
		}
		if asked > most || asked < members {
			t.Errorf("%d members are asked %d times, want %d at most", members, asked, most)
		}
		b.end()
	}
}

// TestMembersThatTakeHaveTheSameChance has small groups whose other members refuse: those that take
// messages stand in the middle, one behind the other, and none gets what those before it refuse.
func TestMembersThatTakeHaveTheSameChance(t *testing.T) {
	t.Parallel()
	const members, takers, messages = 12, 3, 6000
	s, err := NewServer(nil)
	okay(t, err)
	p := onFake(t, s, new(fakeLink))
	for i := range members {
		deliverTo(t, p, fmt.Sprintf("SUB a q %d\r\n", i))
	}
	g := p.match([]byte("a")).Queues()[0]
	for i := range members {
		if sub := g.At(i); i < 5 || i >= 5+takers {
			sub.limit.Or(endedBit)
		}
	}
	b, at := onePublished(p)
	got := map[*subscription]int{}
	for range messages {
		if !b.toMember(&g, []byte("a"), at, nil) {
			t.Fatal("no member takes a message")
		}
		got[b.entries[0].sub]++
		b.entries = b.entries[:0]
	}
	for _, n := range got {
		if want := messages / takers; len(got) != takers || n < want*9/10 || n > want*11/10 {
			t.Errorf("%d members got %d of %d messages, want %d each", len(got), n, messages, want)
		}
	}
	b.end()
}

// allButRoute lets a group be one whose members take nothing.
func allButRoute(g *sublist.Group[*subscription], c *client) *sublist.Group[*subscription] {
	c.noEcho = true
	return g
}

// TestATraceHasWhatIsDelivered traces messages to a client that knows headers, and to one that does
// not, and those of a connection that was not chosen for the trace.
func TestATraceHasWhatIsDelivered(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	log := traceLog{newLineLog()}
	s.SetLogger(log, false, true)
	knows, old, silent, p := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
	deliverTo(t, knows, takesHeaders+"SUB a 1\r\n")
	deliverTo(t, old, "SUB a 2\r\n")
	deliverTo(t, silent, "SUB a 3\r\n")
	deliverTo(t, p, takesHeaders)
	silent.tracing, p.tracing = false, false
	for len(log.lines) > 0 {
		<-log.lines
	}
	deliverTo(t, p, "HPUB a reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPUB a 2\r\nho\r\nPUB a 2\r\nhi\r\n")
	got := map[string]int{}
	for len(log.lines) > 0 {
		_, text, _ := strings.Cut(<-log.lines, "<<- ")
		got[text]++
	}
	want := map[string]int{"[HMSG a 1 reply 12 14]": 1, "[MSG a 2 reply 2]": 1, "[MSG a 1 2]": 2, "[MSG a 2 2]": 2}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTheOnlyMemberThatTakesIsFound has a large group of which one member takes messages, and
// another one some.
func TestTheOnlyMemberThatTakesIsFound(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	p, one, some := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
	p.noEcho = true
	var text strings.Builder
	for i := range 8 * randomTries {
		fmt.Fprintf(&text, "SUB a q %d\r\n", i)
	}
	deliverTo(t, p, text.String())
	const messages = 40
	deliverTo(t, p, strings.Repeat("PUB a 0\r\n\r\n", messages))
	if got := s.counters.noReceivers(); got != messages {
		t.Errorf("%d of %d messages have no receiver, though no member takes any", got, messages)
	}
	deliverTo(t, one, "SUB a q 1\r\n")
	deliverTo(t, some, "SUB a q 1\r\nUNSUB 1 5\r\n")
	deliverTo(t, p, strings.Repeat("PUB a 0\r\n\r\n", messages))
	if a, b := one.out.Stats().Messages, some.out.Stats().Messages; a+b != messages || b > 5 || s.counters.noReceivers() != messages {
		t.Errorf("the members got %d and %d of %d messages", a, b, messages)
	}
}

// TestLocalMembersComeFirst has members on this server and behind a route, where those of this server
// are preferred: each of them gets as many messages as the others, and the route none while one of
// them takes any. Where they are not preferred, each has the same chance.
func TestLocalMembersComeFirst(t *testing.T) {
	t.Parallel()
	const members, messages = 4, 4000
	for _, prefer := range []bool{true, false} {
		s, err := NewServer(&Options{Cluster: ClusterOpts{PreferLocal: prefer}})
		okay(t, err)
		r := sunkRoute(t, s, true)
		remote := 0
		join := func() {
			remote++
			sub := newSubscription(r, []byte("a"), []byte("q"), fmt.Appendf(nil, "QRSID:1:%d", remote))
			if r.subscribe(sub); r.subOf([]byte(sub.sid())) != sub {
				t.Fatal("not subscribed")
			}
		}
		var local []*client
		for range members {
			join()
			c := onFake(t, s, &fakeLink{forgets: true})
			deliverTo(t, c, "SUB a q 1\r\n")
			local = append(local, c)
			join()
		}
		p := onFake(t, s, new(fakeLink))
		text := strings.Repeat("PUB a 0\r\n\r\n", messages)
		handle(t, &p.conn, text)
		want := messages / members
		if !prefer {
			want = messages / (3 * members)
		}
		for i, c := range local {
			if got := int(c.out.Stats().Messages); got < want*3/4 || got > want*5/4 {
				t.Errorf("preferred %v: local member %d got %d messages, want about %d", prefer, i, got, want)
			}
		}
		if got := int(r.out.Stats().Messages); prefer && got != 0 || !prefer && (got < messages/2 || got > messages*5/6) {
			t.Errorf("preferred %v: the route got %d of %d messages", prefer, got, messages)
		}
		for _, c := range local[1:] { // they take nothing more
			c.subOf([]byte("1")).limit.Or(endedBit)
		}
		one := local[0].out.Stats().Messages
		deliverTo(t, p, strings.Repeat("PUB a 0\r\n\r\n", 50))
		if got := local[0].out.Stats().Messages - one; prefer && got != 50 {
			t.Errorf("the only local member that takes messages got %d of 50", got)
		}
		local[0].subOf([]byte("1")).limit.Or(endedBit)
		one, before := local[0].out.Stats().Messages, r.out.Stats().Messages
		deliverTo(t, p, strings.Repeat("PUB a 0\r\n\r\n", 50))
		if got := r.out.Stats().Messages - before; got != 50 || local[0].out.Stats().Messages != one {
			t.Errorf("preferred %v: without a local member that takes messages the route got %d of 50", prefer, got)
		}
		if got := s.counters.noReceivers(); got != 0 {
			t.Errorf("preferred %v: %d messages are counted as without a receiver", prefer, got)
		}
	}
}

// TestAReplyMayBePublishedOnceThereWasARequest has a client that may publish nothing but answers: two
// of each request that it has received, on its reply subject.
func TestAReplyMayBePublishedOnceThereWasARequest(t *testing.T) {
	t.Parallel()
	for _, subscribe := range []string{"SUB req 1\r\n", "SUB req q 1\r\n", "SUB req 1\r\nUNSUB 1 9\r\n", "SUB req 1\r\nSUB req 2\r\n"} {
		s, err := NewServer(nil)
		okay(t, err)
		c, asks := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
		c.permissions.Store(mustCompile(t, &Permissions{Publish: list("none"), Response: &ResponsePermission{MaxMsgs: 2}}))
		deliverTo(t, c, subscribe)
		deliverTo(t, asks, "SUB > 1\r\n")
		answers := func(subject string, want int64) {
			t.Helper()
			before := asks.out.Stats().Messages
			deliverTo(t, c, strings.Repeat("PUB "+subject+" 2\r\nho\r\n", 5))
			if got := asks.out.Stats().Messages - before; got != want {
				t.Errorf("%q: %d of 5 messages on %s are delivered, want %d", subscribe, got, subject, want)
			}
		}
		answers("re.a", 0)
		deliverTo(t, asks, "PUB req 2\r\nhi\r\nPUB other re.b 2\r\nhi\r\n")
		answers("re.a", 0)
		answers("re.b", 0)
		deliverTo(t, asks, "PUB req re.a 2\r\nhi\r\n")
		answers("re.a", 2)
		answers("re.a", 0)
		answers("re.b", 0)
	}
}

// TestFewOfManyMembersHaveTheSameChance has a large group of which two neighbours take messages, and a few
// members that would drop them.
func TestFewOfManyMembersHaveTheSameChance(t *testing.T) {
	t.Parallel()
	const members, messages = 1000, 400
	s, err := NewServer(nil)
	okay(t, err)
	var text strings.Builder
	for i := range members {
		fmt.Fprintf(&text, "SUB a q %d\r\n", i)
	}
	rest := onFake(t, s, &fakeLink{forgets: true})
	handle(t, &rest.conn, text.String())
	for i := range members {
		rest.subOf(fmt.Append(nil, i)).limit.Or(endedBit)
	}
	var takers []*client
	for range 2 {
		c := onFake(t, s, &fakeLink{forgets: true})
		deliverTo(t, c, "SUB a q 1\r\n")
		takers = append(takers, c)
	}
	b := batchOf(rest, "PING\r\n")
	b.pin()
	b.lines = append(b.lines, line{subjectLen: 1})
	g := rest.match([]byte("a")).Queues()[0]
	chosen := map[*conn]int{}
	for range messages {
		b.entries = b.entries[:0]
		if !b.toMember(&g, []byte("a"), place{n: 1}, nil) {
			t.Fatal("no member takes a message")
		}
		chosen[b.entries[0].sub.conn]++
	}
	for i, c := range takers {
		if got := chosen[&c.conn]; got < messages/4 {
			t.Errorf("member %d was chosen for %d of %d messages", i, got, messages)
		}
	}
	b.reset()
	b.end()
}

// TestASecondConnectIsForWhatFollows changes echo between two messages that are read at once.
func TestASecondConnectIsForWhatFollows(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	for _, tt := range []struct {
		first, then string
		want        []string
	}{
		{"false", "true", []string{"MSG a 1 1", "2", "MSG a 2 1", "2", "PONG"}},
		{"true", "false", []string{"MSG a 1 1", "1", "MSG a 2 1", "1", "PONG"}},
	} {
		c := openClient(t, s)
		c.Say(`CONNECT {"verbose":false,"echo":`+tt.first+`}`, "SUB a 1", "SUB a 2", "PUB a 1", "1",
			`CONNECT {"echo":`+tt.then+`}`, "PUB a 1", "2", "PING")
		c.Want(tt.want...)
		c.Close()
	}
}
