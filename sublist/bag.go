package sublist

import "slices"

// bagScan is the size up to which a bag is searched from end to end. Beyond it
// a map says where each key is.
const bagScan = 16

// bag is a set with a dense list of its keys, where adding and removing take
// constant time however large it is. The zero bag is empty.
type bag[K comparable] struct {
	keys []K
	at   map[K]int // position in keys; nil while the bag is small
	peak int       // most keys since at was made
}

// find returns the position of k in keys, or -1.
func (b *bag[K]) find(k K) int {
	if b.at == nil {
		return slices.Index(b.keys, k)
	}
	if i, ok := b.at[k]; ok {
		return i
	}
	return -1
}

// add puts k at the end of keys, and reports false if it was there already.
func (b *bag[K]) add(k K) bool {
	if b.find(k) >= 0 {
		return false
	}
	b.keys = append(b.keys, k)
	if b.at != nil {
		b.at[k] = len(b.keys) - 1
		b.peak = max(b.peak, len(b.keys))
	} else if len(b.keys) > bagScan {
		b.reindex()
	}
	return true
}

// remove takes k out and moves the last key to its place. It returns that
// place, or -1 if k was not there.
func (b *bag[K]) remove(k K) int {
	i := b.find(k)
	if i < 0 {
		return -1
	}
	last := len(b.keys) - 1
	moved := b.keys[last]
	b.keys[i] = moved
	var zero K
	b.keys[last] = zero
	b.keys = b.keys[:last]
	if b.at != nil {
		b.at[moved] = i
		delete(b.at, k)
	}
	b.shrink()
	return i
}

// shrink gives memory back when little of it is in use.
func (b *bag[K]) shrink() {
	n := len(b.keys)
	if cap(b.keys) > bagScan && n < cap(b.keys)/4 {
		b.keys = append(make([]K, 0, 2*n), b.keys...)
	}
	if b.at == nil {
		return
	}
	if n < bagScan/2 {
		b.at = nil
	} else if n < b.peak/shrinkBelow {
		b.reindex()
	}
}

// reindex makes the map of positions anew.
func (b *bag[K]) reindex() {
	b.peak = len(b.keys)
	b.at = make(map[K]int, b.peak)
	for i, k := range b.keys {
		b.at[k] = i
	}
}
