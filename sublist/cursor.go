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
	tally   tally
}

// Match returns the result of l.Match. If subject is that of the previous call, and no change can
// have touched it, that takes one comparison and a few atomic loads. It is not counted then: the
// list was not asked.
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
	found, hit := l.find(subject)
	c.tally.add(found.result.fanout(), hit)
	c.last = found
	if len(subject) > maxCursorSubject {
		c.last.result = nil
		return found.result
	}
	c.subject = append(c.subject[:0], subject...)
	return found.result
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

// Reset drops the cached result and what was not flushed.
func (c *Cursor[T]) Reset() { *c = Cursor[T]{} }
