package server

import "slices"

// This file brings what a target gets from several sources into the order in which it was read.

// source is a part of what a target gets that is in order: the messages of a fanout, or entries one after
// the other, of which those at the same place are for several subscriptions. It remembers how far it was
// read: however many messages and subscriptions there are, they are not listed.
type source struct {
	next   place   // what comes next
	subs   []entry // that get it, as far as they get so many
	past   uint32  // messages that subs were looked at for
	rest   []entry // behind subs; none of a fanout
	places []place // of a fanout, behind next
}

// keptSources is for how many sources memory is kept.
const keptSources = 64

// addMerged writes entries message by message (a k-way merge with a heap).
func (x *expansion) addMerged(list []entry) {
	x.sources, x.heap = x.sources[:0], x.heap[:0]
	for len(list) > 0 {
		n := x.b.sourceLen(list)
		s := source{rest: list[:n]}
		if list[0].line == fanoutLine {
			s.subs, s.rest, s.places = s.rest, nil, x.b.fanouts[list[0].n&^claimed].places
		}
		if s.advance() {
			x.heap = append(x.heap, s.key(len(x.sources)))
			x.sources = append(x.sources, s)
		}
		list = list[n:]
	}
	slices.Sort(x.heap)
	for heap := x.heap; len(heap) > 0; siftDown(heap) {
		i := int(uint32(heap[0]))
		if s := &x.sources[i]; x.addNext(s) {
			heap[0] = s.key(i)
		} else {
			last := len(heap) - 1
			heap[0], heap = heap[last], heap[:last]
		}
	}
}

// key is what sources are ordered by, of which this is number i: of two at the same place, the one that
// was collected first comes first.
func (s *source) key(i int) uint64 { return uint64(s.next.at)<<32 | uint64(i) }

// forgetSources forgets what the sources referred to, and memory that is rarely needed.
func (x *expansion) forgetSources() {
	if x.sources = x.sources[:cap(x.sources)]; len(x.sources) > keptSources {
		x.sources, x.heap = nil, nil
	}
	clear(x.sources)
	x.sources = x.sources[:0]
}

// sourceLen returns how many entries at the beginning of a list are one source.
func (b *batch) sourceLen(list []entry) int {
	end := uint32(0) // the place of its last message
	for i := range list {
		d := &list[i]
		if i > 0 && !d.together(&list[i-1]) && (d.line == fanoutLine || list[i-1].line == fanoutLine || d.at < end) {
			return i
		}
		if end = max(end, d.at); d.line != textLine && d.line != fanoutLine {
			end = max(end, d.at+(max(1, d.messages())-1)*b.lines[d.line].length)
		}
	}
	return len(list)
}

// together reports whether two entries have the same messages, at least the first ones of them.
func (e *entry) together(f *entry) bool {
	switch e.line {
	case textLine:
		return false
	case fanoutLine:
		return f.line == fanoutLine && e.n&^claimed == f.n&^claimed
	}
	return e.line == f.line && e.at == f.at
}

// messages returns how many messages an entry has that is no text.
func (e *entry) messages() uint32 {
	if e.line == fanoutLine {
		return e.at
	}
	return e.n &^ claimed
}

// advance takes the next place. It reports false if there is none.
func (s *source) advance() bool {
	if len(s.places) > 0 {
		s.next, s.places = s.places[0], s.places[1:]
		return true
	}
	for len(s.rest) > 0 {
		k, most := 1, s.rest[0].messages()
		for ; k < len(s.rest) && s.rest[k].together(&s.rest[0]); k++ {
			most = max(most, s.rest[k].messages())
		}
		s.next, s.subs, s.rest, s.past = s.rest[0].place, s.rest[:k], s.rest[k:], 0
		if s.next.line == textLine {
			return true
		}
		if s.next.n = most; most > 0 {
			return true
		}
	}
	return false
}

// addNext writes the next text or message of a source, for each of its subscriptions. It reports false
// if that was the last one.
func (x *expansion) addNext(s *source) (more bool) {
	if s.next.line == textLine {
		x.addText(x.b.texts[s.next.n])
		return s.advance()
	}
	for i := range s.subs {
		if d := &s.subs[i]; d.messages() > s.past {
			x.add(d.sub, s.next, 1)
		}
	}
	s.past++
	s.next = x.b.lines[s.next.line].behind(s.next, 1)
	return s.next.n > 0 || s.advance()
}

// siftDown makes a heap of one whose first key has been replaced.
func siftDown(heap []uint64) {
	for i := 0; ; {
		first := i
		for k := 2*i + 1; k <= 2*i+2 && k < len(heap); k++ {
			if heap[k] < heap[first] {
				first = k
			}
		}
		if first == i {
			return
		}
		heap[i], heap[first] = heap[first], heap[i]
		i = first
	}
}
