package admission

// list is a linked list of those that have a node in it, in the order in which they were added. The
// nodes are theirs, so that one is removed without a search.
type list[T any] struct{ first, last *node[T] }

// node is a place in a list. The zero node is in none.
type node[T any] struct {
	owner      *T // nil while it is in no list
	prev, next *node[T]
}

// add adds a node of owner, which is in no list, at the end.
func (l *list[T]) add(n *node[T], owner *T) {
	n.owner, n.prev = owner, l.last
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
}

// remove removes a node of the list.
func (l *list[T]) remove(n *node[T]) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	*n = node[T]{}
}

// head returns the owner of the first node, nil if there is none.
func (l *list[T]) head() *T { return l.first.of() }

// tail returns the owner of the last node, nil if there is none.
func (l *list[T]) tail() *T { return l.last.of() }

func (n *node[T]) of() *T {
	if n == nil {
		return nil
	}
	return n.owner
}

// listed reports whether a node is in a list.
func (n *node[T]) listed() bool { return n.owner != nil }
