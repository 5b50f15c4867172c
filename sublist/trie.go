package sublist

import (
	"strings"
	"sync"
	"sync/atomic"
)

// trie holds the patterns with wildcards. It is a radix tree of tokens: a node has all tokens that
// lead to it and to nothing else, so that there are at most two nodes for a pattern, however long
// it is. One goroutine at a time changes it. Matches take no lock: nodes and leaves are complete
// before they are linked, and a node that is split, or merged with its only child, is replaced by
// copies.
type trie[T comparable] struct {
	leaves atomic.Int64 // patterns

	mu   sync.RWMutex // held while it is changed
	root node[T]
}

// node is a node of the trie: the paths from the root to it are the beginning of a pattern.
type node[T comparable] struct {
	// Set once. The root has neither.
	path  string // tokens from its parent to it
	first int    // length of the first of them; -1 marks a tombstone, see table

	end      atomic.Pointer[leaf[T]] // the pattern that ends here
	tail     atomic.Pointer[leaf[T]] // the pattern that ends here with another token ">"
	star     atomic.Pointer[node[T]] // the child whose path begins with the token "*"
	children children[T]             // the other children
}

// newNode returns a node with the tokens in path.
func newNode[T comparable](path string) *node[T] {
	token, _, _ := cut(path)
	return &node[T]{path: path, first: len(token)}
}

// token returns the first token of the path.
func (n *node[T]) token() string { return n.path[:n.first] }

// under returns a copy of n with another path.
func (n *node[T]) under(path string) *node[T] {
	c := newNode[T](path)
	c.end.Store(n.end.Load())
	c.tail.Store(n.tail.Load())
	c.star.Store(n.star.Load())
	c.children.only.Store(n.children.only.Load())
	c.children.many.Store(n.children.many.Load())
	return c
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
		token, _, _ := cut(pattern)
		if token == tailToken {
			return &n.tail
		}
		at := n.at(token)
		if at == nil {
			return n.grow(pattern)
		}
		child := at.Load()
		common := commonTokens(child.path, pattern)
		if common < len(child.path) {
			child = child.split(common)
			at.Store(child)
		}
		if common == len(pattern) {
			return &child.end
		}
		n, pattern = child, pattern[common+1:]
	}
}

// grow adds a child for pattern, and returns the slot for its leaf. The path is a copy, so that the
// trie does not keep the text of a subscription that was removed.
func (n *node[T]) grow(pattern string) *atomic.Pointer[leaf[T]] {
	path, isTail := strings.CutSuffix(pattern, string(separator)+tailToken)
	child := newNode[T](strings.Clone(path))
	n.link(child)
	if isTail {
		return &child.tail
	}
	return &child.end
}

// split returns a node with the first so many bytes of the path, which end a token, and under it a
// copy of n.
func (n *node[T]) split(at int) *node[T] {
	upper := newNode[T](n.path[:at])
	upper.link(n.under(n.path[at+1:]))
	return upper
}

// commonTokens returns the length of the tokens at the start of both a and b.
func commonTokens(a, b string) int {
	i, end := 0, 0
	for ; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == separator {
			end = i
		}
	}
	if (i == len(a) || a[i] == separator) && (i == len(b) || b[i] == separator) {
		return i
	}
	return end
}

// remove removes e from the leaf of pattern below n, and nodes that are not needed then. It reports
// whether e was there, and whether it was the last subscription of the leaf.
func (n *node[T]) remove(pattern string, e *Entry[T]) (removed, emptied bool) {
	token, _, more := cut(pattern)
	if token == tailToken && !more {
		return removeFrom(&n.tail, e)
	}
	at := n.at(token)
	if at == nil {
		return false, false
	}
	child := at.Load()
	switch rest, found := strings.CutPrefix(pattern, child.path); {
	case found && rest == "":
		removed, emptied = removeFrom(&child.end, e)
	case found && rest[0] == separator:
		removed, emptied = child.remove(rest[1:], e)
	}
	if !emptied || child.end.Load() != nil || child.tail.Load() != nil {
		return removed, emptied
	}
	if only, n0 := child.only(); n0 == 0 {
		n.unlink(token)
	} else if n0 == 1 {
		at.Store(only.under(child.path + string(separator) + only.path))
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
		token, rest, more := cutBytes(subject)
		if star := n.star.Load(); star != nil {
			if r, m, ok := star.follow(rest, more); ok && m {
				found = star.collect(r, found)
			} else if ok {
				found = star.collectEnd(found)
			}
		}
		child := n.children.find(token)
		if child == nil {
			return found
		}
		rest, more, ok := child.follow(rest, more)
		if !ok {
			return found
		}
		if !more {
			return child.collectEnd(found)
		}
		n, subject = child, rest
	}
}

// follow compares the path of n behind its first token with the tokens of a subject, if there are
// more. It returns what follows them, and whether they match.
func (n *node[T]) follow(subject []byte, more bool) (rest []byte, moreRest, ok bool) {
	path := n.path[n.first:]
	for path != "" {
		if !more {
			return nil, false, false
		}
		var want string
		want, path = firstToken(path[1:])
		var token []byte
		token, subject, more = cutBytes(subject)
		if want != oneToken && want != string(token) {
			return nil, false, false
		}
	}
	return subject, more, true
}

// firstToken returns the first token of a path, and the rest with its separator.
func firstToken(path string) (token, rest string) {
	if i := strings.IndexByte(path, separator); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// collectEnd appends the pattern that ends at n, if there is one.
func (n *node[T]) collectEnd(found []part[T]) []part[T] {
	end := n.end.Load()
	if end == nil {
		return found
	}
	return append(found, part[T]{end, end.result()})
}

// only returns a child of n, and how many there are: two stands for more.
func (n *node[T]) only() (child *node[T], count int) {
	if child = n.star.Load(); child != nil {
		count++
	}
	for k := range n.children.all {
		child = k
		if count++; count > 1 {
			break
		}
	}
	return child, count
}

// at returns where the child for the first token of a pattern is linked, nil if there is none.
func (n *node[T]) at(token string) *atomic.Pointer[node[T]] {
	if token != oneToken {
		return n.children.at(token)
	}
	if n.star.Load() == nil {
		return nil
	}
	return &n.star
}

// link adds a child.
func (n *node[T]) link(child *node[T]) {
	if child.token() == oneToken {
		n.star.Store(child)
	} else {
		n.children.add(child)
	}
}

// unlink removes the child for a token of a pattern.
func (n *node[T]) unlink(token string) {
	if token == oneToken {
		n.star.Store(nil)
	} else {
		n.children.remove(token)
	}
}
