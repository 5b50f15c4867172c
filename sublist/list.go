package sublist

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrInvalidSubject is returned, wrapped, for a subject that may not be
// subscribed to, see [ValidSubject].
var ErrInvalidSubject = errors.New("invalid subject")

// sweepStep is how many sets of the cache a removal of a wildcard pattern looks
// through for results that will not be asked for again.
const sweepStep = 8

// maxRun is how many changes are made while a lock is held: some 20 microseconds.
const maxRun = 64

// List is a set of subscriptions. It is safe for concurrent use: a Match that
// starts after an Insert has returned sees it, and one that starts after a
// Remove has returned does not.
type List[T comparable] struct {
	gens  generations
	none  *Result[T]
	index index[T]
	trie  trie[T]

	merges merges[T]
	cache  cache[T]
	sweep  atomic.Uint32 // where the next look for stale results begins
	counts counters
}

// Entry is one subscription. Queue is empty for a plain one.
type Entry[T comparable] struct {
	Subject, Queue string
	Value          T
}

// New returns an empty List. It takes about 350 KB.
func New[T comparable]() *List[T] {
	return &List[T]{gens: generations{seed: maphash.MakeSeed()}, none: new(Result[T])}
}

// Insert adds a subscription; queue is empty for a plain one. A subscription that
// is there already is not added again. The list keeps subject and queue, not
// copies: they should not be part of something much larger.
func (l *List[T]) Insert(subject, queue string, v T) error {
	if !ValidSubject(subject) {
		return fmt.Errorf("subscribe to %.64q: %w", subject, ErrInvalidSubject)
	}
	l.insertRun([]Entry[T]{{subject, queue, v}})
	return nil
}

// Remove takes a subscription out, and reports whether it was there.
func (l *List[T]) Remove(subject, queue string, v T) bool {
	_, removed := l.removeRun([]Entry[T]{{subject, queue, v}})
	return removed == 1
}

// InsertBatch adds all entries, or none if one of them has an invalid subject.
// Nobody else has to wait for more than a few of them.
func (l *List[T]) InsertBatch(batch []Entry[T]) error {
	for i := range batch {
		if !ValidSubject(batch[i].Subject) {
			return fmt.Errorf("entry %d: subscribe to %.64q: %w", i, batch[i].Subject, ErrInvalidSubject)
		}
	}
	for len(batch) > 0 {
		batch = batch[l.insertRun(batch):]
	}
	return nil
}

// RemoveBatch takes all entries out, and returns how many of them were there.
// Nobody else has to wait for more than a few of them.
func (l *List[T]) RemoveBatch(batch []Entry[T]) int {
	total := 0
	for len(batch) > 0 {
		taken, removed := l.removeRun(batch)
		batch = batch[taken:]
		total += removed
	}
	return total
}

// location is where a pattern lives: in a shard of the index, or, if shard is nil, in
// the trie.
type location[T comparable] struct {
	mu    *sync.RWMutex
	shard *shard[T]
	hash  uint64
}

func (l *List[T]) locationOf(pattern string) location[T] {
	hash := maphash.String(l.gens.seed, pattern)
	if !IsLiteral(pattern) {
		return location[T]{&l.trie.mu, nil, hash}
	}
	s := l.index.of(hash)
	return location[T]{&s.mu, s, hash}
}

// insertRun adds entries from the front of batch, all valid, as long as they live
// under one lock and are not many. It returns how many it has dealt with.
func (l *List[T]) insertRun(batch []Entry[T]) (taken int) {
	var added int64
	h := l.locationOf(batch[0].Subject)
	mu := h.mu
	mu.Lock()
	defer mu.Unlock()
	for h.mu == mu {
		e := &batch[taken]
		if h.shard != nil && h.shard.insertLocked(e, h.hash, &l.gens) || h.shard == nil && l.trie.insertLocked(e, h.hash, &l.gens) {
			added++
		}
		if taken++; taken == len(batch) || taken == maxRun {
			break
		}
		h = l.locationOf(batch[taken].Subject)
	}
	l.counts.inserts.Add(added)
	return taken
}

// removeRun is to removing what insertRun is to adding. It also returns how many
// of the entries were there.
func (l *List[T]) removeRun(batch []Entry[T]) (taken, removed int) {
	h := l.locationOf(batch[0].Subject)
	mu := h.mu
	mu.Lock()
	defer mu.Unlock()
	for h.mu == mu {
		if l.removeLocked(&batch[taken], h) {
			removed++
		}
		if taken++; taken == len(batch) || taken == maxRun {
			break
		}
		h = l.locationOf(batch[taken].Subject)
	}
	l.counts.removes.Add(int64(removed))
	return taken, removed
}

// removeLocked takes e out of its location, and with it cached results that are not
// valid any more. It reports whether e was there.
func (l *List[T]) removeLocked(e *Entry[T], h location[T]) bool {
	if h.shard != nil {
		removed := h.shard.removeLocked(e, h.hash, &l.gens)
		l.cache.of(h.hash).dropStale(&l.gens)
		return removed
	}
	removed := l.trie.removeLocked(e, &l.gens)
	l.dropStale()
	return removed
}

// Match returns all subscribers of what subject, taken as plain text,
// matches. It is never nil. The subject is not kept.
func (l *List[T]) Match(subject []byte) *Result[T] {
	found, hit := l.find(subject)
	l.counts.match(found.hash, found.result.fanout(), hit)
	return found.result
}

// match is a result with what tells how long it is valid.
type match[T comparable] struct {
	result *Result[T]
	hash   uint64
	stamp  uint64
	touch  touch
}

// find looks in the cache, then in the index and the trie, and reports whether
// the cache had it.
func (l *List[T]) find(subject []byte) (match[T], bool) {
	hash := maphash.Bytes(l.gens.seed, subject)
	set, tag := l.cache.of(hash), tagOf(hash)
	old, way := set.find(subject, tag)
	if old != nil && l.gens.stamp(old.touch) == old.stamp {
		set.markHit(way)
		return match[T]{old.result, hash, old.stamp, old.touch}, true
	}
	m := l.start(subject, hash)
	m.result = l.walk(subject, hash)
	l.keep(subject, m, old, way)
	return m, false
}

// start returns a match without its result. It takes the stamp, and so comes
// before anything is looked up.
func (l *List[T]) start(subject []byte, hash uint64) match[T] {
	m := match[T]{hash: hash, touch: l.gens.touchOf(subject, hash)}
	m.stamp = l.gens.stamp(m.touch)
	return m
}

// keep puts m in the cache, in place of old, which is in that way, if that is not
// nil, or else if subject is to be admitted.
func (l *List[T]) keep(subject []byte, m match[T], old *entry[T], way int) {
	set, tag := l.cache.of(m.hash), tagOf(m.hash)
	if old != nil && m.result.size() <= maxKept {
		set.put(way, tag, &entry[T]{old.subject, m.stamp, m.touch, m.result})
		return
	}
	if m.result.size() > maxKept || !set.isSecond(tag) {
		return
	}
	if way := set.room(&l.gens); way >= 0 {
		set.put(way, tag, &entry[T]{slices.Clone(subject), m.stamp, m.touch, m.result})
	}
}

// walk looks subject up in the index and the trie.
func (l *List[T]) walk(subject []byte, hash uint64) *Result[T] {
	var room [16]part[T]
	found := l.index.of(hash).collect(subject, room[:0])
	found = l.trie.collect(subject, found)
	switch len(found) {
	case 0:
		return l.none
	case 1:
		return found[0].result
	}
	return l.merges.of(found)
}

// dropStale looks through a part of the caches for results that will not be asked
// for again, so that they do not keep subscriptions alive for long.
func (l *List[T]) dropStale() {
	from := l.sweep.Add(sweepStep) - sweepStep
	for i := range uint32(sweepStep) {
		l.cache[(from+i)%cacheSets].dropStale(&l.gens)
		l.merges.dropStale(int((from + i) % mergeSlots))
	}
}

// All calls yield for every subscription, in no particular order, until it
// returns false. It holds locks for short times only, so subscriptions that
// come or go meanwhile may or may not be among them. yield may use the list.
func (l *List[T]) All(yield func(Entry[T]) bool) {
	for i := range l.index {
		for _, e := range l.index[i].entries() {
			if !yield(e) {
				return
			}
		}
	}
	l.trie.all(&l.trie.root, "", yield)
}
