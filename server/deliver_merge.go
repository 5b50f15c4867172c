package server

import "slices"

// This file brings what a target gets from several sources into the order in which it was read.

// source is a part of what a target gets that is in order: entries one after the other, or the messages
// of a fanout, each for several subscriptions of the target. It remembers how far it was read: however
// many messages and subscriptions there are, they are not listed.
type source struct {
	number int   // among the sources of the target
	next   place // what comes next

	rest []entry       // the entries behind it
	sub  *subscription // that gets next

	fanout []entry // the subscriptions of a fanout; at says how many messages they get
	places []place // of the fanout behind next
	past   uint32  // its messages before next
}

// keptSources is for how many sources memory is kept.
const keptSources = 64

// addMerged writes entries message by message (a k-way merge with a heap).
func (x *expansion) addMerged(list []entry) {
	heap := x.sources[:0]
	for len(list) > 0 {
		n := x.b.sourceLen(list)
		s := source{number: len(heap), rest: list[:n]}
		if list[0].line == fanoutLine {
			s.fanout, s.rest, s.places = s.rest, nil, x.b.fanouts[list[0].n&^claimed].places
		}
		if s.advance() {
			heap = append(heap, s)
		}
		list = list[n:]
	}
	x.sources = heap
	slices.SortFunc(heap, func(s, t source) int {
		if s.precedes(&t) {
			return -1
		}
		return 1
	})
	for len(heap) > 0 {
		if !x.addNext(&heap[0]) {
			last := len(heap) - 1
			heap[0], heap = heap[last], heap[:last]
		}
		siftDown(heap)
	}
}

// forgetSources forgets what the sources referred to, and memory that is rarely needed.
func (x *expansion) forgetSources() {
	if x.sources = x.sources[:cap(x.sources)]; len(x.sources) > keptSources {
		x.sources = nil
	}
	clear(x.sources)
	x.sources = x.sources[:0]
}

// sourceLen returns how many entries at the beginning of a list are one source.
func (b *batch) sourceLen(list []entry) int {
	for n := 1; n < len(list); n++ {
		one := list[n-1].line == fanoutLine && list[n].line == fanoutLine && list[n-1].n&^claimed == list[n].n&^claimed
		if !one && !b.inOrder(list[n-1:n+1]) {
			return n
		}
	}
	return len(list)
}

// advance takes the next place. It reports false if there is none.
func (s *source) advance() bool {
	if len(s.places) > 0 {
		s.next, s.places = s.places[0], s.places[1:]
		return true
	}
	for len(s.rest) > 0 {
		s.next, s.sub, s.rest = s.rest[0].place, s.rest[0].sub, s.rest[1:]
		if s.next.line == textLine {
			return true
		}
		if s.next.n &^= claimed; s.next.n > 0 {
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
	for i := range s.fanout {
		if d := &s.fanout[i]; d.at > s.past {
			x.add(d.sub, s.next, 1)
		}
	}
	if s.sub != nil {
		x.add(s.sub, s.next, 1)
	}
	s.past++
	s.next = x.b.lines[s.next.line].behind(s.next, 1)
	return s.next.n > 0 || s.advance()
}

// precedes reports whether s comes before t: of two at the same place, the one that was collected
// first.
func (s *source) precedes(t *source) bool {
	return s.next.at < t.next.at || s.next.at == t.next.at && s.number < t.number
}

// siftDown makes a heap of one whose first source has been replaced.
func siftDown(heap []source) {
	for i := 0; ; {
		first := i
		for k := 2*i + 1; k <= 2*i+2 && k < len(heap); k++ {
			if heap[k].precedes(&heap[first]) {
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
