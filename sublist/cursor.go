package sublist

import "bytes"

// maxCursorSubject is the longest subject a Cursor remembers, in bytes.
const maxCursorSubject = 1024

// Cursor remembers the last subject that one goroutine matched, for publishers
// that stay on one subject. The zero Cursor is ready for use. It belongs to one
// goroutine, and keeps the last result alive until Reset.
type Cursor[T comparable] struct {
	list    *List[T]
	subject []byte
	last    match[T] // result is nil if nothing is remembered
	repeats int64    // matches answered by last and not in tally yet
	tally   tally
}

// Match returns what l.Match would. If subject is that of the call before and
// nothing has changed that can touch it, that takes one comparison and a few
// atomic loads.
func (c *Cursor[T]) Match(l *List[T], subject []byte) *Result[T] {
	if c.list == l && c.last.result != nil && bytes.Equal(c.subject, subject) && l.gens.stamp(c.last.touch) == c.last.stamp {
		c.repeats++
		return c.last.result
	}
	return c.move(l, subject)
}

// move makes subject the one that is remembered.
func (c *Cursor[T]) move(l *List[T], subject []byte) *Result[T] {
	if c.list != l {
		if c.list != nil {
			c.Flush(c.list)
		}
		c.list = l
	}
	c.tallyRepeats()
	found, hit := l.find(subject)
	c.tally.add(1, found.result.fanout(), hit)
	c.last = found
	if len(subject) > maxCursorSubject {
		c.last.result = nil
		return found.result
	}
	c.subject = append(c.subject[:0], subject...)
	return found.result
}

// Repeat counts n matches in all for the last call of Match, as if it had been
// called so often.
func (c *Cursor[T]) Repeat(n int) {
	if c.last.result != nil {
		c.repeats += int64(n - 1)
	}
}

// Flush adds what the cursor counted since the last time to the statistics of l,
// the list it is used with. Call it now and then, such as once per batch of
// messages: until then the calls of Match are not in Stats.
func (c *Cursor[T]) Flush(l *List[T]) {
	c.tallyRepeats()
	if c.tally.matches > 0 {
		l.counts.add(&c.tally)
		c.tally = tally{}
	}
}

// Reset forgets the subject, its result and what was not flushed.
func (c *Cursor[T]) Reset() { *c = Cursor[T]{} }

// tallyRepeats counts the matches that last has answered.
func (c *Cursor[T]) tallyRepeats() {
	if c.repeats > 0 {
		c.tally.add(c.repeats, c.last.result.fanout(), true)
		c.repeats = 0
	}
}
