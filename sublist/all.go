package sublist

// contents is a copy of what a node of the trie has.
type contents[T comparable] struct {
	entries  []Entry[T]
	children []*node[T]
}

// all calls yield for every subscription at and below n, whose tokens are path, until it returns
// false. It reports whether yield always returned true.
func (t *trie[T]) all(n *node[T], path string, yield func(Entry[T]) bool) bool {
	b := t.contents(n, path)
	for _, e := range b.entries {
		if !yield(e) {
			return false
		}
	}
	for _, k := range b.children {
		if !t.all(k, extend(path, k.path), yield) {
			return false
		}
	}
	return true
}

// contents returns what n, whose tokens are path, has.
func (t *trie[T]) contents(n *node[T], path string) contents[T] {
	var b contents[T]
	if end := n.end.Load(); end != nil {
		b.entries = end.result().entries(path, b.entries)
	}
	if tail := n.tail.Load(); tail != nil {
		b.entries = tail.result().entries(extend(path, tailToken), b.entries)
	}
	if star := n.star.Load(); star != nil {
		b.children = append(b.children, star)
	}
	for k := range n.children.all {
		b.children = append(b.children, k)
	}
	return b
}

// extend returns path with more tokens. Patterns have no empty tokens, so an empty path is that of
// the root.
func extend(path, tokens string) string {
	if path == "" {
		return tokens
	}
	return path + string(separator) + tokens
}

// entries appends an entry for each subscriber in r, with this subject.
func (r *Result[T]) entries(subject string, all []Entry[T]) []Entry[T] {
	for v := range r.All {
		all = append(all, Entry[T]{subject, "", v})
	}
	for _, g := range r.Queues() {
		for v := range g.From(0) {
			all = append(all, Entry[T]{subject, g.Name, v})
		}
	}
	return all
}
