package sublist

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// part is one pattern that matched, and who it had when it did.
type part[T comparable] struct {
	leaf   *leaf[T]
	result *Result[T]
}

// combos interns the merged results of subjects that match several patterns. A
// Result is never built twice at one address while it is referred to, so the
// results of the parts are a key that cannot go stale: at worst it is not asked
// for any more, and dropStale forgets it.
//
// Like a subject, a combination is kept only when it is asked for again soon: a
// literal subscription of its own under each of a million subjects makes as many.
type combos[T comparable] struct {
	slots [comboSlots]atomic.Pointer[combo[T]]
	asked [comboSlots / 2]atomic.Uint32 // per pair of slots, hash of the last one not found
}

// comboSlots bounds how many merged results are kept. It is even: they are
// looked for in pairs.
const comboSlots = 4096

// combo never changes.
type combo[T comparable] struct {
	parts  []part[T]
	result *Result[T]
}

// of returns the merged result of two parts or more.
func (cs *combos[T]) of(found []part[T]) *Result[T] {
	hash := comboHash(found)
	at, tag := hash%comboSlots, uint32(hash>>32)
	if c := cs.slots[at].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	if c := cs.slots[at^1].Load(); c != nil && slices.Equal(c.parts, found) {
		return c.result
	}
	r := merge(found)
	if asked := &cs.asked[at/2]; asked.Load() != tag {
		asked.Store(tag)
		return r
	}
	if old := cs.slots[at].Load(); old != nil && !old.isStale() {
		cs.slots[at^1].Store(old)
	}
	cs.slots[at].Store(&combo[T]{slices.Clone(found), r})
	return r
}

// dropStale forgets slot i if it can never be asked for again.
func (cs *combos[T]) dropStale(i int) {
	slot := &cs.slots[i%comboSlots]
	if c := slot.Load(); c != nil && c.isStale() {
		slot.CompareAndSwap(c, nil)
	}
}

// isStale reports whether one of the parts has changed.
func (c *combo[T]) isStale() bool {
	return slices.ContainsFunc(c.parts, func(p part[T]) bool { return p.leaf.built.Load() != p.result })
}

func comboHash[T comparable](found []part[T]) uint64 {
	var h uint64
	for i := range found {
		h = bits.RotateLeft64(h, 5) ^ found[i].leaf.hash
	}
	return h
}

// merge returns a Result with everyone in found. What only one part has is shared.
func merge[T comparable](found []part[T]) *Result[T] {
	r := new(Result[T])
	groups := 0
	for _, p := range found {
		r.Plain = join(r.Plain, p.result.Plain)
		groups += len(p.result.Queues)
	}
	if groups == 0 {
		return r
	}
	at := make(map[string]int, groups)
	for _, p := range found {
		for _, g := range p.result.Queues {
			if i, ok := at[g.Name]; ok {
				r.Queues[i].Members = join(r.Queues[i].Members, g.Members)
			} else {
				at[g.Name] = len(r.Queues)
				r.Queues = append(r.Queues, g)
			}
		}
	}
	return r
}

// join returns a and b as one slice, without writing to either.
func join[T any](a, b []T) []T {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	return append(a[:len(a):len(a)], b...)
}
