package sublist

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// part is one pattern that matched, and its subscribers when it did.
type part[T comparable] struct {
	leaf   *leaf[T]
	result *Result[T]
}

// merges interns the merged results of subjects that match several patterns. A
// Result is never built twice at one address while it is referred to, so the
// results of the parts are a key that cannot go stale: at worst it is not asked
// for any more, and dropStale forgets it.
//
// Like a subject, a combination is kept only when it is asked for again soon: a
// literal subscription of its own under each of a million subjects makes as many.
type merges[T comparable] struct {
	slots [mergeSlots]atomic.Pointer[merged[T]]
	asked [mergeSlots / 2]atomic.Uint32 // per pair of slots, hash of the last one not found
}

// mergeSlots bounds how many merged results are kept. It is even: they are
// looked for in pairs.
const mergeSlots = 4096

// merged never changes.
type merged[T comparable] struct {
	parts  []part[T]
	result *Result[T]
}

// of returns the merged result of two parts or more.
func (m *merges[T]) of(found []part[T]) *Result[T] {
	hash := mergeHash(found)
	at, tag := hash%mergeSlots, uint32(hash>>32)
	if c := m.slots[at].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	if c := m.slots[at^1].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	r := merge(found)
	if r.gone || r.size() > maxKept {
		return r
	}
	if asked := &m.asked[at/2]; asked.Load() != tag {
		asked.Store(tag)
		return r
	}
	if old := m.slots[at].Load(); old != nil && !old.isStale() {
		m.slots[at^1].Store(old)
	}
	m.slots[at].Store(&merged[T]{slices.Clone(found), r})
	return r
}

// dropStale forgets slot i if it can never be asked for again.
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

// maxKept bounds the memory, in words, that one remembered result may have of its own.
const maxKept = 512

// merge returns a Result with all subscribers in found. It copies no subscriber: what the parts
// list is shared.
func merge[T comparable](found []part[T]) *Result[T] {
	r := new(Result[T])
	sets, groups := 0, 0
	for _, p := range found {
		sets += len(p.result.Plain)
		groups += len(p.result.Queues())
		r.count += p.result.count
		r.gone = r.gone || p.result.gone
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
			to.parts = append(to.parts, g.parts...)
			to.count += g.count
		}
	}
	r.queues = &queues
	return r
}
