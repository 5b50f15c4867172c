package sublist

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestManyQueueGroupsOfOnePattern adds and removes members of up to 60 groups in waves.
func TestManyQueueGroupsOfOnePattern(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	m := new(subscribers[int])
	want := map[string][]int{}
	for round := range 4000 {
		name, v := fmt.Sprintf("g%d", rng.IntN(60)), rng.IntN(3)
		at := slices.Index(want[name], v)
		if growing := round/500%2 == 0; growing != (rng.IntN(8) == 0) {
			if got := m.add(name, v); got != (at < 0) {
				t.Fatalf("round %d: %s %d is new = %v", round, name, v, got)
			}
			if at < 0 {
				want[name] = append(want[name], v)
			}
		} else {
			if got := m.remove(name, v); got != (at >= 0) {
				t.Fatalf("round %d: %s %d was there = %v", round, name, v, got)
			}
			if at >= 0 {
				if want[name] = slices.Delete(want[name], at, at+1); len(want[name]) == 0 {
					delete(want, name)
				}
			}
		}
		n := len(m.groups)
		if n != len(want) || m.names != nil && len(m.names) != n || n > fewGroups && m.names == nil || n <= fewGroups/2 && m.names != nil {
			t.Fatalf("round %d: %d groups, want %d, %d of them by name", round, n, len(want), len(m.names))
		}
		for i, g := range m.groups {
			got := flat(g.members.list())
			slices.Sort(got)
			if values := slices.Sorted(slices.Values(want[g.name])); !slices.Equal(got, values) || m.find(g.name) != i {
				t.Fatalf("round %d: %s at %d has %v, want %v at %d", round, g.name, m.find(g.name), got, values, i)
			}
		}
		if m.find("none") >= 0 {
			t.Fatalf("round %d: a group that is not there is found", round)
		}
	}
}

// TestResultsOfReplacedLeavesAreRetired looks at the marks that keep them out of the caches.
func TestResultsOfReplacedLeavesAreRetired(t *testing.T) {
	t.Parallel()
	one := newLeaf(1, "", 5)
	if first := one.result(); one.more != nil || first.retired || first != one.result() {
		t.Error("a leaf with one plain subscriber is not small, or its result is built again")
	}
	wide, added := one.insert("q", 6)
	if first := wide.result(); !added || wide == one || !one.result().retired || first.retired || first != wide.result() {
		t.Error("a leaf that was replaced by a wide one is not retired")
	}
	stillWide, removed := wide.remove("q", 6)
	if !removed || stillWide == wide || !wide.result().retired || stillWide.result().retired {
		t.Error("a wide leaf that was replaced is not retired")
	}
	if next, removed := stillWide.remove("", 5); !removed || next != nil || !stillWide.result().retired {
		t.Error("a leaf whose last subscriber was removed is not retired")
	}
	queued := newLeaf(1, "q", 5)
	if next, removed := queued.remove("q", 5); !removed || next != nil || !queued.result().retired {
		t.Error("a leaf whose last queue member was removed is not retired")
	}
	parts := []part[int]{{wide, wide.result()}, {one, newLeaf(2, "", 7).result()}}
	if !merge(parts).retired {
		t.Error("what was merged of a retired result is not retired")
	}
	slices.Reverse(parts)
	if !merge(parts).retired {
		t.Error("what was merged of a retired result behind another is not retired")
	}
}

// TestWhatAMatchHasFoundStaysWhole looks at the result of a leaf that is replaced between the moment
// that a match finds it and the moment that it asks for its subscribers.
func TestWhatAMatchHasFoundStaysWhole(t *testing.T) {
	t.Parallel()
	one := newLeaf(1, "", 5)
	one.remove("", 5)
	if r := one.result(); !r.retired || r.Count() != 1 || r.Empty() || !slices.Equal(plain(r), []int{5}) {
		t.Errorf("got %d subscribers, %v, want 5", r.Count(), plain(r))
	}
}

// TestALeafIsSmallAgain has patterns that have one plain subscriber, get others, and lose them again:
// it takes as little memory then as before, and is as usual in the list.
func TestALeafIsSmallAgain(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"a.b", "a.*", "a.>"} {
		for _, queue := range []string{"", "q"} {
			l := New[int]()
			leaf := func() *leaf[int] {
				for _, found := range [][]part[int]{l.index.shard(maphash.String(l.gens.seed, pattern)).collect([]byte("a.b"), nil), l.trie.collect([]byte("a.b"), nil)} {
					if len(found) > 0 {
						return found[0].leaf
					}
				}
				return nil
			}
			insert(t, l, pattern, "", 1)
			insert(t, l, pattern, queue, 2)
			if leaf().more == nil {
				t.Errorf("%s: a leaf with two subscribers is small", pattern)
			}
			if l.Remove(pattern, queue, 2); leaf().more != nil || leaf().result().retired || leaf().result().Count() != 1 {
				t.Errorf("%s: a leaf with one subscriber is not small, or not in the list", pattern)
			}
			if l.Remove(pattern, "", 1); leaf() != nil {
				t.Errorf("%s: a leaf without a subscriber is there", pattern)
			}
		}
	}
}

// groupOf returns a queue group with parts of random sizes, and its members.
func groupOf(t *testing.T, parts, most int) (*Group[int], []int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(parts), uint64(most)))
	var found []part[int]
	var want []int
	for i := range parts {
		lf := newLeaf(uint64(i), "q", len(want))
		want = append(want, len(want))
		for range rng.IntN(most) {
			lf.insert("q", len(want))
			want = append(want, len(want))
		}
		found = append(found, part[int]{lf, lf.result()})
	}
	return &merge(found).Queues()[0], want
}

// TestMembersInOrder looks at groups of few and many parts, small and large, member by member and from
// each one on.
func TestMembersInOrder(t *testing.T) {
	t.Parallel()
	for parts := 1; parts < 4*fewParts; parts += 1 + parts/5 {
		for _, most := range []int{1, 3, 3 * setSize} {
			g, want := groupOf(t, parts, most)
			if g.Len() != len(want) {
				t.Fatalf("%d members, want %d", g.Len(), len(want))
			}
			for i := range want {
				if g.At(i) != want[i] {
					t.Fatalf("%d parts: member %d of %d is %d, want %d", parts, i, len(want), g.At(i), want[i])
				}
			}
			for i := 0; i < len(want); i += 1 + len(want)/99 {
				got := slices.Collect(g.From(i))
				if !slices.Equal(got, slices.Concat(want[i:], want[:i])) {
					t.Fatalf("%d parts: from member %d of %d on: %v", parts, i, len(want), got)
				}
				left := 1 + i
				for range g.From(i) {
					if left--; left == 0 {
						break
					}
				}
				if left != 0 {
					t.Errorf("%d parts: from member %d of %d on there are %d too few", parts, i, len(want), left)
				}
			}
		}
	}
}

// TestSpeedMembersOfManyParts looks at each member of a group of very many parts: a binary search may
// take so many times as long as to go through all of them once, but a sequential one takes thousands
// of times as long. The shortest of some attempts counts.
func TestSpeedMembersOfManyParts(t *testing.T) {
	skipUnderRace(t)
	const parts, most = 16_384, 200
	g, _ := groupOf(t, parts, 1)
	least, sum := [2]time.Duration{time.Hour, time.Hour}, 0
	for range 5 {
		start := time.Now()
		for v := range g.From(0) {
			sum += v
		}
		least[0] = min(least[0], time.Since(start))
		start = time.Now()
		for i := range g.Len() {
			sum -= g.At(i)
		}
		least[1] = min(least[1], time.Since(start))
	}
	t.Logf("in order %v, one by one %v", least[0], least[1])
	if least[1] > most*least[0] || sum != 0 {
		t.Errorf("one by one they take %v, and in order %v, want %d times that at most", least[1], least[0], most)
	}
}

// TestResultsThatAreEmpty has results with plain subscribers, with queue groups, with both and with
// neither.
func TestResultsThatAreEmpty(t *testing.T) {
	t.Parallel()
	l := New[int]()
	insert(t, l, "plain", "", 1)
	insert(t, l, "queue", "q", 2)
	insert(t, l, "both", "", 3)
	insert(t, l, "both", "q", 4)
	for subject, want := range map[string]bool{"plain": false, "queue": false, "both": false, "none": true} {
		if got := l.Match([]byte(subject)).Empty(); got != want {
			t.Errorf("%s: empty is %v", subject, got)
		}
	}
}

// wideLeaf returns a leaf with two subscribers.
func wideLeaf(hash uint64, v int) *leaf[int] {
	lf, _ := newLeaf(hash, "", v).insert("", v+1)
	return lf
}

func TestMergedResultsAreShared(t *testing.T) {
	t.Parallel()
	l := New[int]()
	m := &l.merges
	a, b := wideLeaf(3<<40, 1), wideLeaf(5, 10)
	c := wideLeaf(b.hash^1<<40, 20) // with a in the same slot as b
	of := func(leaves ...*leaf[int]) (found []part[int]) {
		for _, lf := range leaves {
			found = append(found, part[int]{lf, lf.result()})
		}
		return found
	}
	filled := func() (n int) {
		for i := range m.slots {
			if m.slots[i].Load() != nil {
				n++
			}
		}
		return n
	}
	if first := l.merged(of(a, b)); filled() != 0 || first.Count() != 4 {
		t.Error("a combination is kept that was looked up once")
	}
	ab := l.merged(of(a, b))
	if l.merged(of(a, b)) != ab || filled() != 1 {
		t.Error("a combination that is looked up again is not shared")
	}
	l.merged(of(a, c))
	ac := l.merged(of(a, c))
	if l.merged(of(a, c)) != ac || l.merged(of(a, b)) != ab || ab == ac || filled() != 2 {
		t.Error("two combinations in a pair of slots are not both shared")
	}
	if mergeHash(of(a, b)) == mergeHash(of(b, a)) || mergeHash(of(a, b)) == mergeHash(of(a)) {
		t.Error("the hash of a combination does not depend on each part and its place")
	}
	for i := range mergeSlots {
		m.dropStale(i)
	}
	if filled() != 2 {
		t.Error("combinations in use are dropped")
	}
	b.change(func() bool { return b.more.add("", 99) })
	for i := range mergeSlots {
		m.dropStale(i)
	}
	if filled() != 1 || l.merged(of(a, c)) != ac {
		t.Error("not only the combination is dropped of which a pattern has changed")
	}
	b.result()
	l.merged(of(a, b))
	if ab := l.merged(of(a, b)); ab.Count() != 5 {
		t.Errorf("after a change %d subscribers, want 5", ab.Count())
	}
	one := newLeaf(7, "", 1)
	one.retire()
	for range 3 {
		l.merged(of(a, one))
	}
	for i := range m.slots {
		if c := m.slots[i].Load(); c != nil && c.result.retired {
			t.Error("a result of a pattern that is no longer in the list is kept")
		}
	}
}
