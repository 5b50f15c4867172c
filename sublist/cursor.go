package sublist

import (
	"bytes"
	"encoding/binary"
)

// maxCursorSubject is the longest subject a Cursor remembers, in bytes.
const maxCursorSubject = 1024

// Cursor caches the results of the last subjects, for publishers that repeat a subject or publish on
// a few in turn. The zero Cursor is ready for use. It must be used by one goroutine, must not be
// copied, and references the results until DropStale or Reset.
type Cursor[T comparable] struct {
	list    *List[T]
	last    *held[T] // of the last subject; nil if that is not held
	first   held[T]  // while there is one subject only; then the last one, if its result is large
	several *several[T]
	tally   tally
	random  uint32 // state of a generator (xorshift), to choose which misses are noted
}

// held is a subject and what it matched.
type held[T comparable] struct {
	subject  []byte
	mark     uint64 // made of the subject
	match[T]        // its result is nil if there is none
	changes  int64  // of the list when it was found
}

// valid reports whether it is the result of a subject, and no change can have touched it.
func (h *held[T]) valid(l *List[T], subject []byte) bool {
	return h.result != nil && bytes.Equal(h.subject, subject) && l.gens.stamp(h.touch) == h.stamp
}

// several is what a cursor remembers when there is a second subject.
type several[T comparable] struct {
	held   [heldSubjects]held[T] // each subject has one place
	recent recent
}

// heldSubjects is how many results a cursor holds.
const (
	heldBits     = 3
	heldSubjects = 1 << heldBits
)

// placeOf returns the place of a subject with a mark.
func (s *several[T]) placeOf(mark uint64) *held[T] { return &s.held[mark>>(64-heldBits)] }

// markOf returns a hash of a subject, of the beginning and the end only: that is where the subjects
// of one publisher differ mostly.
func markOf(subject []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15 // spreads each bit over the higher ones
	if n := len(subject); n >= 8 {
		return ((binary.LittleEndian.Uint64(subject)*odd)>>32 ^ binary.LittleEndian.Uint64(subject[n-8:])) * odd
	}
	var short [8]byte
	copy(short[:], subject)
	return binary.LittleEndian.Uint64(short[:]) * odd
}

// Match returns the result of l.Match. If subject is that of the previous call, and no change can
// have touched it, that takes one comparison and a few atomic loads. It is not counted then: the
// list was not asked. Nor is one of a few subjects in turn, if the cursor or the cache of the list
// has it.
func (c *Cursor[T]) Match(l *List[T], subject []byte) *Result[T] {
	if c.last != nil && c.list == l && c.last.valid(l, subject) {
		return c.last.result
	}
	return c.move(l, subject)
}

// move matches subject in l and caches the result.
func (c *Cursor[T]) move(l *List[T], subject []byte) *Result[T] {
	if c.list != l {
		c.changeList(l)
	}
	changes, mark := l.counts.changes(), markOf(subject)
	h := c.placeOf(subject, mark)
	if h.mark == mark && h.changes == changes && h.valid(l, subject) {
		c.dropLarge()
		c.last = h
		return h.result
	}
	found, hit := l.find(subject, c.chance())
	if !found.stamped || c.isNew(found.hash, changes) || !hit {
		c.tally.add(found.result.fanout(), hit)
	}
	if !found.stamped || len(subject) > maxCursorSubject {
		c.dropLarge()
		c.last = nil
		return found.result
	}
	c.dropLarge()
	if found.result.size() > maxKept {
		h = &c.first
	}
	h.mark, h.match, h.changes = mark, found, changes
	h.subject = append(h.subject[:0], subject...)
	c.last = h
	return found.result
}

// dropLarge drops a large result: it is held only while it is that of the last subject.
func (c *Cursor[T]) dropLarge() {
	if c.several != nil {
		c.first.result = nil
	}
}

// changeList makes l the list that the cursor is used with.
func (c *Cursor[T]) changeList(l *List[T]) {
	if c.list != nil {
		c.Flush(c.list)
	}
	*c = Cursor[T]{list: l, random: c.random}
}

// placeOf returns where a subject is held, or is to be.
func (c *Cursor[T]) placeOf(subject []byte, mark uint64) *held[T] {
	if c.several != nil {
		return c.several.placeOf(mark)
	}
	if c.first.result == nil || bytes.Equal(c.first.subject, subject) {
		return &c.first
	}
	c.several = new(several[T])
	c.several.recent.add(c.first.hash, c.first.changes)
	if c.first.result.size() <= maxKept {
		*c.several.placeOf(c.first.mark) = c.first
		c.first = held[T]{}
	}
	return c.several.placeOf(mark)
}

// chance reports true one time in four, at random. To note a miss writes to memory that all cursors
// share; subjects that are matched often are noted soon all the same.
func (c *Cursor[T]) chance() bool {
	if c.random == 0 {
		c.random = 1
	}
	c.random ^= c.random << 13
	c.random ^= c.random >> 17
	c.random ^= c.random << 5
	return c.random&3 == 0
}

// isNew reports whether the subject with this hash is not one of the last ones since a change of the
// list, and remembers it. Only the statistics depend on it: publishers in gnatsd 1.4 have a cache of
// their own in front of that of the list, whose statistics do not have what it answers.
func (c *Cursor[T]) isNew(hash uint64, changes int64) bool {
	return c.several == nil || c.several.recent.add(hash, changes)
}

// recent has marks of the subjects that a goroutine has matched last: some 100 of them, in sets that
// are chosen by the hash of the subject.
type recent [16]struct {
	marks [8]uint32
	next  uint8 // the oldest
}

// add remembers a subject, and reports whether it was not there. A mark is made of the hash and the
// number of changes, so that those from before a change are none.
func (r *recent) add(hash uint64, changes int64) bool {
	set := &r[hash%uint64(len(r))]
	mark := uint32(hash>>32) ^ uint32(uint64(changes)*0x9e3779b97f4a7c15>>32) | 1 // an empty one is 0
	for _, m := range set.marks {
		if m == mark {
			return false
		}
	}
	set.marks[set.next%uint8(len(set.marks))] = mark
	set.next++
	return true
}

// Flush adds the matches since the last Flush to the statistics of l, the list that the cursor is
// used with. Call it from time to time, such as once per batch of messages: until then Stats does
// not include them.
func (c *Cursor[T]) Flush(l *List[T]) {
	if c.tally.matches > 0 {
		l.counts.add(&c.tally)
		c.tally = tally{}
	}
}

// DropStale drops the cached results that a change has touched, so that they do not keep removed
// subscribers in memory. Call it from time to time while there is little to match.
func (c *Cursor[T]) DropStale() {
	c.first.dropStale(c.list)
	if c.several != nil {
		for i := range c.several.held {
			c.several.held[i].dropStale(c.list)
		}
	}
}

func (h *held[T]) dropStale(l *List[T]) {
	if h.result != nil && l.gens.stamp(h.touch) != h.stamp {
		h.result = nil
	}
}

// Reset drops the cached results and what was not flushed.
func (c *Cursor[T]) Reset() { *c = Cursor[T]{} }
