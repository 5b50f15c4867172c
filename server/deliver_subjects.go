package server

import (
	"bytes"
	"math/rand/v2"
	"time"

	"gnatsd/server/internal/spacesaving"
)

// This file finds the subjects that clients publish most on. Counting every message would cost as
// much as matching it; so of a batch that is a sample (see sampler) one message is looked at, and
// stands for all that its client has sent since the last one. Other batches are only counted.

const (
	// sketchKeys bounds the subjects that are remembered for a client, 6 KB of memory. A client
	// that publishes on one needs 300 bytes, and one that does not publish nothing.
	sketchKeys = 32
	// goneKeys bounds those that are remembered for all clients that are gone.
	goneKeys = 64
)

// subjectSample is a message of a batch without a receiver: the choice among those.
type subjectSample struct {
	subject, length uint32 // where it is
	size            uint32
	seen            int64 // messages that it was chosen from
}

// noteUnheard lets messages without a receiver take part in the choice of a sample.
func (b *batch) noteUnheard(subject []byte, n, size int) {
	u := &b.unheard
	u.seen += int64(n)
	if u.seen == int64(n) || rand.Int64N(u.seen) < int64(n) { // every batch has a first one
		u.subject, u.length, u.size = b.offset(subject), uint32(len(subject)), uint32(size)
	}
}

// subjectCounts are the messages of a client that no sample stands for yet.
type subjectCounts struct {
	received, unheard int64 // with and without a receiver
	unheardAt         int64 // UnixNano of the last sample of those without
}

// unheardEvery is how long messages without a receiver wait for a sample at most: there may be few.
const unheardEvery = time.Second

// sampleSubjects counts the messages of a batch. If it is a sample, one of those with a receiver and
// one of those without, each with the same chance, are added to the sketch of the client at now
// (UnixNano).
func (b *batch) sampleSubjects(now int64) {
	c, n := b.from, &b.from.unsampled
	n.received += b.inMsgs - b.noReceivers
	n.unheard += b.noReceivers
	if b.noReceivers > 0 {
		if u := &b.unheard; b.readAt != 0 || now-n.unheardAt >= int64(unheardEvery) {
			w := float64(n.unheard)
			n.unheard, n.unheardAt = 0, now
			c.sketch().Add(foldInbox(b.bytesAt(u.subject, u.length)), spacesaving.Weight{Messages: w, Bytes: w * float64(u.size), NoReceivers: w}, now)
		}
	}
	if b.readAt == 0 || len(b.lines) == 0 {
		return
	}
	all := int64(0)
	for i := range b.lines {
		all += int64(b.lines[i].n)
	}
	chosen, w := rand.Int64N(all), float64(n.received)
	for i := range b.lines {
		l := &b.lines[i]
		if chosen -= int64(l.n); chosen < 0 {
			subject := b.bytesAt(l.subject, l.subjectLen)
			n.received = 0
			c.sketch().Add(foldInbox(subject), spacesaving.Weight{Messages: w, Bytes: w * float64(l.size), Deliveries: w * float64(c.table.Fanout(subject))}, now)
			return
		}
	}
}

// sketch returns the sketch of the client, which it gets with its first sample. Only the reader
// calls it.
func (c *conn) sketch() *spacesaving.Sketch {
	if sketch := c.subjects.Load(); sketch != nil {
		return sketch
	}
	sketch := spacesaving.New(sketchKeys, c.start)
	c.subjects.Store(sketch)
	return sketch
}

// Every client has inboxes of its own, and every request another one: together they are one entry.
var (
	inboxPrefix = []byte("_INBOX.")
	allInboxes  = []byte("_INBOX.>")
)

// foldInbox returns the subject that a subject counts for.
func foldInbox(subject []byte) []byte {
	if bytes.HasPrefix(subject, inboxPrefix) {
		return allInboxes
	}
	return subject
}
