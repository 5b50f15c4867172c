package server

import (
	"bytes"
	"math/rand/v2"

	"gnatsd/server/internal/spacesaving"
)

// This file finds the subjects that clients publish most on. Counting every message would cost as
// much as matching it; so of a batch that is a sample (see sampler) one message is looked at, and
// stands for all that its client has sent since the last one. Nothing is done for other batches.

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
	if rand.Int64N(u.seen) < int64(n) {
		u.subject, u.length, u.size = b.offset(subject), uint32(len(subject)), uint32(size)
	}
}

// sampleSubject chooses one of the messages of the batch, each with the same chance, and adds it
// to the sketch of the client at now (UnixNano). What the client has sent was counted before.
func (b *batch) sampleSubject(now int64) {
	c := b.from
	all := b.unheard.seen
	for i := range b.lines {
		all += int64(b.lines[i].n)
	}
	if c.role != roleClient || all == 0 {
		return
	}
	total := c.inMsgs.Load()
	w := float64(total - c.sampledMsgs)
	c.sampledMsgs = total
	sketch := c.subjects.Load()
	if sketch == nil {
		sketch = spacesaving.New(sketchKeys, c.start)
		c.subjects.Store(sketch)
	}
	chosen := rand.Int64N(all)
	for i := range b.lines {
		l := &b.lines[i]
		if chosen -= int64(l.n); chosen < 0 {
			subject := b.bytesAt(l.subject, l.subjectLen)
			receivers := c.table.Fanout(subject)
			sketch.Add(foldInbox(subject), spacesaving.Weight{Messages: w, Bytes: w * float64(l.size), Deliveries: w * float64(receivers)}, now)
			return
		}
	}
	u := &b.unheard
	sketch.Add(foldInbox(b.bytesAt(u.subject, u.length)), spacesaving.Weight{Messages: w, Bytes: w * float64(u.size), NoReceivers: w}, now)
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
