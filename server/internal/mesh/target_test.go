package mesh_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"gnatsd/server/internal/mesh"
)

func TestAnAddressIsDialedOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	attempts := h.configure("one:6222", "all:6222", "one:6222")
	if len(attempts) != 2 {
		t.Fatalf("got %d attempts, want 2: one route is listed twice", len(attempts))
	}
	first, second := attempts[0].Target, attempts[1].Target
	const addr = "10.0.0.1:6222"
	if !h.Claim(first, addr) || h.Claim(second, addr) {
		t.Fatal("both may dial the address")
	}
	h.AddrsShared(h.now, second, []string{addr})
	h.wantNext(time.Second) // it is not known yet which server is there
	h.Dialed(first, 1, addr)
	h.introduce(1, server("b", 1))
	if h.Claim(second, addr) {
		t.Error("the address of a server that is connected may be dialed")
	}
	h.AddrsShared(h.now, second, []string{addr})
	if got := h.Targets()[1]; got.Server != "b" || !got.Connected || !h.Next().IsZero() {
		t.Errorf("the second target is %+v, want it to lead to b, and nothing to do", got)
	}
	h.Closed(h.now, 1, "gone")
	if !h.Claim(second, addr) {
		t.Error("the address of a server that is lost may not be dialed")
	}
}

// TestFirstAttemptsAreMadeSoonAndOthersEverySecond has a server that is not there: it may come at any
// time. What does not answer gets longer to do so.
func TestFirstAttemptsAreMadeSoonAndOthersEverySecond(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	target := h.configure("10.0.0.1:6222")[0].Target
	timeouts := []time.Duration{time.Second, time.Second, time.Second, 1500 * time.Millisecond, 2250 * time.Millisecond, 3 * time.Second}
	for i := range 30 {
		h.DialFailed(h.now, target, "connection refused")
		wait := time.Second
		if i+1 < 20 {
			wait = 250 * time.Millisecond
		}
		h.wantNext(wait)
		if got := h.Targets()[0]; got.Failures != i+1 || got.LastErr != "connection refused" || got.Next != h.Next() {
			t.Errorf("after %d failures the target is %+v", i+1, got)
		}
		h.wakeUntil(h.Next())
		attempt := h.of(mesh.Dial)[0].Attempt
		if want := timeouts[min(i, len(timeouts)-1)]; attempt.Timeout != want {
			t.Errorf("after %d failures an address may take %v to answer, want %v", i+1, attempt.Timeout, want)
		}
	}
}

// TestARouteThatIsLostAgainIsNotDialedAtOnce has a route that ends a moment after it was made, again
// and again.
func TestARouteThatIsLostAgainIsNotDialedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "b", neverIdle)
	attempt := h.configure(server("a", 1).Addr)[0]
	for i, want := range []time.Duration{250 * time.Millisecond, time.Second, time.Second} {
		link := uint64(i + 1)
		h.Dialed(attempt.Target, link, attempt.Addr)
		h.introduce(link, server("a", 1))
		h.Closed(h.now, link, "lost")
		h.wantNext(want)
		h.wakeUntil(h.Next())
	}
	h.Dialed(attempt.Target, 9, attempt.Addr)
	h.introduce(9, server("a", 1))
	h.wakeUntil(h.now.Add(time.Minute))
	h.Closed(h.now, 9, "lost")
	h.wantNext(250 * time.Millisecond)
}

// TestAServerThatNoneAdvertisesIsGivenItsTime has as few attempts as connect_retries says.
func TestAServerThatNoneAdvertisesIsGivenItsTime(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "b", neverIdle)
	h.SetRetries(1)
	h.Accepted(1)
	h.introduce(1, server("seed", 9))
	h.introduce(1, server("a", 1)) // advertised
	h.Dialed(h.dialed(), 2, server("a", 1).Addr)
	h.introduce(2, server("a", 1))
	h.Closed(h.now, 1, "the seed is lost, with all it advertised")
	h.Closed(h.now, 2, "lost")
	h.wantNext(time.Second)
}

// TestAnAdvertisedServerIsDialedAtOnceUnlessItMayDial has the server with the larger id wait for the
// other one only where that may know of it.
func TestAnAdvertisedServerIsDialedAtOnceUnlessItMayDial(t *testing.T) {
	t.Parallel()
	const atOnce, later = 10 * time.Millisecond, 110 * time.Millisecond
	for _, tt := range []struct {
		name   string
		self   string
		others int           // servers that this one has a route to, besides the one that advertises
		since  time.Duration // how long
		want   time.Duration
	}{
		{"the one that came first is told by a single server", "z", 0, 0, atOnce},
		{"another server may tell the new one of this one", "z", 1, 0, later},
		{"it has told all by now", "z", 1, 3 * time.Second, atOnce},
		{"the smaller id does not wait", "a", 1, 0, atOnce},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, tt.self, neverIdle)
			for i := range tt.others {
				h.Accepted(uint64(10 + i))
				h.introduce(uint64(10+i), server(fmt.Sprintf("other%d", i), 10+i))
			}
			h.wakeUntil(h.now.Add(tt.since))
			h.Accepted(1)
			h.introduce(1, server("seed", 9))
			h.Actions()
			h.introduce(1, server("m", 1)) // advertised
			if got := h.Next().Sub(h.now); got > tt.want || got < tt.want-10*time.Millisecond {
				t.Errorf("it is dialed after %v, want about %v", got, tt.want)
			}
		})
	}
}

func TestAServerThatIsLostIsDialedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		retries    int
		configured bool
		want       int // attempts that fail
	}{
		{"for ever if it is configured", 0, true, 50},
		{"not if it was only advertised", 0, false, 0},
		{"as often as connect_retries says", 3, false, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "a", neverIdle)
			h.SetRetries(tt.retries)
			h.Accepted(1)
			h.introduce(1, server("seed", 9))
			peer := server("b", 1)
			var target *mesh.Target
			if tt.configured {
				target = h.configure(peer.Addr)[0].Target
			} else {
				h.introduce(1, peer)
				target = h.dialed()
			}
			h.Dialed(target, 2, peer.Addr)
			h.introduce(2, peer)
			h.Closed(h.now, 1, "the seed is lost, with all it advertised")
			h.Closed(h.now, 2, "lost")
			n := 0
			for target = h.dialed(); target != nil && n < 50; target = h.dialed() {
				h.DialFailed(h.now, target, "connection refused")
				n++
			}
			if n != tt.want {
				t.Errorf("%d attempts, want %d", n, tt.want)
			}
		})
	}
}

func TestCredentialsOfAdvertisedServers(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	h.Accepted(1)
	h.introduce(1, server("seed", 9))
	secured := server("b", 1)
	secured.AuthRequired = true
	h.introduce(1, secured)
	h.introduce(1, server("c", 2))
	h.wakeUntil(h.now.Add(time.Second))
	for _, a := range h.of(mesh.Dial) {
		if got, want := a.Attempt.OwnCredentials, a.Attempt.Addr == secured.Addr; got != want {
			t.Errorf("%s gets the credentials of this server: %v, want %v", a.Attempt.Addr, got, want)
		}
	}
	for _, attempt := range h.configure("10.0.0.7:6222") {
		if attempt.OwnCredentials || !attempt.Target.Configured() {
			t.Error("a configured route gets the credentials of this server")
		}
	}
}

func TestARouteToThisServer(t *testing.T) {
	t.Parallel()
	const mine, other = "10.0.0.1:6222", "10.0.0.2:6222"
	for _, tt := range []struct{ name, addr string }{
		{"an address is not dialed again", mine},
		{"a name is looked up again, without that address", "all:6222"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "a", neverIdle)
			target := h.configure(tt.addr)[0].Target
			h.Dialed(target, 1, mine)
			h.introduce(1, server("a", 1))
			closes := h.of(mesh.Close)
			if len(closes) != 1 || closes[0].Link != 1 {
				t.Fatalf("got %v, want the link closed", closes)
			}
			h.Closed(h.now, 1, "duplicate")
			if tt.addr == mine {
				if !h.Next().IsZero() || !h.Targets()[0].Self {
					t.Errorf("the target is %+v, want nothing to do", h.Targets()[0])
				}
				return
			}
			h.wakeUntil(h.Next())
			attempt := h.of(mesh.Dial)[0].Attempt
			if len(attempt.Avoid) != 1 || attempt.Avoid[0] != mine {
				t.Errorf("%v are avoided, want %s", attempt.Avoid, mine)
			}
			h.AddrsAvoided(h.now, target)
			if !h.Targets()[0].Self {
				t.Error("the target is not known to lead to this server")
			}
			h.wantNext(30 * time.Second) // others may be behind the name by then
			h.wakeUntil(h.Next())
			h.Dialed(h.of(mesh.Dial)[0].Attempt.Target, 2, other)
			h.introduce(2, server("b", 2))
			if got := h.Targets()[0]; got.Self || got.Server != "b" {
				t.Errorf("the target is %+v, want it to lead to b", got)
			}
		})
	}
}

func TestRoutesAreChanged(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	attempts := h.configure("10.0.0.1:6222", "10.0.0.2:6222")
	h.Dialed(attempts[0].Target, 1, attempts[0].Addr)
	h.introduce(1, server("b", 1))
	h.Dialed(attempts[1].Target, 2, attempts[1].Addr)
	h.introduce(2, server("c", 2))
	h.Actions()
	h.Configured(h.now, []*url.URL{{Scheme: "nats-route", Host: "10.0.0.3:6222"}, attempts[1].Target.URL()})
	var kinds []mesh.ActionKind
	for _, a := range h.Actions() {
		kinds = append(kinds, a.Kind)
		switch {
		case a.Kind == mesh.Close && (a.Link != 1 || a.Reason != mesh.RemovedRoute):
			t.Errorf("link %d is closed for %v, want 1, whose route was removed", a.Link, a.Reason)
		case a.Kind == mesh.Dial && a.Attempt.Addr != "10.0.0.3:6222":
			t.Errorf("%s is dialed, want the new route", a.Attempt.Addr)
		}
	}
	if want := []mesh.ActionKind{mesh.LogRemoved, mesh.Close, mesh.Dial}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
	h.Closed(h.now, 1, "removed")
	h.wakeUntil(h.now.Add(time.Minute))
	if dials := h.of(mesh.Dial); len(dials) > 0 {
		t.Errorf("%s is dialed, want a removed route left alone", dials[0].Attempt.Addr)
	}
	if h.Dialed(attempts[0].Target, 3, attempts[0].Addr) {
		t.Error("a removed route is wanted")
	}
}

// TestNamesOfAdvertisedServers has a server that is dialed by its address: its certificate may have
// the name of the configured route that it was learned from.
func TestNamesOfAdvertisedServers(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	attempts := h.configure("seed.example:6222", "other.example:6222", "10.0.0.9:6222")
	for i, attempt := range attempts {
		if len(attempt.Names) > 0 {
			t.Errorf("%s may also be %q; want no name but its own", attempt.Addr, attempt.Names)
		}
		h.Dialed(attempt.Target, uint64(1+i), attempt.Addr)
	}
	h.introduce(1, server("seed", 101))
	h.introduce(2, server("other", 102))
	h.Accepted(4)
	h.introduce(4, server("d", 104))
	for i, tt := range []struct {
		name, addr string
		from       uint64 // the link that advertises it
		want       []string
	}{
		{"learned from a configured route", "10.0.0.21:6222", 1, []string{"seed.example"}},
		{"from another", "10.0.0.22:6222", 2, []string{"other.example"}},
		{"from a server that is not configured", "10.0.0.23:6222", 4, []string{"seed.example", "other.example"}},
		{"with a name of its own", "peer.example:6222", 1, nil},
	} {
		about := server(fmt.Sprint("learned ", i), 200+i)
		about.Addr, about.DialAddr = tt.addr, tt.addr
		h.introduce(tt.from, about)
		h.wakeUntil(h.now.Add(time.Second))
		for _, a := range h.of(mesh.Dial) {
			if a.Attempt.Addr == tt.addr && !slices.Equal(a.Attempt.Names, tt.want) {
				t.Errorf("%s: got the names %q, want %q", tt.name, a.Attempt.Names, tt.want)
			}
		}
	}
}

// TestAServerIsDialedWhereItSaidLast has a server say another address while its route is up, which is
// dialed when that is made again; an INFO without an address changes nothing.
func TestAServerIsDialedWhereItSaidLast(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "a", neverIdle)
	h.Accepted(1)
	h.introduce(1, server("b", 1))
	moved := server("b", 2)
	h.introduce(1, moved)
	silent := server("b", 3)
	silent.Addr, silent.DialAddr = "", ""
	h.introduce(1, silent)
	h.Reconnect(1)
	h.Actions()
	h.Closed(h.now, 1, "made again")
	if got := h.dialed(); got == nil || got.URL().Host != moved.DialAddr {
		t.Errorf("got %+v, want an attempt at %s", got, moved.DialAddr)
	}
}

// TestAServerIsDialedWhereverItIsAdvertised has servers that advertise one at different addresses, of which
// one is right, as where they see it from different networks. The others lead nowhere, to this server or to
// another one.
func TestAServerIsDialedWhereverItIsAdvertised(t *testing.T) {
	t.Parallel()
	const wrong, right = 100, 200
	const fails, isSelf, isOther, names, isConnected = 0, 1, 2, 3, 4
	for name, tt := range map[string]struct {
		addrs []int // in this order
		wrong int   // where they lead
		later time.Duration
	}{
		"the first is right":                 {[]int{right, wrong}, fails, 0},
		"the second is":                      {[]int{wrong, right}, fails, 0},
		"later":                              {[]int{wrong, right}, fails, time.Minute},
		"the third":                          {[]int{wrong, wrong + 1, right}, fails, 0},
		"the first is this server":           {[]int{wrong, right}, isSelf, 0},
		"so it is later":                     {[]int{wrong, right}, isSelf, time.Minute},
		"the second is this server":          {[]int{right, wrong}, isSelf, 0},
		"the first is another server":        {[]int{wrong, right}, isOther, 0},
		"two are other servers":              {[]int{wrong, wrong + 1, right}, isOther, 0},
		"and the right one follows later":    {[]int{wrong, right}, isOther, time.Minute},
		"the first is a name of this server": {[]int{wrong, right}, names, 0},
		"so it is later, by name":            {[]int{wrong, right}, names, time.Minute},
		"the first is a connected server":    {[]int{wrong, right}, isConnected, 0},
		"it stays there, and others follow":  {[]int{wrong, wrong + 1, right}, isConnected, time.Minute},
		"its address is the smaller number":  {[]int{wrong + 200, right}, fails, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "self", neverIdle)
			link, attempts, found := uint64(100), 0, false
			dial := func(until time.Time) {
				for ; h.now.Before(until) && !found; h.wakeUntil(h.now.Add(100 * time.Millisecond)) {
					for _, a := range h.of(mesh.Dial) {
						attempts++
						if a.Attempt.Addr == server("", right).Addr {
							found = true
							continue
						}
						switch tt.wrong {
						case fails:
							h.DialFailed(h.now, a.Attempt.Target, "connection refused")
							continue
						case names:
							h.AddrsAvoided(h.now, a.Attempt.Target)
							continue
						case isConnected:
							if h.Claim(a.Attempt.Target, a.Attempt.Addr) {
								h.DialFailed(h.now, a.Attempt.Target, "connection refused")
							} else {
								h.AddrsShared(h.now, a.Attempt.Target, []string{a.Attempt.Addr})
							}
							continue
						}
						link++
						h.Dialed(a.Attempt.Target, link, a.Attempt.Addr)
						id := "self"
						if tt.wrong == isOther {
							id = "another"
						}
						info := server(id, 900)
						h.introduce(link, info)
						h.Closed(h.now, link, "closed")
					}
				}
			}
			if tt.wrong == isConnected {
				there := server("another", wrong)
				h.Dialed(h.configure(there.Addr)[0].Target, 50, there.Addr)
				h.introduce(50, there)
			}
			for i, addr := range tt.addrs {
				h.Accepted(uint64(1 + i))
				h.introduce(uint64(1+i), server(fmt.Sprint("by ", i), 1+i))
				info := server("m", addr)
				h.introduce(uint64(1+i), info)
				dial(h.now.Add(tt.later))
			}
			attempts = 0
			dial(h.now.Add(5 * time.Second))
			if !found || attempts > 10 {
				t.Errorf("dialed at the right address: %v, after %d attempts in 5 s; targets %v", found, attempts, h.Targets())
			}
			for i := range tt.addrs {
				lost := server("m", right)
				lost.Lost = true
				h.introduce(uint64(1+i), lost)
			}
			for _, target := range h.Targets() {
				if target.Self {
					t.Errorf("a target that leads to this server stays: %v", target)
				}
			}
		})
	}
}

// TestANameThatLedHereIsTriedAgain has a name that leads to this server, and then to none that answers: it may
// lead to another one later.
func TestANameThatLedHereIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "self", neverIdle)
	target := h.configure("name:6222")[0].Target
	h.AddrsAvoided(h.now, target)
	h.wakeUntil(h.now.Add(time.Minute))
	if dials := h.of(mesh.Dial); len(dials) != 1 {
		t.Fatalf("%d attempts in a minute, want one", len(dials))
	}
	h.DialFailed(h.now, target, "no such host")
	if got := h.dialed(); got != target {
		t.Errorf("got %v, want another attempt", got)
	}
}

// TestAServerThatIsRefusedIsTriedLessOftenAtEachAddress has one that others advertise at two addresses.
func TestAServerThatIsRefusedIsTriedLessOftenAtEachAddress(t *testing.T) {
	t.Parallel()
	h := newHarness(t, "self", neverIdle)
	for i := range 2 {
		h.Accepted(uint64(1 + i))
		h.introduce(uint64(1+i), server(fmt.Sprint("by ", i), 1+i))
		h.introduce(uint64(1+i), server("m", 100+i))
	}
	attempts, link := 0, uint64(10)
	for end := h.now.Add(5 * time.Minute); h.now.Before(end); h.wakeUntil(h.now.Add(100 * time.Millisecond)) {
		for _, a := range h.of(mesh.Dial) {
			attempts++
			link++
			h.Dialed(a.Attempt.Target, link, a.Attempt.Addr)
			h.Refused(link)
			h.Closed(h.now, link, "refused")
		}
	}
	if attempts < 10 || attempts > 20 {
		t.Errorf("%d attempts in five minutes, want about 15", attempts)
	}
}

// TestAddressesThatAreRepeatedOrChangeAreNotDialedAtEachAdvertisement has a server advertise another one twenty
// times a second: at a new address each time, or at one of this server.
func TestAddressesThatAreRepeatedOrChangeAreNotDialedAtEachAdvertisement(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]bool{"a new address": true, "an address of this server": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, "self", neverIdle)
			h.Accepted(1)
			h.introduce(1, server("flood", 1))
			dials, link := 0, uint64(10)
			for i := range 20 * 60 {
				info := server("m", 100)
				if changes {
					info = server("m", 100+i)
				}
				h.introduce(1, info)
				h.wakeUntil(h.now.Add(50 * time.Millisecond))
				for _, a := range h.of(mesh.Dial) {
					dials++
					if changes {
						h.DialFailed(h.now, a.Attempt.Target, "connection refused")
						continue
					}
					link++
					h.Dialed(a.Attempt.Target, link, a.Attempt.Addr)
					h.introduce(link, server("self", 100))
					h.Closed(h.now, link, "self")
				}
			}
			if most := map[bool]int{true: 30, false: 1}[changes]; dials < 1 || dials > most {
				t.Errorf("%d dials in a minute, want %d at most", dials, most)
			}
		})
	}
}
