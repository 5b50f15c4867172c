package sublist

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// part is a pattern that matched, and the result that it had.
type part[T comparable] struct {
	leaf   *leaf[T]
	result *Result[T]
}

// merges interns the merged results of subjects that match several patterns. The key is the
// addresses of the results of the parts, which identify them as long as they are referenced: an
// entry never becomes wrong. When one of its patterns has changed it is not looked up any more, and
// dropStale removes it.
//
// Like a subject in the cache, a combination is kept only if it is looked up again soon: a million
// subjects may make a million combinations, if each has a literal subscription of its own.
type merges[T comparable] struct {
	slots  [mergeSlots]atomic.Pointer[merged[T]]
	missed [mergeSlots / 2]atomic.Uint32 // per pair of slots: hash of the last miss
}

// mergeSlots bounds the number of merged results. It is even: each may be in one of two slots.
const mergeSlots = 4096

// merged is a merged result and its parts. It does not change.
type merged[T comparable] struct {
	parts  []part[T]
	result *Result[T]
}

// result returns the merged result of two or more parts.
func (m *merges[T]) result(found []part[T]) *Result[T] {
	hash := mergeHash(found)
	at, tag := hash%mergeSlots, uint32(hash>>32)
	if c := m.slots[at].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	if c := m.slots[at^1].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	r := merge(found)
	if r.retired || r.size() > maxKept {
		return r
	}
	if missed := &m.missed[at/2]; missed.Load() != tag {
		missed.Store(tag)
		return r
	}
	if old := m.slots[at].Load(); old != nil && !old.isStale() {
		m.slots[at^1].Store(old)
	}
	m.slots[at].Store(&merged[T]{slices.Clone(found), r})
	return r
}

// dropStale clears slot i if it is stale.
func (m *merges[T]) dropStale(i int) {
	slot := &m.slots[i%mergeSlots]
	if c := slot.Load(); c != nil && c.isStale() {
		slot.CompareAndSwap(c, nil)
	}
}

// isStale reports whether one of the parts has changed.
func (c *merged[T]) isStale() bool {
	return slices.ContainsFunc(c.parts, func(p part[T]) bool { return p.leaf.built.Load() != p.result })
}

func mergeHash[T comparable](found []part[T]) uint64 {
	var h uint64
	for i := range found {
		h = bits.RotateLeft64(h, 5) ^ found[i].leaf.hash
	}
	return h
}

// maxKept bounds the memory of a cached result, in words, without what it shares.
const maxKept = 512

// merge returns a Result with all subscribers in found. It copies none of them: their sets are
// shared.
func merge[T comparable](found []part[T]) *Result[T] {
	r := new(Result[T])
	sets, groups := 0, 0
	for _, p := range found {
		sets += len(p.result.Plain)
		groups += len(p.result.Queues())
		r.count += p.result.count
		r.retired = r.retired || p.result.retired
	}
	r.Plain = make([]*Set[T], 0, sets)
	for _, p := range found {
		r.Plain = append(r.Plain, p.result.Plain...)
	}
	if groups == 0 {
		return r
	}
	at := make(map[string]int, groups)
	queues := make([]Group[T], 0, groups)
	for _, p := range found {
		for _, g := range p.result.Queues() {
			i, known := at[g.Name]
			if !known {
				at[g.Name] = len(queues)
				queues = append(queues, Group[T]{Name: g.Name, parts: slices.Clone(g.parts), count: g.count})
				continue
			}
			to := &queues[i]
			to.parts = append(to.parts, members[T]{g.parts[0].sets, to.count})
			to.count += g.count
		}
	}
	r.queues = &queues
	return r
}
