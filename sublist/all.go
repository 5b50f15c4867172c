package sublist

// below is what one node of the trie has, copied.
type below[T comparable] struct {
	entries []Entry[T]
	kids    []edge[T]
}

// all calls yield for every subscription at n, which stands for path, and below.
// It reports whether yield always returned true.
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

// below returns what n, which stands for path, has.
func (t *trie[T]) below(n *node[T], path string) below[T] {
	var b below[T]
	if end := n.end.Load(); end != nil {
		b.entries = end.result().entries(path, b.entries)
	}
	if tail := n.tail.Load(); tail != nil {
		b.entries = tail.result().entries(extend(path, tailToken), b.entries)
	}
	if star := n.star.Load(); star != nil {
		b.kids = append(b.kids, edge[T]{oneToken, star})
	}
	for e := range n.kids.all {
		b.kids = append(b.kids, *e)
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

// entries appends all subscribers in r, of subject.
func (r *Result[T]) entries(subject string, all []Entry[T]) []Entry[T] {
	for v := range r.All {
		all = append(all, Entry[T]{subject, "", v})
	}
	for _, g := range r.Queues() {
		for k := range g.Len() {
			all = append(all, Entry[T]{subject, g.Name, g.At(k)})
		}
	}
	return all
}
