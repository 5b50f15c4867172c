package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/netio"
)

// TestEntriesInOrderAreKnown compares with the places of all single messages.
func TestEntriesInOrderAreKnown(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 5))
	b := &batch{lines: []line{{length: 3}, {length: 10}}}
	if !b.inOrder([]entry{{place: place{at: 0, line: textLine}}}) {
		t.Error("a text at the beginning is not in order")
	}
	seen := map[bool]int{}
	for range 5000 {
		list := make([]entry, 1+r.IntN(3))
		at, want := 0, true
		for i := range list {
			e := &list[i]
			e.line = []uint32{0, 1, textLine}[r.IntN(3)]
			e.n = uint32(1 + r.IntN(4))
			if i == 0 {
				e.at = 1
			} else {
				e.at = uint32(max(1, at+r.IntN(4)-1))
			}
			want = want && int(e.at) >= at
			at = int(e.at)
			if e.line != textLine {
				at += int(e.n-1) * int(b.lines[e.line].length)
				if r.IntN(2) == 0 {
					e.n |= claimed
				}
			}
		}
		if got := b.inOrder(list); got != want {
			t.Fatalf("%+v: in order is %v", list, got)
		}
		seen[want]++
	}
	if seen[true] < 500 || seen[false] < 500 {
		t.Errorf("%v: want both often", seen)
	}
}

// frames returns how many messages a client has been sent, the bytes of their payloads, with their
// headers, and the texts between them.
func frames(t *testing.T, out []byte) (messages, payload int64, texts string) {
	t.Helper()
	for len(out) > 0 {
		text, rest, _ := bytes.Cut(out, []byte("\r\n"))
		if !bytes.HasPrefix(text, []byte("MSG ")) && !bytes.HasPrefix(text, []byte("HMSG ")) {
			texts, out = texts+string(text)+" ", rest
			continue
		}
		size, err := strconv.Atoi(string(text[bytes.LastIndexByte(text, ' ')+1:]))
		okay(t, err)
		if len(rest) < size+2 || string(rest[size:size+2]) != "\r\n" {
			t.Fatalf("%.100q is no message", out)
		}
		messages, payload, out = messages+1, payload+int64(size), rest[size+2:]
	}
	return messages, payload, texts
}

// TestWhatIsCountedIsWhatIsSent delivers messages of every kind, and compares what is counted, of the
// connection and of the server, with the frames that its socket was given.
func TestWhatIsCountedIsWhatIsSent(t *testing.T) {
	t.Parallel()
	const header = "NATS/1.0\r\nA: b\r\n\r\n"
	for _, tt := range []struct {
		name, subscribe, publish string
		headers                  bool // the subscriber knows them
		texts                    string
		drops                    access.SlowConsumer
	}{
		{name: "plain", subscribe: "SUB a 1\r\n", publish: "PUB a 5\r\nhello\r\n"},
		{name: "repeated", subscribe: "SUB a 1\r\n", publish: strings.Repeat("PUB a 5\r\nhello\r\n", 20)},
		{name: "empty", subscribe: "SUB a 1\r\n", publish: "PUB a 0\r\n\r\n"},
		{name: "twice", subscribe: "SUB a 1\r\nSUB a 2\r\n", publish: "PUB a 5\r\nhello\r\nPUB a 2\r\nhi\r\n"},
		{name: "of a queue", subscribe: "SUB a q 1\r\nSUB a 2\r\n", publish: "PUB a 5\r\nhello\r\nPUB a 2\r\nhi\r\n"},
		{name: "large", subscribe: "SUB a 1\r\n", publish: strings.Repeat(fmt.Sprintf("PUB a %d\r\n%s\r\n", refPayload, strings.Repeat("x", refPayload)), 3)},
		{name: "nearly large", subscribe: "SUB a 1\r\n", publish: fmt.Sprintf("PUB a %d\r\n%s\r\n", refPayload-1, strings.Repeat("x", refPayload-1))},
		{name: "limited", subscribe: "SUB a 1\r\nUNSUB 1 3\r\n", publish: strings.Repeat("PUB a 5\r\nhello\r\n", 20)},
		{name: "with headers", subscribe: "SUB a 1\r\n", publish: "HPUB a 18 23\r\n" + header + "hello\r\n", headers: true},
		{name: "headers taken off", subscribe: "SUB a 1\r\n", publish: "HPUB a 18 23\r\n" + header + "hello\r\nPUB a 1\r\nx\r\n"},
		{name: "to a user that may lose some", subscribe: "SUB a 1\r\n", publish: strings.Repeat("PUB a 5\r\nhello\r\n", 20), drops: access.DropNew},
		{name: "to a user that may lose old ones", subscribe: "SUB a 1\r\nSUB a 2\r\n", publish: strings.Repeat("PUB a 5\r\nhello\r\n", 20), drops: access.DropOld},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := NewServer(nil)
			okay(t, err)
			links := []*fakeLink{{}, {}}
			for _, l := range links {
				c := onFake(t, s, l)
				c.headers.Store(tt.headers)
				if tt.drops != access.Disconnect {
					dropsMessages(c, tt.drops)
				}
				deliverTo(t, c, tt.subscribe)
				defer func() {
					out, _ := l.taken()
					messages, payload, texts := frames(t, out)
					if got := c.out.Stats(); got.Messages != messages || got.Payload != payload || got.Pending != 0 || texts != "" {
						t.Errorf("counted are %d messages, %d bytes, %d pending, sent %d, %d and %q", got.Messages, got.Payload, got.Pending, messages, payload, texts)
					}
				}()
			}
			p := onFake(t, s, new(fakeLink))
			deliverTo(t, p, takesHeaders)
			p.lastIn.Store(7)
			deliverTo(t, p, "PING\r\n")
			if p.lastIn.Load() != 7 {
				t.Error("a PING counts as a message")
			}
			deliverTo(t, p, tt.publish)
			published, received := int64(strings.Count(tt.publish, "PUB a ")), int64(0)
			for _, line := range regexp.MustCompile(`H?PUB a.* (\d+)\r\n`).FindAllStringSubmatch(tt.publish, -1) {
				n, _ := strconv.Atoi(line[1])
				received += int64(n)
			}
			if clients, _ := s.counters.sum(); p.inMsgs.Load() != published || p.inBytes.Load() != received || clients.inMsgs != published || clients.inBytes != received || p.lastIn.Load() == 7 {
				t.Errorf("%d messages of %d bytes are counted, and %+v, want %d of %d", p.inMsgs.Load(), p.inBytes.Load(), clients, published, received)
			}
			var messages, payload int64
			for _, l := range links {
				out, _ := l.taken()
				n, bytes, _ := frames(t, out)
				messages, payload = messages+n, payload+bytes
			}
			if clients, all := s.counters.sum(); clients.outMsgs != messages || clients.outBytes != payload || all != clients || messages == 0 {
				t.Errorf("counted are %+v, sent %d messages of %d bytes", clients, messages, payload)
			}
		})
	}
}

// dropsMessages makes a client one of a user whose slow consumers lose messages, until its next
// CONNECT.
func dropsMessages(c *client, policy access.SlowConsumer) {
	c.limited.Store(&limitedUser{limits: &access.Limits{SlowConsumer: policy}, usage: &userUsage{}})
	c.setWriteLimits()
}

// TestAnswersAreCounted has requests without a receiver: the answers are messages of the client that
// asked, and texts between them are none.
func TestAnswersAreCounted(t *testing.T) {
	t.Parallel()
	for _, drops := range []access.SlowConsumer{access.Disconnect, access.DropNew} {
		s, err := NewServer(nil)
		okay(t, err)
		l := new(fakeLink)
		c := onFake(t, s, l)
		deliverTo(t, c, `CONNECT {"verbose":true,"headers":true,"no_responders":true}`+"\r\n")
		if drops != access.Disconnect {
			dropsMessages(c, drops)
		}
		deliverTo(t, c, "SUB in.> 1\r\nSUB a 2\r\nPUB none in.1 2\r\nhi\r\nPUB a 2\r\nho\r\nPING\r\nPUB none in.2 0\r\n\r\nPING\r\n")
		out, _ := l.taken()
		messages, payload, texts := frames(t, out)
		if got := c.out.Stats(); got.Messages != 3 || messages != 3 || got.Payload != payload {
			t.Errorf("counted are %d messages, %d bytes, sent %d, %d", got.Messages, got.Payload, messages, payload)
		}
		if want := "+OK +OK +OK +OK +OK PONG +OK PONG "; texts != want {
			t.Errorf("got the texts %q, want %q", texts, want)
		}
		if clients, _ := s.counters.sum(); clients.outMsgs != 3 || clients.outBytes != payload {
			t.Errorf("the server counts %+v", clients)
		}
		order := regexp.MustCompile(`MSG (\S+)`).FindAllSubmatch(out, -1)
		if len(order) != 3 || string(order[0][1]) != "in.1" || string(order[1][1]) != "a" || string(order[2][1]) != "in.2" {
			t.Errorf("messages came as %q", order)
		}
	}
}

// TestTextsAreNotDropped has a client whose user loses messages, and whose socket takes nothing: of
// what it publishes to itself most is dropped, but no answer.
func TestTextsAreNotDropped(t *testing.T) {
	t.Parallel()
	for _, policy := range []access.SlowConsumer{access.DropNew, access.DropOld} {
		s, err := NewServer(&Options{MaxPending: 4000})
		okay(t, err)
		open := make(chan bool)
		l := &fakeLink{try: func(int) (int, error) { return 0, netio.ErrWouldBlock }, wait: func(n int) (int, error) { <-open; return n, nil }}
		c := onFake(t, s, l)
		deliverTo(t, c, `CONNECT {"verbose":true}`+"\r\nSUB a 1\r\n")
		dropsMessages(c, policy)
		const each = 100
		for range each / 2 { // answers and messages in turn
			deliverTo(t, c, strings.Repeat("PUB a 300\r\n"+strings.Repeat("x", 300)+"\r\n", 2)+"PING\r\n")
		}
		close(open)
		allWritten(t, &c.out)
		out, _ := l.taken()
		messages, payload, texts := frames(t, out)
		if oks, pongs := strings.Count(texts, "+OK "), strings.Count(texts, "PONG "); oks != each+2 || pongs != each/2 {
			t.Errorf("got %d and %d answers, want %d and %d", oks, pongs, each+2, each/2)
		}
		stats := c.out.Stats()
		if stats.Messages != each || stats.Lost.Messages != each-messages || stats.Lost.Payload != 300*each-payload || stats.Lost.Messages < each/2 {
			t.Errorf("got %d messages; of %d were dropped %d, %d bytes", messages, stats.Messages, stats.Lost.Messages, stats.Lost.Payload)
		}
	}
}

// TestSmallPushesForThoseThatLoseMessages looks how much is pushed at a time: what is dropped is a
// whole push.
func TestSmallPushesForThoseThatLoseMessages(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{MaxPending: 1 << 20})
	okay(t, err)
	largest := func(policy access.SlowConsumer) (most int) {
		l := &fakeLink{try: func(n int) (int, error) { most = max(most, n); return n, nil }}
		c, p := onFake(t, s, l), onFake(t, s, new(fakeLink))
		if policy != access.Disconnect {
			dropsMessages(c, policy)
		}
		deliverTo(t, c, "SUB a 1\r\nSUB a 2\r\n")
		deliverTo(t, p, strings.Repeat("PUB a 1000\r\n"+strings.Repeat("x", 1000)+"\r\n", 60))
		c.dropSubs()
		return most
	}
	unit := int(netio.DropUnit(1 << 20))
	if got := largest(access.DropNew); got > unit+1100 || got < unit/2 {
		t.Errorf("%d bytes are pushed at a time, want about %d", got, unit)
	}
	if got := largest(access.Disconnect); got < 2*unit {
		t.Errorf("%d bytes are pushed at a time where none are dropped, want more", got)
	}
}

// TestMessagesAsLargeAsMayBePending publishes them to clients: one that is larger ends the
// connection, even if the socket would take it. What counts is what is sent.
func TestMessagesAsLargeAsMayBePending(t *testing.T) {
	t.Parallel()
	const maxPending = 10_000
	header := "NATS/1.0\r\nA: " + strings.Repeat("b", 500) + "\r\n\r\n"
	for _, tt := range []struct {
		name    string
		header  string
		size    int // with the header
		headers bool
		ends    bool
	}{
		{"as large", "", maxPending, true, false},
		{"larger", "", maxPending + 1, true, true},
		{"larger with headers", header, maxPending + 1, true, true},
		{"as large when the headers are taken off", header, maxPending + len(header), false, false},
		{"larger even then", header, maxPending + len(header) + 1, false, true},
	} {
		s, err := NewServer(&Options{MaxPending: maxPending})
		okay(t, err)
		c, p := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
		c.headers.Store(tt.headers)
		deliverTo(t, p, takesHeaders)
		deliverTo(t, c, "SUB a 1\r\n")
		body := tt.header + strings.Repeat("x", tt.size-len(tt.header)) + "\r\n"
		if tt.header == "" {
			deliverTo(t, p, fmt.Sprintf("PUB a %d\r\n%sPUB a 1\r\ny\r\n", tt.size, body))
		} else {
			deliverTo(t, p, fmt.Sprintf("HPUB a %d %d\r\n%sPUB a 1\r\ny\r\n", len(tt.header), tt.size, body))
		}
		if c.ended() != tt.ends || tt.ends && c.reason() != closeSlowPending {
			t.Errorf("%s: ended is %v, as %v", tt.name, c.ended(), c.reason())
		}
	}
}

// TestWritesHaveFewParts publishes messages that are written from where they were read, and looks how
// many parts one write has, and that what is queued says its subject.
func TestWritesHaveFewParts(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	l := &partLink{fakeLink: fakeLink{forgets: true}}
	c, p := onFake(t, s, &l.fakeLink), onFake(t, s, new(fakeLink))
	c.link = l
	c.out.SetLink(l)
	var subs strings.Builder
	for i := range 10 {
		fmt.Fprintf(&subs, "SUB a %d\r\n", i)
	}
	deliverTo(t, c, subs.String())
	text := fmt.Sprintf("PUB a %d\r\n%s\r\n", refPayload, strings.Repeat("x", refPayload))
	deliverTo(t, p, strings.Repeat(text, 20))
	if l.most != maxSegments {
		t.Errorf("a write has %d parts at most, want %d", l.most, maxSegments)
	}
	l.try = func(int) (int, error) { return 0, netio.ErrWouldBlock }
	wait := make(chan bool)
	l.wait = func(n int) (int, error) { <-wait; return n, nil }
	deliverTo(t, p, text)
	if got := c.out.Stats().Subject; got != "a" {
		t.Errorf("what is pending was published on %q", got)
	}
	close(wait)
	allWritten(t, &c.out)
}

// partLink is a fakeLink that notes how many parts a write has.
type partLink struct {
	fakeLink
	most int
}

func (l *partLink) TrySend(segs []netio.Segment) (int, error) {
	l.most = max(l.most, len(segs))
	return l.fakeLink.TrySend(segs)
}

// TestTwoSourcesKeepTheirOrder has one connection with plain, queue and limited subscriptions of the
// same subjects, verbose answers between, and checks that everything comes in the order in which it
// was read.
func TestTwoSourcesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	l := new(fakeLink)
	c := onFake(t, s, l)
	other := onFake(t, s, new(fakeLink))
	deliverTo(t, other, "SUB a 1\r\nSUB b 2\r\n") // so that there are fan-outs
	deliverTo(t, c, `CONNECT {"verbose":true}`+"\r\nSUB a 1\r\nSUB a 2\r\nSUB b 3\r\nSUB b q 4\r\nSUB > 5\r\nUNSUB 5 7\r\n")
	before, _ := l.taken()
	skip := len(before)
	var text, want strings.Builder
	for i := range 10 {
		subject := []string{"a", "b", "b"}[i%3]
		fmt.Fprintf(&text, "PUB %s 2\r\n%02d\r\n", subject, i)
		fmt.Fprintf(&want, "+OK %02d ", i)
	}
	deliverTo(t, c, text.String()+"PING\r\n")
	out, _ := l.taken()
	var got strings.Builder
	copies := map[string]int{}
	last := ""
	for _, f := range strings.Split(string(out[skip:]), "\r\n") {
		if f == "" || strings.HasPrefix(f, "MSG ") {
			continue
		}
		copies[f]++
		if f != last || f == "+OK" {
			got.WriteString(f + " ")
		}
		last = f
	}
	if want := want.String() + "PONG "; got.String() != want {
		t.Errorf("got  %s\nwant %s", got.String(), want)
	}
	for i := range 10 {
		want := 2
		if i < 7 {
			want++
		}
		if n := copies[fmt.Sprintf("%02d", i)]; n != want {
			t.Errorf("message %d came %d times, want %d", i, n, want)
		}
	}
}

// TestALimitThatComesWhenMessagesAreChosen has a subscription get a limit between the choice of its
// messages, of several lines, and the push: it gets so many, the first ones, and others get all.
func TestALimitThatComesWhenMessagesAreChosen(t *testing.T) {
	t.Parallel()
	const text = "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB b 1\r\n3\r\nPUB a 1\r\n4\r\nPUB a 1\r\n5\r\n"
	for _, tt := range []struct {
		name, subs, others string
		copies             int // of each message, besides
	}{
		{"alone", "SUB > 1\r\n", "", 0},
		{"of a fan-out", "SUB > 1\r\n", "SUB > 1\r\n", 0},
		{"beside another of the client", "SUB > 1\r\nSUB > 2\r\n", "", 1},
		{"beside a member of a queue group", "SUB > 1\r\nSUB > q 2\r\n", "SUB * 1\r\n", 1},
	} {
		for limit := range 7 {
			s, err := NewServer(nil)
			okay(t, err)
			l, other, p := new(fakeLink), onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
			c := onFake(t, s, l)
			deliverTo(t, c, tt.subs)
			deliverTo(t, other, tt.others)
			b := batchOf(p, text)
			actOn(t, p, b, text)
			c.subOf([]byte("1")).limit.Store(int64(limit)) // 0: none
			b.end()
			out, _ := l.taken()
			for i := 1; i <= 5; i++ {
				want := tt.copies
				if limit == 0 || i <= limit {
					want++
				}
				if got := strings.Count(string(out), fmt.Sprintf(" 1\r\n%d\r\n", i)); got != want {
					t.Errorf("%s, limit %d: message %d came %d times, want %d", tt.name, limit, i, got, want)
				}
			}
			if got, want := other.out.Stats().Messages, 5*min(1, len(tt.others)); int(got) != want {
				t.Errorf("%s, limit %d: another client got %d messages, want %d", tt.name, limit, got, want)
			}
		}
	}
}

// placeLink is a link that takes nothing at once, and remembers where the first bytes of each write
// are in memory.
type placeLink struct {
	fakeConn
	places chan *byte
}

func (l *placeLink) Send(segs []netio.Segment, deadline time.Time) (int, error) {
	l.places <- &segs[0].Bytes[0]
	return l.fakeConn.Send(segs, deadline)
}

// TestTargetsThatWaitShareMemory delivers to many connections under one sid that take nothing at once,
// as those over TLS do: one copy is enough for all of them. The next batch must not change it.
func TestTargetsThatWaitShareMemory(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	const targets, batches = 20, 3
	var links []*placeLink
	var clients []*client
	for range targets {
		l := &fakeLink{try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
		c := onFake(t, s, l)
		link := &placeLink{c.link.(fakeConn), make(chan *byte, 2*batches)}
		c.link = link
		c.out.SetLink(link)
		deliverTo(t, c, "SUB a 1\r\n")
		links, clients = append(links, link), append(clients, c)
	}
	pub := onFake(t, s, new(fakeLink))
	var want strings.Builder
	seen := map[*byte]bool{}
	for i := range batches {
		text := strings.Repeat(fmt.Sprintf("a 1 1000\r\n%s\r\n", strings.Repeat(fmt.Sprint(i), 1000)), 70)
		want.WriteString(strings.ReplaceAll(text, "a 1 1000", "MSG a 1 1000"))
		deliverTo(t, pub, strings.ReplaceAll(text, "a 1 1000", "PUB a 1000"))
		for _, l := range links {
			seen[<-l.places] = true
		}
	}
	if len(seen) > batches {
		t.Errorf("%d batches to %d targets are in %d places in memory", batches, targets, len(seen))
	}
	for i, l := range links {
		if idle := clients[i].out.Refuse(); idle != nil {
			<-idle
		}
		if got, _ := l.taken(); string(got) != want.String() {
			t.Fatalf("a target got %d bytes, want %d, or others", len(got), want.Len())
		}
	}
}
