package mesh_test

import (
	"slices"
	"testing"
	"time"

	"gnatsd/server/internal/mesh"
)

// classic returns what a server of 1.x says about itself.
func classic(id string, n int) *mesh.Info {
	info := server(id, n)
	info.Extended = false
	return info
}

func TestASecondLinkToAServer(t *testing.T) {
	t.Parallel()
	const idleLink = 10 * time.Second
	for _, tt := range []struct {
		name   string
		self   string
		peer   *mesh.Info
		idle   time.Duration // of the route
		answer bool          // it answers when it is probed
		after  time.Duration // when a link is closed
		closed uint64        // which
		reason mesh.Reason
	}{
		{"the smaller id closes it at once", "a", server("b", 1), 0, true, 0, 2, mesh.DuplicateRoute},
		{"the larger id waits for the other", "b", server("a", 1), 0, true, 30 * time.Second, 2, mesh.DuplicateRoute},
		{"1.x closes one of them soon, or this server does", "a", classic("b", 1), 0, true, 500 * time.Millisecond, 2, mesh.DuplicateRoute},
		{"an idle route that answers stays", "a", server("b", 1), idleLink, true, 1500 * time.Millisecond, 2, mesh.DuplicateRoute},
		{"an idle route that does not answer is stale", "a", server("b", 1), idleLink, false, 1500 * time.Millisecond, 1, mesh.StaleRoute},
		{"also for the larger id", "b", server("a", 1), idleLink, false, 1500 * time.Millisecond, 1, mesh.StaleRoute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			idle := tt.idle
			h := newHarness(t, tt.self, func(uint64) time.Duration { return idle })
			h.Accepted(1)
			h.introduce(1, tt.peer)
			h.Actions()
			h.Accepted(2)
			h.introduce(2, tt.peer)
			began := h.now
			var closes []mesh.Action
			for len(closes) == 0 {
				for _, a := range h.Actions() {
					switch a.Kind {
					case mesh.Close:
						closes = append(closes, a)
					case mesh.Probe:
						if a.Link != 1 {
							t.Errorf("link %d is probed, want the route", a.Link)
						}
						if tt.answer {
							idle = 0
						}
					}
				}
				if len(closes) > 0 || h.Next().IsZero() {
					break
				}
				h.wakeUntil(h.Next())
			}
			if len(closes) != 1 || closes[0].Link != tt.closed || closes[0].Reason != tt.reason {
				t.Fatalf("got %v, want link %d closed for %v", closes, tt.closed, tt.reason)
			}
			if got := h.now.Sub(began); got < tt.after || got > tt.after+3*time.Second {
				t.Errorf("it is closed after %v, want %v", got, tt.after)
			}
			h.Closed(h.now, tt.closed, "closed")
			registered := h.of(mesh.Register)
			if want := tt.closed == 1; len(registered) > 0 != want {
				t.Errorf("got %v, want the second link registered: %v", registered, want)
			}
		})
	}
}

func TestStandbyIsPromotedWhenTheRouteEnds(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "b", neverIdle)
	h.Accepted(1)
	h.introduce(1, server("c", 3))
	for link := uint64(2); link <= 4; link++ {
		h.Accepted(link)
		h.introduce(link, server("a", 1))
	}
	h.Actions()
	for _, link := range []uint64{3, 4} {
		h.Closed(h.now, link-1, "gone")
		want := []mesh.Action{{Kind: mesh.Register, Link: link}, {Kind: mesh.Forward, Link: 1, Of: link}}
		if got := h.Actions(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestNoLinkStaysInStandby(t *testing.T) {
	t.Parallel()
	for _, self := range []string{"a", "c"} {
		h := newHarness(t, self, neverIdle)
		h.Accepted(1)
		h.introduce(1, server("b", 1))
		h.Reconnect(1)
		for link := uint64(2); link <= 4; link++ { // while the route is closing
			h.Accepted(link)
			h.introduce(link, server("b", 1))
		}
		if !h.Next().IsZero() {
			t.Errorf("%s is to be woken in %v, want the end of the route awaited", self, h.Next().Sub(h.now))
		}
		h.Closed(h.now, 1, "closed")
		h.wakeUntil(h.now.Add(time.Minute))
		var closed []uint64
		for _, a := range h.of(mesh.Close) {
			closed = append(closed, a.Link)
		}
		slices.Sort(closed)
		if want := []uint64{1, 3, 4}; !slices.Equal(closed, want) {
			t.Errorf("%s closed %v, want %v: the oldest is the route", self, closed, want)
		}
	}
}

func TestFewLinksAreInStandby(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "c", neverIdle)
	closed := func() (list []uint64) {
		for _, a := range h.of(mesh.Close) {
			list = append(list, a.Link)
		}
		return list
	}
	for link := uint64(1); link <= 10; link++ {
		h.Accepted(link)
		h.introduce(link, server("b", 1))
	}
	if got, want := closed(), []uint64{4, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
		t.Fatalf("closed %v, want %v: a route and two in standby", got, want)
	}
	if !h.Ending(3) || h.Ending(3) || h.Ending(1) {
		t.Error("want only a link in standby to be reported as such, once")
	}
	h.Accepted(11) // in the place of 3, whose end is not complete
	h.introduce(11, server("b", 1))
	if got := closed(); len(got) > 0 {
		t.Errorf("closed %v, want none", got)
	}
	h.Closed(h.now, 2, "gone")
	h.Closed(h.now, 1, "gone")
	if got, want := h.of(mesh.Register), []mesh.Action{{Kind: mesh.Register, Link: 11}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAServerWhoseLinkWasADuplicateWaitsForTheOther(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		duplicate bool // the peer says so
		waiting   bool // a link was accepted that has not introduced itself
		want      time.Duration
	}{
		{"a route that just ends is dialed again soon, by the smaller id first", false, true, 150 * time.Millisecond},
		{"a duplicate has another link", true, true, 10 * time.Second},
		{"unless there is none", true, false, 150 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "a", neverIdle)
			attempt := h.configure(server("b", 1).Addr)[0]
			h.Dialed(attempt.Target, 1, attempt.Addr)
			h.introduce(1, server("b", 1))
			if tt.waiting {
				h.Accepted(2)
			}
			if tt.duplicate {
				h.introduce(1, &mesh.Info{ID: "b", Extended: true, Duplicate: true})
			}
			h.Closed(h.now, 1, "ended")
			h.wantNext(tt.want)
			h.Actions()
			if tt.waiting {
				h.Received(h.now, 2, "b", server("b", 1))
				if got := h.of(mesh.Register); len(got) != 1 || !h.Next().IsZero() {
					t.Errorf("got %v and something to do at %v, want the other link registered and nothing to do", got, h.Next())
				}
			}
		})
	}
}

func TestTheTargetOfADuplicateIsConnected(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	attempt := h.configure("other.name:6222")[0]
	h.Accepted(1)
	h.introduce(1, server("b", 1))
	h.Dialed(attempt.Target, 2, server("b", 1).Addr)
	h.introduce(2, server("b", 1))
	h.Actions()
	h.Closed(h.now, 2, "Duplicate Route")
	want := []mesh.Action{{Kind: mesh.LogAlreadyConnected, Link: 2, Server: "b"}}
	if got := h.Actions(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := h.Targets()[0]; !got.Connected || got.LastErr != "" || !h.Next().IsZero() {
		t.Errorf("the target is %+v, want it connected and nothing to do", got)
	}
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	for dialed, want := range map[bool]time.Duration{
		false: time.Second, // the peer dials first
		true:  250 * time.Millisecond,
	} {
		h := newHarness(t, "a", neverIdle)
		if dialed {
			attempt := h.configure(server("b", 1).Addr)[0]
			h.Dialed(attempt.Target, 1, attempt.Addr)
		} else {
			h.Accepted(1)
		}
		h.introduce(1, classic("b", 1))
		h.Actions()
		h.Reconnect(1)
		if got := h.of(mesh.Close); len(got) != 1 || got[0].Reason != mesh.RenewedRoute {
			t.Fatalf("got %v, want the route closed", got)
		}
		h.Closed(h.now, 1, "closed")
		h.wantNext(want)
		if h.dialed() == nil {
			t.Errorf("dialed %v: the server is not dialed again", dialed)
		}
	}
}

func TestALinkOfAnEndedRouteIsIgnored(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	h.introduce(1, server("b", 1))
	h.Closed(h.now, 1, "never was")
	h.Reconnect(1)
	if got := h.Actions(); len(got) > 0 || !h.Next().IsZero() {
		t.Errorf("got %v, want nothing", got)
	}
}
