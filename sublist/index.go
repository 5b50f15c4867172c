package sublist

import (
	"sync"
	"sync/atomic"
)

const (
	shards = 256 // of the index, so that locks are rarely contended

	// shrinkBelow is the fraction of its peak below which a map is replaced by a smaller copy:
	// maps never shrink.
	shrinkBelow = 8
	shrinkFrom  = 64 // smallest peak of maps that are replaced
)

// index holds the patterns without wildcards.
type index[T comparable] [shards]shard[T]

// shard holds the patterns with the same top eight bits of the hash.
type shard[T comparable] struct {
	used atomic.Bool // false if it is empty: then readers take no lock

	mu     sync.RWMutex
	leaves map[string]*leaf[T]
	peak   int // most leaves since the map was made
}

func (x *index[T]) shard(hash uint64) *shard[T] { return &x[hash>>56] }

// insertLocked adds e, and reports whether it is new. It counts the change in gens.
func (s *shard[T]) insertLocked(e *Entry[T], hash uint64, gens *generations) bool {
	lf := s.leaves[e.Subject]
	if lf == nil {
		if s.leaves == nil {
			s.leaves = make(map[string]*leaf[T])
		}
		s.leaves[e.Subject] = newLeaf(hash, e.Queue, e.Value)
		s.peak = max(s.peak, len(s.leaves))
		s.used.Store(true)
	} else {
		now, added := lf.insert(e.Queue, e.Value)
		if !added {
			return false
		}
		if now != lf {
			s.leaves[e.Subject] = now
		}
	}
	gens.touchLiteral(hash)
	return true
}

// removeLocked removes e, and reports whether it was there. It counts the change in gens.
func (s *shard[T]) removeLocked(e *Entry[T], hash uint64, gens *generations) bool {
	lf := s.leaves[e.Subject]
	if lf == nil {
		return false
	}
	now, removed := lf.remove(e.Queue, e.Value)
	if !removed {
		return false
	}
	if now == nil {
		delete(s.leaves, e.Subject)
		s.leaves, s.peak = shrunk(s.leaves, s.peak)
		s.used.Store(len(s.leaves) > 0)
	} else if now != lf {
		s.leaves[e.Subject] = now
	}
	gens.touchLiteral(hash)
	return true
}

// collect appends the pattern that is equal to subject, if there is one.
func (s *shard[T]) collect(subject []byte, found []part[T]) []part[T] {
	if !s.used.Load() {
		return found
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if lf := s.leaves[string(subject)]; lf != nil {
		found = append(found, part[T]{lf, lf.result()})
	}
	return found
}

// patterns returns all patterns in s.
func (s *shard[T]) patterns() []snapshot[T] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]snapshot[T], 0, len(s.leaves))
	for subject, lf := range s.leaves {
		all = append(all, snapshot[T]{subject, lf.result()})
	}
	return all
}

// shrunk returns m, or a smaller copy if it has become far smaller than its peak, and the new peak.
// A map that is empty is kept if its peak is small.
func shrunk[V any](m map[string]V, peak int) (map[string]V, int) {
	if len(m) == 0 && peak > 8 {
		return nil, 0
	}
	if peak < shrinkFrom || len(m) >= peak/shrinkBelow {
		return m, peak
	}
	small := make(map[string]V, len(m))
	for k, v := range m {
		small[k] = v
	}
	return small, len(m)
}
