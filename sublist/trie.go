package sublist

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// trie holds the patterns with wildcards.
type trie[T comparable] struct {
	leaves atomic.Int64 // patterns; readers need no lock to see that there are none

	mu   sync.RWMutex
	root node[T]
}

// node is one level of the trie. It stands for the tokens on the way to it.
type node[T comparable] struct {
	end  *leaf[T] // the pattern that ends here
	tail *leaf[T] // the pattern that ends here with one more token ">"
	star *node[T] // the next token is "*"
	kids children[T]
}

// fewKids is how many children a node keeps in a list before it makes a map.
const fewKids = 8

// children are a node's next tokens that are plain text.
type children[T comparable] struct {
	few  []edge[T]
	many map[string]*node[T] // instead of few
	peak int                 // most children since many was made
}

type edge[T comparable] struct {
	token string
	node  *node[T]
}

// insertLocked reports whether e is new. The change is announced in gens.
func (t *trie[T]) insertLocked(e *Entry[T], hash uint64, gens *generations) bool {
	slot := t.root.slot(e.Subject)
	if *slot == nil {
		*slot = newLeaf(hash, e.Queue, e.Value)
		t.leaves.Add(1)
	} else {
		now, added := (*slot).insert(e.Queue, e.Value)
		if !added {
			return false
		}
		*slot = now
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
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.root.collect(subject, found)
}

// slot returns where the leaf of pattern hangs below n, making the way there.
func (n *node[T]) slot(pattern string) **leaf[T] {
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
func removeFrom[T comparable](slot **leaf[T], e *Entry[T]) (removed, emptied bool) {
	if *slot == nil {
		return false, false
	}
	now, removed := (*slot).remove(e.Queue, e.Value)
	*slot = now
	return removed, now == nil
}

// collect appends what subject matches below n.
func (n *node[T]) collect(subject []byte, found []part[T]) []part[T] {
	for {
		if n.tail != nil {
			found = append(found, part[T]{n.tail, n.tail.result()})
		}
		token, rest, more := subject, []byte(nil), false
		if i := bytes.IndexByte(subject, separator); i >= 0 {
			token, rest, more = subject[:i], subject[i+1:], true
		}
		if n.star != nil {
			if more {
				found = n.star.collect(rest, found)
			} else {
				found = n.star.collectEnd(found)
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
	if n.end == nil {
		return found
	}
	return append(found, part[T]{n.end, n.end.result()})
}

// isEmpty reports whether no pattern goes through n.
func (n *node[T]) isEmpty() bool {
	return n.end == nil && n.tail == nil && n.star == nil && len(n.kids.few) == 0 && len(n.kids.many) == 0
}

// kid returns the node one token of a pattern further, or nil.
func (n *node[T]) kid(token string) *node[T] {
	if token == oneToken {
		return n.star
	}
	return n.kids.findString(token)
}

// link makes the node one token of a pattern further.
func (n *node[T]) link(token string) *node[T] {
	kid := new(node[T])
	if token == oneToken {
		n.star = kid
	} else {
		n.kids.add(token, kid)
	}
	return kid
}

// unlink undoes link.
func (n *node[T]) unlink(token string) {
	if token == oneToken {
		n.star = nil
	} else {
		n.kids.remove(token)
	}
}

func (c *children[T]) find(token []byte) *node[T] {
	if c.many != nil {
		return c.many[string(token)]
	}
	for i := range c.few {
		if c.few[i].token == string(token) {
			return c.few[i].node
		}
	}
	return nil
}

func (c *children[T]) findString(token string) *node[T] {
	if c.many != nil {
		return c.many[token]
	}
	for i := range c.few {
		if c.few[i].token == token {
			return c.few[i].node
		}
	}
	return nil
}

// add puts a token in that is not there yet.
func (c *children[T]) add(token string, n *node[T]) {
	if c.many == nil && len(c.few) < fewKids {
		c.few = append(c.few, edge[T]{token, n})
		return
	}
	if c.many == nil {
		c.many = make(map[string]*node[T], 2*fewKids)
		for _, e := range c.few {
			c.many[e.token] = e.node
		}
		c.few = nil
	}
	c.many[token] = n
	c.peak = max(c.peak, len(c.many))
}

// remove takes out a token that is there.
func (c *children[T]) remove(token string) {
	if c.many != nil {
		c.removeMany(token)
		return
	}
	last := len(c.few) - 1
	for i := range c.few {
		if c.few[i].token == token {
			c.few[i] = c.few[last]
			c.few[last] = edge[T]{}
			c.few = c.few[:last]
			break
		}
	}
	if last == 0 {
		c.few = nil
	}
}

// removeMany is remove when there is a map.
func (c *children[T]) removeMany(token string) {
	delete(c.many, token)
	if len(c.many) > fewKids/2 {
		c.many, c.peak = shrunk(c.many, c.peak)
		return
	}
	for token, n := range c.many {
		c.few = append(c.few, edge[T]{token, n})
	}
	c.many, c.peak = nil, 0
}
