package sublist

import (
	"hash/maphash"
	"sync/atomic"
)

// children are the nodes below a node, by their first token, except that of "*". One goroutine at a
// time changes them; any number may look tokens up meanwhile, without a lock: a table is replaced
// by another before nodes move in it.
type children[T comparable] struct {
	only atomic.Pointer[node[T]]  // while there is no more than one
	many atomic.Pointer[table[T]] // else
}

// table is a hash table with open addressing. A small one is searched sequentially. A tombstone is
// in the slot of a node that was removed.
type table[T comparable] struct {
	slots     []atomic.Pointer[node[T]] // a power of two
	live      int                       // nodes
	used      int                       // nodes and tombstones
	tombstone *node[T]                  // nil until it is needed
}

const (
	// smallTable is the largest size of a table that is searched sequentially, and may be full.
	smallTable = 8
	// minTable is the size of the first table of a node.
	minTable = 4
)

// seed is the hash seed of all tables.
var seed = maphash.MakeSeed()

// is reports whether token is the first one of n. It is never that of a tombstone.
func is[S string | []byte, T comparable](n *node[T], token S) bool {
	return n.first == len(token) && n.path[:n.first] == string(token)
}

// find returns the node of a token, or nil.
func (k *children[T]) find(token []byte) *node[T] {
	if n := k.only.Load(); n != nil && is(n, token) {
		return n
	}
	t := k.many.Load()
	if t == nil {
		return nil
	}
	if len(t.slots) <= smallTable {
		for i := range t.slots {
			if n := t.slots[i].Load(); n != nil && is(n, token) {
				return n
			}
		}
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := maphash.Bytes(seed, token); ; i++ {
		n := t.slots[i&mask].Load()
		if n == nil || is(n, token) {
			return n
		}
	}
}

// at returns where the node of a token is stored, nil if there is none.
func (k *children[T]) at(token string) *atomic.Pointer[node[T]] {
	if n := k.only.Load(); n != nil && is(n, token) {
		return &k.only
	}
	t := k.many.Load()
	if t == nil {
		return nil
	}
	for i := range t.slots {
		at := &t.slots[t.place(token, i)]
		n := at.Load()
		if n == nil {
			return nil
		}
		if is(n, token) {
			return at
		}
	}
	return nil
}

// all calls yield for every node until it returns false.
func (k *children[T]) all(yield func(*node[T]) bool) {
	if n := k.only.Load(); n != nil && !yield(n) {
		return
	}
	t := k.many.Load()
	if t == nil {
		return
	}
	for i := range t.slots {
		if n := t.slots[i].Load(); n != nil && n.first >= 0 && !yield(n) {
			return
		}
	}
}

// add adds a node whose first token is not there yet.
func (k *children[T]) add(n *node[T]) {
	only, t := k.only.Load(), k.many.Load()
	switch {
	case only == nil && t == nil:
		k.only.Store(n)
	case t == nil:
		t = newTable[T](2)
		t.put(only)
		t.put(n)
		k.many.Store(t) // first: a reader may look into both
		k.only.Store(nil)
	case t.full():
		bigger := newTable[T](t.live + 1)
		for old := range k.all {
			bigger.put(old)
		}
		bigger.put(n)
		k.many.Store(bigger)
	default:
		t.put(n)
	}
}

// remove removes a token that is there.
func (k *children[T]) remove(token string) {
	if only := k.only.Load(); only != nil {
		k.only.Store(nil)
		return
	}
	t := k.many.Load()
	if t.tombstone == nil {
		t.tombstone = &node[T]{first: -1}
	}
	k.at(token).Store(t.tombstone)
	t.live--
	switch {
	case t.live == 0:
		k.many.Store(nil)
	case len(t.slots) > minTable && t.live < len(t.slots)/8:
		smaller := newTable[T](t.live)
		for old := range k.all {
			smaller.put(old)
		}
		k.many.Store(smaller)
	}
}

// newTable returns a table with room for at least n nodes.
func newTable[T comparable](n int) *table[T] {
	size := minTable
	for size <= smallTable && size < n || size > smallTable && size/2 < n {
		size *= 2
	}
	return &table[T]{slots: make([]atomic.Pointer[node[T]], size)}
}

// full reports whether the table must be replaced before another node is added.
func (t *table[T]) full() bool {
	if len(t.slots) <= smallTable {
		return t.used == len(t.slots)
	}
	return t.used >= len(t.slots)/4*3
}

// place returns the slot of a token at probe i.
func (t *table[T]) place(token string, i int) int {
	if len(t.slots) <= smallTable {
		return i
	}
	return int((maphash.String(seed, token) + uint64(i)) & uint64(len(t.slots)-1))
}

// put stores a node in the first slot that was never used.
func (t *table[T]) put(n *node[T]) {
	for i := 0; ; i++ {
		if at := t.place(n.token(), i); t.slots[at].Load() == nil {
			t.slots[at].Store(n)
			t.live++
			t.used++
			return
		}
	}
}
