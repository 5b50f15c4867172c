package sublist

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// obvious is a List as one would write it first.
type obvious []Entry[int]

// match returns what List.Match must contain, as flatten returns it.
func (o obvious) match(subject string) []string {
	var all []string
	for _, e := range o {
		if Matches(e.Subject, subject) {
			all = append(all, fmt.Sprintf("%s/%d", e.Queue, e.Value))
		}
	}
	slices.Sort(all)
	return all
}

// flatten returns "queue/value" for all subscribers in r, sorted. It fails the test if a group
// comes twice or is empty.
func flatten(t *testing.T, r *Result[int]) []string {
	t.Helper()
	var all []string
	for v := range r.All {
		all = append(all, fmt.Sprintf("/%d", v))
	}
	names := map[string]bool{}
	for _, g := range r.Queues() {
		if names[g.Name] || g.Len() == 0 {
			t.Errorf("group %q comes twice or is empty", g.Name)
		}
		names[g.Name] = true
		for i := range g.Len() {
			v := g.At(i)
			all = append(all, fmt.Sprintf("%s/%d", g.Name, v))
		}
	}
	slices.Sort(all)
	return all
}

// wantMatch compares every way to match subject with want.
func wantMatch(t *testing.T, l *List[int], c *Cursor[int], subject string, want []string) {
	t.Helper()
	for range 3 { // not cached, admitted, cached
		if got := flatten(t, l.Match([]byte(subject))); !slices.Equal(got, want) {
			t.Fatalf("Match(%q) = %v, want %v", subject, got, want)
		}
	}
	for range 2 {
		if got := flatten(t, c.Match(l, []byte(subject))); !slices.Equal(got, want) {
			t.Fatalf("Cursor.Match(%q) = %v, want %v", subject, got, want)
		}
	}
}

func insert[T comparable](t testing.TB, l *List[T], subject, queue string, v T) {
	t.Helper()
	if err := l.Insert(subject, queue, v); err != nil {
		t.Fatal(err)
	}
}

// wantAll compares what All and Count say with o.
func wantAll(t *testing.T, l *List[int], o obvious) {
	t.Helper()
	less := func(a, b Entry[int]) int {
		if c := strings.Compare(a.Subject+" "+a.Queue, b.Subject+" "+b.Queue); c != 0 {
			return c
		}
		return a.Value - b.Value
	}
	want := slices.Clone(o)
	slices.SortFunc(want, less)
	got := obvious(slices.Collect(l.All))
	slices.SortFunc(got, less)
	if !slices.Equal(got, want) {
		t.Fatalf("All = %v, want %v", got, want)
	}
	if l.Count() != len(o) {
		t.Fatalf("Count = %d, want %d", l.Count(), len(o))
	}
}

func TestInvalidSubjects(t *testing.T) {
	t.Parallel()
	l := New[int]()
	for _, s := range []string{">", "foo", "foo.>", "foo.bar"} {
		insert(t, l, s, "", 1)
	}
	for _, s := range []string{"", ".", "foo.", ".foo", "foo..bar", ">.foo", "foo.>.bar", "foo.>.>"} {
		if err := l.Insert(s, "", 1); !errors.Is(err, ErrInvalidSubject) {
			t.Errorf("Insert(%q) = %v, want ErrInvalidSubject", s, err)
		}
		if l.Remove(s, "", 1) {
			t.Errorf("Remove(%q) found something", s)
		}
	}
	wantAll(t, l, obvious{{">", "", 1}, {"foo", "", 1}, {"foo.>", "", 1}, {"foo.bar", "", 1}})
}

func TestIterationStopsWhereItIsTold(t *testing.T) {
	t.Parallel()
	l := New[int]()
	patterns := []string{"a", "b", "a.b", "a.*", "a.>", ">", "*.b.c", "a.b.*.d", "a.b.*.e", "a.b.*.e.>", "a.z.*.y", "z.*", "z.y.*"}
	for i, p := range patterns {
		insert(t, l, p, "", i)
		insert(t, l, p, "q", i)
	}
	for stop := 1; stop <= 2*len(patterns); stop++ {
		seen := map[Entry[int]]bool{}
		for e := range l.All {
			if seen[e] = true; len(seen) == stop {
				break
			}
		}
		if len(seen) != stop {
			t.Errorf("%d entries, want %d", len(seen), stop)
		}
	}
}

func insertAll(t testing.TB, l *List[int], batch []Entry[int]) {
	t.Helper()
	for _, e := range batch {
		insert(t, l, e.Subject, e.Queue, e.Value)
	}
}

func TestBatchesTakeTurns(t *testing.T) {
	t.Parallel()
	l := New[int]()
	if l.RemoveBatch(nil) != 0 {
		t.Error("a batch of nothing does something")
	}
	batch := make([]Entry[int], 3*maxRun/2)
	for i := range batch {
		batch[i] = Entry[int]{"a.*", "", i}
	}
	if insertAll(t, l, batch); l.Count() != len(batch) {
		t.Errorf("%d entries are there", l.Count())
	}
	if taken, removed := l.removeRun(batch); taken != maxRun || removed != maxRun {
		t.Errorf("%d of %d entries are removed under one lock, want %d", removed, taken, maxRun)
	}
	mixed := []Entry[int]{batch[maxRun], {"x", "", 1}, batch[maxRun+1], {"a.*", "q", 1}}
	if got, want := l.RemoveBatch(mixed), 2; got != want || l.Count() != maxRun/2-2 {
		t.Errorf("%d entries are removed, want %d; %d are left", got, want, l.Count())
	}
}

// TestBatchesAreTheirEntriesOneByOne adds and removes batches of literals in many shards, and of
// wildcards between them, with entries that come twice or are not there, and compares what is there
// then, and what is counted, with what single changes do.
func TestBatchesAreTheirEntriesOneByOne(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(8, 9))
	var patterns []string
	for i := range 12 {
		patterns = append(patterns, fmt.Sprintf("a.%d", i), fmt.Sprintf("a.%d.*", i))
	}
	batchOf := func(n int) []Entry[int] {
		batch := make([]Entry[int], n)
		for i := range batch {
			batch[i] = Entry[int]{patterns[rng.IntN(len(patterns))], []string{"", "q"}[rng.IntN(2)], rng.IntN(4)}
			if i > 0 && rng.IntN(2) == 0 { // several of one shard after the other
				batch[i].Subject = batch[i-1].Subject
			}
		}
		return batch
	}
	l, single := New[int](), New[int]()
	var o obvious
	for range 200 {
		batch := batchOf(rng.IntN(2 * maxRun))
		if rng.IntN(2) == 0 {
			insertAll(t, l, batch)
			for _, e := range batch {
				insert(t, single, e.Subject, e.Queue, e.Value)
				if !slices.Contains(o, e) {
					o = append(o, e)
				}
			}
		} else {
			want := 0
			for _, e := range batch {
				single.Remove(e.Subject, e.Queue, e.Value)
				if i := slices.Index(o, e); i >= 0 {
					o = slices.Delete(o, i, i+1)
					want++
				}
			}
			if got := l.RemoveBatch(batch); got != want {
				t.Fatalf("%d entries of a batch were there, want %d", got, want)
			}
		}
		wantAll(t, l, o)
		if got, want := l.Stats(), single.Stats(); got != want {
			t.Fatalf("got %+v, want %+v, as of single changes", got, want)
		}
	}
}

// TestHitsAreThoseOfTheClassic looks which matches the statistics have as answered by the cache: also
// one to which new subscriptions must be added only, but none of a subject that was not cached, or
// since which any subscription was removed that may be in what was cached.
func TestHitsAreThoseOfTheClassic(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxCachedSubject+1)
	for _, tt := range []struct {
		name, actions string // + inserts, - removes, a subject is matched
		want          int64
	}{
		{"a subject is new", "a", 0},
		{"it comes again", "a a a", 2},
		{"another one", "a b", 0},
		{"a subscription of it is new", "a +a a", 1},
		{"two are", "a +a +* a a", 2},
		{"one of another subject is", "a +b a", 1},
		{"it was removed again", "a +a -a a", 0},
		{"it was removed again, and then matched twice", "a +a -a a a", 1},
		{"a wildcard was removed again", "a +* -* a", 0},
		{"one that was matched is removed", "+a a -a a", 0},
		{"one is new after a removal that was seen", "+* a -* a +* a", 1},
		{"what is removed is of another subject", "+b a -b a", 1},
		{"what is removed is not there", "a -b -a a", 1},
		{"it is too long for the cache", long + " " + long + " " + long, 0},
		{"it is as long as it may be", long[1:] + " " + long[1:], 1},
	} {
		for way, match := range map[string]func(l *List[int], subject string){
			"the list": func(l *List[int], subject string) { l.Match([]byte(subject)) },
			"cursors": func(l *List[int], subject string) {
				var c Cursor[int]
				c.Match(l, []byte(subject))
				c.Flush(l)
			},
		} {
			l := New[int]()
			matches := int64(0)
			for action := range strings.FieldsSeq(tt.actions) {
				switch action[0] {
				case '+':
					insert(t, l, action[1:], "", 1)
				case '-':
					l.Remove(action[1:], "", 1)
				default:
					match(l, action)
					matches++
				}
			}
			if got := l.Stats(); got.CacheHits != tt.want || got.Matches != matches {
				t.Errorf("%s, by %s: %d hits of %d, want %d of %d", tt.name, way, got.CacheHits, got.Matches, tt.want, matches)
			}
		}
	}
}

// TestLaterSubjectsAreCachedWhenTheyComeAgain has a list that no longer admits subjects at once: one
// is cached the second time that it is matched; the look at its fan-out is none of them.
func TestLaterSubjectsAreCachedWhenTheyComeAgain(t *testing.T) {
	t.Parallel()
	l := New[int]()
	insert(t, l, ">", "", 1)
	l.first.Store(admitAtOnce)
	subjects := []string{"a"}
	l.Fanout([]byte("a"))
	l.Fanout([]byte("a"))
	for i, want := range []int64{0, 0, 1, 1} {
		if got := hits(l, subjects); got != want {
			t.Errorf("match %d: %d hits, want %d", i+1, got, want)
		}
	}
	if got := l.Stats().CacheEntries; got != 1 {
		t.Errorf("%d subjects are cached, want 1", got)
	}
	l.cache.set(maphash.String(l.gens.seed, "a")).seen.Store(1 << 20) // another subject was missed since
	insert(t, l, "a", "", 2)
	if got := hits(l, subjects); got != 1 {
		t.Errorf("with a new subscription it is no hit")
	}
	var c Cursor[int] // notes some misses only
	seen := 0
	for l.Stats().CacheEntries == 1 && seen < 1000 {
		c.Match(l, fmt.Append(nil, "b.", seen/8))
		c.Match(l, []byte("c"))
		seen++
	}
	if seen == 1000 {
		t.Error("a subject that a cursor matches again and again is not cached")
	}
}

func TestFanoutIsNotCounted(t *testing.T) {
	t.Parallel()
	l := New[int]()
	insert(t, l, "a", "", 1)
	insert(t, l, "*", "", 2)
	insert(t, l, "a", "q", 3)
	insert(t, l, "*", "q", 4)
	if got := l.Fanout([]byte("a")); got != 3 {
		t.Errorf("got %d receivers, want 2 and one of the group", got)
	}
	if got := l.Stats(); got.Matches != 0 || got.MaxFanout != 0 {
		t.Errorf("it is counted: %+v", got)
	}
}

func TestSameSubscriptionTwice(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"foo.bar", "foo.*", "foo.>"} {
		for _, queue := range []string{"", "g"} {
			l := New[int]()
			insert(t, l, subject, queue, 1)
			insert(t, l, subject, queue, 1)
			wantAll(t, l, obvious{{subject, queue, 1}})
			if !l.Remove(subject, queue, 1) || l.Remove(subject, queue, 1) {
				t.Errorf("%s %q: it is removed exactly once", subject, queue)
			}
			wantAll(t, l, nil)
		}
	}
}

func TestQueueGroupSpansPatterns(t *testing.T) {
	t.Parallel()
	l, c := New[int](), new(Cursor[int])
	var o obvious
	for i, subject := range []string{"w.a", "w.*", "w.>"} {
		insert(t, l, subject, "g", i)
		o = append(o, Entry[int]{subject, "g", i})
	}
	wantMatch(t, l, c, "w.a", o.match("w.a"))
	if r := l.Match([]byte("w.a")); len(r.Queues()) != 1 || r.Queues()[0].Len() != 3 {
		t.Errorf("Match = %+v, want one group of three", r)
	}
}

// TestEveryPatternAndSubject puts all patterns in one list, then takes them out one by one.
func TestEveryPatternAndSubject(t *testing.T) {
	t.Parallel()
	patterns := every(4, []string{"a", "b", "*", ">"}, ValidSubject)
	subjects := every(4, []string{"a", "b", "c", "*", ">", ""}, func(string) bool { return true })
	l, c := New[int](), new(Cursor[int])
	var o obvious
	for i, p := range patterns {
		queue := ""
		if i%3 == 0 {
			queue = "g" + fmt.Sprint(i%2)
		}
		insert(t, l, p, queue, i)
		o = append(o, Entry[int]{p, queue, i})
	}
	for _, s := range subjects {
		wantMatch(t, l, c, s, o.match(s))
	}
	wantAll(t, l, o)
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(len(o), func(i, j int) { o[i], o[j] = o[j], o[i] })
	for len(o) > 0 {
		e := o[0]
		o = o[1:]
		if !l.Remove(e.Subject, e.Queue, e.Value) {
			t.Fatalf("Remove(%v) found nothing", e)
		}
		for range 4 {
			s := subjects[rng.IntN(len(subjects))]
			wantMatch(t, l, c, s, o.match(s))
		}
	}
	wantAll(t, l, nil)
	wantShape(t, l)
	if _, children := l.trie.root.only(); children > 0 || l.trie.root.tail.Load() != nil {
		t.Error("the trie is not empty")
	}
}

// wantShape checks that every node of the trie is needed: a pattern ends there, or there are two
// ways to go on.
func wantShape(t *testing.T, l *List[int]) {
	t.Helper()
	var walk func(n *node[int], path string)
	walk = func(n *node[int], path string) {
		if n != &l.trie.root {
			if _, children := n.only(); n.end.Load() == nil && n.tail.Load() == nil && children < 2 {
				t.Errorf("the node %q has %d children and no pattern", path, children)
			}
		}
		if star := n.star.Load(); star != nil {
			walk(star, extend(path, star.path))
		}
		for child := range n.children.all {
			if n.children.find([]byte(child.token())) != child {
				t.Errorf("the node %q is not found", extend(path, child.path))
			}
			walk(child, extend(path, child.path))
		}
	}
	walk(&l.trie.root, "")
}

func TestRandomSequences(t *testing.T) {
	t.Parallel()
	patterns := every(4, []string{"a", "b", "*", ">"}, ValidSubject)
	subjects := every(4, []string{"a", "b", "c", "*"}, ValidSubject)
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 7))
			narrow, subjects := patterns[:20+rng.IntN(len(patterns)-20)], subjects
			if seed >= 4 { // few and deep, so that paths are split and merged at every place
				narrow, subjects = nil, nil
				for range 40 {
					subjects = append(subjects, randomTokens(rng, []string{"a", "a", "a", "ab", "b", "*"}, ""))
					narrow = append(narrow, randomTokens(rng, []string{"a", "a", "a", "ab", "*"}, []string{"", ".>"}[rng.IntN(2)]))
				}
			}
			l, c := New[int](), new(Cursor[int])
			var o obvious
			for range 10_000 {
				e := Entry[int]{narrow[rng.IntN(len(narrow))], []string{"", "", "g", "h"}[rng.IntN(4)], rng.IntN(40)}
				at := slices.Index(o, e)
				switch rng.IntN(5) {
				case 0:
					insert(t, l, e.Subject, e.Queue, e.Value)
					if at < 0 {
						o = append(o, e)
					}
				case 1:
					if got := l.Remove(e.Subject, e.Queue, e.Value); got != (at >= 0) {
						t.Fatalf("Remove(%v) = %v", e, got)
					}
					if at >= 0 {
						o = slices.Delete(o, at, at+1)
					}
				case 2:
					if len(o) > 0 {
						e := o[rng.IntN(len(o))]
						l.Remove(e.Subject, e.Queue, e.Value)
						o = slices.DeleteFunc(o, func(x Entry[int]) bool { return x == e })
					}
				default:
					s := subjects[rng.IntN(len(subjects))]
					wantMatch(t, l, c, s, o.match(s))
					if rng.IntN(20) == 0 {
						wantShape(t, l)
					}
				}
			}
			wantAll(t, l, o)
			wantShape(t, l)
			if n := l.RemoveBatch(o); n != len(o) || l.Count() != 0 {
				t.Errorf("RemoveBatch = %d with %d left, want %d and 0", n, l.Count(), len(o))
			}
		})
	}
}

// FuzzList makes the changes that its input says, and compares every way to match with the obvious
// one after each.
func FuzzList(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x00\x05\x07\x03\x10\x00\x01\x02\x00\x03\x11\x01\x01\x02\x00\x03\x12"))
	f.Add([]byte("\x00\xff\x01\x01\x00\xfe\x01\x02\x00\x31\x06\x03\x04\x00\x03\x09\x02\x00\x03\x09\x05\x00\x00\x00\x03\x09"))
	f.Add([]byte("\x06\x10\x11\x12\x06\x20\x21\x22\x03\x10\x07\x00\x03\x10\x08\x03\x03\x20"))
	patterns := every(4, []string{"a", "b", "*", ">"}, ValidSubject)
	subjects := every(4, []string{"a", "b", "c", "*"}, ValidSubject)
	for _, s := range []string{"$SYS.>", "$SYS.*", "$SYS.a", "*.a.b.c.d.e", "a.b.c.d.e.f.>", "a.b.c.d.e.*.g", "ab", "a*", ">>.a"} {
		patterns = append(patterns, s)
		subjects = append(subjects, s)
	}
	subjects = append(subjects, "", ".", "a.", ".a", "a..b", "$SYS", "a.b.c.d.e.f.g.h", strings.Repeat("x", 300), "a."+strings.Repeat("y", 300))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 200 {
			return
		}
		next := func() int {
			if len(ops) == 0 {
				return 0
			}
			b := ops[0]
			ops = ops[1:]
			return int(b)
		}
		l, c := New[int](), new(Cursor[int])
		var o obvious
		entry := func() Entry[int] {
			b := next()
			return Entry[int]{patterns[(b*7+next()*256)%len(patterns)], []string{"", "", "g", "h"}[b%4], next() % 8}
		}
		add := func(e Entry[int]) {
			if !slices.Contains(o, e) {
				o = append(o, e)
			}
		}
		remove := func(e Entry[int]) (found bool) {
			at := slices.Index(o, e)
			if at >= 0 {
				o = slices.Delete(o, at, at+1)
			}
			return at >= 0
		}
		for len(ops) > 0 {
			switch next() % 8 {
			case 0, 1:
				e := entry()
				insert(t, l, e.Subject, e.Queue, e.Value)
				add(e)
			case 2:
				e := entry()
				if got := l.Remove(e.Subject, e.Queue, e.Value); got != remove(e) {
					t.Fatalf("Remove(%v) = %v", e, got)
				}
			case 3:
				if len(o) > 0 {
					e := o[next()%len(o)]
					if !l.Remove(e.Subject, e.Queue, e.Value) {
						t.Fatalf("Remove(%v) finds nothing", e)
					}
					remove(e)
				}
			case 4: // a value of a pattern in another queue group
				if len(o) > 0 {
					e := o[next()%len(o)]
					e.Queue = []string{"", "g", "h"}[next()%3]
					insert(t, l, e.Subject, e.Queue, e.Value)
					add(e)
				}
			case 5:
				batch := make([]Entry[int], next()%6)
				for i := range batch {
					batch[i] = entry()
					add(batch[i])
				}
				insertAll(t, l, batch)
			case 6:
				var batch []Entry[int]
				for range next() % 6 {
					if len(o) > 0 {
						e := o[next()%len(o)]
						batch = append(batch, e)
						remove(e)
					}
				}
				if n := l.RemoveBatch(batch); n != len(batch) {
					t.Fatalf("RemoveBatch(%v) = %d", batch, n)
				}
			default:
				s := subjects[(next()*256+next())%len(subjects)]
				wantMatch(t, l, c, s, o.match(s))
			}
		}
		for _, e := range o[:min(len(o), 8)] { // what each of them matches by itself
			wantMatch(t, l, c, e.Subject, o.match(e.Subject))
		}
		wantMatch(t, l, c, "a.b", o.match("a.b"))
		wantAll(t, l, o)
		wantShape(t, l)
	})
}

// randomTokens returns up to 12 tokens from an alphabet, and the end.
func randomTokens(rng *rand.Rand, alphabet []string, end string) string {
	tokens := make([]string, 1+rng.IntN(12))
	for i := range tokens {
		tokens[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return strings.Join(tokens, ".") + end
}
