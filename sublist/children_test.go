package sublist

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestChildrenAgreeWithAMap adds and removes nodes in waves of every height, and looks each up.
func TestChildrenAgreeWithAMap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	var k children[int]
	want := map[string]*node[int]{}
	tokens := make([]string, 80)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("t%d", i)
	}
	step := func(add bool) {
		token := tokens[rng.IntN(len(tokens))]
		switch n := want[token]; {
		case add && n == nil:
			want[token] = newNode[int](token)
			k.add(want[token])
		case !add && n != nil:
			k.remove(token)
			delete(want, token)
		default:
			return
		}
		seen := 0
		for n := range k.all {
			if want[n.token()] != n {
				t.Fatalf("of %d nodes %s is one that was removed", len(want), n.token())
			}
			seen++
		}
		if seen != len(want) {
			t.Fatalf("got %d nodes, want %d", seen, len(want))
		}
		for _, token := range tokens {
			at, n := k.at(token), want[token]
			if k.find([]byte(token)) != n || (at == nil) != (n == nil) || at != nil && at.Load() != n {
				t.Fatalf("of %d nodes %s is found as %p and at %p, want %p", len(want), token, k.find([]byte(token)), at, n)
			}
		}
		if k.find([]byte("none")) != nil || k.at("none") != nil {
			t.Fatalf("among %d nodes one is found that is not there", len(want))
		}
		if many := k.many.Load(); many != nil && len(many.slots) > minTable && len(many.slots) > 8*(len(want)+1) {
			t.Fatalf("%d nodes have a table of %d", len(want), len(many.slots))
		}
	}
	for _, most := range []int{1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 33, 70} {
		for range 2 {
			for tries := 0; len(want) < most && tries < 10000; tries++ {
				step(rng.IntN(6) > 0)
			}
			for range 30 {
				step(len(want) < most)
				step(false)
			}
			for len(want) > 0 {
				step(false)
			}
			if k.only.Load() != nil || k.many.Load() != nil {
				t.Fatal("a table is kept without nodes")
			}
		}
	}
	for _, stop := range []int{1, 2, 5} {
		for len(want) < 6 {
			step(true)
		}
		seen := 0
		for range k.all {
			if seen++; seen == stop {
				break
			}
		}
		if seen != stop {
			t.Errorf("%d nodes are shown, want %d", seen, stop)
		}
	}
}
