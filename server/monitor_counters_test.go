package server

import (
	"fmt"
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

// TestSubszCountsWhatTheTableWasAsked publishes the same subject again and again, which asks the
// routing table once: nats-server has the same numbers.
func TestSubszCountsWhatTheTableWasAsked(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	a, b := dialClient(t, s), dialClient(t, s)
	a.Do("SUB foo 1")
	for _, step := range []struct {
		name          string
		do            func()
		matches, size uint64
		rate          float64
	}{
		{"one message", func() { b.Do("PUB foo 0\r\n\r\n") }, 1, 1, 0},
		{"a thousand, in batches and alone", func() {
			for range 500 {
				b.Do("PUB foo 0\r\n\r\n", "PUB foo 0\r\n\r\n")
			}
		}, 1, 1, 0},
		{"another subject", func() { b.Do("PUB bar 0\r\n\r\n") }, 2, 2, 0},
		{"the first subject, from another client", func() { a.Do("PUB foo 0\r\n\r\n") }, 3, 2, 1. / 3},
		{"another subscription", func() { a.Do("SUB foo 2") }, 3, 2, 1. / 3},
		{"and a message", func() { b.Do("PUB foo 0\r\n\r\n") }, 4, 2, 1. / 4},
	} {
		step.do()
		z, err := s.Subsz(nil)
		okay(t, err)
		if z.NumMatches != step.matches || uint64(z.NumCache) != step.size || z.CacheHitRate != step.rate {
			t.Errorf("%s: got %d matches, %d subjects in the cache, hit rate %v; want %d, %d, %v",
				step.name, z.NumMatches, z.NumCache, z.CacheHitRate, step.matches, step.size, step.rate)
		}
	}
}
