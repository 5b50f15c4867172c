package sublist

import "slices"

// Set is a part of those who subscribed to one pattern. It never changes, so its address says what
// it holds. It has at most setSize values.
type Set[T comparable] struct {
	Values []T
}

// setSize bounds the values of a set: a change copies one set of a pattern, and a match costs one
// step per set.
const setSize = 128

// bag is a growing and shrinking set of values, kept in sets that can be shared with those who read
// them: a set that was shared is copied before it is changed. All sets but the last are full. The
// zero bag is empty.
type bag[T comparable] struct {
	parts []bagPart[T]
	n     int       // values
	at    map[T]int // position of each value; nil while the bag is small
	peak  int       // most values since at was made
}

// bagPart is a set, and whether it is part of a list that was handed out.
type bagPart[T comparable] struct {
	set    *Set[T]
	shared bool
}

// bagScan is the size up to which a bag is searched from end to end. Beyond it
// a map says where each value is.
const bagScan = 16

// list returns the sets as they are now. They do not change any more.
func (b *bag[T]) list() []*Set[T] {
	list := make([]*Set[T], len(b.parts))
	for i := range b.parts {
		b.parts[i].shared = true
		list[i] = b.parts[i].set
	}
	return list
}

// get returns the value at a position.
func (b *bag[T]) get(i int) T { return b.parts[i/setSize].set.Values[i%setSize] }

// find returns the position of v, or -1.
func (b *bag[T]) find(v T) int {
	if b.at != nil {
		if i, ok := b.at[v]; ok {
			return i
		}
		return -1
	}
	for i := range b.parts {
		if k := slices.Index(b.parts[i].set.Values, v); k >= 0 {
			return i*setSize + k
		}
	}
	return -1
}

// own makes set i one that may be changed, with room for size values.
func (b *bag[T]) own(i, size int) *Set[T] {
	p := &b.parts[i]
	if old := p.set.Values; p.shared || cap(old) < size {
		room := size
		if size > 2 {
			room = min(setSize, 2*size)
		}
		*p = bagPart[T]{set: &Set[T]{Values: append(make([]T, 0, room), old...)}}
	}
	return p.set
}

// add puts v at the end, and reports false if it was there already.
func (b *bag[T]) add(v T) bool {
	if b.find(v) >= 0 {
		return false
	}
	i := b.n / setSize
	if i == len(b.parts) {
		b.parts = append(b.parts, bagPart[T]{set: new(Set[T])})
	}
	s := b.own(i, b.n%setSize+1)
	s.Values = append(s.Values, v)
	b.n++
	if b.at != nil {
		b.at[v] = b.n - 1
		b.peak = max(b.peak, b.n)
	} else if b.n > bagScan {
		b.reindex()
	}
	return true
}

// remove takes v out and moves the last value to its place. It returns that
// place, or -1 if v was not there.
func (b *bag[T]) remove(v T) int {
	at := b.find(v)
	if at < 0 {
		return -1
	}
	last := b.n - 1
	moved := b.get(last)
	b.own(at/setSize, at%setSize+1).Values[at%setSize] = moved
	b.dropLast()
	if b.at != nil {
		b.at[moved] = at
		delete(b.at, v)
	}
	b.shrink()
	return at
}

// dropLast forgets the last value.
func (b *bag[T]) dropLast() {
	b.n--
	i, left := b.n/setSize, b.n%setSize
	if left == 0 {
		b.parts[i].set = nil
		if b.parts = b.parts[:i]; cap(b.parts) > 64 && len(b.parts) < cap(b.parts)/4 {
			b.parts = slices.Clip(slices.Clone(b.parts))
		}
		return
	}
	s := b.own(i, left)
	var zero T
	s.Values[left] = zero
	s.Values = s.Values[:left]
	if cap(s.Values) > 8 && left < cap(s.Values)/4 {
		b.parts[i].set = &Set[T]{Values: append(make([]T, 0, 2*left), s.Values...)}
	}
}

// shrink gives memory back when little of it is in use.
func (b *bag[T]) shrink() {
	if b.at == nil {
		return
	}
	if b.n < bagScan/2 {
		b.at = nil
	} else if b.n < b.peak/shrinkBelow {
		b.reindex()
	}
}

// reindex makes the map of positions again.
func (b *bag[T]) reindex() {
	b.peak = b.n
	b.at = make(map[T]int, b.n)
	for i := range b.n {
		b.at[b.get(i)] = i
	}
}
