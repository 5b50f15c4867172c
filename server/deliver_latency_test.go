package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLatenciesFallIntoTheirBuckets(t *testing.T) {
	t.Parallel()
	var l latencies
	for _, d := range []time.Duration{0, 10 * time.Microsecond, 10*time.Microsecond + 1, time.Second, 10 * time.Second, time.Hour} {
		l.observe(d)
	}
	count, sum, upTo := l.read()
	if want := time.Hour + 11*time.Second + 20*time.Microsecond + 1; count != 6 || sum != want {
		t.Errorf("got %d, %v, want 6, %v", count, sum, want)
	}
	for bound, want := range map[float64]uint64{10e-6: 2, 25e-6: 3, 0.5: 3, 1: 4, 5: 4, 10: 5} {
		if got := upTo[bound]; got != want {
			t.Errorf("up to %v s: got %d, want %d", bound, got, want)
		}
	}
	if len(upTo) != len(latencyBounds) {
		t.Errorf("got %d bounds, want %d", len(upTo), len(latencyBounds))
	}
}

func TestSamplerBoundsSamplesAndKeepsThemWhenTheyAreFew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		apart     time.Duration // batches
		batches   int
		most, few int // samples
	}{
		{"rare batches are all measured", time.Second, 100, 100, 100},
		{"a hundred thousand a second: between 10 and 200 a second", 10 * time.Microsecond, 1_000_000, 2000, 100},
		{"two thousand a second", 500 * time.Microsecond, 20_000, 2000, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var s sampler
			now, got := time.Now().UnixNano(), 0
			for range c.batches {
				now += int64(c.apart)
				if s.due() {
					s.took(now)
					got++
				}
			}
			if got > c.most || got < c.few {
				t.Errorf("got %d samples, want %d to %d", got, c.few, c.most)
			}
		})
	}
}

// TestSamplerAfterABurst has many batches, then rare ones, of which all are measured soon, and then
// some in between, where it stays as it is.
func TestSamplerAfterABurst(t *testing.T) {
	t.Parallel()
	var s sampler
	now := time.Now().UnixNano()
	run := func(batches int, apart time.Duration) (samples int) {
		for range batches {
			now += int64(apart)
			if s.due() {
				s.took(now)
				samples++
			}
		}
		return samples
	}
	run(1_000_000, time.Microsecond)
	if s.every < maxSampleEvery/8 || s.every > maxSampleEvery {
		t.Errorf("in a burst one of %d batches is measured", s.every)
	}
	run(5*maxSampleEvery, time.Second)
	if got := run(100, time.Second); got != 100 {
		t.Errorf("of 100 rare batches after a burst %d are measured", got)
	}
	run(50, sampleFast/4)
	every := s.every
	s.left, s.last = 0, now
	if now += int64(sampleFast); !s.due() {
		t.Fatal("no sample is due")
	}
	if s.took(now); every < 2 || s.every != every {
		t.Errorf("after %v one of %d is measured, and before one of %d", sampleFast, s.every, every)
	}
	s.left = 0
	if s.took(s.last + int64(sampleSlow)); s.every != every {
		t.Errorf("after %v one of %d is measured, and before one of %d", sampleSlow, s.every, every)
	}
}

func TestDeliveriesAreMeasured(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	sub, pub := dialClient(t, s), dialClient(t, s)
	okay(t, sub.Send("SUB foo 1\r\nPING\r\n"))
	if d, err := sub.Next(); d != nil || err != nil {
		t.Fatalf("got %v, %v, want PONG", d, err)
	}
	for deadline := time.Now().Add(patience); ; {
		okay(t, pub.Send("PUB foo 5\r\nhello\r\n"))
		if d, err := sub.Next(); d == nil || err != nil {
			t.Fatalf("got %v, %v, want a message", d, err)
		}
		count, sum, _ := s.latency.clients.read()
		if count >= 3 && sum > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("measured: %d messages, %v", count, sum)
		}
	}
	if count, _, _ := s.latency.routes.read(); count != 0 {
		t.Errorf("routes: got %d, there are none", count)
	}
}

// TestMeasuringFollowsWhatWaits has a subscriber that does not read for a while: what was queued
// for it is measured to the end of its waiting.
func TestMeasuringFollowsWhatWaits(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.WriteDeadline = time.Minute })
	sub, pub := dialClient(t, s), dialClient(t, s)
	okay(t, sub.Send("SUB foo 1\r\nPING\r\n"))
	if d, err := sub.Next(); d != nil || err != nil {
		t.Fatalf("got %v, %v, want PONG", d, err)
	}
	frame := fmt.Sprintf("PUB foo %d\r\n%s\r\n", 64<<10, strings.Repeat("x", 64<<10))
	for deadline := time.Now().Add(patience); ; {
		sent := 0
		for ; s.io.Pending.Load() < 1<<20; sent++ {
			okay(t, pub.Send(frame))
		}
		eventually(t, "the backlog is old", func() bool {
			if s.io.Pending.Load() < 1<<20 { // the socket has taken more after all
				okay(t, pub.Send(frame))
				sent++
			}
			return slices.ContainsFunc(s.clients.all(), func(c *client) bool { return c.out.Stats().Lag > 60*time.Millisecond })
		})
		for range sent {
			if d, err := sub.Next(); d == nil || err != nil {
				t.Fatalf("got %v, %v, want a message", d, err)
			}
		}
		// Not each round has a sample among what waited.
		if count, _, upTo := s.latency.clients.read(); count > upTo[(50*time.Millisecond).Seconds()] {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing that waited was measured")
		}
	}
}

// BenchmarkArrival is what measuring costs a batch, when there are many.
func BenchmarkArrival(b *testing.B) {
	var s sampler
	for b.Loop() {
		if s.due() {
			s.took(time.Now().UnixNano())
		}
	}
}

// TestBatchThatReachesNone publishes to subscriptions that get nothing of it. The first batch of a
// reader is a sample.
func TestBatchThatReachesNone(t *testing.T) {
	t.Parallel()
	c := onFake(t, broker(t, nil), &fakeLink{})
	deliverTo(t, c, `CONNECT {"verbose":false,"echo":false}`+"\r\nSUB foo 1\r\nSUB foo 2\r\nPUB foo 2\r\nhi\r\n")
}
