package sublist

// below is what one node of the trie has, copied.
type below[T comparable] struct {
	entries []Entry[T]
	kids    []edge[T]
}

// all calls yield for every subscription at n, which stands for path, and below.
// The lock is taken once per node. It reports whether yield always returned true.
func (t *trie[T]) all(n *node[T], path string, yield func(Entry[T]) bool) bool {
	b := t.below(n, path)
	for _, e := range b.entries {
		if !yield(e) {
			return false
		}
	}
	for _, k := range b.kids {
		if !t.all(k.node, extend(path, k.token), yield) {
			return false
		}
	}
	return true
}

// below copies what n, which stands for path, has.
func (t *trie[T]) below(n *node[T], path string) below[T] {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var b below[T]
	if n.end != nil {
		b.entries = n.end.result().entries(path, b.entries)
	}
	if n.tail != nil {
		b.entries = n.tail.result().entries(extend(path, tailToken), b.entries)
	}
	if n.star != nil {
		b.kids = append(b.kids, edge[T]{oneToken, n.star})
	}
	b.kids = append(b.kids, n.kids.few...)
	for token, kid := range n.kids.many {
		b.kids = append(b.kids, edge[T]{token, kid})
	}
	return b
}

// extend returns path with one more token. Patterns have no empty tokens, so an
// empty path is that of the root.
func extend(path, token string) string {
	if path == "" {
		return token
	}
	return path + string(separator) + token
}

// entries appends everyone in r, who subscribed to subject.
func (r *Result[T]) entries(subject string, all []Entry[T]) []Entry[T] {
	for _, v := range r.Plain {
		all = append(all, Entry[T]{subject, "", v})
	}
	for _, g := range r.Queues {
		for _, v := range g.Members {
			all = append(all, Entry[T]{subject, g.Name, v})
		}
	}
	return all
}
