package sublist

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hits returns how many of the subjects the cache answers.
func hits(l *List[int], subjects []string) int64 {
	before := cacheHits(l)
	for _, s := range subjects {
		l.Match([]byte(s))
	}
	return cacheHits(l) - before
}

// cacheHits is Stats().CacheHits without the look through the cache.
func cacheHits(l *List[int]) (n int64) {
	for i := range l.counts.stripes {
		n += l.counts.stripes[i].hits.Load()
	}
	return n
}

// TestChangeLeavesOtherFamiliesCached changes one thing many times and wants the cache to go on
// answering for the rest.
func TestChangeLeavesOtherFamiliesCached(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, pattern string // %d is a number
		changes       int
		cached        int64 // of 64 subjects orders.eu.N, at least
	}{
		{"a new literal inbox", "_INBOX.%d", 1, 64},
		{"a hundred literal inboxes", "_INBOX.%d", 100, 55},
		{"a hundred wildcard inboxes", "_INBOX.%d.*", 100, 55},
		{"a hundred changes of one pattern in another family", "billing.>", 100, 63},
		{"a hundred changes of another second token", "orders.us.>", 100, 63},
		{"a literal with the same first tokens", "orders.eu.other", 100, 63},
		{"one of the literals themselves", "orders.eu.7", 1, 60},
		{"a pattern in the same family", "orders.*.7", 1, 0},
		{"a wildcard in first place", "*.eu.7", 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []int64
			for range 8 {
				got = append(got, cachedAfter(t, tt.pattern, tt.changes))
			}
			slices.Sort(got)
			if tt.cached == 0 && got[7] > 0 || got[4] < tt.cached {
				t.Errorf("of 64 cached, %v are left in 8 lists, want %d", got, tt.cached)
			}
		})
	}
}

// cachedAfter returns how many of 64 cached subjects are still cached after changes of pattern.
// Each call has hashes of its own: by chance, a change may concern the same counter as a subject
// that it does not touch.
func cachedAfter(t *testing.T, pattern string, changes int) int64 {
	t.Helper()
	l := New[int]()
	insert(t, l, "orders.>", "", 1)
	subjects := patternsOf("orders.eu.%d", 64)
	for range 3 {
		hits(l, subjects)
	}
	if got := hits(l, subjects); got != 64 {
		t.Fatalf("before, %d of 64 are cached", got)
	}
	for _, p := range patternsOf(pattern, changes) {
		insert(t, l, p, "", 2)
		l.Remove(p, "", 2)
	}
	return hits(l, subjects)
}

func TestNoSubscriberIsCachedToo(t *testing.T) {
	t.Parallel()
	l := New[int]()
	subjects := []string{"unheard"}
	if got := []int64{hits(l, subjects), hits(l, subjects), hits(l, subjects)}; got[0] != 0 || got[1] != 1 || got[2] != 1 {
		t.Errorf("hits = %v, want the second time", got)
	}
}

// TestMillionSubjectsDoNotThrash sends a million distinct subjects past a few that are used all the
// time.
func TestMillionSubjectsDoNotThrash(t *testing.T) {
	t.Parallel()
	l := New[int]()
	for i, p := range fourWild {
		insert(t, l, p, "", i)
	}
	hot := patternsOf("hot.%d", 100)
	for range 3 {
		hits(l, hot)
	}
	subject := make([]byte, 0, 64)
	var hotHits int64
	n := 1_000_000
	if raceEnabled {
		n /= 5
	}
	for i := range n {
		subject = fmt.Appendf(subject[:0], "orders.eu.%d.new", i)
		if n := l.Match(subject).Count(); n != len(fourWild) {
			t.Fatalf("%s has %d subscribers", subject, n)
		}
		if i%1000 == 999 {
			hotHits += hits(l, hot)
		}
	}
	if want := int64(n / 10 * 99 / 100); hotHits < want {
		t.Errorf("hot subjects hit %d times, want at least %d", hotHits, want)
	}
	if got := l.Stats().CacheEntries; got > admitAtOnce+1000 {
		t.Errorf("%d entries, want few: subjects seen once are not admitted after the first ones", got)
	}
	for range 3 { // all admitted, if there were room
		for i := range n / 10 {
			subject = fmt.Appendf(subject[:0], "other.%d", i/2)
			l.Match(subject)
		}
	}
	if n := l.Stats().CacheEntries; n > cacheSets*ways {
		t.Errorf("%d entries, want at most %d", n, cacheSets*ways)
	}
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSpeedMemory bounds what subscriptions take, beyond the caller's own strings and values, and
// wants it back after they are gone.
func TestSpeedMemory(t *testing.T) {
	skipUnderRace(t)
	tests := []struct {
		name, format, queue string
		subs                int
		perSub              int64 // bytes, at most
		perMatched          int64 // the same after every subject was matched
	}{
		{"literals", "orders.eu.%d.new", "", 300_000, 100, 160},
		{"wildcards in the third place", "orders.%d.*", "", 200_000, 260, 320},
		{"tails", "orders.%d.>", "", 200_000, 180, 240},
		{"literal queue groups", "orders.eu.%d.new", "g", 100_000, 500, 700},
		{"one subject", "orders", "", 200_000, 120, 120},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, subjects := New[int](), patternsOf(tt.format, tt.subs)
			base := heap()
			for i, s := range subjects {
				insert(t, l, s, tt.queue, i)
			}
			full := (heap() - base) / int64(tt.subs)
			for _, s := range subjects {
				l.Match([]byte(s))
			}
			matched := (heap() - base) / int64(tt.subs)
			for i, s := range subjects {
				if !l.Remove(s, tt.queue, i) {
					t.Fatalf("Remove(%q) found nothing", s)
				}
			}
			left := heap() - base
			t.Logf("%d B per subscription, %d B when matched, %d KB left", full, matched, left>>10)
			if full > tt.perSub || matched > tt.perMatched {
				t.Errorf("%d and %d B, want at most %d and %d", full, matched, tt.perSub, tt.perMatched)
			}
			if left > 1<<20 {
				t.Errorf("%d KB left, want at most 1024", left>>10)
			}
			runtime.KeepAlive(subjects)
			runtime.KeepAlive(l)
		})
	}
}

// TestRemovedValuesAreLetGo wants a removed value to be collected soon, although it was in cached
// results.
func TestRemovedValuesAreLetGo(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"foo.bar", "foo.*", "foo.>"} {
		l := New[*[64]byte]()
		others := [2]*[64]byte{{}, {1}}
		for _, o := range others {
			if err := l.Insert("*.bar", "", o); err != nil {
				t.Fatal(err)
			}
		}
		gone := make(chan struct{})
		func() {
			v := new([64]byte)
			runtime.AddCleanup(v, func(ch chan struct{}) { close(ch) }, gone)
			if err := l.Insert(pattern, "", v); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				l.Match([]byte("foo.bar"))
			}
			l.Remove(pattern, "", v)
		}()
		for range cacheSets / sweepStep { // other people's changes sweep the caches
			if err := l.Insert("other.*", "", others[0]); err != nil {
				t.Fatal(err)
			}
			l.Remove("other.*", "", others[0])
		}
		runtime.GC()
		<-gone
		runtime.KeepAlive(l)
	}
}

func TestSpeedNoAllocations(t *testing.T) {
	skipUnderRace(t)
	l, subjects := New[int](), distinctSubjects(200_000)
	for i, p := range fourWild {
		insert(t, l, p, "", i)
	}
	var c Cursor[int]
	i := 0
	tests := []struct {
		name string
		run  func()
	}{
		{"a cursor's hit", func() { c.Match(l, subjects[0]) }},
		{"a cache hit", func() { l.Match(subjects[0]) }},
		{"a miss", func() { i++; l.Match(subjects[i]) }},
		{"a cursor's miss", func() { i++; c.Match(l, subjects[i]) }},
		{"a flush", func() { c.Match(l, subjects[0]); c.Flush(l) }},
	}
	for _, tt := range tests {
		for range 3 {
			tt.run()
		}
		if got := testing.AllocsPerRun(10_000, tt.run); got != 0 {
			t.Errorf("%s: %v allocations", tt.name, got)
		}
	}
}

// TestSpeedOneSubject wants the n-th subscriber of a subject not to cost n: twenty times as many
// must not take much longer each. The shortest of some attempts counts, as the machine may be busy.
func TestSpeedOneSubject(t *testing.T) {
	skipUnderRace(t)
	const few, many, most = 5_000, 100_000, 12
	for _, subject := range []string{"foo", "foo.*"} {
		for _, queue := range []string{"", "g"} {
			each := func(n int) time.Duration {
				l, start := New[int](), time.Now()
				for i := range n {
					insert(t, l, subject, queue, i)
				}
				for i := range n {
					l.Remove(subject, queue, i)
				}
				return time.Since(start) / time.Duration(n)
			}
			least := time.Hour
			for range 20 {
				least = min(least, each(few))
			}
			took := each(many)
			for i := 0; i < 10 && took > most*least; i++ {
				took = min(took, each(many))
			}
			t.Logf("%s %q: %v each among %d, %v each among %d", subject, queue, least, few, took, many)
			if took > most*least {
				t.Errorf("%s %q: a subscriber of %d took %v, one of %d %v, want %d times that at most", subject, queue, many, took, few, least, most)
			}
		}
	}
}

func skipUnderRace(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("needs real speed, or counts allocations")
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	l, c := New[int](), new(Cursor[int])
	insert(t, l, "foo", "", 1)
	insert(t, l, "foo", "g", 2)
	insert(t, l, "foo", "g", 3)
	insert(t, l, "*", "", 4)
	l.Remove("*", "", 4)
	for range 4 {
		l.Match([]byte("foo"))
	}
	for range 5 {
		c.Match(l, []byte("foo"))
	}
	c.Match(l, []byte("bar"))
	c.Match(l, []byte("bar"))
	if got := l.Stats().Matches; got != 4 {
		t.Errorf("before Flush, Matches = %d, want 4", got)
	}
	c.Flush(l)
	c.Flush(l)
	want := Stats{Subscriptions: 3, CacheEntries: 2, Inserts: 4, Removes: 1, Matches: 6, CacheHits: 4, MaxFanout: 2, AvgFanout: 10.0 / 6}
	if got := l.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
	if got := want.HitRate(); got != 4.0/6 {
		t.Errorf("HitRate = %v", got)
	}
	if got := (Stats{}).HitRate(); got != 0 {
		t.Errorf("HitRate of nothing = %v", got)
	}
}

// TestFanoutOfEachWayToMatch has the most receivers of one match in the statistics, however they are
// counted.
func TestFanoutOfEachWayToMatch(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]func(l *List[int], subject string){
		"of the list": func(l *List[int], subject string) { l.Match([]byte(subject)) },
		"of a cursor": func(l *List[int], subject string) {
			var c Cursor[int]
			c.Match(l, []byte(subject))
			c.Flush(l)
		},
		"of a cursor that goes on to another list": func(l *List[int], subject string) {
			var c Cursor[int]
			c.Match(l, []byte(subject))
			c.Match(New[int](), []byte(subject))
		},
	} {
		l := New[int]()
		for i := range 5 {
			insert(t, l, "many", "", i)
		}
		insert(t, l, "one", "", 1)
		for _, subject := range []string{"one", "many", "one", "none"} {
			match(l, subject)
		}
		if got := l.Stats(); got.MaxFanout != 5 || got.Matches != 4 || got.AvgFanout != 7.0/4 {
			t.Errorf("%s: got %+v, want at most 5 receivers, 7 of 4 matches", name, got)
		}
	}
}

// TestTheMostReceiversOfGoroutines has several goroutines count matches at the same time.
func TestTheMostReceiversOfGoroutines(t *testing.T) {
	t.Parallel()
	for round := range 300 {
		var c counters
		var matching sync.WaitGroup
		const goroutines, each = 4, 20
		for i := range goroutines {
			matching.Go(func() {
				for n := range each {
					c.match(uint64(n)<<32, n*goroutines+i, false)
				}
			})
		}
		matching.Wait()
		if got, want := c.maxFanout.Load(), int64(goroutines*each-1); got != want {
			t.Fatalf("round %d: at most %d, want %d", round, got, want)
		}
	}
}

// TestDropStaleAfterWhatCameAndWent has a subscription come and go between two calls: there are as
// many as before, but what was cached of it is dropped.
func TestDropStaleAfterWhatCameAndWent(t *testing.T) {
	t.Parallel()
	l := New[int]()
	for i := range 5 {
		pattern := fmt.Sprintf("a%d.*", i)
		insert(t, l, pattern, "", i)
		l.Match(fmt.Appendf(nil, "a%d.b", i))
		l.Remove(pattern, "", i)
		l.DropStale()
		if got := l.Stats().CacheEntries; got != 0 {
			t.Errorf("%d results are cached, want none", got)
		}
	}
}

// TestMergedResultsOfRemovedPatternsAreDropped has one of two patterns removed whose merged result is
// kept, by a call and by the removals of other patterns.
func TestMergedResultsOfRemovedPatternsAreDropped(t *testing.T) {
	t.Parallel()
	for name, sweep := range map[string]func(l *List[int]){
		"a call": func(l *List[int]) { l.DropStale() },
		"other removals": func(l *List[int]) {
			for range max(cacheSets, mergeSlots) / sweepStep {
				insert(t, l, "other.*", "", 1)
				l.Remove("other.*", "", 1)
			}
		},
	} {
		l := New[int]()
		merged := func() (n int) {
			for i := range l.merges.slots {
				if l.merges.slots[i].Load() != nil {
					n++
				}
			}
			return n
		}
		const pairs = 40
		for i := range pairs {
			insert(t, l, fmt.Sprintf("a.%d.*", i), "", 1)
			insert(t, l, fmt.Sprintf("a.%d.>", i), "", 2)
			for k := range 4 { // different subjects of the same patterns
				l.Match(fmt.Appendf(nil, "a.%d.%d", i, k))
			}
		}
		if got := merged(); got < pairs/2 {
			t.Fatalf("%d of %d merged results are kept", got, pairs)
		}
		for i := range pairs {
			l.Remove(fmt.Sprintf("a.%d.*", i), "", 1)
		}
		if sweep(l); merged() != 0 {
			t.Errorf("after %s %d merged results of removed patterns are kept", name, merged())
		}
	}
}

// TestALiteralThatIsRemovedIsNotCached removes patterns without wildcards; nothing sweeps the caches
// for them.
func TestALiteralThatIsRemovedIsNotCached(t *testing.T) {
	t.Parallel()
	l := New[int]()
	for i := range 50 {
		subject := fmt.Sprint("a.", i)
		insert(t, l, subject, "", i)
		l.Match([]byte(subject))
		l.Remove(subject, "", i)
	}
	if got := l.Stats().CacheEntries; got != 0 {
		t.Errorf("%d results are cached, want none", got)
	}
}

// TestSubjectsThatDifferInTheMiddleOnly has a cursor match them in turn: it remembers subjects by their
// beginnings and ends.
func TestSubjectsThatDifferInTheMiddleOnly(t *testing.T) {
	t.Parallel()
	l := New[int]()
	var c Cursor[int]
	subjects := []string{"beginning.a.the.end.of.it", "beginning.b.the.end.of.it", "beginning.c.the.end.of.it"}
	for i, s := range subjects {
		insert(t, l, s, "", i)
	}
	for range 3 {
		for i, s := range subjects {
			if got := plain(c.Match(l, []byte(s))); !slices.Equal(got, []int{i}) {
				t.Errorf("%s: got %v, want %d", s, got, i)
			}
		}
	}
}

// TestWhatACursorCounts looks which matches of a cursor are in the statistics: not those of one of a
// few subjects in turn that the cache has.
func TestWhatACursorCounts(t *testing.T) {
	t.Parallel()
	l := New[int]()
	insert(t, l, "*", "", 1)
	var c Cursor[int]
	count := func(subjects ...string) int64 {
		before := l.Stats().Matches
		for _, s := range subjects {
			c.Match(l, []byte(s))
		}
		c.Flush(l)
		return l.Stats().Matches - before
	}
	for _, tt := range []struct {
		name     string
		subjects []string
		want     int64
	}{
		{"new ones", []string{"a", "b", "c"}, 3},
		{"the same ones in turn", []string{"a", "b", "c", "a", "b", "c"}, 0},
		{"the same ones in another order", []string{"c", "a", "b"}, 0},
		{"one more", []string{"d", "a", "d", "d"}, 1},
	} {
		if got := count(tt.subjects...); got != tt.want {
			t.Errorf("%s: %d are counted, want %d", tt.name, got, tt.want)
		}
	}
	insert(t, l, "x.*", "", 2)
	if got := count("a", "b", "a"); got != 2 {
		t.Errorf("after a change %d are counted, want each once", got)
	}
	many := make([]string, 20) // more than it holds
	for i := range many {
		many[i] = fmt.Sprintf("many%d", i)
	}
	for round, want := range []int64{20, 0, 0} {
		if got := count(many...); got != want {
			t.Errorf("round %d of %d subjects in turn: %d are counted, want %d", round, len(many), got, want)
		}
	}
	long := strings.Repeat("x", maxCursorSubject+1)
	if got := count(long, long, long); got != 3 {
		t.Errorf("of subjects that are not kept %d are counted, want 3", got)
	}
	var fresh Cursor[int]
	fresh.Match(l, []byte("e"))
	if fresh.Reset(); fresh.list != nil || fresh.last.result != nil || fresh.recent != nil || fresh.tally != (tally{}) {
		t.Error("Reset leaves something")
	}
}

// TestACursorOnSubjectsInTurn matches subjects while subscriptions come and go,
// and compares with the list.
func TestACursorOnSubjectsInTurn(t *testing.T) {
	t.Parallel()
	l, c := New[int](), new(Cursor[int])
	subjects := []string{"a", "b", "a.b", "same.beginning.1", "same.beginning.2", "1.same.end", "2.same.end", "eightlet"}
	for i := range 8 {
		subjects = append(subjects, fmt.Sprintf("price.%d", i))
	}
	patterns := append([]string{"*", ">", "*.*", "same.>", "price.*"}, subjects...)
	r := rand.New(rand.NewPCG(1, 9))
	for i := range 5000 {
		if pattern := patterns[r.IntN(len(patterns))]; i%7 == 0 {
			if r.IntN(2) == 0 {
				insert(t, l, pattern, "", i%50)
			} else {
				l.Remove(pattern, "", i%50)
			}
		}
		if i%11 == 0 {
			c.DropStale()
		}
		subject := []byte(subjects[r.IntN(1+i/500)])
		got, want := plain(c.Match(l, subject)), plain(l.Match(subject))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("match %d, of %s: got %v, want %v", i, subject, got, want)
		}
	}
	for _, subject := range subjects {
		c.Match(l, []byte(subject))
	}
	insert(t, l, ">", "", -1)
	c.DropStale()
	if c.last.result != nil {
		t.Errorf("the result of %s is held, and a subscription was added", c.subject)
	}
}

// TestMissesAreNotedOneTimeInFour counts over all states that a cursor passes through.
func TestMissesAreNotedOneTimeInFour(t *testing.T) {
	t.Parallel()
	var c Cursor[int]
	noted, seen := 0, map[uint32]bool{}
	const n = 40_000
	for range n {
		if c.chance() {
			noted++
		}
		seen[c.random] = true
	}
	if noted < n*24/100 || noted > n*26/100 || len(seen) != n {
		t.Errorf("%d of %d misses are noted, %d different numbers", noted, n, len(seen))
	}
}

// TestSubjectsThatWereHitStay looks which entry of a set is replaced, and that one writer at a time
// replaces.
func TestSubjectsThatWereHitStay(t *testing.T) {
	t.Parallel()
	var g generations
	var s set[int]
	entryOf := func(subject string) *entry[int] {
		return &entry[int]{subject: []byte(subject), result: new(Result[int])}
	}
	for i := range ways {
		if got := s.victim(&g); got != i {
			t.Fatalf("the victim is %d, want the free entry %d", got, i)
		}
		s.put(i, uint16(i+1), entryOf(string(rune('a'+i))))
	}
	for i := range ways {
		subject := []byte{byte('a' + i)}
		if e, way := s.find(subject, uint16(i+1)); e == nil || way != i || string(e.subject) != string(subject) {
			t.Errorf("%s is not found in %d", subject, i)
		}
		if e, _ := s.find(subject, 99); e != nil {
			t.Errorf("%s is found by a tag that it has not", subject)
		}
		if got := s.victim(&g); got != i {
			t.Errorf("the victim is %d, want %d", got, i)
		}
		s.markHit(i)
	}
	if got := s.victim(&g); got != -1 {
		t.Errorf("the victim is %d, though all were hit", got)
	}
	if got := s.victim(&g); got != 0 {
		t.Errorf("the next victim is %d, want 0: all had their second chance", got)
	}
	stale := entryOf("c")
	stale.stamp = 1
	s.put(2, 3, stale)
	if got := s.victim(&g); got != 2 {
		t.Errorf("the victim is %d, want the stale one", got)
	}
	s.dropStale(&g)
	if s.ways[2].Load() != nil || s.ways[1].Load() == nil {
		t.Error("not only the stale entry is dropped")
	}
	s.busy.Store(1)
	if s.put(2, 9, entryOf("x")); s.ways[2].Load() != nil {
		t.Error("two write to one set")
	}
	if s.missedBefore(7, false) || s.missedBefore(7, true) || !s.missedBefore(7, false) || s.missedBefore(8, false) {
		t.Error("not the miss that was noted last is known")
	}
}

// TestTagsAreThoseOfTheirEntries has goroutines write to the ways of a set at the same time, each to
// one of its own. An entry may be dropped then, but none is left under the tag of another.
func TestTagsAreThoseOfTheirEntries(t *testing.T) {
	t.Parallel()
	var s set[int]
	var writers sync.WaitGroup
	for way := range ways {
		writers.Go(func() {
			for tag := range uint16(20_000) {
				s.put(way, tag, &entry[int]{subject: []byte{byte(way), byte(tag), byte(tag >> 8)}})
				e := s.ways[way].Load()
				if e == nil {
					continue
				}
				if found, _ := s.find(e.subject, uint16(e.subject[1])|uint16(e.subject[2])<<8); found != e {
					t.Errorf("entry %d in way %d is not found by its tag", tag, way)
					return
				}
			}
		})
	}
	writers.Wait()
}

func TestAsManySubjectsAreAdmittedAtOnce(t *testing.T) {
	t.Parallel()
	l := New[int]()
	admitted := 0
	for range 2 * admitAtOnce {
		if l.admitsFirst() {
			admitted++
		}
	}
	if admitted != admitAtOnce {
		t.Errorf("%d subjects are admitted when they are first seen, want %d", admitted, admitAtOnce)
	}
	l = New[int]()
	for size, want := range map[int]int64{maxCachedSubject: 1, maxCachedSubject + 1: 1} {
		l.Match([]byte(strings.Repeat("x", size)))
		if got := l.Stats().CacheEntries; got > want {
			t.Errorf("%d subjects are cached, want those of at most %d bytes", got, maxCachedSubject)
		}
	}
	if got := l.Stats().CacheEntries; got != 1 {
		t.Errorf("%d subjects are cached, want 1", got)
	}
}

// TestEveryChangeIsSeenByCachedSubjects has patterns whose tokens differ in length.
func TestEveryChangeIsSeenByCachedSubjects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ pattern, subject string }{
		{"a", "a"}, {"*", "a"}, {">", "a"}, {"a.*", "a.b"}, {"a.>", "a.long.c"}, {"a.long.>", "a.long.c"}, {"long.a.*", "long.a.c"},
		{"long.a.b.*", "long.a.b.c"}, {"*.b", "a.b"}, {"a.long.*.d", "a.long.c.d"}, {".a.*", ".a.b"}, {"a.b", "a.b"},
	} {
		l := New[int]()
		for range 3 {
			l.Match([]byte(tt.subject))
		}
		if err := l.Insert(tt.pattern, "", 1); err != nil {
			continue // not a subject that can be subscribed to
		}
		if got := l.Match([]byte(tt.subject)).Count(); got != 1 {
			t.Errorf("%s: %d subscribers of %s, want 1", tt.pattern, got, tt.subject)
		}
		l.Remove(tt.pattern, "", 1)
		if got := l.Match([]byte(tt.subject)).Count(); got != 0 {
			t.Errorf("%s: %d subscribers of %s after it was removed", tt.pattern, got, tt.subject)
		}
	}
}

func TestMapsShrink(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ n, peak, want int }{
		{0, 8, 8}, {0, 9, 0}, {1, 63, 63}, {8, 64, 64}, {7, 64, 7}, {100, 800, 800}, {99, 800, 99}, {0, 0, 0},
	} {
		m := map[string]int{}
		for i := range tt.n {
			m[strings.Repeat("x", i)] = i
		}
		got, peak := shrunk(m, tt.peak)
		if peak != tt.want || len(got) != tt.n || (got == nil) != (tt.peak == 9) {
			t.Errorf("%d of %d: got %d of %d, want a peak of %d", tt.n, tt.peak, len(got), peak, tt.want)
		}
		for k, v := range m {
			if w, ok := got[k]; !ok || w != v {
				t.Errorf("%d of %d: %q is lost", tt.n, tt.peak, k)
			}
		}
	}
	l := New[int]()
	used := func() (n int) {
		for i := range l.index {
			if l.index[i].used.Load() {
				n++
			}
		}
		return n
	}
	insert(t, l, "a", "", 1)
	insert(t, l, "a", "", 2)
	if l.Remove("a", "", 1); used() != 1 {
		t.Errorf("%d shards are in use, want 1", used())
	}
	if l.Remove("a", "", 2); used() != 0 {
		t.Errorf("%d shards are in use without a subscription", used())
	}
}

func TestCursorKeepsNothingItWasNotGiven(t *testing.T) {
	t.Parallel()
	a, b, c := New[int](), New[int](), new(Cursor[int])
	insert(t, a, ">", "", 1)
	insert(t, b, ">", "", 2)
	subject := []byte("foo.bar")
	if got := plain(c.Match(a, subject))[0]; got != 1 {
		t.Errorf("Match = %d, want 1", got)
	}
	if got := plain(c.Match(b, subject))[0]; got != 2 {
		t.Errorf("Match in another list = %d, want 2", got)
	}
	insert(t, b, "foo.x", "", 3)
	subject[4] = 'x' // the caller's buffer has another subject now
	if got := c.Match(b, subject[:5]).Count(); got != 2 {
		t.Errorf("Match of another subject has %d, want 2", got)
	}
	long := []byte(strings.Repeat("x", 2*maxCursorSubject))
	for range 2 {
		if got := plain(c.Match(b, long)); len(got) != 1 || got[0] != 2 {
			t.Errorf("Match of a long subject = %v, want 2", got)
		}
	}
	c.Reset()
	if got := c.Match(b, []byte("foo.x")).Count(); got != 2 {
		t.Errorf("Match after Reset has %d, want 2", got)
	}
}

// plain returns the plain subscribers of a result.
func plain[T comparable](r *Result[T]) []T { return slices.Collect(r.All) }

// TestLongSubjectsTakeNoCache looks up, twice, as many long subjects as the cache has entries.
func TestLongSubjectsTakeNoCache(t *testing.T) {
	skipUnderRace(t)
	l := listOf(t, ">", "*.>")
	base := heap()
	long := strings.Repeat("x", 4000)
	for i := range cacheSets * ways {
		for range 2 {
			if n := l.Match(fmt.Appendf(nil, "%d.%s", i, long)).Count(); n != 2 {
				t.Fatalf("got %d subscribers, want 2", n)
			}
		}
	}
	for i := range cacheSets * ways {
		for range 2 {
			l.Match(fmt.Appendf(nil, "%d.%s", i, long[:maxCachedSubject-8]))
		}
	}
	if held := heap() - base; held > 8<<20 {
		t.Errorf("%d bytes are held, want 8 MB at most", held)
	}
	runtime.KeepAlive(l)
}

// TestAMatchOfVeryManyPatternsHoldsLittle matches one subject with 32 768 patterns of 15 tokens, each
// of which has a subscriber of its own. What the result holds, and what was allocated for it, is
// less than the patterns take, and is given back when they are removed.
func TestAMatchOfVeryManyPatternsHoldsLittle(t *testing.T) {
	skipUnderRace(t)
	const depth = 15
	patterns := make([]string, 1<<depth)
	l := New[int]()
	for i := range patterns {
		tokens := []byte("a")
		for k := 1; k < depth; k++ {
			tokens = append(tokens, '.', "a*"[i>>k&1])
		}
		tokens[0] = "a*"[i&1]
		patterns[i] = string(tokens)
	}
	base := heap()
	for i, p := range patterns {
		insert(t, l, p, "", i)
	}
	subject := []byte(strings.Repeat(".a", depth)[1:])
	held := heap() - base
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := new(Cursor[int])
	if got := c.Match(l, subject).Count(); got != len(patterns) {
		t.Fatalf("got %d matches, want %d", got, len(patterns))
	}
	runtime.ReadMemStats(&after)
	if got := int64(after.TotalAlloc - before.TotalAlloc); got > 2*held {
		t.Errorf("a match allocates %d bytes, and the patterns hold %d", got, held)
	}
	if got := heap() - base; got > 2*held {
		t.Errorf("after the match %d bytes are held, and %d before", got, held)
	}
	for i, p := range patterns {
		l.Remove(p, "", i)
	}
	c.Match(l, subject)
	if got := heap() - base; got > held/5 {
		t.Errorf("%d bytes are held when all patterns are removed, and %d were", got, held)
	}
	runtime.KeepAlive(l)
	runtime.KeepAlive(patterns)
	runtime.KeepAlive(c)
}

// TestDropStaleDropsAllThatWasRemoved has results of wildcard patterns in the caches, alone and
// merged, when the last of the patterns is removed.
func TestDropStaleDropsAllThatWasRemoved(t *testing.T) {
	type value [32]byte // small ones share memory
	l := New[*value]()
	const n = 300
	stays := new(value)
	insert(t, l, "stays.*", "", stays)
	var live atomic.Int64
	for i := range n {
		v := new(value)
		live.Add(1)
		runtime.AddCleanup(v, func(int) { live.Add(-1) }, 0)
		pattern, wider := fmt.Sprintf("a.%d.*", i), fmt.Sprintf("a.%d.>", i)
		insert(t, l, pattern, "", v)
		insert(t, l, wider, "", v)
		for range 2 {
			l.Match(fmt.Appendf(nil, "a.%d.x", i))
		}
		l.Match([]byte("stays.x"))
		l.Remove(pattern, "", v)
		l.Remove(wider, "", v)
	}
	l.DropStale()
	for late := time.After(10 * time.Second); live.Load() > 0; {
		runtime.GC()
		select {
		case <-late:
			t.Fatalf("%d of %d removed values are still in memory", live.Load(), n)
		default:
		}
	}
	if got := l.Match([]byte("stays.x")).Count(); got != 1 {
		t.Errorf("got %d matches of what stays, want 1", got)
	}
	runtime.KeepAlive(l)
}
