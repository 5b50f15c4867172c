package sublist

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// everyPattern returns the patterns that a subject of so many tokens matches, each with another token
// at the end, and the subject without that.
func everyPattern(tokens int) (patterns []string, subject string) {
	for i := range 1 << tokens {
		var p []string
		for k := range tokens {
			token := fmt.Sprint("t", k)
			if i>>k&1 == 1 {
				token = oneToken
			}
			p = append(p, token)
		}
		patterns = append(patterns, strings.Join(append(p, oneToken), "."))
	}
	return patterns, strings.TrimSuffix(patterns[0], oneToken)
}

// TestLargeResultsAreShared matches subjects with more than a thousand patterns: all but the first one
// have the same result, in the cache as well.
func TestLargeResultsAreShared(t *testing.T) {
	t.Parallel()
	patterns, subject := everyPattern(10)
	for _, queue := range []string{"", "q"} {
		l := New[int]()
		for i, p := range patterns {
			insert(t, l, p, queue, i)
		}
		l.Match([]byte(subject + "0"))
		subjects := []string{subject + "1", subject + "2", subject + "3"}
		r := l.Match([]byte(subjects[0]))
		if !r.isLarge() || r.Count()+membersIn(r) != len(patterns) {
			t.Errorf("queue %q: %d and %d subscribers of %d patterns", queue, r.Count(), membersIn(r), len(patterns))
		}
		hits(l, subjects)
		if got := hits(l, subjects); got != 3 {
			t.Errorf("queue %q: %d of 3 subjects are cached", queue, got)
		}
		for _, s := range subjects {
			if l.Match([]byte(s)) != r {
				t.Errorf("queue %q: %s has another result", queue, s)
			}
		}
	}
}

// TestLargeResultsAreFoundWithoutAllocations matches a subject of a thousand patterns again.
func TestLargeResultsAreFoundWithoutAllocations(t *testing.T) {
	skipUnderRace(t)
	l := New[int]()
	patterns, subject := everyPattern(10)
	for i, p := range patterns {
		insert(t, l, p, "q", i)
	}
	text := []byte(subject + "1")
	if got := testing.AllocsPerRun(100, func() { l.Match(text) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// membersIn returns how many members all queue groups have.
func membersIn(r *Result[int]) (n int) {
	for _, g := range r.Queues() {
		n += g.Len()
	}
	return n
}

// TestMergingAllocatesOnce merges groups of very many parts, of one name and of several: each list is
// made at once in its size.
func TestMergingAllocatesOnce(t *testing.T) {
	skipUnderRace(t)
	const parts, most = 5000, 10
	for _, names := range []int{1, 3} {
		var found []part[int]
		for i := range parts {
			lf := newLeaf(uint64(i), fmt.Sprint("q", i%names), i)
			found = append(found, part[int]{lf, lf.result()})
		}
		if got := testing.AllocsPerRun(5, func() { merge(found) }); got > most {
			t.Errorf("%v allocations for %d parts of %d groups, want %d at most", got, parts, names, most)
		}
		r := merge(found)
		if got := len(r.Queues()); got != names || membersIn(r) != parts {
			t.Errorf("%d members of %d groups, want %d of %d", membersIn(r), got, parts, names)
		}
	}
}

// TestWordsOfResults compares with what is counted by hand.
func TestWordsOfResults(t *testing.T) {
	t.Parallel()
	l := New[int]()
	for i := range 2*setSize + 1 {
		insert(t, l, "many", "", i)
		insert(t, l, "queue", "q", i)
	}
	insert(t, l, "one", "", 1)
	insert(t, l, "two", "p", 1)
	insert(t, l, "two", "q", 1)
	insert(t, l, "two.*", "p", 1)
	insert(t, l, "two.>", "p", 1)
	insert(t, l, "two.>", "", 1)
	for subject, want := range map[string]int{
		"none": 0, "one": 1, "many": 3,
		"queue": groupWords + partWords + 3, "two": 2 * (groupWords + partWords + 1),
		"two.x": 2*2 + 1 + groupWords + 2*partWords,
	} {
		if got := l.Match([]byte(subject)).Words(); got != want {
			t.Errorf("%s: %d words, want %d", subject, got, want)
		}
	}
}

// TestRoundsOfLargeResults has results admitted until there is no room: each counts once in a round.
func TestRoundsOfLargeResults(t *testing.T) {
	t.Parallel()
	l := New[int]()
	var half [3]Result[int]
	for i := range half {
		half[i].words = maxLarge / 2
	}
	all, tooLarge := &Result[int]{words: maxLarge}, &Result[int]{words: maxLarge + 1}
	for i, tt := range []struct {
		r     *Result[int]
		words int
		round uint32
	}{
		{&half[0], maxLarge / 2, 1},
		{&half[0], maxLarge / 2, 1},
		{&half[1], maxLarge, 1},
		{tooLarge, maxLarge, 1},
		{&half[0], maxLarge, 1},
		{&half[2], maxLarge / 2, 2},
		{&half[0], maxLarge, 2},
		{all, maxLarge, 3},
		{all, maxLarge, 3},
	} {
		if got, want := l.admitLocked(tt.r), tt.r != tooLarge; got != want || l.large.words != tt.words || l.large.round != tt.round {
			t.Errorf("%d: admitted is %v, with %d words in round %d, want %v, %d, %d", i, got, l.large.words, l.large.round, want, tt.words, tt.round)
		}
	}
}

// TestLargeResultsAreDroppedFromBothCaches has a small and a large result in each of them.
func TestLargeResultsAreDroppedFromBothCaches(t *testing.T) {
	t.Parallel()
	l := New[int]()
	for i, words := range []int32{maxSmall, maxSmall + 1} {
		r := &Result[int]{words: words}
		l.cache[7].ways[i].Store(&entry[int]{result: r})
		l.merges.slots[7+i].Store(&merged[int]{result: r})
	}
	l.large.words = maxLarge
	l.admitLocked(&Result[int]{words: maxSmall + 1})
	for i, stays := range []bool{true, false} {
		if cached, merged := l.cache[7].ways[i].Load() != nil, l.merges.slots[7+i].Load() != nil; cached != stays || merged != stays {
			t.Errorf("result %d is in the cache: %v, and among merged ones: %v, want %v", i, cached, merged, stays)
		}
	}
}

// largeWords returns the size of all large results that a list keeps, and how many there are.
func largeWords(l *List[int]) (words, n int) {
	kept := map[*Result[int]]bool{}
	for i := range l.cache {
		for j := range l.cache[i].ways {
			if e := l.cache[i].ways[j].Load(); e != nil {
				kept[e.result] = e.result.isLarge()
			}
		}
	}
	for i := range l.merges.slots {
		if c := l.merges.slots[i].Load(); c != nil {
			kept[c.result] = c.result.isLarge()
		}
	}
	for r, large := range kept {
		if large {
			words += r.Words()
			n++
		}
	}
	return words, n
}

// TestLargeResultsAreBounded has the results of a subject after each change kept until there is no
// room: of one pattern, and merged of two. Small ones stay then.
func TestLargeResultsAreBounded(t *testing.T) {
	t.Parallel()
	for _, patterns := range [][]string{{"a.*"}, {"a.*", "a.>"}} {
		l := New[int]()
		insert(t, l, "small", "", 1)
		for range 3 {
			l.Match([]byte("small"))
		}
		const groups, of = 4000, 4000 * (groupWords + partWords + 1)
		for i := range groups {
			insert(t, l, patterns[0], fmt.Sprint("q", i), i)
		}
		for _, p := range patterns {
			insert(t, l, p, "", 1)
		}
		most := 0
		for i := range 3 * maxLarge / of {
			insert(t, l, patterns[0], "", i+2) // the results before stay in the cache, for other subjects
			for range 2 {
				l.Match(fmt.Appendf(nil, "a.%d", i))
				l.Match(fmt.Appendf(nil, "a.%d", i+100_000))
			}
			words, n := largeWords(l)
			if most = max(most, n); words > maxLarge || n == 0 {
				t.Fatalf("%q: after %d changes %d results of %d words are kept, want some, of %d words at most", patterns, i, n, words, maxLarge)
			}
		}
		if want := maxLarge / of / 2; most < want {
			t.Errorf("%q: %d large results are kept at most, want %d", patterns, most, want)
		}
		before := cacheHits(l)
		if l.Match([]byte("small")); cacheHits(l) != before+1 {
			t.Errorf("%q: a small result is not kept", patterns)
		}
	}
}

// TestLargeResultsOfGoroutinesAreBounded has several goroutines change patterns and match them, at the
// same time, so that all large results are dropped a few times.
func TestLargeResultsOfGoroutinesAreBounded(t *testing.T) {
	t.Parallel()
	const goroutines, groups, rounds = 4, 2000, 50
	l := New[int]()
	var matching sync.WaitGroup
	for i := range goroutines {
		pattern, other := fmt.Sprintf("a%d.*", i), fmt.Sprintf("a%d.>", i)
		insert(t, l, other, "", 1)
		for k := range groups {
			insert(t, l, pattern, fmt.Sprint("q", k), k)
		}
		matching.Go(func() {
			for k := range rounds {
				insert(t, l, other, "", k+2)
				for range 3 {
					if r := l.Match(fmt.Appendf(nil, "a%d.%d", i, k)); r.Count() != k+2 || len(r.Queues()) != groups {
						t.Errorf("%d subscribers, %d groups", r.Count(), len(r.Queues()))
					}
				}
			}
		})
	}
	matching.Wait()
	if words, n := largeWords(l); words > maxLarge || n == 0 || l.large.round == 1 {
		t.Errorf("%d large results of %d words are kept in round %d", n, words, l.large.round)
	}
}

// TestAResultThatIsTooLargeIsNotCached has one of a pattern, and then merged of two, that is larger than
// all may be: others stay.
func TestAResultThatIsTooLargeIsNotCached(t *testing.T) {
	t.Parallel()
	l := New[int]()
	for i := range 2 * maxSmall {
		insert(t, l, "a", fmt.Sprint("q", i), i)
	}
	a := l.Match([]byte("a"))
	const groups = maxLarge/(groupWords+partWords) + 1
	for i := range groups {
		insert(t, l, "b.c", fmt.Sprint("q", i), i)
	}
	for _, pattern := range []string{"b.c", "b.>"} {
		insert(t, l, pattern, "", 1)
		for range 3 {
			if got := len(l.Match([]byte("b.c")).Queues()); got != groups {
				t.Errorf("with %s there are %d groups, want %d", pattern, got, groups)
			}
		}
		if words, n := largeWords(l); n != 1 || words != a.Words() {
			t.Errorf("with %s %d large results of %d words are kept, want one of %d", pattern, n, words, a.Words())
		}
	}
}
