package netio

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// dropRun pushes numbered messages and texts at random to a queue that may drop messages.
type dropRun struct {
	t        *testing.T
	random   *rand.Rand
	q        *WriteQueue
	messages int // pushed
	texts    int
}

// message returns what is written for a message: a line, and as many bytes as it says.
func (r *dropRun) message() []byte {
	size := r.random.IntN(300)
	if r.random.IntN(10) == 0 {
		size = r.random.IntN(3000)
	}
	frame := fmt.Appendf(nil, "M %d %d\n", r.messages, size)
	r.messages++
	return append(frame, bytes.Repeat([]byte{byte('a' + r.messages%26)}, size)...)
}

// push pushes one delivery: a text, or some messages in a few segments, of which some have chunks.
func (r *dropRun) push() {
	if r.random.IntN(5) == 0 {
		text := fmt.Appendf(nil, "T %d\n", r.texts)
		r.texts++
		r.q.Push(&Delivery{Segments: []Segment{{Bytes: text}}, Bytes: len(text)})
		return
	}
	d := &Delivery{Droppable: true, Subject: []byte("x")}
	var chunks []*Chunk
	for range 1 + r.random.IntN(6) {
		frame := r.message()
		d.Messages++
		d.Bytes += len(frame)
		for len(frame) > 0 { // segments do not end where messages end
			part := frame[:1+r.random.IntN(len(frame))]
			frame = frame[len(part):]
			if r.random.IntN(3) > 0 {
				d.Segments = append(d.Segments, Segment{Bytes: part})
				continue
			}
			c := newChunk(len(part))
			c.buf = append(c.buf, part...)
			chunks = append(chunks, c)
			d.Segments = append(d.Segments, Segment{Bytes: c.buf, Chunk: c})
		}
	}
	if r.random.IntN(4) == 0 {
		d.Keep()
	}
	r.q.Push(d)
	for _, c := range chunks {
		clear(c.buf[:0])
		c.release()
	}
}

// readFrames checks that what was written is whole frames in order, and that no text is missing
// from the first on. It returns how many messages and texts there are.
func readFrames(t *testing.T, out []byte, firstText int) (messages, texts, last int) {
	t.Helper()
	nextMessage, nextText := 0, firstText
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			t.Fatalf("got %.40q where a frame begins", out)
		}
		n, err := strconv.Atoi(string(fields[1]))
		switch {
		case err != nil:
			t.Fatalf("got %.40q where a frame begins", out)
		case string(fields[0]) == "T" && (n == nextText || nextText < 0):
			nextText = n + 1
			texts++
		case string(fields[0]) == "M" && n >= nextMessage && len(fields) == 3:
			size, _ := strconv.Atoi(string(fields[2]))
			if size > len(rest) || bytes.Count(rest[:size], []byte{byte('a' + (n+1)%26)}) != size {
				t.Fatalf("message %d is broken", n)
			}
			rest = rest[size:]
			nextMessage = n + 1
			messages++
			last = n
		default:
			t.Fatalf("got %q, want text %d or a message from %d on", line, nextText, nextMessage)
		}
		out = rest
	}
	return messages, texts, last
}

// TestWhatIsSentIsWholeAndInOrderWhenMessagesAreDropped compares what a socket that stalls has taken
// with what was pushed: messages may be missing, as many as are counted, and nothing else.
func TestWhatIsSentIsWholeAndInOrderWhenMessagesAreDropped(t *testing.T) {
	t.Parallel()
	for _, policy := range []DropPolicy{DropNew, DropOld} {
		for seed := range uint64(30) {
			t.Run(fmt.Sprintf("policy=%d/seed=%d", policy, seed), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(seed, uint64(policy)))
				script := rand.New(rand.NewPCG(seed, 9)) // of the one that writes
				steps := make(chan bool)
				partly := func(n int) int { return script.IntN(min(n, 700) + 1) }
				link := &fakeLink{
					try: func(n int) (int, error) {
						if script.IntN(3) == 0 {
							return n, nil
						}
						return partly(n), ErrWouldBlock
					},
					wait: func(n int) (int, error) {
						if <-steps {
							return partly(n), nil
						}
						return n, nil
					},
				}
				limit := int64(30_000 + random.IntN(60_000))
				q, owner, pending := newTestQueue(link, Limits{MaxPending: limit, HighWater: limit / 4, WriteDeadline: time.Hour, Drop: policy})
				if seed%3 == 0 {
					q.KeepLeftover(false)
				}
				r := &dropRun{t: t, random: random, q: q}
				for range 600 {
					r.push()
					for range random.IntN(3) {
						select {
						case steps <- true:
						default:
						}
					}
					if got := q.Stats().Pending; got > limit+textRoom {
						t.Fatalf("%d bytes are pending, the limit is %d", got, limit)
					}
				}
				close(steps)
				q.Finish(patience)
				out, overlap := link.taken()
				messages, texts, last := readFrames(t, out, 0)
				lost, slow := owner.lost, owner.slow
				if overlap || len(slow) > 0 || texts != r.texts {
					t.Errorf("overlap %v, slow %v, %d of %d texts", overlap, slow, texts, r.texts)
				}
				if messages+int(lost.Messages) != r.messages || q.Stats().Lost.Messages != lost.Messages || lost.Messages == 0 {
					t.Errorf("%d messages and %d lost are not the %d that were pushed", messages, lost.Messages, r.messages)
				}
				if policy == DropOld && last != r.messages-1 {
					t.Errorf("the last message is %d, want %d: the new ones stay", last, r.messages-1)
				}
				if n := pending.Load(); n != 0 {
					t.Errorf("%d bytes are still counted as pending", n)
				}
			})
		}
	}
}

// TestLeftoverOfADroppingQueueBeginsWithADelivery ends a queue that has dropped messages: what is
// left of it is whole deliveries.
func TestLeftoverOfADroppingQueueBeginsWithADelivery(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 3))
			release := make(chan struct{})
			link := &fakeLink{
				try:  func(n int) (int, error) { return n / 2, ErrWouldBlock },
				wait: func(n int) (int, error) { <-release; return 0, errors.New("reset") },
			}
			q, owner, _ := newTestQueue(link, Limits{MaxPending: 100_000, HighWater: 1000, WriteDeadline: time.Hour, Drop: DropOld})
			q.KeepLeftover(true)
			r := &dropRun{t: t, random: random, q: q}
			for range 1500 {
				r.push()
			}
			close(release)
			for ok := false; !ok; {
				runtime.Gosched()
				_, failed := owner.reported()
				ok = len(failed) > 0
			}
			l, _ := q.Leave(0)
			var left []byte
			for _, s := range l.Segments {
				left = append(left, s.Bytes...)
			}
			messages, _, last := readFrames(t, left, -1)
			if owner.lost.Messages == 0 || messages == 0 || last != r.messages-1 {
				t.Errorf("%d messages are left, the last is %d, %d were lost of %d", messages, last, owner.lost.Messages, r.messages)
			}
			l.Release()
		})
	}
}

// TestSmallDeliveriesThatMayBeDroppedAreNotedTogether has very many small deliveries queued, many
// times more than may be pending: what is noted of them, and so what dropping some takes, is little.
func TestSmallDeliveriesThatMayBeDroppedAreNotedTogether(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	link := &fakeLink{
		try:  func(int) (int, error) { return 0, ErrWouldBlock },
		wait: func(n int) (int, error) { <-release; return n, nil },
	}
	const limit = 1 << 20
	q, owner, _ := newTestQueue(link, Limits{MaxPending: limit, HighWater: limit, WriteDeadline: time.Hour, Drop: DropOld})
	text := []byte("a small message\n")
	pushed := 0
	for range 5 * limit / len(text) {
		q.Push(&Delivery{Droppable: true, Segments: []Segment{{Bytes: text}}, Bytes: len(text), Messages: 1})
		pushed++
	}
	q.mu.Lock()
	got := cap(q.back.marks)
	q.mu.Unlock()
	if most := 8 * dropUnits; got > most {
		t.Errorf("there is room for %d marks, want %d at most", got, most)
	}
	close(release)
	q.Finish(patience)
	out, _ := link.taken()
	if sent := bytes.Count(out, text); sent+int(owner.lost.Messages) != pushed || owner.lost.Messages == 0 {
		t.Errorf("%d messages were sent and %d lost of %d", sent, owner.lost.Messages, pushed)
	}
}
