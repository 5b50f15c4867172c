package server

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"
)

// coreOf returns the core of a server, on which nothing is ever silent, and a
// time to begin with.
func coreOf(self string) (*mesh, time.Time) {
	return newMesh(self, 0, rand.New(rand.NewPCG(1, 1)), func(uint64) time.Duration { return 0 }), time.Unix(1000, 0)
}

// peerOf is what a server of our kind says of itself.
func peerOf(id string, n int) *peerInfo {
	ip := fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	return &peerInfo{Info: Info{ID: id, Version: Version, Host: ip, Port: 6222, IP: routeURL(ip, 6222)}}
}

// kinds lists what a core wants done.
func kinds(m *mesh) (list []actionKind) {
	for _, a := range m.take() {
		list = append(list, a.kind)
	}
	return list
}

func TestTalesOfServersThatNobodyKnowsAreBounded(t *testing.T) {
	t.Parallel()
	m, now := coreOf("self")
	m.accepted(1)
	m.learned(now, 1, "", peerOf("talker", 0))
	for i := range 20 * maxPeers {
		m.learned(now, 1, "", peerOf(fmt.Sprint("tale", i), 1+i))
	}
	if n := len(m.peers); n > maxPeers {
		t.Errorf("%d servers are known, want %d at most", n, maxPeers)
	}
	for range 10 {
		now = now.Add(time.Second)
		m.wake(now)
	}
	dials := 0
	for _, k := range kinds(m) {
		if k == doDial {
			dials++
		}
	}
	if dials != maxDialing {
		t.Errorf("%d are dialed at a time, want %d", dials, maxDialing)
	}
	m.closed(now, 1, "gone")
	for range 2 * maxPeers / maxDialing {
		for _, target := range slices.Clone(m.targets) {
			if target.busy {
				m.dialFailed(now, target, "nobody there")
			}
		}
		now = now.Add(time.Minute)
		m.wake(now)
	}
	if n := len(m.peers) + len(m.targets); n > 0 {
		t.Errorf("%d servers and targets are left when nobody tells of them any more", n)
	}
}

func TestWhoIsToldOfADuplicateWaitsForTheOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		told    bool // that the route is a duplicate
		waiting bool // a connection was accepted that has not spoken yet
		want    time.Duration
	}{
		{"a route that just ends is dialed again soon", false, true, lossDelay},
		{"a duplicate is one of something", true, true, expectGrace},
		{"unless there is nothing else", true, false, lossDelay},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, now := coreOf("a")
			m.configured(now, []*url.URL{{Scheme: "nats-route", Host: "10.0.0.1:6222"}})
			target := m.take()[0].dial.target
			m.dialed(target, 1, "10.0.0.1:6222")
			m.learned(now, 1, "", peerOf("b", 1))
			if tt.waiting {
				m.accepted(2)
			}
			if tt.told {
				m.learned(now, 1, "", &peerInfo{Info: Info{ID: "b"}, Duplicate: true})
			}
			m.closed(now, 1, "ended")
			if got := m.next().Sub(now); got < tt.want || got > tt.want+lossJitter {
				t.Errorf("dialed after %v, want about %v", got, tt.want)
			}
			m.take()
			if tt.waiting {
				m.learned(now, 2, "b", peerOf("b", 1))
				if got := kinds(m); !slices.Contains(got, doRegister) || !m.next().IsZero() {
					t.Errorf("got %v and something to do at %v, want the other connection registered and nothing to do", got, m.next())
				}
			}
		})
	}
}

func TestAnAddressIsDialedOnce(t *testing.T) {
	t.Parallel()
	m, now := coreOf("a")
	one, all := &url.URL{Scheme: "nats-route", Host: "one:6222"}, &url.URL{Scheme: "nats-route", Host: "all:6222"}
	m.configured(now, []*url.URL{one, all, one})
	acts := m.take()
	if len(acts) != 2 {
		t.Fatalf("got %d dials, want 2: one route is listed twice", len(acts))
	}
	first, second := acts[0].dial.target, acts[1].dial.target
	const addr = "10.0.0.1:6222"
	if !m.claim(first, addr) || m.claim(second, addr) {
		t.Fatal("both may dial the address")
	}
	m.covered(now, second, []string{addr})
	if got := m.next().Sub(now); got < lossDelay {
		t.Errorf("tried again after %v, want %v: it is not known yet who is there", got, lossDelay)
	}
	m.dialed(first, 1, addr)
	m.learned(now, 1, "", peerOf("b", 1))
	if m.claim(second, addr) {
		t.Error("the address of a server that is connected may be dialed")
	}
	m.covered(now, second, []string{addr})
	if second.remote != "b" || !m.next().IsZero() {
		t.Errorf("the second leads to %q, want b and nothing to do", second.remote)
	}
	m.closed(now, 1, "gone")
	if !m.claim(second, addr) {
		t.Error("the address of a server that is lost may not be dialed")
	}
}

func TestPingsGoOnWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	c := &conn{}
	c.ping.timer = time.NewTimer(time.Hour)
	defer c.ping.timer.Stop()
	o := &Options{PingInterval: time.Hour, MaxPingsOut: 2}
	for _, tt := range []struct {
		idle time.Duration
		want pingAction
	}{
		{time.Minute, pingSkip},
		{2 * time.Hour, pingSend},
		{-time.Hour, pingSend},
		{0, pingStale},
	} {
		if got := c.pingDue(o, tt.idle); got != tt.want {
			t.Errorf("idle for %v: got %v, want %v", tt.idle, got, tt.want)
		}
	}
}
