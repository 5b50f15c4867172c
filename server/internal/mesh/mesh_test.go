package mesh_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/mesh"
)

// harness is a mesh under test, with a clock of its own.
type harness struct {
	*mesh.Mesh
	t   *testing.T
	now time.Time
}

func newHarness(t *testing.T, id string, idle func(link uint64) time.Duration) *harness {
	return &harness{t: t, now: time.Unix(1000, 0), Mesh: mesh.New(mesh.Config{
		ID: id, Rand: rand.New(rand.NewPCG(1, 1)), Idle: idle,
	})}
}

func neverIdle(uint64) time.Duration { return 0 }

// of returns the actions of one kind, and drops the others.
func (h *harness) of(kind mesh.ActionKind) []mesh.Action {
	return slices.DeleteFunc(h.Actions(), func(a mesh.Action) bool { return a.Kind != kind })
}

// configure sets the routes, and returns the attempts that follow.
func (h *harness) configure(addrs ...string) (list []*mesh.Attempt) {
	h.t.Helper()
	var routes []*url.URL
	for _, addr := range addrs {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: addr})
	}
	h.Configured(h.now, routes)
	for _, a := range h.of(mesh.Dial) {
		list = append(list, a.Attempt)
	}
	return list
}

// introduce lets a link have a server at its other end.
func (h *harness) introduce(link uint64, info *mesh.Info) { h.Received(h.now, link, "", info) }

// wakeUntil lets time pass.
func (h *harness) wakeUntil(end time.Time) {
	for at := h.Next(); !at.IsZero() && !at.After(end); at = h.Next() {
		h.now = at
		h.Wake(at)
	}
	h.now = end
}

// dialed lets ten seconds pass, and returns the first target that is dialed; nil if there is none.
func (h *harness) dialed() *mesh.Target {
	list := h.of(mesh.Dial)
	h.wakeUntil(h.now.Add(10 * time.Second))
	for _, a := range append(list, h.of(mesh.Dial)...) {
		return a.Attempt.Target
	}
	return nil
}

// wantNext checks when the mesh is to be woken: never later, and within the jitter of 100 ms.
func (h *harness) wantNext(wait time.Duration) {
	h.t.Helper()
	const jitter = 100 * time.Millisecond
	if got := h.Next().Sub(h.now); got < wait-jitter || got > wait {
		h.t.Errorf("the next attempt is after %v, want about %v", got, wait)
	}
}

// server returns what a server of this kind says about itself: the number decides its address.
func server(id string, n int) *mesh.Info {
	addr := fmt.Sprintf("10.%d.%d.%d:6222", n>>16&255, n>>8&255, n&255)
	return &mesh.Info{ID: id, Addr: addr, DialAddr: addr, Extended: true}
}

func TestMadeUpServersAreForgotten(t *testing.T) {
	t.Parallel()
	const most = 1000
	for _, tt := range []struct {
		name       string
		registered bool
	}{
		{"that a route advertised", true},
		{"that a server advertised which only gave its name", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "self", neverIdle)
			for round := range uint64(2) { // the second finds as much room as the first
				h.Accepted(round)
				if tt.registered {
					h.introduce(round, server("flood", 0))
				}
				for i := range 3 * most {
					h.Received(h.now, round, "flood", server(fmt.Sprint("made up ", i), 1+i))
				}
				if n := len(h.Targets()); n < most/2 || n > most {
					t.Fatalf("round %d: %d servers are known, want up to %d", round, n, most)
				}
				h.wakeUntil(h.now.Add(10 * time.Second))
				const atOnce = 64
				dials := h.of(mesh.Dial)
				if len(dials) != atOnce {
					t.Errorf("round %d: %d are dialed at a time, want %d", round, len(dials), atOnce)
				}
				h.Closed(h.now, round, "gone")
				for len(dials) > 0 {
					for _, a := range dials {
						h.DialFailed(h.now, a.Attempt.Target, "connection refused")
					}
					h.wakeUntil(h.now.Add(time.Second))
					dials = h.of(mesh.Dial)
				}
				if n := len(h.Targets()); n > 0 {
					t.Fatalf("round %d: %d targets are left when they are not advertised any more", round, n)
				}
			}
		})
	}
}

func TestAdvertisedServers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		info mesh.Info
		want int // targets
	}{
		{"one that is new is dialed", *server("third", 3), 1},
		{"this one is not", mesh.Info{ID: "self", Addr: "10.0.0.9:6222", DialAddr: "10.0.0.9:6222"}, 0},
		{"one without an address is not", mesh.Info{ID: "third", Addr: ":0"}, 0},
		{"one that is connected is not", *server("peer", 1), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "self", neverIdle)
			h.Accepted(1)
			h.introduce(1, server("peer", 1))
			h.introduce(1, &tt.info)
			if got := len(h.Targets()); got != tt.want {
				t.Errorf("%d targets, want %d", got, tt.want)
			}
		})
	}
}

func TestAnAdvertisementEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		peer *mesh.Info
		end  func(h *harness)
		want int // targets
	}{
		{"when it is withdrawn", server("peer", 1), func(h *harness) { h.introduce(1, &mesh.Info{ID: "third", Lost: true}) }, 0},
		{"when the server that made it is lost", server("peer", 1), func(h *harness) { h.Closed(h.now, 1, "gone") }, 0},
		{"not by time", server("peer", 1), func(h *harness) { h.now = h.now.Add(11 * time.Minute) }, 1},
		{"by time if it cannot be withdrawn", classic("peer", 1), func(h *harness) { h.now = h.now.Add(11 * time.Minute) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "self", neverIdle)
			h.Accepted(1)
			h.introduce(1, tt.peer)
			h.introduce(1, server("third", 3))
			h.wakeUntil(h.now.Add(time.Second))
			target := h.of(mesh.Dial)[0].Attempt.Target
			tt.end(h)
			h.DialFailed(h.now, target, "connection refused")
			if got := len(h.Targets()); got != tt.want {
				t.Errorf("%d targets, want %d", got, tt.want)
			}
		})
	}
}

func TestServersLearnOfEachOther(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "self", neverIdle)
	h.Accepted(1)
	h.introduce(1, classic("a", 1))
	h.Accepted(2)
	h.introduce(2, server("b", 2))
	h.Actions()
	h.Accepted(3)
	h.introduce(3, server("c", 3))
	want := []mesh.Action{
		{Kind: mesh.Register, Link: 3},
		{Kind: mesh.Forward, Link: 1, Of: 3},
		{Kind: mesh.Forward, Link: 2, Of: 3},
	}
	if got := h.Actions(); !slices.Equal(got, want) {
		t.Errorf("a new server: got %v, want %v", got, want)
	}
	h.introduce(3, server("c", 3)) // nothing new
	h.introduce(3, server("c", 4))
	want = []mesh.Action{
		{Kind: mesh.Forward, Link: 1, Of: 3},
		{Kind: mesh.Forward, Link: 2, Of: 3},
	}
	if got := h.Actions(); !slices.Equal(got, want) {
		t.Errorf("a server at another address: got %v, want %v", got, want)
	}
	h.Closed(h.now, 3, "gone")
	want = []mesh.Action{{Kind: mesh.Withdraw, Link: 2, Server: "c"}}
	if got := h.Actions(); !slices.Equal(got, want) {
		t.Errorf("a lost server: got %v, want %v: 1.x does not understand it", got, want)
	}
}

// TestOneServerThatAdvertisesManyKeepsOutNoOther has one advertise as many as may be known, and more.
// What others say is taken all the same, and dialed soon, although there are always more to dial than
// are dialed at a time.
func TestOneServerThatAdvertisesManyKeepsOutNoOther(t *testing.T) {
	t.Parallel()
	const most, atOnce, timeout = 1000, 64, time.Second
	h := newHarness(t, "self", neverIdle)
	for link, id := range []string{"flood", "honest"} {
		h.Accepted(uint64(link))
		h.introduce(uint64(link), server(id, link+1))
	}
	for i := range 2 * most {
		h.introduce(0, server(fmt.Sprint("made up ", i), 10+i))
	}
	if n := len(h.Targets()); n < most-10 || n > most {
		t.Fatalf("%d targets, want about %d", n, most)
	}
	want := server("third", 5000)
	began := h.now
	h.introduce(1, want)
	h.introduce(0, server("made up again", 6000))
	for h.now.Sub(began) < time.Minute {
		h.wakeUntil(h.now.Add(timeout)) // none answers
		dials := h.of(mesh.Dial)
		if len(dials) > atOnce {
			t.Fatalf("%d are dialed at a time, want %d at most", len(dials), atOnce)
		}
		for _, a := range dials {
			if a.Attempt.Target.URL().Host == want.DialAddr {
				return
			}
			h.DialFailed(h.now, a.Attempt.Target, "timeout")
		}
	}
	t.Errorf("the server that another one advertises is not dialed within %v", h.now.Sub(began))
}

// TestAdvertisedServersThatAreNeverReachedAreTriedLessOften counts the attempts.
func TestAdvertisedServersThatAreNeverReachedAreTriedLessOften(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	h.Accepted(1)
	h.introduce(1, server("b", 1))
	h.introduce(1, server("c", 2))
	began, n := h.now, 0
	for h.now.Sub(began) < 10*time.Minute {
		h.wakeUntil(h.now.Add(100 * time.Millisecond))
		for _, a := range h.of(mesh.Dial) {
			n++
			h.DialFailed(h.now, a.Attempt.Target, "connection refused")
		}
	}
	if n < 60 || n > 110 {
		t.Errorf("%d attempts in ten minutes, want one a second at first, and one in ten seconds in the end", n)
	}
}

// TestALinkIsOneServerWhateverNamesItGives has a link that has not introduced itself advertise servers
// under one name after the other: they are forgotten when it ends.
func TestALinkIsOneServerWhateverNamesItGives(t *testing.T) {
	t.Parallel()
	const most = 1000
	h := newHarness(t, "self", neverIdle)
	h.Accepted(1)
	h.introduce(1, server("honest", 1))
	h.Accepted(2)
	for i := range 2 * most {
		h.Received(h.now, 2, fmt.Sprint("name ", i), server(fmt.Sprint("made up ", i), 10+i))
	}
	h.introduce(1, server("third", 5000))
	h.Closed(h.now, 2, "gone")
	for i := range most / 2 {
		h.introduce(1, server(fmt.Sprint("real ", i), 6000+i))
	}
	real := 0
	for _, target := range h.Targets() {
		if target.Server == "third" || strings.HasPrefix(target.Server, "real ") {
			real++
		}
	}
	if real != 1+most/2 {
		t.Errorf("%d of %d servers that are advertised are known", real, 1+most/2)
	}
}
