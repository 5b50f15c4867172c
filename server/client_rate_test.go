package server

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// TestRateIsATokenBucket takes and gives back at random, and compares what is used with what a rate
// allows.
func TestRateIsATokenBucket(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []int64{1, 3, 100, 1e4, 1e9, 1e12} {
		t.Run(fmt.Sprint(perSecond), func(t *testing.T) {
			t.Parallel()
			r, random := new(rate), rand.New(rand.NewPCG(uint64(perSecond), 1))
			now, used := time.Minute, int64(0)
			for begin := now; now < begin+10*time.Second; {
				n := r.take(now, perSecond)
				if n == 0 {
					wait := r.wait(now, perSecond)
					if wait <= 0 {
						t.Fatalf("nothing is left, and there is nothing to wait for")
					}
					now += wait
					if n = r.take(now, perSecond); n == 0 {
						t.Fatalf("nothing is left after the wait of %v", wait)
					}
				}
				back := random.Int64N(n)
				r.give(back, perSecond)
				used += n - back
				allowed := float64(perSecond)*(now-begin).Seconds() + float64(perSecond)*float64(burst(perSecond))/1e9
				if float64(used) > allowed+1 {
					t.Fatalf("%d are used after %v, %f are allowed", used, now-begin, allowed)
				}
				now += time.Duration(random.Int64N(int64(time.Millisecond)))
			}
			if want := float64(perSecond) * 5; perSecond < 1e4 && float64(used) < want {
				t.Errorf("%d are used in 10 s, want more than half of the rate", used)
			}
		})
	}
}

// publications returns n PUBs whose payloads are numbers. Two control lines take turns, with and
// without a reply subject, so that each comes again.
func publications(subject string, n int) string {
	var b strings.Builder
	for i := range n {
		text := fmt.Sprint(i)
		fmt.Fprintf(&b, "PUB %s%s %d\r\n%s\r\n", subject, []string{"", " answer"}[i%2], len(text), text)
	}
	return b.String()
}

func TestUserPublishesAsFastAsItMay(t *testing.T) {
	t.Parallel()
	const each = 40
	for _, limit := range []string{"max_msgs_per_second: 200", "max_bytes_per_second: 350"} { // 70 bytes in 40 payloads
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, limitedUsers(limit))
			sub, one, two := loginAs(t, s.Server, "b"), loginAs(t, s.Server, "a"), loginAs(t, s.Server, "a")
			idle := loginAs(t, s.Server, "a")
			sub.Say("SUB > 1")
			sub.Sync()
			begin := time.Now()
			one.Say(publications("x.1", each), "PING")
			two.Say(publications("x.2", each), "PING")
			idle.Sync() // it publishes nothing, so it does not wait
			sub.Say(publications("y", 1000))
			other := 0
			next := map[string]int{}
			for next["x.1"]+next["x.2"] < 2*each {
				m, err := sub.Next()
				okay(t, err)
				if m.Subject == "y" {
					other++
					continue
				}
				if want := fmt.Sprint(next[m.Subject]); string(m.Payload) != want {
					t.Fatalf("got %s on %s, want %s", m.Payload, m.Subject, want)
				}
				next[m.Subject]++
			}
			// 400 ms, less the burst and what rounding takes.
			if took, least := time.Since(begin), 290*time.Millisecond; took < least {
				t.Errorf("it took %v, want %v at least", took, least)
			}
			one.HearAfter("PONG")
			two.HearAfter("PONG")
			if other != 1000 {
				t.Errorf("got %d messages of the other user before the last of the limited one, want all", other)
			}
		})
	}
}

func TestChangedRateAppliesToAPausedPublisher(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]string{"faster": limitedUsers("max_msgs_per_second: 1000000"), "no limit": limitedUsers("max_payload: 10")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, limitedUsers("max_bytes_per_second: 1, max_msgs_per_second: 100000"))
			c := loginAs(t, s.Server, "a")
			c.Say(publications("x", 500), "PING")
			eventually(t, "a pause", func() bool { return s.paused() == 1 })
			s.okay(t, after)
			c.HearAfter("PONG")
			if n := s.paused(); n != 0 {
				t.Errorf("%d readers are paused", n)
			}
		})
	}
}

// paused returns how many readers wait for the rate of their user.
func (s *Server) paused() (n int) {
	for _, c := range s.clients.all() {
		if c.paused.Load() {
			n++
		}
	}
	return n
}

func TestEndOfAPausedPublisherIsNoticed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(nc net.Conn){
		"closed": func(nc net.Conn) { nc.Close() },
		"half":   func(nc net.Conn) { nc.(*net.TCPConn).CloseWrite() },
		"reset": func(nc net.Conn) {
			nc.(*net.TCPConn).SetLinger(0)
			nc.Close()
		},
		"in memory": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, limitedUsers("max_msgs_per_second: 1"))
			if end == nil {
				nc, err := s.InProcessConn()
				okay(t, err)
				_, err = nc.Write([]byte(connectAs("a") + "\r\n" + publications("x", 100)))
				okay(t, err)
				eventually(t, "a pause", func() bool { return s.paused() == 1 })
				nc.Close()
			} else {
				c := loginAs(t, s.Server, "a")
				n := 40_000 // more than the receive window takes: the end waits behind it
				if name == "half" {
					n = 100 // a peer that still reads is one whose messages are published
				}
				c.Say(publications("x", n))
				eventually(t, "a pause", func() bool { return s.paused() == 1 })
				end(c.Conn.Conn)
			}
			eventually(t, "the end", func() bool { return s.clients.len() == 0 })
		})
	}
}

// TestManyPausedPublishersTakeTurns looks at how often the readers of a user wake.
func TestManyPausedPublishersTakeTurns(t *testing.T) {
	t.Parallel()
	const rounds = 2000
	for _, tt := range []struct {
		wait        time.Duration
		paused      int64
		least, most time.Duration // of the mean
	}{
		{time.Millisecond, 1, time.Millisecond, 2 * time.Millisecond},
		{25 * time.Millisecond, 40, 25 * time.Millisecond, 26 * time.Millisecond},
		{time.Hour, 1, rateStep, rateStep},
		{25 * time.Millisecond, 400, 90 * time.Millisecond, 110 * time.Millisecond},
		{25 * time.Millisecond, 100_000, maxSpread - maxSpread/10, maxSpread + maxSpread/10},
		{time.Hour, 100_000, maxSpread - maxSpread/10, maxSpread + maxSpread/10},
	} {
		sum := time.Duration(0)
		for range rounds {
			d := pauseFor(tt.wait, tt.paused)
			if sum += d; d >= probeEvery || d < min(tt.wait, rateStep) {
				t.Fatalf("%+v: got %v", tt, d)
			}
		}
		if mean := sum / rounds; mean < tt.least || mean > tt.most {
			t.Errorf("%+v: %v on average", tt, mean)
		}
	}
}

// TestPausedPublisherThatClosesHasASecond has a client that closes its connection between two of the
// PINGs that a paused reader sends. The next one would be answered with a reset.
func TestPausedPublisherThatClosesHasASecond(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(nc *net.TCPConn){
		"closed": func(nc *net.TCPConn) { nc.Close() },
		"reset": func(nc *net.TCPConn) {
			nc.SetLinger(0)
			nc.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const rate = 200
			s := startReloader(t, limitedUsers(fmt.Sprintf("max_msgs_per_second: %d", rate)))
			sub, pub := loginAs(t, s.Server, "b"), loginAs(t, s.Server, "a")
			sub.Say("SUB x 1")
			sub.Sync()
			next := func() {
				_, err := sub.Next()
				okay(t, err)
			}
			pub.Say(publications("x", 8*rate)) // fits the receive window
			for range 2 * rate {
				next()
			}
			pub.HearAfter("PING")
			for range rate * 3 / 4 {
				next()
			}
			end(pub.Conn.Conn.(*net.TCPConn))
			ended := time.Now()
			s.log.wait(t, lostLast)
			if took := time.Since(ended); took < closedTime {
				t.Errorf("what it sent last was lost after %v, want %v at least", took, closedTime)
			}
			next()
		})
	}
}

func TestPausedPublisherIsNotStale(t *testing.T) {
	t.Parallel()
	s := broker(t, nil)
	openClient(t, s)
	eventually(t, "the client", func() bool { return s.clients.len() == 1 })
	c := s.clients.all()[0]
	eventually(t, "its timer", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ping.outstanding = uint16(s.options().MaxPingsOut)
		return c.ping.timer != nil
	})
	c.paused.Store(true)
	if !c.answersLate(0) {
		t.Error("answers that are not read do not count as late")
	}
	if got := c.pingDue(s.options(), time.Hour, true); got != pingNone {
		t.Errorf("got %d, want pingNone", got)
	}
	c.paused.Store(false)
	if c.answersLate(0) {
		t.Error("answers count as late once they are read")
	}
	if got := c.pingDue(s.options(), time.Hour, false); got != pingStale {
		t.Errorf("got %d, want pingStale", got)
	}
}
