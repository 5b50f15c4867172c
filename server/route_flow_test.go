package server

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestAFlowLooksAtFewItemsForOne cancels one of very many subscriptions that wait.
func TestAFlowLooksAtFewItemsForOne(t *testing.T) {
	f := &flow{}
	c := &conn{}
	const all = 200_000
	for range all {
		f.add(flowItem{sub: &subscription{conn: c}})
	}
	last := f.items[all-1].sub
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if !f.cancel(last) {
		t.Error("the last one was not found")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes were allocated for the index, want few", n)
	}
	if n := all - 1 - (f.indexed - f.first); n > flowStep {
		t.Errorf("%d items were looked at, want %d at most", n, flowStep)
	}
}

// TestAFlowKeepsTheOrderOfItsItems adds, cancels and takes items at random, and compares what is taken
// with a list. Most of what is cancelled must be found, and what is empty is bounded.
func TestAFlowKeepsTheOrderOfItsItems(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		f, c := &flow{}, &conn{id: 1}
		var want []flowItem
		cancels, found := 0, 0
		phase := 0 // how often subscriptions end, in a hundred operations
		for i := range 5000 {
			if i%500 == 0 {
				phase = rnd.IntN(100)
			}
			k := -1
			if len(want) > 0 {
				if k = rnd.IntN(len(want)); !want[k].isSub() {
					k = -1
				}
			}
			switch {
			case rnd.IntN(400) == 0:
				got, _, _ := f.take(nil, 1+rnd.IntN(3000))
				if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
					t.Fatalf("seed %d: what is taken is not what was added first", seed)
				}
				want = slices.Delete(want, 0, len(got))
			case rnd.IntN(100) < phase && k >= 0:
				cancels++
				if f.cancel(want[k].sub) {
					found++
					want = slices.Delete(want, k, k+1)
				}
			default:
				it := flowItem{sub: newSubscription(c, []byte("foo"), nil, fmt.Append(nil, i)), removed: rnd.IntN(9) == 0}
				f.add(it)
				want = append(want, it)
			}
			if n := f.len(); n != len(want) {
				t.Fatalf("seed %d: %d items, want %d", seed, n, len(want))
			}
			if most := 3*len(want) + 4*flowStep; len(f.items) > most {
				t.Fatalf("seed %d: %d items are kept for %d, want %d at most", seed, len(f.items), len(want), most)
			}
		}
		if found < cancels*9/10-5 {
			t.Errorf("seed %d: %d of %d were found", seed, found, cancels)
		}
		for len(want) > 0 {
			got, _, _ := f.take(nil, 1000)
			if !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("seed %d: at the end: what is taken is not what was added first", seed)
			}
			want = want[len(got):]
		}
	}
}
