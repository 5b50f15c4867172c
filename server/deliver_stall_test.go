package server

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/server/internal/netio"
)

// TestPublisherIsStalled runs publishers against sockets that stand still for a while, on a clock
// of its own, and looks how long they were stalled and whether a subscriber was disconnected.
func TestPublisherIsStalled(t *testing.T) {
	const size, maxPending, deadline = 900_000, 16 << 20, 4 * time.Second
	const quick, slow, stuck = 0, 5 << 20, -1 // bytes per second; 0 is as fast as you like
	cases := []struct {
		name        string
		rates       []int // of the subscribers
		messages    int
		least, most time.Duration // that publishing takes
		disconnects int
	}{
		{"not at all if it is read at once", []int{quick}, 100, 0, 0, 0},
		{"as much as its only subscriber needs", []int{slow}, 100, 10 * time.Second, 20 * time.Second, 0},
		{"not if one of two keeps up, and the other is disconnected", []int{slow, quick}, 100, 0, 0, 1},
		{"as much as two slow ones need", []int{slow, slow}, 100, 10 * time.Second, 20 * time.Second, 0},
		{"but never long by one that reads nothing", []int{stuck}, 100, 0, deadline + time.Second, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := NewServer(&Options{MaxPending: maxPending, WriteDeadline: deadline})
				if err != nil {
					t.Fatal(err)
				}
				var subs []*client
				var links []*fakeLink
				for _, rate := range c.rates {
					l := atRate(rate, deadline)
					sub := onFake(t, s, l)
					deliverTo(t, sub, "SUB foo 1\r\n")
					subs, links = append(subs, sub), append(links, l)
				}
				p := onFake(t, s, new(fakeLink))
				text := fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size))
				start := time.Now()
				for range c.messages {
					deliverTo(t, p, text)
				}
				if took := time.Since(start); took < c.least || took > c.most {
					t.Errorf("publishing took %v, want %v to %v", took, c.least, c.most)
				}
				stalled := !slices.Contains(c.rates, quick)
				if n := s.counters.stalls.Load(); (n > 0) != stalled || n > int64(c.messages) {
					t.Errorf("got %d stalls counted; want some for publishers that were stalled: %v", n, stalled)
				}
				disconnects := 0
				for i, sub := range subs {
					if sub.ended() {
						disconnects++
						sub.out.Finish(0)
						allWritten(t, &sub.out)
						continue
					}
					allWritten(t, &sub.out)
					want := c.messages * (len(fmt.Sprintf("MSG foo 1 %d\r\n", size)) + size + 2)
					if got := links[i].sum; got != want {
						t.Errorf("subscriber %d: got %d bytes, want %d", i, got, want)
					}
				}
				if disconnects != c.disconnects {
					t.Errorf("%d were disconnected, want %d", disconnects, c.disconnects)
				}
			})
		})
	}
}

// atRate returns a link whose peer reads so many bytes per second: 0 is all at once, less is
// nothing.
func atRate(rate int, deadline time.Duration) *fakeLink {
	if rate == 0 {
		return &fakeLink{forgets: true}
	}
	return &fakeLink{
		forgets: true,
		try:     func(int) (int, error) { return 0, netio.ErrWouldBlock },
		wait: func(n int) (int, error) {
			if rate < 0 {
				time.Sleep(deadline)
				return 0, os.ErrDeadlineExceeded
			}
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
			return n, nil
		},
	}
}
