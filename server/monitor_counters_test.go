package server

import (
	"fmt"
	"strings"
	"testing"
)

// TestCountersIncludeWhatHasArrived reads the pages as soon as a message has arrived, as a suite
// does that counts: what has arrived must have been counted, by the server, by both connections and
// by the routing table.
func TestCountersIncludeWhatHasArrived(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	sub, pub := dialClient(t, s), dialClient(t, s)
	sub.Do("SUB foo.* 1")
	rounds := 600
	if raceEnabled {
		rounds = 200
	}
	for i := 1; i <= rounds; i++ {
		subject := fmt.Sprintf("foo.%d", i)
		pub.Say("PUB " + subject + " 2\r\nhi\r\n")
		sub.Want("MSG " + subject + " 1 2\r\nhi\r\n")
		_, n := s.counters.sum()
		got := []int64{n.inMsgs, n.inBytes, n.outMsgs, n.outBytes, s.subs.Stats().Matches}
		if want := []int64{int64(i), int64(2 * i), int64(i), int64(2 * i), int64(i)}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("after message %d: got messages and bytes in and out, and matches, %v; want %v", i, got, want)
		}
		z, err := s.Connz(nil)
		okay(t, err)
		for _, c := range z.Conns {
			if c.InMsgs+c.OutMsgs != int64(i) || c.InBytes+c.OutBytes != int64(2*i) {
				t.Fatalf("after message %d: got %+v; want all messages counted", i, c)
			}
		}
	}
}

// TestSubszCountsWhatTheTableWasAsked publishes the same subjects again and again, alone and in turn,
// which asks the routing table once for each: nats-server 2.9.10 has the same numbers. The server is not
// started: now and then one that runs drops what is out of date from its cache. In one of a hundred and fifty
// the hash of a subject is that of another one's pattern, which puts it out of date: then another one is tried.
func TestSubszCountsWhatTheTableWasAsked(t *testing.T) {
	t.Parallel()
	var wrong []string
	for range 4 {
		if wrong = subszErrors(t); len(wrong) == 0 {
			return
		}
	}
	t.Error(strings.Join(wrong, "\n"))
}

// subszErrors plays that with one server, and returns the numbers that are wrong.
func subszErrors(t *testing.T) (wrong []string) {
	t.Helper()
	s, err := NewServer(nil)
	okay(t, err)
	a, b := sunk(t, s), sunk(t, s)
	do := func(c *conn, ops ...string) { handle(t, c, strings.Join(ops, "")) }
	do(a, "SUB foo 1\r\n")
	pub := func(subject string) string { return "PUB " + subject + " 0\r\n\r\n" }
	each := func(c *conn, n int, format string) func() {
		return func() {
			for i := range n {
				do(c, pub(fmt.Sprintf(format, i)))
			}
		}
	}
	inTurn := func() {
		for range 50 {
			do(b, pub("foo"), pub("bar"))
			do(b, pub("foo"))
			do(b, pub("bar"))
		}
	}
	for _, step := range []struct {
		name          string
		do            func()
		matches, size uint64
		hits          float64
	}{
		{"one message", func() { do(b, pub("foo")) }, 1, 1, 0},
		{"a thousand, in batches and alone", func() {
			for range 500 {
				do(b, pub("foo"), pub("foo"))
			}
		}, 1, 1, 0},
		{"another subject", func() { do(b, pub("bar")) }, 2, 2, 0},
		{"both in turn, in batches and alone", inTurn, 2, 2, 0},
		{"the first subject, from another client", func() { do(a, pub("foo")) }, 3, 2, 1},
		{"another subscription", func() { do(a, "SUB foo 2\r\n") }, 3, 2, 1},
		{"both in turn, of which that one is in the cache with the new subscription", inTurn, 5, 2, 3},
		{"a third subject in turn with both", func() { do(b, pub("baz")); inTurn(); do(b, pub("baz")) }, 6, 3, 3},
		{"four subjects", each(b, 4, "x.%d"), 10, 7, 3},
		{"again", each(b, 4, "x.%d"), 10, 7, 3},
		{"the same from the other client", each(a, 4, "x.%d"), 14, 7, 7},
		{"a wildcard for them", func() { do(a, "SUB x.* 3\r\n") }, 14, 7, 7},
		{"and again", each(b, 4, "x.%d"), 18, 7, 11},
	} {
		step.do()
		z, err := s.Subsz(nil)
		okay(t, err)
		if rate := step.hits / float64(step.matches); z.NumMatches != step.matches || uint64(z.NumCache) != step.size || z.CacheHitRate != rate {
			wrong = append(wrong, fmt.Sprintf("%s: got %d matches, %d subjects in the cache, hit rate %v; want %d, %d, %v",
				step.name, z.NumMatches, z.NumCache, z.CacheHitRate, step.matches, step.size, rate))
		}
	}
	return wrong
}
