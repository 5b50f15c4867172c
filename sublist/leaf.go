package sublist

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Result is all subscribers that a subject matches. It is shared and must not be changed.
type Result[T comparable] struct {
	Plain   []*Set[T] // plain subscribers: each receives the message
	queues  *[]Group[T]
	count   int32  // values in Plain
	words   int32  // see Words
	round   uint32 // of largeResults, when it was counted; guarded by its mu
	retired bool   // of a leaf that is no longer in the list
}

// Queues returns the queue groups: one member of each receives the message.
func (r *Result[T]) Queues() []Group[T] {
	if r.queues == nil {
		return nil
	}
	return *r.queues
}

// Group is the members of a queue group, of all patterns that matched.
type Group[T comparable] struct {
	Name  string
	parts []members[T] // of each pattern
	count int
}

// members are the members of a queue group of one pattern. All sets but the last are full.
type members[T comparable] struct {
	sets  []*Set[T]
	start int // position of the first of them in the group
}

// fewParts is the largest number of parts that are searched sequentially.
const fewParts = 8

// Len returns the number of members, which is at least one.
func (g *Group[T]) Len() int { return g.count }

// At returns member i, from 0 to Len()-1.
func (g *Group[T]) At(i int) T {
	p := &g.parts[g.partOf(i)]
	i -= p.start
	return p.sets[i/setSize].Values[i%setSize]
}

// partOf returns the part that member i is in.
func (g *Group[T]) partOf(i int) int {
	k := 0
	if len(g.parts) <= fewParts {
		for k+1 < len(g.parts) && g.parts[k+1].start <= i {
			k++
		}
		return k
	}
	for end := len(g.parts); k+1 < end; { // it is k or behind, and before end
		if middle := (k + end) / 2; g.parts[middle].start <= i {
			k = middle
		} else {
			end = middle
		}
	}
	return k
}

// From returns an iterator over all members: those from member i on, then those before it. It takes
// less than At for each.
func (g *Group[T]) From(i int) iter.Seq[T] {
	return func(yield func(T) bool) {
		k, left := g.partOf(i), g.count
		for at := i - g.parts[k].start; ; k, at = (k+1)%len(g.parts), 0 {
			for _, set := range g.parts[k].sets[at/setSize:] {
				for _, v := range set.Values[at%setSize:] {
					if left == 0 || !yield(v) {
						return
					}
					left--
				}
				at = 0
			}
		}
	}
}

// Count returns the number of plain subscribers.
func (r *Result[T]) Count() int { return int(r.count) }

// Empty reports whether there is no subscriber at all.
func (r *Result[T]) Empty() bool { return r.count == 0 && r.queues == nil }

// All calls yield for every plain subscriber until it returns false.
func (r *Result[T]) All(yield func(T) bool) {
	for _, s := range r.Plain {
		for _, v := range s.Values {
			if !yield(v) {
				return
			}
		}
	}
}

// fanout returns how many copies of a message are delivered: plain subscribers and queue groups.
func (r *Result[T]) fanout() int { return int(r.count) + len(r.Queues()) }

// Words returns about how many words of memory r has, without what it shares. A multiple of it is how
// long it took to find r, if that was not cached.
func (r *Result[T]) Words() int { return int(r.words) }

// Words of memory.
const (
	groupWords = 6 // of a Group
	partWords  = 4 // of a part of one
)

// leaf holds the subscriptions to one pattern, at least one. It is changed under the lock of the
// index or trie that it is part of, and may be read without.
//
// Most leaves have one plain subscriber and are small: a server may have millions. As a Result may
// refer to its value, such a leaf never changes: it is replaced.
type leaf[T comparable] struct {
	built atomic.Pointer[Result[T]] // nil until the pattern is matched, and again after a change
	hash  uint64                    // of the pattern
	more  *subscribers[T]           // nil if one is the only subscription
	one   [1]T
}

// subscribers are the subscriptions of a leaf that has more than one, or a queue group.
type subscribers[T comparable] struct {
	mu      sync.Mutex // guards what follows
	retired bool       // the leaf is no longer in the list
	plain   indexedSet[T]
	groups  []*group[T]
	names   map[string]int // index in groups by name; nil while there are few
}

// fewGroups is the largest number of queue groups that are searched sequentially.
const fewGroups = 16

// group is the members of one queue group of a leaf.
type group[T comparable] struct {
	name    string
	members indexedSet[T]
}

// newLeaf returns a leaf with its first subscription.
func newLeaf[T comparable](hash uint64, queue string, v T) *leaf[T] {
	if queue == "" {
		return &leaf[T]{hash: hash, one: [1]T{v}}
	}
	lf := &leaf[T]{hash: hash, more: new(subscribers[T])}
	lf.more.add(queue, v)
	return lf
}

// insert adds a subscription. It returns the leaf that replaces lf (often lf itself), and whether
// the subscription is new.
func (lf *leaf[T]) insert(queue string, v T) (*leaf[T], bool) {
	if lf.more == nil {
		if queue == "" && lf.one[0] == v {
			return lf, false
		}
		lf.retire()
		wide := &leaf[T]{hash: lf.hash, more: new(subscribers[T])}
		wide.more.add("", lf.one[0])
		wide.more.add(queue, v)
		return wide, true
	}
	return lf, lf.change(func() bool { return lf.more.add(queue, v) })
}

// remove removes a subscription. It returns the leaf that replaces lf (nil if it was the last
// subscription), and whether the subscription was there.
func (lf *leaf[T]) remove(queue string, v T) (*leaf[T], bool) {
	if lf.more == nil {
		if queue != "" || lf.one[0] != v {
			return lf, false
		}
		lf.retire()
		return nil, true
	}
	if !lf.change(func() bool { return lf.more.remove(queue, v) }) {
		return lf, false
	}
	switch n := lf.more.plain.n; {
	case len(lf.more.groups) > 0 || n > 1:
		return lf, true
	case n == 1:
		lf.more.retire()
		return newLeaf(lf.hash, "", lf.more.plain.get(0)), true
	default:
		lf.more.retire()
		return nil, true
	}
}

// retire marks a leaf with one subscriber as no longer in the list. Matches that have found it may
// still read it, but do not cache its result.
func (lf *leaf[T]) retire() {
	lf.built.Store(&Result[T]{Plain: []*Set[T]{{Values: lf.one[:]}}, count: 1, words: 1, retired: true})
}

// retire marks the leaf as no longer in the list.
func (m *subscribers[T]) retire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retired = true
}

// change calls f, which changes lf.more, under its lock. If f reports a change the result of the
// leaf is dropped.
func (lf *leaf[T]) change(f func() bool) bool {
	lf.more.mu.Lock()
	defer lf.more.mu.Unlock()
	if !f() {
		return false
	}
	lf.built.Store(nil)
	return true
}

// result returns all subscribers of the pattern.
func (lf *leaf[T]) result() *Result[T] {
	if r := lf.built.Load(); r != nil {
		return r
	}
	if lf.more == nil {
		r := &Result[T]{Plain: []*Set[T]{{Values: lf.one[:]}}, count: 1, words: 1}
		if !lf.built.CompareAndSwap(nil, r) {
			return lf.result()
		}
		return r
	}
	lf.more.mu.Lock()
	defer lf.more.mu.Unlock()
	if r := lf.built.Load(); r != nil {
		return r
	}
	r := &Result[T]{Plain: lf.more.plain.list(), count: int32(lf.more.plain.n), retired: lf.more.retired}
	r.words = int32(len(r.Plain))
	if len(lf.more.groups) > 0 {
		queues := make([]Group[T], 0, len(lf.more.groups))
		for _, g := range lf.more.groups {
			sets := g.members.list()
			queues = append(queues, Group[T]{g.name, []members[T]{{sets, 0}}, g.members.n})
			r.words += int32(groupWords + partWords + len(sets))
		}
		r.queues = &queues
	}
	lf.built.Store(r)
	return r
}

// find returns the index of a queue group, -1 if there is none.
func (m *subscribers[T]) find(queue string) int {
	if m.names == nil {
		return slices.IndexFunc(m.groups, func(g *group[T]) bool { return g.name == queue })
	}
	if i, known := m.names[queue]; known {
		return i
	}
	return -1
}

// add adds a subscription, and reports whether it is new.
func (m *subscribers[T]) add(queue string, v T) bool {
	if queue == "" {
		return m.plain.add(v)
	}
	i := m.find(queue)
	if i < 0 {
		i = len(m.groups)
		m.groups = append(m.groups, &group[T]{name: queue})
		m.indexFrom(i)
	}
	return m.groups[i].members.add(v)
}

// indexFrom updates names for the groups from index i on.
func (m *subscribers[T]) indexFrom(i int) {
	if len(m.groups) <= fewGroups {
		return
	}
	if m.names == nil {
		m.names, i = make(map[string]int, len(m.groups)), 0
	}
	for ; i < len(m.groups); i++ {
		m.names[m.groups[i].name] = i
	}
}

// remove removes a subscription, and reports whether it was there.
func (m *subscribers[T]) remove(queue string, v T) bool {
	if queue == "" {
		return m.plain.remove(v) >= 0
	}
	i := m.find(queue)
	if i < 0 || m.groups[i].members.remove(v) < 0 {
		return false
	}
	if m.groups[i].members.n > 0 {
		return true
	}
	last := len(m.groups) - 1
	moved := m.groups[last]
	m.groups[i], m.groups[last] = moved, nil
	if m.groups = m.groups[:last]; last <= fewGroups/2 {
		m.names = nil
	}
	if m.names != nil {
		m.names[moved.name] = i
		delete(m.names, queue)
	}
	return true
}
