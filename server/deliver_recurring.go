package server

import (
	"bytes"
	"hash/maphash"

	"gnatsd/sublist"
)

// This file recognizes the control lines that a batch has had before: publishers often send on a few
// subjects in turn. What such a line says, and what it matches, holds until the batch is flushed, or
// its connection sends something else than a message.

const (
	recurringBits = 7
	// maxRecurring is the longest control line that is recognized.
	maxRecurring = 256
	// vainLooks is how many lines are looked for in vain before a batch looks for no more. One
	// that is found pays for another.
	vainLooks = 64
	// maxKnownSets bounds the sets of subscriptions that a line is remembered with. Where there
	// are more, they take so much longer than the line that recognizing it gains nothing.
	maxKnownSets = 16
)

// recurring finds the lines of a batch by their text.
type recurring struct {
	places [1 << recurringBits]uint32 // numbers of lines, by the hash of the text
	from   uint32                     // the first line that still holds
	looks  int                        // how many may be in vain
}

// lineSeed is the seed of the hashes of lines.
var lineSeed = maphash.MakeSeed()

// placeOfLine returns the place of a line in recurring.places.
func placeOfLine(text []byte) uint64 { return maphash.Bytes(lineSeed, text) >> (64 - recurringBits) }

// remember makes the line of o, which matches res, one that is recognized.
func (b *batch) remember(number uint32, o *op, res *sublist.Result[*subscription]) {
	l := &b.lines[number]
	if len(o.line) <= maxRecurring && !l.made && len(res.Plain) <= maxKnownSets && b.known.looks > 0 {
		l.text, l.match = b.offset(o.line), b.matchOf(res)
		b.known.places[placeOfLine(o.line)] = number
	}
}

// forgetLines is called when lines that have been collected hold no longer for what follows.
func (b *batch) forgetLines() { b.known.from = uint32(len(b.lines)) }

// recognizes reports whether there is a line that may come again.
func (b *batch) recognizes() bool { return b.known.looks > 0 && int(b.known.from) < len(b.lines) }

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
	number = r.places[placeOfLine(o.line)]
	if number < r.from || int(number) >= len(b.lines) {
		return 0, 0
	}
	l := &b.lines[number]
	if l.match == noMatch || string(o.line) != string(b.bytesAt(l.text, l.tail+l.tailLen-l.text)) {
		return 0, 0
	}
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
	b.at = uint32(c.in.Offset())
	b.inMsgs += int64(o.count)
	b.inBytes += int64(o.count) * int64(o.size)
	l := &b.lines[number]
	l.n += uint32(o.count)
	b.match = l.match
	res, subject := b.matches[l.match].res, b.bytesAt(l.subject, l.subjectLen)
	p := place{at: b.offset(o.payload), line: number, n: uint32(o.count)}
	if c.role == roleRoute {
		b.toPlain(res, subject, p)
	} else {
		c.ops.(*client).publish(res, subject, b.tail(l)[:l.replyLen], p, b)
	}
	if b.due() {
		b.flush()
	}
	return n
}
