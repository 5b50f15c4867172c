package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// TestRepeatedOperationsAreWhatSingleStepsFind compares runs with framing one operation after the
// other, on publications that repeat their line, and some that are spoilt.
func TestRepeatedOperationsAreWhatSingleStepsFind(t *testing.T) {
	t.Parallel()
	limits := frameLimits{role: roleClient, line: 4096, payload: 1 << 20}
	lines := []string{"PUB a 2\r\n", "PUB a 2\n", "PUB a 0\r\n", "pub  a.b reply 5 \r\n", "HPUB a 12 14\r\n", "HPUB b 12 12\r\n", "HPUB a r 0 5\r\n", "HPUB a 3 5\r\n"}
	payloads := map[string]string{lines[0]: "hi", lines[1]: "hi", lines[2]: "", lines[3]: "hello", lines[4]: "NATS/1.0\r\n\r\nhi", lines[5]: "NATS/1.0\r\n\r\n", lines[6]: "hello", lines[7]: "hello"}
	longest := 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 11))
		var b strings.Builder
		line := lines[r.IntN(len(lines))]
		for range 1 + r.IntN(12) {
			if r.IntN(6) == 0 {
				line = lines[r.IntN(len(lines))]
			}
			b.WriteString(line + payloads[line] + "\r\n")
		}
		text := []byte(b.String())
		switch r.IntN(3) {
		case 0:
			text[r.IntN(len(text))] = "\r\nX "[r.IntN(4)]
		case 1:
			text = text[:r.IntN(len(text)+1)]
		}
		each := limits
		each.single = true
		single, run := stepsOf(t, &each, text), stepsOf(t, &limits, text)
		longest = max(longest, len(single))
		if fmt.Sprint(single) != fmt.Sprint(run) {
			t.Fatalf("seed %d: %q\none by one %q\nin runs    %q", seed, text, single, run)
		}
	}
	if longest < 10 {
		t.Errorf("%d operations at most, want at least 10", longest)
	}
}

// stepsOf frames text and returns what each operation is, and how it ends.
func stepsOf(t *testing.T, limits *frameLimits, text []byte) (list []string) {
	t.Helper()
	var o op
	for {
		n, _, _, err := limits.next(text, &o)
		if n == 0 || err != frameOK {
			return append(list, fmt.Sprintf("%d with %d left", err, len(text)))
		}
		for i := range o.count {
			payload := o.payload
			if i > 0 {
				payload = text[i*o.length()+len(o.line):][:len(o.payload)]
			}
			list = append(list, fmt.Sprintf("%d %q %d %q", o.verb, o.arg[:o.argCount], o.header, payload))
		}
		text = text[n:]
	}
}

// TestClaimsAreExact lets runs and single messages race for the last deliveries of a subscription.
func TestClaimsAreExact(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c := onFake(t, s, new(fakeLink))
	for round := range 50 {
		sub := newSubscription(&c.conn, []byte("a"), nil, fmt.Append(nil, round))
		if c.subscribe(sub); c.subOf([]byte(sub.sid())) != sub {
			t.Fatal("not subscribed")
		}
		const limit = 1000
		sub.limit.Store(limit)
		var got [4]int
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(i)))
				for range 200 {
					if r.IntN(2) == 0 {
						got[i] += int(sub.claim(int64(1 + r.IntN(20))))
					} else {
						got[i] += int(sub.claim(1))
					}
				}
			})
		}
		all.Wait()
		if sum := got[0] + got[1] + got[2] + got[3]; sum != limit {
			t.Fatalf("round %d: %d deliveries, want %d", round, sum, limit)
		}
		if c.subOf([]byte(sub.sid())) != nil {
			t.Fatalf("round %d: the subscription has not ended", round)
		}
	}
}
