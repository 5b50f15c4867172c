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

// find returns the merged result of two or more parts, nil if it is not kept.
func (m *merges[T]) find(hash uint64, found []part[T]) *Result[T] {
	at := hash % mergeSlots
	if c := m.slots[at].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	if c := m.slots[at^1].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	return nil
}

// missedBefore reports whether the last combination that was not found in a pair of slots has the same
// hash.
func (m *merges[T]) missedBefore(hash uint64) bool {
	missed, tag := &m.missed[hash%mergeSlots/2], uint32(hash>>32)
	if missed.Load() == tag {
		return true
	}
	missed.Store(tag)
	return false
}

// store keeps a merged result.
func (m *merges[T]) store(hash uint64, c *merged[T]) {
	at := hash % mergeSlots
	if old := m.slots[at].Load(); old != nil && !old.isStale() {
		m.slots[at^1].Store(old)
	}
	m.slots[at].Store(c)
}

// dropStale clears slot i if it is stale.
func (m *merges[T]) dropStale(i int) {
	slot := &m.slots[i%mergeSlots]
	if c := slot.Load(); c != nil && c.isStale() {
		slot.CompareAndSwap(c, nil)
	}
}

// dropLarge clears the slots of large results.
func (m *merges[T]) dropLarge() {
	for i := range m.slots {
		if c := m.slots[i].Load(); c != nil && c.result.isLarge() {
			m.slots[i].CompareAndSwap(c, nil)
		}
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

// merge returns a Result with all subscribers in found. It copies none of them: their sets are
// shared.
func merge[T comparable](found []part[T]) *Result[T] {
	r := new(Result[T])
	sets, groups, names := 0, 0, 0
	for _, p := range found {
		sets += len(p.result.Plain)
		groups += len(p.result.Queues())
		names = max(names, len(p.result.Queues()))
		r.count += p.result.count
		r.retired = r.retired || p.result.retired
	}
	r.Plain = make([]*Set[T], 0, sets)
	for _, p := range found {
		r.Plain = append(r.Plain, p.result.Plain...)
	}
	if groups > 0 {
		queues := mergeGroups(found, groups, names)
		r.queues = &queues
	}
	r.words = int32(2*len(found) + sets + groupWords*len(r.Queues()) + partWords*groups)
	return r
}

// mergeGroups returns the queue groups of found. Together they have so many parts, and at least so many
// names.
func mergeGroups[T comparable](found []part[T], parts, names int) []Group[T] {
	var buf [16]int
	index := make(map[string]int, names)
	sizes, which := make([]int, 0, names), slices.Grow(buf[:0], parts) // how many parts each has; which one each part is of
	for _, p := range found {
		for _, g := range p.result.Queues() {
			i, known := index[g.Name]
			if !known {
				i = len(sizes)
				index[g.Name] = i
				sizes = append(sizes, 0)
			}
			sizes[i]++
			which = append(which, i)
		}
	}
	queues, all := make([]Group[T], len(sizes)), make([]members[T], parts)
	for i, n := range sizes {
		queues[i].parts, all = all[:0:n], all[n:]
	}
	for _, p := range found {
		for _, g := range p.result.Queues() {
			to := &queues[which[0]]
			which = which[1:]
			to.Name = g.Name
			to.parts = append(to.parts, members[T]{g.parts[0].sets, to.count}) // p is of a leaf: there is one part
			to.count += g.count
		}
	}
	return queues
}
