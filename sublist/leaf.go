package sublist

import (
	"slices"
	"sync/atomic"
)

// Result is everyone a subject matched. It is shared and must not be written to.
type Result[T comparable] struct {
	Plain  []T        // each of them gets the message
	Queues []Group[T] // one member of each gets the message
}

// Group is the members of one queue group, over all patterns that matched.
type Group[T comparable] struct {
	Name    string
	Members []T
}

// fanout returns how many copies of a message r asks for.
func (r *Result[T]) fanout() int { return len(r.Plain) + len(r.Queues) }

// leaf is the subscriptions to one pattern, at least one. Its lock is that of the
// structure it hangs in.
//
// The usual leaf has one plain subscriber and is kept small: a server may have
// millions. As a Result may refer to the array one, such a leaf never changes:
// it is replaced.
type leaf[T comparable] struct {
	built atomic.Pointer[Result[T]] // nil until matched, and again after a change
	hash  uint64                    // of the pattern
	more  *members[T]               // nil if one is all there is
	one   [1]T
}

// members is what a leaf has that is not just one plain subscriber.
type members[T comparable] struct {
	plain  bag[T]
	names  bag[string] // of the queue groups
	groups []*bag[T]   // members of the group at the same place in names
}

// newLeaf returns a leaf with its first subscription.
func newLeaf[T comparable](hash uint64, queue string, v T) *leaf[T] {
	if queue == "" {
		return &leaf[T]{hash: hash, one: [1]T{v}}
	}
	lf := &leaf[T]{hash: hash, more: new(members[T])}
	lf.more.add(queue, v)
	return lf
}

// insert adds a subscription, and returns the leaf that takes the place of lf
// (often lf itself) and whether the subscription is new.
func (lf *leaf[T]) insert(queue string, v T) (*leaf[T], bool) {
	if lf.more == nil {
		if queue == "" && lf.one[0] == v {
			return lf, false
		}
		lf.built.Store(nil)
		wide := &leaf[T]{hash: lf.hash, more: new(members[T])}
		wide.more.add("", lf.one[0])
		wide.more.add(queue, v)
		return wide, true
	}
	if !lf.more.add(queue, v) {
		return lf, false
	}
	lf.built.Store(nil)
	return lf, true
}

// remove takes a subscription out, and returns the leaf that takes the place of lf
// (nil if nothing is left) and whether the subscription was there.
func (lf *leaf[T]) remove(queue string, v T) (*leaf[T], bool) {
	if lf.more == nil {
		if queue != "" || lf.one[0] != v {
			return lf, false
		}
		lf.built.Store(nil)
		return nil, true
	}
	if !lf.more.remove(queue, v) {
		return lf, false
	}
	lf.built.Store(nil)
	switch plain := lf.more.plain.keys; {
	case len(lf.more.groups) > 0 || len(plain) > 1:
		return lf, true
	case len(plain) == 1:
		return newLeaf(lf.hash, "", plain[0]), true
	default:
		return nil, true
	}
}

// result returns everyone in lf. Readers may build it at the same time: either
// will do.
func (lf *leaf[T]) result() *Result[T] {
	if r := lf.built.Load(); r != nil {
		return r
	}
	r := new(Result[T])
	if lf.more == nil {
		r.Plain = lf.one[:]
	} else {
		r.Plain = slices.Clone(lf.more.plain.keys)
		for i, name := range lf.more.names.keys {
			r.Queues = append(r.Queues, Group[T]{name, slices.Clone(lf.more.groups[i].keys)})
		}
	}
	lf.built.Store(r)
	return r
}

// add reports whether the subscription is new.
func (m *members[T]) add(queue string, v T) bool {
	if queue == "" {
		return m.plain.add(v)
	}
	i := m.names.find(queue)
	if i < 0 {
		i = len(m.groups)
		m.names.add(queue)
		m.groups = append(m.groups, new(bag[T]))
	}
	return m.groups[i].add(v)
}

// remove reports whether the subscription was there.
func (m *members[T]) remove(queue string, v T) bool {
	if queue == "" {
		return m.plain.remove(v) >= 0
	}
	i := m.names.find(queue)
	if i < 0 || m.groups[i].remove(v) < 0 {
		return false
	}
	if len(m.groups[i].keys) == 0 {
		m.names.remove(queue)
		last := len(m.groups) - 1
		m.groups[i] = m.groups[last]
		m.groups[last] = nil
		m.groups = m.groups[:last]
	}
	return true
}
