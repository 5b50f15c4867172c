package sublist

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// flat returns the values of sets.
func flat(sets []*Set[int]) (all []int) {
	for _, s := range sets {
		all = append(all, s.Values...)
	}
	return all
}

// TestIndexedSetAgreesWithASlice adds and removes values, in waves from none to some hundred, and
// looks whether what readers were given before has changed.
func TestIndexedSetAgreesWithASlice(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var x indexedSet[int]
	var want []int
	var given [][]*Set[int]
	var givenValues [][]int
	for round := range 8000 {
		v := rng.IntN(700)
		if growing := round/1000%2 == 0; growing != (rng.IntN(10) == 0) {
			if had := slices.Contains(want, v); x.add(v) == had {
				t.Fatalf("round %d: adding %d, which was there = %v", round, v, had)
			} else if !had {
				want = append(want, v)
			}
		} else {
			if len(want) > 0 && rng.IntN(10) > 0 {
				v = want[rng.IntN(len(want))]
			}
			at := slices.Index(want, v)
			if got := x.remove(v); got != at {
				t.Fatalf("round %d: %d was at %d, want %d", round, v, got, at)
			}
			if at >= 0 {
				want[at] = want[len(want)-1]
				want = want[:len(want)-1]
			}
		}
		if x.n != len(want) {
			t.Fatalf("round %d: %d values, want %d", round, x.n, len(want))
		}
		if x.n > scanLimit && x.at == nil || x.n < scanLimit/2 && x.at != nil || x.at != nil && (len(x.at) != x.n || x.peak > (x.n+1)*shrinkBelow) {
			t.Fatalf("round %d: %d values, positions of %d, at most %d", round, x.n, len(x.at), x.peak)
		}
		if round%7 == 0 {
			list := x.list()
			if got := flat(list); !slices.Equal(got, want) {
				t.Fatalf("round %d: got %v, want %v", round, got, want)
			}
			for i, s := range list {
				if len(s.Values) != setSize && i != len(list)-1 || len(s.Values) == 0 {
					t.Fatalf("round %d: set %d of %d has %d values", round, i, len(list), len(s.Values))
				}
			}
		}
		if round%100 == 0 {
			given, givenValues = append(given, x.list()), append(givenValues, slices.Clone(want))
		}
		if k := rng.IntN(700); x.find(k) != slices.Index(want, k) {
			t.Fatalf("round %d: %d is at %d, want %d", round, k, x.find(k), slices.Index(want, k))
		}
	}
	for i, list := range given {
		if got := flat(list); !slices.Equal(got, givenValues[i]) {
			t.Errorf("what readers were given has become %v, want %v", got, givenValues[i])
		}
	}
}

// TestIndexedSetHoldsLittleMoreThanItsValues looks at what is allocated while a set grows and at
// what is kept after it has shrunk.
func TestIndexedSetHoldsLittleMoreThanItsValues(t *testing.T) {
	t.Parallel()
	var x indexedSet[int]
	const most = 300 * setSize
	copies, last := 0, (*Set[int])(nil)
	for v := range most {
		x.add(v)
		if s := x.parts[len(x.parts)-1].set; v < setSize && s != last {
			copies, last = copies+1, s
		}
		if v < 2 && cap(x.parts[0].set.Values) > 2 {
			t.Errorf("%d values have room for %d", v+1, cap(x.parts[0].set.Values))
		}
	}
	if copies > 10 {
		t.Errorf("one set was copied %d times while it grew to %d values", copies, setSize)
	}
	copies, last = 0, nil
	for v := range most - 3 {
		x.remove(v)
		if s := x.parts[len(x.parts)-1].set; x.n < setSize && s != last {
			copies, last = copies+1, s
		}
		if room := cap(x.parts); room > 64 && room > 4*(len(x.parts)+1) {
			t.Fatalf("%d sets have room for %d", len(x.parts), room)
		}
		if s := x.parts[len(x.parts)-1].set.Values; cap(s) > 8 && cap(s) > 4*(len(s)+1) {
			t.Fatalf("%d values have room for %d", len(s), cap(s))
		}
	}
	if copies > 10 {
		t.Errorf("one set was copied %d times while it shrank from %d values", copies, setSize)
	}
}

// TestIndexedSetForgetsWhatWasRemoved looks at the memory behind the values, and at the map of their
// positions: it is replaced when there are few of what it had.
func TestIndexedSetForgetsWhatWasRemoved(t *testing.T) {
	t.Parallel()
	var x indexedSet[*int]
	values := make([]*int, 8*100)
	for i := range values {
		values[i] = new(int)
		x.add(values[i])
	}
	for n := len(values) - 1; n >= 0; n-- {
		x.remove(values[rand.IntN(n+1)]) // some are not there any more
		for _, p := range x.parts {
			for _, v := range p.set.Values[len(p.set.Values):cap(p.set.Values)] {
				if v != nil {
					t.Fatal("a value that was removed is still referenced")
				}
			}
		}
	}
	x = indexedSet[*int]{}
	for _, v := range values {
		x.add(v)
	}
	for i, v := range values {
		x.remove(v)
		if few := x.n < len(values)/shrinkBelow; few != (x.peak < len(values)) {
			t.Fatalf("%d of %d are left, and the map is of %d", len(values)-i-1, len(values), x.peak)
		}
		if x.n < len(values)/shrinkBelow {
			break
		}
	}
}
