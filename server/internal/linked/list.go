// Package linked has linked lists from which an element is removed without a search.
package linked

// List is a linked list of those that have a node in it, in the order in which they were added. The
// nodes are theirs. The zero value is an empty list.
type List[T any] struct{ first, last *Node[T] }

// Node is a place in a list. The zero node is in none.
type Node[T any] struct {
	owner      *T // nil while it is in no list
	prev, next *Node[T]
}

// Add adds a node of owner, which is in no list, at the end.
func (l *List[T]) Add(n *Node[T], owner *T) {
	n.owner, n.prev = owner, l.last
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
}

// Remove removes a node of the list.
func (l *List[T]) Remove(n *Node[T]) {
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
	*n = Node[T]{}
}

// Head returns the owner of the first node, nil if there is none.
func (l *List[T]) Head() *T { return l.first.of() }

// Tail returns the owner of the last node, nil if there is none.
func (l *List[T]) Tail() *T { return l.last.of() }

func (n *Node[T]) of() *T {
	if n == nil {
		return nil
	}
	return n.owner
}

// Listed reports whether the node is in a list.
func (n *Node[T]) Listed() bool { return n.owner != nil }
