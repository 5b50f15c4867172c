package sublist

// contents is a copy of what a node of the trie has.
type contents[T comparable] struct {
	patterns []snapshot[T]
	children []*node[T]
}

// snapshot is the subscribers that a pattern has at a time. It takes no memory for each of them: a client
// decides how many there are.
type snapshot[T comparable] struct {
	subject string
	result  *Result[T]
}

// all calls yield for every subscription at and below n, whose tokens are path, until it returns
// false. It reports whether yield always returned true.
func (t *trie[T]) all(n *node[T], path string, yield func(Entry[T]) bool) bool {
	b := t.contents(n, path)
	for _, p := range b.patterns {
		if !p.all(yield) {
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
		b.patterns = append(b.patterns, snapshot[T]{path, end.result()})
	}
	if tail := n.tail.Load(); tail != nil {
		b.patterns = append(b.patterns, snapshot[T]{extend(path, tailToken), tail.result()})
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

// all calls yield for each subscriber until it returns false. It reports whether yield always returned
// true.
func (p *snapshot[T]) all(yield func(Entry[T]) bool) bool {
	for v := range p.result.All {
		if !yield(Entry[T]{p.subject, "", v}) {
			return false
		}
	}
	for _, g := range p.result.Queues() {
		for v := range g.From(0) {
			if !yield(Entry[T]{p.subject, g.Name, v}) {
				return false
			}
		}
	}
	return true
}
