package sublist

import (
	"hash/maphash"
	"sync/atomic"
)

// children are the nodes below a node, by their token, except that of "*". One goroutine at a time
// changes them; any number may look tokens up meanwhile, without a lock: an edge never changes, and
// a table is replaced by another before edges move in it.
type children[T comparable] struct {
	only atomic.Pointer[edge[T]]  // while there is no more than one
	many atomic.Pointer[table[T]] // else
}

// edge leads to the node of a token. One without a node is a tombstone: it marks the slot of an
// edge that was removed.
type edge[T comparable] struct {
	token string
	node  *node[T]
}

// table is a hash table with open addressing. A small one is searched sequentially.
type table[T comparable] struct {
	slots []atomic.Pointer[edge[T]] // a power of two
	live  int                       // edges
	used  int                       // edges and tombstones
}

const (
	// smallTable is the largest size of a table that is searched sequentially, and may be full.
	smallTable = 8
	// minTable is the size of the first table of a node.
	minTable = 4
)

// seed is the hash seed of all tables.
var seed = maphash.MakeSeed()

// find returns the node of a token, or nil.
func (k *children[T]) find(token []byte) *node[T] {
	if e := k.only.Load(); e != nil && e.token == string(token) {
		return e.node
	}
	t := k.many.Load()
	if t == nil {
		return nil
	}
	if len(t.slots) <= smallTable {
		for i := range t.slots {
			if e := t.slots[i].Load(); e != nil && e.token == string(token) && e.node != nil {
				return e.node
			}
		}
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := maphash.Bytes(seed, token); ; i++ {
		e := t.slots[i&mask].Load()
		if e == nil {
			return nil
		}
		if e.token == string(token) && e.node != nil {
			return e.node
		}
	}
}

// all calls yield for every edge until it returns false.
func (k *children[T]) all(yield func(*edge[T]) bool) {
	if e := k.only.Load(); e != nil && !yield(e) {
		return
	}
	t := k.many.Load()
	if t == nil {
		return
	}
	for i := range t.slots {
		if e := t.slots[i].Load(); e != nil && e.node != nil && !yield(e) {
			return
		}
	}
}

// empty reports whether there are none.
func (k *children[T]) empty() bool { return k.only.Load() == nil && k.many.Load() == nil }

// add adds a token that is not there yet.
func (k *children[T]) add(token string, n *node[T]) {
	e, only, t := &edge[T]{token, n}, k.only.Load(), k.many.Load()
	switch {
	case only == nil && t == nil:
		k.only.Store(e)
	case t == nil:
		t = newTable[T](2)
		t.put(only)
		t.put(e)
		k.many.Store(t) // first: a reader may look into both
		k.only.Store(nil)
	case t.full():
		bigger := newTable[T](t.live + 1)
		for old := range k.all {
			bigger.put(old)
		}
		bigger.put(e)
		k.many.Store(bigger)
	default:
		t.put(e)
	}
}

// remove removes a token that is there.
func (k *children[T]) remove(token string) {
	if only := k.only.Load(); only != nil {
		k.only.Store(nil)
		return
	}
	t := k.many.Load()
	for i := range t.slots {
		at := t.place(token, i)
		if e := t.slots[at].Load(); e != nil && e.node != nil && e.token == token {
			t.slots[at].Store(new(edge[T]))
			t.live--
			break
		}
	}
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

// newTable returns a table with room for at least n edges.
func newTable[T comparable](n int) *table[T] {
	size := minTable
	for size <= smallTable && size < n || size > smallTable && size/2 < n {
		size *= 2
	}
	return &table[T]{slots: make([]atomic.Pointer[edge[T]], size)}
}

// full reports whether the table must be replaced before another edge is added.
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

// put stores an edge in the first slot that was never used.
func (t *table[T]) put(e *edge[T]) {
	for i := 0; ; i++ {
		if at := t.place(e.token, i); t.slots[at].Load() == nil {
			t.slots[at].Store(e)
			t.live++
			t.used++
			return
		}
	}
}
