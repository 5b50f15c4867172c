package server

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestLinesThatComeAgainAreRecognized publishes on a few subjects in turn, and counts the lines that
// are parsed. What is delivered is the business of TestDeliveryOfRandomMixes.
func TestLinesThatComeAgainAreRecognized(t *testing.T) {
	t.Parallel()
	const messages = 200 // more than may be looked for without a match
	for name, c := range map[string]struct {
		connect string
		text    func(i int) string
		parsed  int
	}{
		"three in turn":     {text: func(i int) string { return pubOf(i%3, "1\r\nx") }, parsed: 3},
		"in another order":  {text: func(i int) string { return pubOf(i*i%7, "1\r\nx") }, parsed: 4},
		"with a reply":      {text: func(i int) string { return pubOf(i%2, "answers.to 1\r\nx") }, parsed: 2},
		"with headers":      {text: func(i int) string { return "H" + pubOf(i%2, "12 13\r\nNATS/1.0\r\n\r\nx") }, parsed: 2},
		"in lower case":     {text: func(i int) string { return strings.ToLower(pubOf(i%2, "1\r\nx")) }, parsed: 2},
		"one line end":      {text: func(i int) string { return pubOf(i%2, "1\nx") }, parsed: 2},
		"with another size": {text: func(i int) string { return pubOf(i%2, fmt.Sprintf("%d\r\n%s", i, strings.Repeat("x", i))) }, parsed: messages},
		"zeros in front":    {text: func(i int) string { return pubOf(i%2, "01\r\nx") }, parsed: 2},
		"no receiver":       {text: func(i int) string { return fmt.Sprintf("PUB out.%d 1\r\nx\r\n", i%2) }, parsed: messages},
		"too long":          {text: func(i int) string { return fmt.Sprintf("PUB in.%d%0*d 1\r\nx\r\n", i%2, maxRecurring, 1) }, parsed: messages},
		"each answered":     {connect: `"verbose":true,`, text: func(i int) string { return pubOf(i%2, "1\r\nx") }, parsed: messages},
		"SUB in between": {text: func(i int) string {
			return strings.Repeat("SUB other 2\r\n", 1-(i%20+19)/20) + pubOf(i%2, "1\r\nx")
		}, parsed: 10 + 10*2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // no time passes: a batch is not cut by it
				s, err := NewServer(&Options{})
				okay(t, err)
				sub, pub := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
				deliverTo(t, sub, "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB in.* 1\r\n")
				deliverTo(t, pub, "CONNECT {"+c.connect+"\"pedantic\":false,\"headers\":true}\r\n")
				if c.connect == "" {
					pub.verbose = false
				}
				var text strings.Builder
				for i := range messages {
					text.WriteString(c.text(i))
				}
				got, counted := parsed(t, pub, text.String())
				if got != c.parsed {
					t.Errorf("%d lines are parsed, want %d", got, c.parsed)
				}
				if want := uint32(messages); name != "no receiver" && counted != want {
					t.Errorf("the lines stand for %d messages, want %d", counted, want)
				}
				if n := pub.inMsgs.Load(); n != messages {
					t.Errorf("%d messages are counted, want %d", n, messages)
				}
				if n, want := pub.inBytes.Load(), int64(bytesOf(t, text.String())); n != want {
					t.Errorf("%d bytes are counted, want %d", n, want)
				}
			})
		})
	}
}

func pubOf(i int, rest string) string { return fmt.Sprintf("PUB in.%d %s\r\n", i, rest) }

// bytesOf returns how many bytes of payload are published in text, reading one operation at a time.
func bytesOf(t *testing.T, text string) (n int) {
	t.Helper()
	limits := frameLimits{role: roleClient, line: 4096, payload: -1, single: true}
	for buf := []byte(text); len(buf) > 0; {
		var o op
		k, _, _, err := limits.next(buf, &o)
		if k == 0 || err != frameOK {
			t.Fatalf("framing ends with %v at %.40q", err, buf)
		}
		if buf = buf[k:]; verbRows[o.verb].payload {
			n += o.size
		}
	}
	return n
}

// parsed lets a client act on text as conn.work does, and returns how many operations were parsed,
// and how many messages the lines of the batch stand for.
func parsed(t *testing.T, c *client, text string) (n int, messages uint32) {
	t.Helper()
	copy(c.in.Space(len(text)), text)
	c.in.Filled(len(text))
	w := newReaderScratch(c.srv)
	w.batch.begin(&c.conn)
	w.limits = c.frameLimits()
	for !c.in.Incomplete() {
		if w.batch.due() {
			w.batch.flush()
		}
		unread := c.in.Unread()
		if w.batch.recognizes() && !w.limits.single {
			if k := c.publishAgain(w, unread); k > 0 {
				c.in.Consume(k)
				continue
			}
		}
		k, _, _, err := w.limits.next(unread, &w.op)
		if k == 0 || err != frameOK {
			t.Fatalf("framing ends with %v at %.40q", err, unread)
		}
		w.batch.at = uint32(c.in.Offset())
		c.do(&w.op, &w.batch)
		c.in.Consume(k)
		if !verbRows[w.op.verb].payload {
			w.batch.forgetLines()
		}
		n++
	}
	for i := range w.batch.lines {
		messages += w.batch.lines[i].n
	}
	w.batch.end()
	return n, messages
}

// TestRecognizedLinesFillABatch publishes more than a batch may collect.
func TestRecognizedLinesFillABatch(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{MaxPending: 4000})
	okay(t, err)
	sub, pub := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
	deliverTo(t, sub, "SUB in.* 1\r\n")
	deliverTo(t, pub, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")
	var text strings.Builder
	for i := range 200 {
		text.WriteString(pubOf(i%3, "1\r\nx"))
	}
	if n, _ := parsed(t, pub, text.String()); n < 2*3 || n > 100 {
		t.Errorf("%d lines are parsed, want three for each flush", n)
	}
}

// TestAnswersToRecognizedRequestsComeInOrder has a client that makes two requests in turn, one of
// which only the first time has a receiver, and receives the other itself.
func TestAnswersToRecognizedRequestsComeInOrder(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{})
	okay(t, err)
	l := new(fakeLink)
	sub, pub := onFake(t, s, new(fakeLink)), onFake(t, s, l)
	deliverTo(t, sub, "CONNECT {\"verbose\":false}\r\nSUB gone 1\r\nUNSUB 1 1\r\n")
	deliverTo(t, pub, "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\nSUB own 1\r\nSUB answer 2\r\n")
	var text, want strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "PUB gone answer 1\r\nx\r\nPUB own answer 1\r\n%c\r\n", 'a'+i)
		if block := statusNoResponders + "gone" + headerEnd; i > 0 {
			fmt.Fprintf(&want, "HMSG answer 2 %d %[1]d\r\n%s\r\n", len(block), block)
		}
		fmt.Fprintf(&want, "MSG own 1 answer 1\r\n%c\r\n", 'a'+i)
	}
	deliverTo(t, pub, text.String())
	allWritten(t, &pub.out)
	if out, _ := l.taken(); string(out) != want.String() {
		t.Errorf("got\n%s\nwant\n%s", out, want.String())
	}
}

// TestPlacesOfLinesThatDifferAnywhere looks whether lines are spread over the places, wherever they
// differ.
func TestPlacesOfLinesThatDifferAnywhere(t *testing.T) {
	t.Parallel()
	const n = 32
	for _, format := range []string{"PUB %d.price.of.wheat.in.euro 100\r\n", "PUB price.of.wheat.%02d.in.euro.now 1\r\n", "PUB price.of.wheat.in.euro %03d\r\n", "PUB %c 1\r\n"} {
		places := map[int]bool{}
		for i := range n {
			places[placeOfLine(fmt.Appendf(nil, format, 'A'+i))] = true
		}
		if len(places) < n*2/3 {
			t.Errorf("%q: %d lines have %d places", format, n, len(places))
		}
	}
}

// TestABatchDoesNotLookForLinesInVain publishes on subjects that do not come again.
func TestABatchDoesNotLookForLinesInVain(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{})
	okay(t, err)
	sub, pub := onFake(t, s, new(fakeLink)), onFake(t, s, new(fakeLink))
	deliverTo(t, sub, "SUB > 1\r\nSUB > 2\r\n")
	deliverTo(t, pub, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")
	var text strings.Builder
	for i := range 2 * maxMisses {
		fmt.Fprintf(&text, "PUB s.%d 0\r\n\r\n", i)
	}
	copy(pub.in.Space(text.Len()), text.String())
	pub.in.Filled(text.Len())
	b := batchOf(pub, "")
	var o op
	limits := pub.frameLimits()
	looks := 0
	for unread := pub.in.Unread(); len(unread) > 0; {
		if b.recognizes() {
			if _, n := b.recognize(unread, &o); n > 0 {
				t.Fatalf("%.20q is taken for another line", unread)
			}
			looks++
		}
		n, _, _, _ := limits.next(unread, &o)
		pub.do(&o, b)
		unread = unread[n:]
	}
	if most := maxMisses + 2; len(b.matches) > most {
		t.Errorf("%d matches are remembered, want %d at most", len(b.matches), most)
	}
	if b.end(); looks != maxMisses {
		t.Errorf("%d lines are looked for without a match, want %d", looks, maxMisses)
	}
}

// TestANewSubscriptionHasNoHoles has a client subscribe while lines that come again, and others with the
// same subject, are read: it gets all that follow.
func TestANewSubscriptionHasNoHoles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(&Options{})
		okay(t, err)
		link := new(fakeLink)
		old, sub, pub := onFake(t, s, new(fakeLink)), onFake(t, s, link), onFake(t, s, new(fakeLink))
		deliverTo(t, old, "SUB in.* 1\r\n")
		deliverTo(t, sub, "CONNECT {\"verbose\":false}\r\n")
		deliverTo(t, pub, "CONNECT {\"verbose\":false}\r\n")
		var text strings.Builder
		tails := make([]string, 20)
		for i := range tails {
			tails[i] = fmt.Sprintf("%s2\r\n%02d\r\n", strings.Repeat("reply ", i*i%3%2), i) // with a reply or not
			text.WriteString("PUB in.a " + tails[i] + "PUB in.b 1\r\nx\r\n")                // the same matches it until then
		}
		w := newReaderScratch(s)
		copy(pub.in.Space(text.Len()), text.String())
		pub.in.Filled(text.Len())
		w.batch.begin(&pub.conn)
		w.limits = pub.frameLimits()
		for n := 0; !pub.in.Incomplete(); n++ {
			if n == 5 {
				deliverTo(t, sub, "SUB in.a 7\r\n")
				tails = tails[(w.batch.inMsgs+1)/2:]
			}
			unread := pub.in.Unread()
			w.limits.single = false
			k := 0
			if w.batch.recognizes() {
				k = pub.publishAgain(w, unread)
			}
			if k == 0 {
				w.limits.single = true
				k, _, _, _ = w.limits.next(unread, &w.op)
				w.batch.at = uint32(pub.in.Offset())
				pub.do(&w.op, &w.batch)
			}
			pub.in.Consume(k)
		}
		w.batch.end()
		want := "MSG in.a 7 " + strings.Join(tails, "MSG in.a 7 ")
		if got := string(link.out); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
