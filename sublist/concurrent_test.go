package sublist

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watched is a subscription whose owner says what it is doing with it, so that others know when a
// match must contain it and when it must not.
type watched struct {
	entry Entry[int]
	phase atomic.Uint64 // modulo 4: absent, being inserted, present, being removed
}

const (
	absent = iota
	_
	present
	_
)

// toggle inserts w if it is absent and removes it if it is present.
func (w *watched) toggle(t *testing.T, l *List[int]) {
	inserting := w.phase.Add(1)%4 == 1
	if inserting {
		insert(t, l, w.entry.Subject, w.entry.Queue, w.entry.Value)
	} else if !l.Remove(w.entry.Subject, w.entry.Queue, w.entry.Value) {
		t.Errorf("Remove(%v) found nothing", w.entry)
	}
	w.phase.Add(1)
}

// checkMatch matches subject and compares the result with every subscription that did not change
// meanwhile. Values are positions in all.
func checkMatch(t *testing.T, all []*watched, subject string, match func([]byte) *Result[int]) {
	before := make([]uint64, len(all))
	for i, w := range all {
		before[i] = w.phase.Load()
	}
	got := flatten(t, match([]byte(subject)))
	for i, w := range all {
		phase := w.phase.Load()
		if phase != before[i] || !Matches(w.entry.Subject, subject) {
			continue
		}
		name := fmt.Sprintf("%s/%d", w.entry.Queue, w.entry.Value)
		_, contains := slices.BinarySearch(got, name)
		if phase%4 == present && !contains {
			t.Errorf("match of %q lacks %v", subject, w.entry)
		}
		if phase%4 == absent && contains {
			t.Errorf("match of %q still has %v", subject, w.entry)
		}
	}
}

// TestMatchWhileChanging has writers insert and remove at random while readers match, by the list
// and by a cursor.
func TestMatchWhileChanging(t *testing.T) {
	t.Parallel()
	const writers, readers, perWriter, rounds = 3, 3, 24, 3000
	patterns := every(3, []string{"a", "b", "*", ">"}, ValidSubject)
	subjects := every(3, []string{"a", "b"}, ValidSubject)
	rng := rand.New(rand.NewPCG(3, 4))
	all := make([]*watched, writers*perWriter)
	for i := range all {
		pattern, queue := patterns[rng.IntN(len(patterns))], []string{"", "g"}[rng.IntN(2)]
		all[i] = &watched{entry: Entry[int]{pattern, queue, i}}
	}
	l := New[int]()
	var writing, reading sync.WaitGroup
	var done atomic.Bool
	for i := range writers {
		writing.Go(func() {
			rng, own := rand.New(rand.NewPCG(5, uint64(i))), all[i*perWriter:(i+1)*perWriter]
			for range rounds {
				own[rng.IntN(perWriter)].toggle(t, l)
			}
		})
	}
	for i := range readers {
		reading.Go(func() {
			rng, c := rand.New(rand.NewPCG(6, uint64(i))), new(Cursor[int])
			for !done.Load() {
				subject := subjects[rng.IntN(len(subjects))]
				checkMatch(t, all, subject, l.Match)
				for range 2 {
					checkMatch(t, all, subject, func(s []byte) *Result[int] { return c.Match(l, s) })
				}
			}
		})
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
	for _, s := range subjects {
		checkMatch(t, all, s, l.Match)
	}
}

// TestNoInvalidationIsLost has several goroutines fill the cache with one subject while another
// changes what it matches, and looks after each change.
func TestNoInvalidationIsLost(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"a.b.c", "a.b.*", "a.*.c", "*.b.c", "a.>", ">"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			l, own := New[int](), new(Cursor[int])
			subject := []byte("a.b.c")
			insert(t, l, "a.b.*", "", 0)
			var fillers sync.WaitGroup
			var done atomic.Bool
			for range 3 {
				fillers.Go(func() {
					var c Cursor[int]
					for !done.Load() {
						l.Match(subject)
						c.Match(l, subject)
						runtime.Gosched() // or the writer starves
					}
				})
			}
			for i := 1; i <= 5000; i++ {
				insert(t, l, pattern, "", i)
				if !slices.Contains(plain(l.Match(subject)), i) || !slices.Contains(plain(own.Match(l, subject)), i) {
					t.Errorf("%d was inserted and is not there", i)
				}
				l.Remove(pattern, "", i)
				if slices.Contains(plain(l.Match(subject)), i) || slices.Contains(plain(own.Match(l, subject)), i) {
					t.Errorf("%d was removed and is there", i)
				}
			}
			done.Store(true)
			fillers.Wait()
		})
	}
}

// TestChangeBetweenWalkAndKeep stops a match at its weakest point: it has looked subscriptions up,
// then they change, and then it caches what it found.
func TestChangeBetweenWalkAndKeep(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"a.b.c", "a.b.*", "a.*.c", "*.b.c", "a.>", ">"} {
		l, subject := New[int](), []byte("a.b.c")
		insert(t, l, "a.b.*", "", 0)
		hash := maphash.Bytes(l.gens.seed, subject)
		for i := 1; i <= 4; i++ {
			m := l.start(subject, hash)
			m.result = l.lookUp(subject, hash)
			insert(t, l, pattern, "", i)
			l.store(subject, m, nil, 0, 0)
			if !slices.Contains(plain(l.Match(subject)), i) {
				t.Errorf("%s: %d was inserted and is not there", pattern, i)
			}
		}
	}
}

// TestIterationWhileChanging wants from All what was there all the time.
func TestIterationWhileChanging(t *testing.T) {
	t.Parallel()
	l := New[int]()
	keep := map[int]bool{}
	for i, p := range patternsOf("keep.%d.*", 200) {
		insert(t, l, p, "", i)
		insert(t, l, p+".x", "g", -1-i)
		keep[i], keep[-1-i] = true, true
	}
	var churn sync.WaitGroup
	var done atomic.Bool
	churn.Go(func() {
		for i := 1000; !done.Load(); i++ {
			p := fmt.Sprintf("keep.%d.go", i%400)
			insert(t, l, p, "", i)
			insert(t, l, p+".*", "", i)
			l.Remove(p, "", i)
			l.Remove(p+".*", "", i)
		}
	})
	for range 50 {
		n := 0
		for e := range l.All {
			if keep[e.Value] {
				n++
			}
		}
		if n != len(keep) {
			t.Errorf("All has %d of %d", n, len(keep))
		}
	}
	done.Store(true)
	churn.Wait()
}

// TestMatchesDoNotWaitForWriters matches while the lock of the wildcard patterns is held, as if a
// writer was at work all the time.
func TestMatchesDoNotWaitForWriters(t *testing.T) {
	t.Parallel()
	l := New[int]()
	insert(t, l, "a.*", "", 1)
	insert(t, l, "*.b", "q", 2)
	l.trie.mu.Lock()
	done := make(chan int, 1)
	go func() { done <- l.Match([]byte("a.b")).fanout() }() // ends when the lock is free at the latest
	select {
	case n := <-done:
		if n != 2 {
			t.Errorf("got %d receivers, want 2", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("a match waits for the lock of a writer")
	}
	l.trie.mu.Unlock()
}
