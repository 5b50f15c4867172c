package sublist

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrInvalidSubject is returned, wrapped, for a subject that may not be subscribed to, see
// [ValidSubject].
var ErrInvalidSubject = errors.New("sublist: Invalid Subject")

// sweepStep is how many sets of the cache, and merged results, a change of a wildcard pattern checks for
// stale ones.
const sweepStep = 8

// maxRun bounds the changes under one lock: some 20 µs.
const maxRun = 64

// List is a set of subscriptions. It is safe for concurrent use: a Match that starts after Insert
// has returned finds the subscription, and one that starts after Remove has returned does not.
type List[T comparable] struct {
	gens  generations
	none  *Result[T]
	index index[T]
	trie  trie[T]

	merges merges[T]
	cache  cache[T]
	first  atomic.Uint32 // subjects admitted to the cache when they were first seen
	sweep  atomic.Uint32 // where dropStale continues
	swept  atomic.Int64  // changes before the last DropStale
	counts counters
	large  largeResults
}

// Entry is one subscription. Queue is empty for a plain one.
type Entry[T comparable] struct {
	Subject, Queue string
	Value          T
}

// New returns an empty List. It takes about 350 KB.
func New[T comparable]() *List[T] {
	return &List[T]{gens: generations{seed: maphash.MakeSeed()}, none: new(Result[T]), large: largeResults{round: 1}}
}

// Insert adds a subscription; queue is empty for a plain one. Inserting a subscription that is
// there already has no effect. The list keeps the strings subject and queue: they should not be
// substrings of much larger ones. The error is ErrInvalidSubject, wrapped.
func (l *List[T]) Insert(subject, queue string, v T) error {
	if !ValidSubject(subject) {
		return fmt.Errorf("subscribe to %.64q: %w", subject, ErrInvalidSubject)
	}
	e, h := Entry[T]{subject, queue, v}, l.locationOf(subject)
	h.mu.Lock()
	defer h.mu.Unlock()
	added := false
	if h.shard != nil {
		added = h.shard.insertLocked(&e, h.hash, &l.gens)
	} else if added = l.trie.insertLocked(&e, h.hash, &l.gens); added {
		l.dropStale()
	}
	if added {
		l.counts.inserts.Add(1)
	}
	return nil
}

// Remove removes a subscription, and reports whether it was there.
func (l *List[T]) Remove(subject, queue string, v T) bool {
	_, removed := l.removeRun([]Entry[T]{{subject, queue, v}})
	return removed == 1
}

// RemoveBatch removes all entries, and returns how many of them were there. It does not hold a lock
// for the whole batch.
func (l *List[T]) RemoveBatch(batch []Entry[T]) int {
	total := 0
	for len(batch) > 0 {
		taken, removed := l.removeRun(batch)
		batch = batch[taken:]
		total += removed
	}
	return total
}

// location is where a pattern is stored: in a shard of the index or, if shard is nil, in the trie.
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
	s := l.index.shard(hash)
	return location[T]{&s.mu, s, hash}
}

// removeRun removes entries from the front of batch, as long as they are under the same lock, but at most
// maxRun. It returns how many it has taken, and how many of them were there.
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

// removeLocked removes e from its location, and some stale results from the caches. It reports
// whether e was there.
func (l *List[T]) removeLocked(e *Entry[T], h location[T]) bool {
	if h.shard != nil {
		removed := h.shard.removeLocked(e, h.hash, &l.gens)
		l.cache.set(h.hash).dropStale(&l.gens)
		return removed
	}
	removed := l.trie.removeLocked(e, &l.gens)
	l.dropStale()
	return removed
}

// Match returns all subscribers whose patterns match subject, which is taken as plain text. The
// result is never nil. The subject is not kept.
func (l *List[T]) Match(subject []byte) *Result[T] {
	found, hit := l.find(subject, true)
	l.counts.match(found.hash, found.result.fanout(), hit)
	return found.result
}

// match is a result. If it has a stamp, it is valid while that of its subject is the same.
type match[T comparable] struct {
	result  *Result[T]
	hash    uint64
	stamp   uint64
	touch   touch
	stamped bool
	slow    bool // the index and the trie were asked
}

// find looks subject up in the cache, then in the index and the trie. It reports whether the cache
// had a result, which is valid, or to which something must be added only: in gnatsd 1.4 and
// nats-server new subscriptions are added to cached results, so the statistics there have a hit. A
// miss is noted if the caller says so.
func (l *List[T]) find(subject []byte, note bool) (match[T], bool) {
	hash := maphash.Bytes(l.gens.seed, subject)
	set, tag := l.cache.set(hash), tagOf(hash)
	old, way := set.find(subject, tag)
	if old != nil && l.gens.stamp(old.touch) == old.stamp {
		set.markHit(way)
		return match[T]{result: old.result, hash: hash, stamp: old.stamp, touch: old.touch, stamped: true}, true
	}
	cached := len(subject) <= maxCachedSubject
	if old == nil && cached && !set.missedBefore(tag, note) && !l.admitsFirst() {
		return match[T]{result: l.lookUp(subject, hash), hash: hash, slow: true}, false // a stamp would take as long as the rest
	}
	removes := l.counts.removes.Load()
	m := l.start(subject, hash)
	m.result = l.lookUp(subject, hash)
	if cached {
		l.store(subject, m, old, way, removes)
	}
	return m, old != nil && old.removes == removes
}

// Fanout returns how many receivers a message on subject has: subscriptions, and queue groups. It is
// not counted as a match.
func (l *List[T]) Fanout(subject []byte) int {
	found, _ := l.find(subject, false)
	return found.result.fanout()
}

// start returns a match without result. It takes the stamp, so it must be called before anything is
// looked up.
func (l *List[T]) start(subject []byte, hash uint64) match[T] {
	m := match[T]{hash: hash, touch: l.gens.touchOf(subject, hash), stamped: true, slow: true}
	m.stamp = l.gens.stamp(m.touch)
	return m
}

// store stores m in the cache: in place of old, the stale entry in way, or if old is nil in place of
// a victim.
func (l *List[T]) store(subject []byte, m match[T], old *entry[T], way int, removes int64) {
	if m.result.isLarge() {
		l.large.mu.Lock()
		defer l.large.mu.Unlock()
		if !l.admitLocked(m.result) {
			return
		}
	}
	set, tag := l.cache.set(m.hash), tagOf(m.hash)
	if old != nil {
		set.put(way, tag, &entry[T]{old.subject, m.stamp, m.touch, m.result, removes})
		return
	}
	if way := set.victim(&l.gens); way >= 0 {
		set.put(way, tag, &entry[T]{slices.Clone(subject), m.stamp, m.touch, m.result, removes})
	}
}

// admitsFirst reports whether a subject is admitted to the cache that is seen for the first time.
func (l *List[T]) admitsFirst() bool {
	return l.first.Load() < admitAtOnce && l.first.Add(1) <= admitAtOnce
}

// lookUp looks subject up in the index and the trie.
func (l *List[T]) lookUp(subject []byte, hash uint64) *Result[T] {
	var buf [16]part[T]
	found := l.index.shard(hash).collect(subject, buf[:0])
	found = l.trie.collect(subject, found)
	switch len(found) {
	case 0:
		return l.none
	case 1:
		return found[0].result
	}
	return l.merged(found)
}

// merged returns the merged result of two or more parts.
func (l *List[T]) merged(found []part[T]) *Result[T] {
	hash := mergeHash(found)
	if r := l.merges.find(hash, found); r != nil {
		return r
	}
	r := merge(found)
	if r.retired || !l.merges.missedBefore(hash) {
		return r
	}
	c := &merged[T]{slices.Clone(found), r}
	if r.isLarge() {
		l.large.mu.Lock()
	} else if !l.large.mu.TryLock() { // it may move a large one to another slot
		return r
	}
	defer l.large.mu.Unlock()
	if !r.isLarge() || l.admitLocked(r) {
		l.merges.store(hash, c)
	}
	return r
}

// dropStale removes stale results from the next part of the caches, so that they do not keep
// removed subscriptions in memory for long.
func (l *List[T]) dropStale() {
	l.dropStaleOf(l.sweep.Add(sweepStep)-sweepStep, sweepStep)
}

func (l *List[T]) dropStaleOf(from, n uint32) {
	for i := range n {
		l.cache[(from+i)%cacheSets].dropStale(&l.gens)
		l.merges.dropStale(int((from + i) % mergeSlots))
	}
}

// DropStale removes all stale results from the caches: after it they keep no subscription in memory
// that was removed before. Some are dropped at each change; the last of them would stay until
// there are others. It takes some 100 µs, and nothing if the list has not changed since.
func (l *List[T]) DropStale() {
	if changes := l.counts.changes(); l.swept.Swap(changes) != changes {
		l.dropStaleOf(0, max(cacheSets, mergeSlots))
	}
}

// All calls yield for every subscription, in no particular order, until it returns false. It holds
// no lock throughout, so subscriptions that are added or removed meanwhile may or may not be
// included. yield may use the list.
func (l *List[T]) All(yield func(Entry[T]) bool) {
	for i := range l.index {
		for _, p := range l.index[i].patterns() {
			if !p.all(yield) {
				return
			}
		}
	}
	l.trie.all(&l.trie.root, "", yield)
}
