package sublist

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// trie holds the patterns with wildcards. Matches take no lock: the goroutine that changes it, one
// at a time, puts in place what is complete.
type trie[T comparable] struct {
	leaves atomic.Int64 // patterns

	mu   sync.RWMutex // held while it is changed
	root node[T]
}

// node is one level of the trie. It stands for the tokens on the way to it.
type node[T comparable] struct {
	end  atomic.Pointer[leaf[T]] // the pattern that ends here
	tail atomic.Pointer[leaf[T]] // the pattern that ends here with one more token ">"
	star atomic.Pointer[node[T]] // the next token is "*"
	kids kids[T]
}

// insertLocked reports whether e is new. The change is announced in gens.
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

// removeLocked reports whether e was there. The change is announced in gens.
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

// collect appends every pattern that subject matches. The order depends on
// which patterns match only, not on the subject.
func (t *trie[T]) collect(subject []byte, found []part[T]) []part[T] {
	if t.leaves.Load() == 0 {
		return found
	}
	return t.root.collect(subject, found)
}

// slot returns where the leaf of pattern hangs below n, making the way there.
func (n *node[T]) slot(pattern string) *atomic.Pointer[leaf[T]] {
	for {
		token, rest, more := cut(pattern)
		if token == tailToken {
			return &n.tail
		}
		kid := n.kid(token)
		if kid == nil {
			kid = n.link(token)
		}
		if !more {
			return &kid.end
		}
		n, pattern = kid, rest
	}
}

// remove takes e, whose subject goes on with pattern below n, out of its leaf, and
// prunes. It reports whether e was there, and whether the leaf is gone with it.
func (n *node[T]) remove(pattern string, e *Entry[T]) (removed, emptied bool) {
	token, rest, more := cut(pattern)
	if token == tailToken && !more {
		return removeFrom(&n.tail, e)
	}
	kid := n.kid(token)
	if kid == nil {
		return false, false
	}
	if more {
		removed, emptied = kid.remove(rest, e)
	} else {
		removed, emptied = removeFrom(&kid.end, e)
	}
	if emptied && kid.isEmpty() {
		n.unlink(token)
	}
	return removed, emptied
}

// removeFrom takes e out of the leaf in slot, if there is one.
func removeFrom[T comparable](slot *atomic.Pointer[leaf[T]], e *Entry[T]) (removed, emptied bool) {
	lf := slot.Load()
	if lf == nil {
		return false, false
	}
	now, removed := lf.remove(e.Queue, e.Value)
	slot.Store(now)
	return removed, now == nil
}

// collect appends what subject matches below n.
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
		kid := n.kids.find(token)
		if kid == nil {
			return found
		}
		if !more {
			return kid.collectEnd(found)
		}
		n, subject = kid, rest
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

// isEmpty reports whether no pattern goes through n.
func (n *node[T]) isEmpty() bool {
	return n.end.Load() == nil && n.tail.Load() == nil && n.star.Load() == nil && n.kids.empty()
}

// kid returns the node one token of a pattern further, or nil.
func (n *node[T]) kid(token string) *node[T] {
	if token == oneToken {
		return n.star.Load()
	}
	return n.kids.find([]byte(token))
}

// link makes the node one token of a pattern further.
func (n *node[T]) link(token string) *node[T] {
	kid := new(node[T])
	if token == oneToken {
		n.star.Store(kid)
	} else {
		n.kids.add(token, kid)
	}
	return kid
}

// unlink undoes link.
func (n *node[T]) unlink(token string) {
	if token == oneToken {
		n.star.Store(nil)
	} else {
		n.kids.remove(token)
	}
}
