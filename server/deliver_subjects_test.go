package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/spacesaving"
)

// TestNoSampleOutlivesItsBatch has a subscription reach its limit in the middle of publications, of
// which the rest has no receiver and does not fit the batch, and then another client publish a few
// bytes: what was noted of the first must not be looked for in the buffer of the second.
func TestNoSampleOutlivesItsBatch(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{MaxPending: 4096, MaxPayload: 1024})
	okay(t, err)
	const limit, each = 3, 200
	handle(t, sunk(t, s), fmt.Sprintf("SUB foo 1\r\nUNSUB 1 %d\r\n", limit))
	one := sunk(t, s)
	handle(t, one, strings.Repeat("PUB none 5\r\nhello\r\n", 1000)+strings.Repeat("PUB foo 100\r\n"+strings.Repeat("x", 100)+"\r\n", each))
	other := sunk(t, s)
	other.readLimit = netio.SmallSize
	copied := copy(other.in.Space(netio.SmallSize), "PUB bar 2\r\nhi\r\n")
	other.in.Filled(copied)
	if r := other.work(); r != keepOpen {
		t.Fatalf("the connection ends: %v", r)
	}
	z, err := s.Subjectz(nil)
	okay(t, err)
	if want := int64(1000 + each - limit + 1); z.NoReceivers != want {
		t.Errorf("%d messages without a receiver were counted, want %d", z.NoReceivers, want)
	}
}

// TestEachMessageMayBeTheSample has batches of two subjects, with receivers and without, of which
// one has three times as many messages: it is chosen three times as often. What is chosen stands for
// all messages since the one before.
func TestEachMessageMayBeTheSample(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	receiver, c := onFake(t, s, &fakeLink{forgets: true}), onFake(t, s, new(fakeLink))
	deliverTo(t, receiver, "SUB heard.> 1\r\nSUB heard.> 2\r\n")
	const rounds = 1200
	now := c.start
	text := strings.Repeat("PUB heard.a 2\r\nhi\r\n", 3) + "PUB heard.bb 10\r\n0123456789\r\n" +
		strings.Repeat("PUB none.c 3\r\nhoo\r\n", 3) + "PUB none.d 1\r\nx\r\n"
	for round := range 2 * rounds {
		b := batchOf(c, text)
		b.readAt = 0
		if round%2 == 1 { // one of two batches is a sample
			b.readAt = now
		}
		actOn(t, c, b, text)
		c.unsampled.unheardAt = now // not long ago
		b.sampleSubjects(now)
		want := int64(4 * (1 - round%2))
		if c.unsampled.received != want || c.unsampled.unheard != want || round%2 == 1 && c.unsampled.unheardAt != now {
			t.Fatalf("round %d: no sample stands for %d and %d messages, want %d", round, c.unsampled.received, c.unsampled.unheard, want)
		}
		b.inMsgs, b.inBytes, b.noReceivers = 0, 0, 0
		b.end()
	}
	const each = 8 * rounds // messages that samples stand for, with and without receivers
	sum, perMessage := map[string]spacesaving.Weight{}, 0.0
	list := spacesaving.Merge([]*spacesaving.Sketch{c.sketch()}, now)
	for _, r := range list {
		sum[r.Key] = r.Weight
		perMessage += r.Messages / (2 * each)
	}
	for key, tt := range map[string]struct{ share, bytes, deliveries, unheard float64 }{
		"heard.a": {0.75, 2, 2, 0}, "heard.bb": {0.25, 10, 2, 0}, "none.c": {0.75, 3, 0, 1}, "none.d": {0.25, 1, 0, 1},
	} {
		w := sum[key]
		n := w.Messages / perMessage
		if want := tt.share * each; n < want*0.8 || n > want*1.2 {
			t.Errorf("%s: %.0f messages, want about %.0f", key, n, want)
		}
		near := func(got, want float64) bool { return got > want*0.999-0.001 && got < want*1.001+0.001 }
		if !near(w.Bytes, tt.bytes*w.Messages) || !near(w.Deliveries, tt.deliveries*w.Messages) || !near(w.NoReceivers, tt.unheard*w.Messages) {
			t.Errorf("%s: got %+v, want %+v for each message", key, w, tt)
		}
	}
	if heard := (sum["heard.a"].Messages + sum["heard.bb"].Messages) / perMessage; heard < each*0.999 || heard > each*1.001 || len(list) != 4 {
		t.Errorf("samples stand for %.0f messages with receivers, want %d; %d subjects", heard, each, len(list))
	}
}

// TestMessagesWithoutAReceiverWaitASecondForASample has a client that publishes nothing else.
func TestMessagesWithoutAReceiverWaitASecondForASample(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c := onFake(t, s, new(fakeLink))
	const text = "PUB none 1\r\nx\r\n"
	begin := time.Now().UnixNano()
	for i, tt := range []struct {
		at   time.Duration
		left int64
	}{{0, 0}, {time.Second / 2, 1}, {time.Second - 1, 2}, {time.Second, 0}, {2*time.Second - 1, 1}, {3 * time.Second, 0}} {
		b := batchOf(c, text)
		b.readAt = 0
		actOn(t, c, b, text)
		b.sampleSubjects(begin + int64(tt.at))
		if got := c.unsampled.unheard; got != tt.left {
			t.Errorf("message %d, after %v: %d wait, want %d", i, tt.at, got, tt.left)
		}
		b.inMsgs, b.inBytes, b.noReceivers = 0, 0, 0
		b.end()
	}
	b := batchOf(c, "PING\r\n") // nothing is published: a sample of it is none
	b.readAt = begin
	b.sampleSubjects(begin)
	b.end()
}

func TestInboxesAreOneSubject(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{"_INBOX.a.b": "_INBOX.>", "_INBOX.": "_INBOX.>", "_INBOX": "_INBOX", "a._INBOX.b": "a._INBOX.b"} {
		if got := string(foldInbox([]byte(subject))); got != want {
			t.Errorf("%s counts for %s, want %s", subject, got, want)
		}
	}
}
