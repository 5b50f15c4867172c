package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/sublist"
	"gnatsd/test/wire"
)

// TestAutoUnsubscribeIsExact has several publishers race for a subscription that ends after a
// number of messages.
func TestAutoUnsubscribeIsExact(t *testing.T) {
	t.Parallel()
	const publishers, each, limit = 4, 3000, 1000
	s := broker(t, nil)
	sub := dialClient(t, s)
	var pubs []*wire.Client
	for range publishers {
		pubs = append(pubs, dialClient(t, s))
	}
	var wg sync.WaitGroup
	for _, p := range pubs {
		wg.Go(func() {
			if err := p.Send(strings.Repeat("PUB foo 2\r\nhi\r\n", each)); err != nil {
				t.Error(err)
			}
		})
	}
	okay(t, sub.Send(fmt.Sprintf("SUB foo 1\r\nUNSUB 1 %d\r\n", limit)))
	wg.Wait()
	for _, p := range pubs {
		p.Drain()
	}
	early := len(sub.Drain()) // it has subscribed now
	okay(t, pubs[0].Send(strings.Repeat("PUB foo 2\r\nhi\r\n", limit)))
	pubs[0].Drain()
	if got := early + len(sub.Drain()); got != limit {
		t.Errorf("got %d messages, want %d", got, limit)
	}
	if got := s.NumSubscriptions(); got != 0 {
		t.Errorf("got %d subscriptions left, want 0", got)
	}
}

// TestQueueGroupIsUniform counts what each member of a group gets, also when some members cannot
// take anything.
func TestQueueGroupIsUniform(t *testing.T) {
	t.Parallel()
	const members, n = 8, 16000
	s := broker(t, nil)
	p := dialClient(t, s)
	okay(t, p.Send(`CONNECT {"verbose":false,"echo":false}`+"\r\n"))
	for i := range 3 * members { // most refuse: no echo
		okay(t, p.Send(fmt.Sprintf("SUB job work 9%d\r\n", i)))
	}
	p.Drain()
	var subs []*wire.Client
	for i := range members {
		w := dialClient(t, s)
		okay(t, w.Send(fmt.Sprintf("SUB %s work %d\r\n", []string{"job", "*", ">"}[i%3], i)))
		w.Drain()
		subs = append(subs, w)
	}
	okay(t, p.Send(strings.Repeat("PUB job 0\r\n\r\n", n)))
	p.Drain()
	total, chi := 0, 0.0
	for i, w := range subs {
		got := len(w.Drain())
		total += got
		d := float64(got) - float64(n)/members
		chi += d * d / (float64(n) / members)
		t.Logf("member %d got %d", i, got)
	}
	if total != n {
		t.Errorf("got %d messages in all, want %d", total, n)
	}
	if chi > 40 { // 7 degrees of freedom: one run in a million
		t.Errorf("chi squared is %.1f: not uniform", chi)
	}
}

// TestRandomTraffic compares what subscribers receive with what the obvious matcher says, over
// direct and plain links.
func TestRandomTraffic(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3, 4} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := broker(t, func(o *Options) {
				if seed%2 == 0 {
					o.network = newPipeNet()
				}
			})
			randomTraffic(t, s, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

var trafficPatterns = []string{"a", "a.b", "a.*", "a.>", "*.b", ">", "b.c", "b.*", "*"}
var trafficSubjects = []string{"a", "a.b", "a.c", "b.b", "b.c", "c", "a.b.c", "d.e.f"}

func randomTraffic(t *testing.T, s *Server, r *rand.Rand) {
	const subscribers, publishers, n = 6, 3, 300
	type want struct{ pattern, sid string }
	var subs []*wire.Client
	wants := make([][]want, subscribers)
	for i := range subscribers {
		w := dialClient(t, s)
		for k := range 1 + r.IntN(4) {
			pattern := trafficPatterns[r.IntN(len(trafficPatterns))]
			wants[i] = append(wants[i], want{pattern, fmt.Sprint(k)})
			okay(t, w.Send(fmt.Sprintf("SUB %s %d\r\n", pattern, k)))
		}
		w.Drain()
		subs = append(subs, w)
	}
	expected := make([]map[string]int, subscribers) // sid, publisher and subject → messages
	for i := range expected {
		expected[i] = map[string]int{}
	}
	var streams []string
	for p := range publishers {
		var b strings.Builder
		for k := range n {
			subject := trafficSubjects[r.IntN(len(trafficSubjects))]
			body := fmt.Sprintf("%d %d ", p, k)
			if r.IntN(20) == 0 {
				body += strings.Repeat("y", r.IntN(50<<10))
			}
			fmt.Fprintf(&b, "PUB %s %d\r\n%s\r\n", subject, len(body), body)
			for i := range wants {
				for _, w := range wants[i] {
					if sublist.Matches(w.pattern, subject) {
						expected[i][w.sid+" "+fmt.Sprint(p)]++
					}
				}
			}
		}
		streams = append(streams, b.String())
	}
	received := make(chan error, subscribers)
	for i, w := range subs {
		go func() { received <- receiveTraffic(w, expected[i]) }() // ends with the last expected message
	}
	for p, text := range streams {
		w := dialClient(t, s)
		go func() { // ends when all is sent
			for len(text) > 0 {
				k := min(len(text), 1+int(uint64(p*7919+len(text))%100000))
				if w.Send(text[:k]) != nil {
					return
				}
				text = text[k:]
			}
		}()
	}
	for range subs {
		if err := <-received; err != nil {
			t.Error(err)
		}
	}
}

// receiveTraffic reads until everything expected is there, and checks the order of each publisher's
// messages on each subscription.
func receiveTraffic(w *wire.Client, expected map[string]int) error {
	left := 0
	for _, n := range expected {
		left += n
	}
	last := map[string]int{}
	for ; left > 0; left-- {
		d, err := w.Next()
		if err != nil {
			return err
		}
		var p, k int
		if _, err := fmt.Sscanf(string(d.Payload[:min(len(d.Payload), 20)]), "%d %d ", &p, &k); err != nil {
			return fmt.Errorf("payload %.20q: %w", d.Payload, err)
		}
		key := d.Sid + " " + fmt.Sprint(p)
		expected[key]--
		if expected[key] < 0 {
			return fmt.Errorf("too many messages of publisher and sid %q", key)
		}
		if seen, ok := last[key]; ok && k <= seen {
			return fmt.Errorf("message %d after %d of publisher and sid %q", k, seen, key)
		}
		last[key] = k
	}
	got, err := w.Fence()
	if err == nil && len(got) > 0 {
		err = fmt.Errorf("%d messages too many", len(got))
	}
	return err
}

// TestLastMessageOfABurstArrives sends bursts and waits for the last message of each while nothing
// else happens: a wake-up that is lost would leave it behind. Bursts larger than the sockets of the
// server end in the writer goroutine.
func TestLastMessageOfABurstArrives(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(*Options)
		bursts int
	}{
		{"over direct links", func(o *Options) { o.network = smallSockets{} }, 150},
		{"over plain links", func(o *Options) { o.network = newPipeNet() }, 600},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := broker(t, c.change)
			sub, pubs := dialClient(t, s), []*wire.Client{dialClient(t, s), dialClient(t, s)}
			okay(t, sub.Send("SUB foo 1\r\n"))
			sub.Drain()
			r := rand.New(rand.NewPCG(1, 1))
			for range c.bursts {
				n, size := 1+r.IntN(4), []int{2, 500, 20000}[r.IntN(3)]
				burst := strings.Repeat(fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size)), n)
				done := make(chan error, len(pubs))
				for _, p := range pubs {
					go func() { done <- p.Send(burst) }() // ends when it is sent
				}
				sub.SetReadDeadline(time.Now().Add(patience))
				for range n * len(pubs) {
					if _, err := sub.Next(); err != nil {
						t.Fatalf("the last message of a burst: %v", err)
					}
				}
				for range pubs {
					okay(t, <-done)
				}
			}
		})
	}
}

// TestPongFollowsAllThatWasPublished checks, on another connection than the publisher's, that a
// PONG means: in the queues of all subscribers. A PING of the subscriber that is sent after the
// publisher has its PONG is answered after the messages.
func TestPongFollowsAllThatWasPublished(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	p := dialClient(t, s)
	var subs []*wire.Client
	for i := range 8 {
		w := dialClient(t, s)
		okay(t, w.Send(fmt.Sprintf("SUB foo %d\r\nSUB f* %d\r\n", i, i+100)))
		w.Drain()
		subs = append(subs, w)
	}
	for round := range 100 {
		size := []int{3, 3000, 30000}[round%3]
		okay(t, p.Send(strings.Repeat(fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size)), 3)))
		p.Drain()
		for i, w := range subs {
			if got := len(w.Drain()); got != 3 && got != 6 {
				t.Fatalf("round %d, subscriber %d: got %d messages before the PONG", round, i, got)
			}
		}
	}
}
