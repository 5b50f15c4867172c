package server

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestSourcesAreMergedInOrder merges sources of any number and length, and compares with a stable sort
// of all they have, listed one by one.
func TestSourcesAreMergedInOrder(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c := onFake(t, s, new(fakeLink))
	r := rand.New(rand.NewPCG(2, 5))
	for round := range 500 {
		b := &batch{srv: s, from: &c.conn, limit: highWater}
		type piece struct {
			at   uint32
			text string
		}
		var list []entry
		var all []piece
		text := func(at uint32) {
			one := fmt.Sprintf("+%d\r\n", len(all))
			all = append(all, piece{at, one})
			b.text = append(b.text, one...)
			b.texts = append(b.texts, textPart{uint32(len(b.text) - len(one)), uint32(len(b.text)), -1})
		}
		for range r.IntN(9) {
			at := uint32(0)
			for range 1 + r.IntN(6) {
				at += uint32(r.IntN(4))
				list = append(list, entry{place: place{at: at, line: textLine, n: uint32(len(b.texts))}})
				text(at)
			}
		}
		slices.SortStableFunc(all, func(p, q piece) int { return int(p.at) - int(q.at) })
		want := ""
		for _, p := range all {
			want += p.text
		}
		x := &b.scratch
		x.start(b, 0)
		x.t, x.limit = &target{c: &c.conn}, b.limit
		x.addMerged(list)
		if got := string(x.buf); got != want {
			t.Fatalf("round %d: got %q, want %q", round, got, want)
		}
		x.finish()
	}
}

// TestOverlappingSubscriptionsAreNotListed has a client with many subscriptions that all get each of
// many messages, of a client or a route: what is needed to bring them into order must not grow with both.
func TestOverlappingSubscriptionsAreNotListed(t *testing.T) {
	const subs, messages = 2000, 500
	for publisher, publish := range map[string]string{"client": "PUB a 0\r\n\r\n", "route": "MSG a RSID:1:1 0\r\n\r\n"} {
		s, err := NewServer(nil)
		okay(t, err)
		c := sunk(t, s)
		var text strings.Builder
		for i := range subs {
			fmt.Fprintf(&text, "SUB %s %d\r\n", []string{"a", "*", ">"}[i%3], i)
		}
		handle(t, c, text.String())
		from := c
		if publisher == "route" {
			from = sunkRoute(t, s, false)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		handle(t, from, strings.Repeat(publish, messages))
		runtime.ReadMemStats(&after)
		if got := c.out.Stats().Messages; got != subs*messages {
			t.Fatalf("%s: got %d messages, want %d", publisher, got, subs*messages)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > subs*messages*4 {
			t.Errorf("%s: %d bytes were allocated for %d messages", publisher, got, subs*messages)
		}
	}
}

// TestCopiesBoundABatch has clients that get several copies of each message: no batch may hold much more
// for one of them than its bound.
func TestCopiesBoundABatch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		subs   string
		copies int
	}{
		"one":                     {"SUB a 1\r\n", 1},
		"one of five clients":     {"SUB a 1\r\nOTHER\r\nSUB a 1\r\nOTHER\r\nSUB a 1\r\nOTHER\r\nSUB a 1\r\nOTHER\r\nSUB a 1\r\n", 1},
		"three of one subject":    {"SUB a 1\r\nSUB a 2\r\nSUB a 3\r\nOTHER\r\nSUB a 1\r\nSUB a 2\r\n", 3},
		"wildcards":               {"SUB a 1\r\nSUB * 2\r\nSUB > 3\r\n", 3},
		"wildcards, several each": {"SUB a 1\r\nSUB a 2\r\nSUB > 3\r\nSUB > 4\r\nOTHER\r\nSUB > 1\r\n", 4},
		"queue groups":            {"SUB a q 1\r\nSUB a r 2\r\nSUB > q 3\r\n", 2},
		"and plain ones":          {"SUB a q 1\r\nSUB a 2\r\nSUB a 3\r\n", 3},
	} {
		s, err := NewServer(nil)
		okay(t, err)
		for part := range strings.SplitSeq(tt.subs, "OTHER\r\n") {
			handle(t, sunk(t, s), part)
		}
		c := onFake(t, s, new(fakeLink))
		b := batchOf(c, "PING\r\n")
		b.pin()
		for range 2 {
			if got := b.copies(c.match([]byte("a"))); got != tt.copies {
				t.Errorf("%s: got %d copies, want %d", name, got, tt.copies)
			}
		}
		if n := slices.IndexFunc(b.perSlot, func(n uint32) bool { return n != 0 }); n >= 0 {
			t.Errorf("%s: the count of slot %d is left", name, n)
		}
		b.end()
	}
}
