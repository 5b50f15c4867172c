package server

import (
	"bytes"
	"hash/maphash"

	"gnatsd/sublist"
)

// This file recognizes the control lines that a batch has had before: publishers often send on a few
// subjects in turn. What such a line says holds until the batch is flushed, or its connection sends
// something else than a message; and until a subscription is added: a new one must not get one line with a
// subject, and miss another.

const (
	recurringBits = 7
	// probes is how many places a line may be at: so few lines never displace each other.
	probes = 4
	// maxRecurring is the longest control line that is recognized.
	maxRecurring = 256
	// maxMisses is how many lookups of lines may find nothing before a batch looks for no more. One
	// that is found pays for another.
	maxMisses = 64
)

// recurring finds the lines of a batch by their text.
type recurring struct {
	places [1 << recurringBits]uint64 // numbers of lines, counted over all batches, by the hash of the text
	past   uint64                     // lines of earlier batches, and one: a place that is 0 has no line
	from   uint32                     // the first line of the batch that still holds
	looks  int                        // how many may find nothing
	added  int64                      // subscriptions that had been added to the table when lines were looked up
}

// lineSeed is the seed of the hashes of lines.
var lineSeed = maphash.MakeSeed()

// placeOfLine returns the first place for a line in recurring.places.
func placeOfLine(text []byte) int { return int(maphash.Bytes(lineSeed, text) >> (64 - recurringBits)) }

// recurringAt returns the number of the line at a place, counted from the first probe at first, and
// false if no line there holds.
func (b *batch) recurringAt(first, probe int) (number uint32, ok bool) {
	r := &b.known
	i := r.places[(first+probe)%len(r.places)] - r.past
	return uint32(i), i >= uint64(r.from) && i < uint64(len(b.lines))
}

// find returns the number of the line that is the same as text.
func (b *batch) find(text []byte) (number uint32, ok bool) {
	first := placeOfLine(text)
	for i := range probes {
		if number, ok = b.recurringAt(first, i); !ok {
			return 0, false
		}
		l := &b.lines[number]
		if string(text) == string(b.bytesAt(l.text, l.textLen)) {
			return number, true
		}
	}
	return 0, false
}

// remember makes the line of o, which matches res, one that is recognized.
func (b *batch) remember(number uint32, o *op, res *sublist.Result[*subscription]) {
	l := &b.lines[number]
	if len(o.line) > maxRecurring || b.known.looks <= 0 {
		return
	}
	l.text, l.textLen, l.match = b.offset(o.line), uint32(len(o.line)), uint32(len(b.matches))
	b.matches = append(b.matches, res)
	first, probe := placeOfLine(o.line), 0
	for i := range probes {
		if _, taken := b.recurringAt(first, i); !taken {
			probe = i
			break
		}
	}
	r := &b.known
	r.places[(first+probe)%len(r.places)] = r.past + uint64(number)
}

// forgetLines is called when lines that have been collected hold no longer for what follows.
func (b *batch) forgetLines() {
	b.known.from, b.known.added = uint32(len(b.lines)), b.from.table.Added()
}

// recognizes reports whether there is a line that may come again.
func (b *batch) recognizes() bool {
	if b.from.table.Added() != b.known.added {
		b.forgetLines()
	}
	return b.known.looks > 0 && int(b.known.from) < len(b.lines)
}

// recognize finds the line at the start of buf among those of the batch, and the publications that
// repeat it. It returns the number of the line and how many bytes they take, 0 if it is another line,
// or not complete and right.
func (b *batch) recognize(buf []byte, o *op) (number uint32, n int) {
	r := &b.known
	r.looks--
	k := bytes.IndexByte(buf[:min(len(buf), maxRecurring)], '\n') + 1
	if k == 0 {
		return 0, 0
	}
	o.line = buf[:k]
	number, ok := b.find(o.line)
	if !ok {
		return 0, 0
	}
	l := &b.lines[number]
	o.size, o.count = int(l.size), 1
	if n, _, _ = o.takePayload(buf, k); n == 0 {
		return 0, 0
	}
	r.looks += 2
	return number, o.repeat(buf)
}

// publishAgain acts on publications whose line is recognized. It returns how many bytes they take.
func (c *conn) publishAgain(w *readerScratch, buf []byte) int {
	b, o := &w.batch, &w.op
	number, n := b.recognize(buf, o)
	if n == 0 {
		return 0
	}
	l := &b.lines[number]
	b.at = uint32(c.in.Offset())
	b.inMsgs += int64(o.count)
	b.inBytes += int64(o.count) * int64(o.size)
	l.n += uint32(o.count)
	res, subject := b.matches[l.match], b.bytesAt(l.subject, l.subjectLen)
	p := place{at: b.offset(o.payload), line: number, n: uint32(o.count)}
	b.publishAll(res, subject, p)
	return n
}
