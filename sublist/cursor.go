package sublist

import "bytes"

// maxCursorSubject is the longest subject a Cursor remembers, in bytes.
const maxCursorSubject = 1024

// Cursor caches the result of the last subject, for publishers that repeat a subject. The zero
// Cursor is ready for use. It must be used by one goroutine, and references the last result until
// Reset.
type Cursor[T comparable] struct {
	list    *List[T]
	subject []byte
	last    match[T] // its result is nil if there is none
	recent  *recent  // nil until there is a second subject
	changes int64    // of the list when last was found
	tally   tally
	slow    uint32
	random  uint32 // state of a generator (xorshift), to choose which misses are noted
}

// Match returns the result of l.Match. If subject is that of the previous call, and no change can
// have touched it, that takes one comparison and a few atomic loads. It is not counted then: the
// list was not asked. Nor is one of a few subjects in turn, if the cache of the list has it.
func (c *Cursor[T]) Match(l *List[T], subject []byte) *Result[T] {
	if c.list == l && c.last.result != nil && bytes.Equal(c.subject, subject) && l.gens.stamp(c.last.touch) == c.last.stamp {
		return c.last.result
	}
	return c.move(l, subject)
}

// move matches subject in l and caches the result.
func (c *Cursor[T]) move(l *List[T], subject []byte) *Result[T] {
	if c.list != l {
		if c.list != nil {
			c.Flush(c.list)
		}
		c.list = l
	}
	changes := l.counts.changes()
	found, hit := l.find(subject, c.chance())
	if found.slow {
		c.slow++
	}
	if !found.stamped || c.isNew(found.hash, changes) || !hit {
		c.tally.add(found.result.fanout(), hit)
	}
	if !found.stamped || len(subject) > maxCursorSubject {
		c.last.result = nil
		return found.result
	}
	c.last, c.changes = found, changes
	c.subject = append(c.subject[:0], subject...)
	return found.result
}

// Slow returns how many matches asked the patterns, and not only the cache: they take up to milliseconds
// where very many patterns have a part in common with the subject.
func (c *Cursor[T]) Slow() uint32 { return c.slow }

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
	if c.recent == nil {
		if c.last.result == nil {
			return true
		}
		c.recent = new(recent)
		c.recent.add(c.last.hash, c.changes)
	}
	return c.recent.add(hash, changes)
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

// DropStale drops the cached result if a change has touched it, so that it does not keep removed
// subscribers in memory. Call it from time to time while there is nothing to match.
func (c *Cursor[T]) DropStale() {
	if c.last.result != nil && c.list.gens.stamp(c.last.touch) != c.last.stamp {
		c.last.result = nil
	}
}

// Reset drops the cached result and what was not flushed.
func (c *Cursor[T]) Reset() { *c = Cursor[T]{} }
