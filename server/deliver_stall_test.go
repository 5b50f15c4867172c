package server

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gnatsd/server/internal/netio"
)

// TestPublisherIsStalled runs publishers against sockets that stand still for a while, on a clock
// of its own, and looks how long they were stalled and whether a subscriber was disconnected.
func TestPublisherIsStalled(t *testing.T) {
	const size, maxPending, deadline = 900_000, 16 << 20, 4 * time.Second
	const quick, slow, dripping, stuck = 0, 5 << 20, 40 << 10, -1 // bytes per second; 0 is as fast as you like
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
		{"but never long by one that reads little", []int{dripping}, 100, 0, 3 * time.Second, 1},
		{"nor by many of them", []int{dripping, dripping, stuck}, 100, 0, 3 * time.Second, 3},
		{"nor by one that reads nothing", []int{stuck}, 100, 0, deadline + time.Second, 1},
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
					l := atRate(rate)
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
func atRate(rate int) *fakeLink {
	if rate == 0 {
		return &fakeLink{forgets: true}
	}
	l := &fakeLink{forgets: true, try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
	l.wait = func(n int) (int, error) {
		if rate < 0 {
			time.Sleep(time.Until(l.deadline))
			return 0, os.ErrDeadlineExceeded
		}
		k := min(n, max(1, rate/2)) // in half a second
		time.Sleep(time.Duration(k) * time.Second / time.Duration(rate))
		if k < n {
			return k, os.ErrDeadlineExceeded
		}
		return n, nil
	}
	return l
}

// TestHowLongAPublisherWaits has targets that stay full, catch up, or do not lag, and looks at the
// time, the count, and that none of them is left with room that none uses.
func TestHowLongAPublisherWaits(t *testing.T) {
	const deadline, slow = time.Second, 2 * time.Second
	for _, tt := range []struct {
		name    string
		targets int
		lags    int           // of the targets
		resumes time.Duration // when the first catches up; 0: never
		full    bool
		ends    time.Duration // when the publisher ends; 0: never
		want    time.Duration
		stalls  int64
	}{
		{"one that does not lag", 1, 0, 0, false, 0, 0, 0},
		{"one of three does not lag", 3, 2, 0, true, 0, 0, 0},
		{"all lag, but have room", 3, 3, 0, false, 0, stallStep, 1},
		{"all are near full, and take little", 3, 3, 0, true, 0, slow, 1},
		{"one catches up at once", 2, 2, stallStep / 2, true, 0, stallStep / 2, 0},
		{"one catches up", 2, 2, stallStep * 5 / 2, true, 0, stallStep * 5 / 2, 1},
		{"the publisher ends", 2, 2, 0, true, stallStep * 5 / 2, 3 * stallStep, 1},
		{"more than are waited for", maxStallTargets + 1, maxStallTargets + 1, 0, false, 0, stallStep, 1},
		{"one of many does not lag", maxStallTargets + 2, maxStallTargets + 1, 0, false, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := NewServer(&Options{MaxPending: 1 << 20, WriteDeadline: deadline})
				okay(t, err)
				limits := &netio.Limits{MaxPending: 1 << 20, HighWater: 100, WriteDeadline: time.Hour}
				release := make(chan bool)
				var receivers []target
				for i := range tt.targets {
					l := &fakeLink{forgets: true, try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
					begin := time.Now()
					l.wait = func(n int) (int, error) {
						step := 50 * time.Millisecond
						if i == 0 && tt.resumes > 0 {
							if step = min(step, tt.resumes-time.Since(begin)); step <= 0 {
								return n, nil
							}
						}
						select {
						case <-release:
							return n, nil
						case <-time.After(step):
							return 1, os.ErrDeadlineExceeded // a byte: it moves
						}
					}
					c := onFake(t, s, l)
					c.out.SetLimits(limits)
					if i < tt.lags {
						size := 200
						if tt.full {
							size = 1<<19 + 1000
						}
						c.send(strings.Repeat("x", size))
					}
					receivers = append(receivers, target{c: &c.conn})
				}
				link := new(fakeLink)
				p := onFake(t, s, link)
				b := batchOf(p, "PING\r\n")
				if tt.ends > 0 {
					time.AfterFunc(tt.ends, func() { p.close(closeClient) })
				}
				b.single = 100
				pending := s.io.Pending.Load()
				begin := time.Now()
				room := b.awaitRoom(receivers)
				if took := time.Since(begin); took != tt.want {
					t.Errorf("it waits %v, want %v", took, tt.want)
				}
				if waits := tt.want > 0; (link.turns > 0) != waits {
					t.Errorf("it gives back its turn %d times; it waits: %v", link.turns, waits)
				}
				if got := s.counters.stalls.Load(); got != tt.stalls {
					t.Errorf("%d stalls are counted, want %d", got, tt.stalls)
				}
				room.Release()
				b.unpin()
				b.end()
				close(release)
				for i := range receivers {
					allWritten(t, &receivers[i].c.out)
				}
				if got := s.io.Pending.Load(); got != 0 {
					t.Errorf("%d bytes are pending at the end, %d before", got, pending)
				}
			})
		})
	}
}

// TestPublishersGoOnInTurn has a subscriber that reads little, with half of what may be pending in its
// queue, and fifty publishers. One that has more to say waits no longer than its turn.
func TestPublishersGoOnInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(&Options{MaxPending: 1 << 20, WriteDeadline: 2 * time.Second})
		okay(t, err)
		const per, step = 80_000, 499 * time.Millisecond // what it reads
		text := fmt.Sprintf("PUB foo 8000\r\n%s\r\n", strings.Repeat("x", 8000))
		l := &fakeLink{forgets: true, try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
		l.wait = func(n int) (int, error) {
			time.Sleep(step)
			if n > per {
				return per, os.ErrDeadlineExceeded
			}
			return n, nil
		}
		sub := onFake(t, s, l)
		deliverTo(t, sub, "SUB foo 1\r\n")
		sub.send(strings.Repeat("x", 1<<19-100))
		stop := make(chan bool)
		var others sync.WaitGroup
		for i := range 50 {
			p := onFake(t, s, new(fakeLink))
			others.Go(func() { // until stop is closed
				for wait := time.Duration(i) * time.Millisecond; ; wait = time.Millisecond {
					select {
					case <-stop:
						return
					case <-time.After(wait):
						deliverTo(t, p, text)
					}
				}
			})
		}
		time.Sleep(5 * time.Second)
		for _, size := range []int{300, 20_000} {
			p, begin := onFake(t, s, new(fakeLink)), time.Now()
			deliverTo(t, p, fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size)))
			if took := time.Since(begin); took > maxStall {
				t.Errorf("%d bytes wait %v, want %v at most", size, took, maxStall)
			}
		}
		if sub.ended() {
			t.Error("the subscriber is disconnected")
		}
		close(stop)
		others.Wait()
		sub.close(closeClient)
		sub.out.Finish(0)
		allWritten(t, &sub.out)
	})
}

// TestAStalledPublisherIsNotStale has a publisher wait for a subscriber that reads little, longer than its
// PINGs may be unanswered: the reader has not read the answers.
func TestAStalledPublisherIsNotStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(&Options{MaxPending: 1 << 20, WriteDeadline: 2 * time.Second, PingInterval: 500 * time.Millisecond, MaxPingsOut: 1})
		okay(t, err)
		l := &fakeLink{forgets: true, try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
		l.wait = func(n int) (int, error) {
			time.Sleep(100 * time.Millisecond)
			return 1, os.ErrDeadlineExceeded
		}
		sub, p := onFake(t, s, l), onFake(t, s, new(fakeLink))
		deliverTo(t, sub, "SUB foo 1\r\n")
		sub.send(strings.Repeat("x", 1<<19+1000))
		p.startPing()
		begin := time.Now()
		deliverTo(t, p, "PUB foo 2\r\nhi\r\n")
		if took := time.Since(begin); took < 2*time.Second || p.ended() {
			t.Errorf("it waits %v, ended is %v (%v)", took, p.ended(), p.reason())
		}
		if p.paused.Load() {
			t.Error("it counts as waiting afterwards")
		}
		p.stopPing()
		sub.close(closeClient)
		sub.out.Finish(0)
		allWritten(t, &sub.out)
	})
}

// TestAClientThatHasNotBeenSentItsPingsIsNotStale has a subscriber on a slow line: PINGs come after what is
// pending. Once it has been sent them, and does not answer, it is stale.
func TestAClientThatHasNotBeenSentItsPingsIsNotStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(&Options{WriteDeadline: 2 * time.Second, PingInterval: 500 * time.Millisecond, MaxPingsOut: 1})
		okay(t, err)
		all := make(chan struct{})
		l := &fakeLink{forgets: true, try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
		l.wait = func(n int) (int, error) {
			select {
			case <-all:
				return n, nil
			case <-time.After(100 * time.Millisecond):
				return 1, os.ErrDeadlineExceeded
			}
		}
		c := onFake(t, s, l)
		c.send(strings.Repeat("x", 1000))
		c.startPing()
		time.Sleep(20 * time.Second)
		if c.ended() {
			t.Errorf("it is ended by %v", c.reason())
		}
		close(all)
		time.Sleep(2 * time.Second)
		if !c.ended() || c.reason() != closeStale {
			t.Errorf("ended is %v (%v) after it was sent them, want by %v", c.ended(), c.reason(), closeStale)
		}
		c.stopPing()
		c.out.Finish(0)
		allWritten(t, &c.out)
	})
}

// TestAClientThatDropsMessagesIsStaleWhenItDoesNotAnswer has one that takes nothing at all: there is no
// write_deadline for it.
func TestAClientThatDropsMessagesIsStaleWhenItDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(&Options{WriteDeadline: 2 * time.Second, PingInterval: 500 * time.Millisecond, MaxPingsOut: 1})
		okay(t, err)
		over := make(chan struct{})
		l := &fakeLink{forgets: true, try: func(int) (int, error) { return 0, netio.ErrWouldBlock }}
		l.wait = func(n int) (int, error) {
			<-over
			return n, nil
		}
		c := onFake(t, s, l)
		c.out.SetLimits(&netio.Limits{MaxPending: 1 << 20, HighWater: 1 << 18, WriteDeadline: 2 * time.Second, Drop: netio.DropOld})
		c.send("x")
		c.startPing()
		time.Sleep(5 * time.Second)
		if !c.ended() || c.reason() != closeStale {
			t.Errorf("ended is %v (%v), want by %v", c.ended(), c.reason(), closeStale)
		}
		c.stopPing()
		close(over)
		c.out.Finish(0)
		allWritten(t, &c.out)
	})
}

// TestAClientWhoseSocketHoldsItsPingsIsNotStale has a subscriber that takes what the socket holds, more and
// more slowly in the end, and answers no PING.
func TestAClientWhoseSocketHoldsItsPingsIsNotStale(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		held  int
		taken int // in each interval
		stale bool
	}{
		{"it takes it", 1 << 20, 1 << 10, false},
		{"it takes nothing", 1 << 20, 0, true},
		{"there is little", muchHeld - 1, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const interval = 500 * time.Millisecond
				s, err := NewServer(&Options{PingInterval: interval, MaxPingsOut: 2})
				okay(t, err)
				var held atomic.Int64
				held.Store(int64(tt.held))
				l := &fakeLink{forgets: true, unsent: func() int { return int(held.Load()) }}
				c := onFake(t, s, l)
				c.send(strings.Repeat("x", tt.held))
				c.startPing()
				time.Sleep(interval / 2)
				for range 20 {
					time.Sleep(interval)
					held.Add(-int64(tt.taken))
				}
				if c.ended() != tt.stale {
					t.Errorf("ended is %v, want %v", c.ended(), tt.stale)
				}
				c.stopPing()
				c.out.Finish(0)
			})
		})
	}
}

// TestPublishersWaitForASlowRoute has a route take 10 KB a second.
func TestPublishersWaitForASlowRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(&Options{})
		okay(t, err)
		r, c := newRoute(s, deadPipe(t), nil), onFake(t, s, new(fakeLink))
		for _, to := range []*conn{&r.conn, &c.conn} {
			to.out.SetLink(fakeConn{&fakeLink{
				forgets: true,
				try:     func(int) (int, error) { return 0, netio.ErrWouldBlock },
				wait:    func(n int) (int, error) { time.Sleep(100 * time.Millisecond); return min(n, 1<<10), nil },
			}, nil})
			to.send(strings.Repeat("x", 2*highWater))
		}
		publisher := batchOf(c, "")
		for range 100 {
			time.Sleep(stallStep)
			publisher.worthWaiting([]*conn{&c.conn})
			if !publisher.worthWaiting([]*conn{&r.conn}) {
				t.Fatal("publishers do not wait for it")
			}
		}
		if publisher.worthWaiting([]*conn{&c.conn}) {
			t.Error("they wait for a client that takes as little")
		}
		r.out.Finish(0)
		c.out.Finish(0)
		allWritten(t, &r.out)
		allWritten(t, &c.out)
	})
}
