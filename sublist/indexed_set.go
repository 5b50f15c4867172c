package sublist

import "slices"

// Set is some of the subscribers of a pattern, at most 128. It never changes: two pointers to the
// same Set have the same values.
type Set[T comparable] struct {
	Values []T
}

// setSize bounds the values of a set: a change copies one set of a pattern, and a match costs one
// step per set.
const setSize = 128

// indexedSet is a set of values with positions, where adding and removing take constant time. The
// values are kept in sets that can be shared with readers: a shared one is copied before it is
// changed. All sets but the last are full. The zero indexedSet is empty.
type indexedSet[T comparable] struct {
	parts []setPart[T]
	n     int       // values
	at    map[T]int // position of each value; nil while there are few values
	peak  int       // most values since at was made
}

// setPart is a set, and whether it is shared with readers.
type setPart[T comparable] struct {
	set    *Set[T]
	shared bool
}

// scanLimit is the size up to which an indexedSet is searched from end to end. Beyond it a map says
// where each value is.
const scanLimit = 16

// list returns the present sets. They never change.
func (x *indexedSet[T]) list() []*Set[T] {
	list := make([]*Set[T], len(x.parts))
	for i := range x.parts {
		x.parts[i].shared = true
		list[i] = x.parts[i].set
	}
	return list
}

// get returns the value at a position.
func (x *indexedSet[T]) get(i int) T { return x.parts[i/setSize].set.Values[i%setSize] }

// find returns the position of v, or -1.
func (x *indexedSet[T]) find(v T) int {
	if x.at != nil {
		if i, ok := x.at[v]; ok {
			return i
		}
		return -1
	}
	for i := range x.parts {
		if k := slices.Index(x.parts[i].set.Values, v); k >= 0 {
			return i*setSize + k
		}
	}
	return -1
}

// own returns set i for changing, with room for size values. A shared set is replaced by a copy.
func (x *indexedSet[T]) own(i, size int) *Set[T] {
	p := &x.parts[i]
	if old := p.set.Values; p.shared || cap(old) < size {
		room := size
		if size > 2 {
			room = min(setSize, 2*size)
		}
		*p = setPart[T]{set: &Set[T]{Values: append(make([]T, 0, room), old...)}}
	}
	return p.set
}

// add appends v, and reports false if it was there already.
func (x *indexedSet[T]) add(v T) bool {
	if x.find(v) >= 0 {
		return false
	}
	i := x.n / setSize
	if i == len(x.parts) {
		x.parts = append(x.parts, setPart[T]{set: new(Set[T])})
	}
	s := x.own(i, x.n%setSize+1)
	s.Values = append(s.Values, v)
	x.n++
	if x.at != nil {
		x.at[v] = x.n - 1
		x.peak = max(x.peak, x.n)
	} else if x.n > scanLimit {
		x.reindex()
	}
	return true
}

// remove removes v and moves the last value to its position. It returns that position, or -1 if v
// was not there.
func (x *indexedSet[T]) remove(v T) int {
	at := x.find(v)
	if at < 0 {
		return -1
	}
	last := x.n - 1
	moved := x.get(last)
	x.own(at/setSize, at%setSize+1).Values[at%setSize] = moved
	x.dropLast()
	if x.at != nil {
		x.at[moved] = at
		delete(x.at, v)
	}
	x.shrink()
	return at
}

// dropLast removes the last value.
func (x *indexedSet[T]) dropLast() {
	x.n--
	i, left := x.n/setSize, x.n%setSize
	if left == 0 {
		x.parts[i].set = nil
		if x.parts = x.parts[:i]; cap(x.parts) > 64 && len(x.parts) < cap(x.parts)/4 {
			x.parts = slices.Clip(slices.Clone(x.parts))
		}
		return
	}
	s := x.own(i, left)
	var zero T
	s.Values[left] = zero
	s.Values = s.Values[:left]
	if cap(s.Values) > 8 && left < cap(s.Values)/4 {
		x.parts[i].set = &Set[T]{Values: append(make([]T, 0, 2*left), s.Values...)}
	}
}

// shrink frees the map of positions, or replaces it by a smaller one, if few values are left.
func (x *indexedSet[T]) shrink() {
	if x.at == nil {
		return
	}
	if x.n < scanLimit/2 {
		x.at = nil
	} else if x.n < x.peak/shrinkBelow {
		x.reindex()
	}
}

// reindex makes a new map of positions.
func (x *indexedSet[T]) reindex() {
	x.peak = x.n
	x.at = make(map[T]int, x.n)
	for i := range x.n {
		x.at[x.get(i)] = i
	}
}
