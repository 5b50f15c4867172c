package admission

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// at returns the source of an address.
func at(ip string) Source { return SourceOf(&net.TCPAddr{IP: net.ParseIP(ip)}) }

func TestSourcesAreMachines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
	} {
		if got := at(c.a) == at(c.b); got != c.same {
			t.Errorf("%s and %s: one source is %v, want %v", c.a, c.b, got, c.same)
		}
	}
	zoned := SourceOf(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"})
	if zoned != at("fe80::2") {
		t.Error("a zone makes another source")
	}
	if SourceOf(nil) != (Source{}) || SourceOf(&net.UnixAddr{}) != (Source{}) {
		t.Error("what has no address is no source of its own")
	}
}

func TestTheOldestOfTheGreediestSourceIsEvicted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := NewEvictor[string]()
		add := func(ip, name string) *Entry[string] {
			time.Sleep(time.Millisecond) // of the test's clock
			return v.Add(at(ip), name)
		}
		evict := func(want string) {
			t.Helper()
			if got, ok := v.Evict(); !ok || got != want {
				t.Errorf("got %q, %v, want %q", got, ok, want)
			}
		}
		honest := add("10.0.0.1", "honest") // the oldest of all
		var many []*Entry[string]
		for i := range 5 {
			many = append(many, add("10.0.0.2", fmt.Sprint("many ", i)))
		}
		evict("many 0")
		many[1].Rank(Partial) // it has sent something
		many[2].Rank(Kept)
		evict("many 3")
		evict("many 4")
		evict("honest") // each source has one now, and the other has sent something
		evict("many 1")
		if got, ok := v.Evict(); ok || v.Len() != 1 {
			t.Errorf("evicted %q, %d left, want one that is kept", got, v.Len())
		}
		honest.Rank(Idle) // has no effect: it is gone
		honest.Remove()
		many[2].Rank(Waiting)
		evict("many 2")
		if v.Len() != 0 || len(v.groups) != 0 || len(v.queue) != 0 {
			t.Errorf("%d entries, %d groups, %d queued, want none", v.Len(), len(v.groups), len(v.queue))
		}
	})
}

func TestANewConnectionStaysLongerThanOneThatSentSomethingLongAgo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := NewEvictor[string]()
		v.Add(at("10.0.0.1"), "old").Rank(Waiting)
		time.Sleep(2*rankTime + 1)
		v.Add(at("10.0.0.1"), "new")
		if got, _ := v.Evict(); got != "old" {
			t.Errorf("evicted %q, want the old one", got)
		}
	})
}

// TestEvictionAgreesWithTheObviousWay compares an Evictor with a list that is searched.
func TestEvictionAgreesWithTheObviousWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type row struct {
			*Entry[int]
			from Source
			id   int
		}
		random := rand.New(rand.NewPCG(1, 2))
		v := NewEvictor[int]()
		var rows []row
		expected := func() int { // the index, -1 for none
			count := map[Source]int{}
			for _, r := range rows {
				if r.rank < Kept {
					count[r.from]++
				}
			}
			best := -1
			for i, r := range rows {
				if r.rank == Kept {
					continue
				}
				if best < 0 || count[r.from] > count[rows[best].from] || count[r.from] == count[rows[best].from] && r.due.Before(rows[best].due) {
					best = i
				}
			}
			return best
		}
		for step := range 20_000 {
			time.Sleep(time.Microsecond + rankTime/50)
			switch n := random.IntN(10); {
			case n < 4 || len(rows) == 0:
				from := at(fmt.Sprintf("10.0.0.%d", random.IntN(6)))
				rows = append(rows, row{v.Add(from, step), from, step})
			case n < 7:
				rows[random.IntN(len(rows))].Rank(Rank(random.IntN(int(Kept) + 1)))
			case n < 8:
				i := random.IntN(len(rows))
				rows[i].Remove()
				rows = slices.Delete(rows, i, i+1)
			default:
				want := expected()
				got, ok := v.Evict()
				if ok != (want >= 0) || ok && got != rows[want].id {
					t.Fatalf("step %d: got %d, %v, want that of row %d", step, got, ok, want)
				}
				if ok {
					rows = slices.Delete(rows, want, want+1)
				}
			}
			if v.Len() != len(rows) {
				t.Fatalf("step %d: %d entries, want %d", step, v.Len(), len(rows))
			}
		}
	})
}
