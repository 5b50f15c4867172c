package sublist

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// trie holds the patterns with wildcards. One goroutine at a time changes it. Matches take no lock:
// nodes and leaves are complete before they are linked.
type trie[T comparable] struct {
	leaves atomic.Int64 // patterns

	mu   sync.RWMutex // held while it is changed
	root node[T]
}

// node is a node of the trie: the tokens from the root to it are the beginning of a pattern.
type node[T comparable] struct {
	end      atomic.Pointer[leaf[T]] // the pattern that ends here
	tail     atomic.Pointer[leaf[T]] // the pattern that ends here with another token ">"
	star     atomic.Pointer[node[T]] // the child of the token "*"
	children children[T]
}

// insertLocked adds e, and reports whether it is new. It counts the change in gens.
func (t *trie[T]) insertLocked(e *Entry[T], hash uint64, gens *generations) bool {
	slot := t.root.slot(e.Subject)
	if lf := slot.Load(); lf == nil {
		slot.Store(newLeaf(hash, e.Queue, e.Value))
		t.leaves.Add(1)
	} else {
		now, added := lf.insert(e.Queue, e.Value)
		if !added {
			return false
		}
		slot.Store(now)
	}
	gens.touchPattern(e.Subject)
	return true
}

// removeLocked removes e, and reports whether it was there. It counts the change in gens.
func (t *trie[T]) removeLocked(e *Entry[T], gens *generations) bool {
	removed, emptied := t.root.remove(e.Subject, e)
	if emptied {
		t.leaves.Add(-1)
	}
	if removed {
		gens.touchPattern(e.Subject)
	}
	return removed
}

// collect appends every pattern that matches subject. Subjects that match the same patterns get
// them in the same order.
func (t *trie[T]) collect(subject []byte, found []part[T]) []part[T] {
	if t.leaves.Load() == 0 {
		return found
	}
	return t.root.collect(subject, found)
}

// slot returns the slot for the leaf of pattern below n. It adds missing nodes.
func (n *node[T]) slot(pattern string) *atomic.Pointer[leaf[T]] {
	for {
		token, rest, more := cut(pattern)
		if token == tailToken {
			return &n.tail
		}
		child := n.child(token)
		if child == nil {
			child = n.link(token)
		}
		if !more {
			return &child.end
		}
		n, pattern = child, rest
	}
}

// remove removes e from the leaf of pattern below n, and nodes that are empty then. It reports
// whether e was there, and whether it was the last subscription of the leaf.
func (n *node[T]) remove(pattern string, e *Entry[T]) (removed, emptied bool) {
	token, rest, more := cut(pattern)
	if token == tailToken && !more {
		return removeFrom(&n.tail, e)
	}
	child := n.child(token)
	if child == nil {
		return false, false
	}
	if more {
		removed, emptied = child.remove(rest, e)
	} else {
		removed, emptied = removeFrom(&child.end, e)
	}
	if emptied && child.isEmpty() {
		n.unlink(token)
	}
	return removed, emptied
}

// removeFrom removes e from the leaf in slot, if there is one.
func removeFrom[T comparable](slot *atomic.Pointer[leaf[T]], e *Entry[T]) (removed, emptied bool) {
	lf := slot.Load()
	if lf == nil {
		return false, false
	}
	now, removed := lf.remove(e.Queue, e.Value)
	slot.Store(now)
	return removed, now == nil
}

// collect appends every pattern below n that matches subject.
func (n *node[T]) collect(subject []byte, found []part[T]) []part[T] {
	for {
		if tail := n.tail.Load(); tail != nil {
			found = append(found, part[T]{tail, tail.result()})
		}
		token, rest, more := subject, []byte(nil), false
		if i := bytes.IndexByte(subject, separator); i >= 0 {
			token, rest, more = subject[:i], subject[i+1:], true
		}
		if star := n.star.Load(); star != nil {
			if more {
				found = star.collect(rest, found)
			} else {
				found = star.collectEnd(found)
			}
		}
		child := n.children.find(token)
		if child == nil {
			return found
		}
		if !more {
			return child.collectEnd(found)
		}
		n, subject = child, rest
	}
}

// collectEnd appends the pattern that ends at n, if there is one.
func (n *node[T]) collectEnd(found []part[T]) []part[T] {
	end := n.end.Load()
	if end == nil {
		return found
	}
	return append(found, part[T]{end, end.result()})
}

// isEmpty reports whether no pattern ends at or below n.
func (n *node[T]) isEmpty() bool {
	return n.end.Load() == nil && n.tail.Load() == nil && n.star.Load() == nil && n.children.empty()
}

// child returns the child for a token of a pattern, or nil.
func (n *node[T]) child(token string) *node[T] {
	if token == oneToken {
		return n.star.Load()
	}
	return n.children.find([]byte(token))
}

// link adds the child for a token of a pattern.
func (n *node[T]) link(token string) *node[T] {
	child := new(node[T])
	if token == oneToken {
		n.star.Store(child)
	} else {
		n.children.add(token, child)
	}
	return child
}

// unlink removes the child for a token of a pattern.
func (n *node[T]) unlink(token string) {
	if token == oneToken {
		n.star.Store(nil)
	} else {
		n.children.remove(token)
	}
}
