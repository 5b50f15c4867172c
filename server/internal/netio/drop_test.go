package netio

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// dropRun pushes numbered messages and texts at random to a queue that may drop messages.
type dropRun struct {
	t        *testing.T
	random   *rand.Rand
	q        *WriteQueue
	messages int   // pushed
	payload  int64 // of them
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
	r.payload += int64(size)
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
	d := &Delivery{Droppable: true, Subject: []byte("x"), Payload: -r.payload}
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
			c := NewChunk(len(part))
			c.buf = append(c.buf, part...)
			chunks = append(chunks, c)
			d.Segments = append(d.Segments, Segment{Bytes: c.buf, Chunk: c})
		}
	}
	d.Payload += r.payload
	if r.random.IntN(4) == 0 {
		d.Keep()
	}
	r.q.Push(d)
	for _, c := range chunks {
		clear(c.buf[:0])
		c.Release()
	}
}

// wantParts checks that what is noted of a queue is what is in it.
func (q *WriteQueue) wantParts(t *testing.T) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	sum := int64(0)
	for _, m := range q.partsLocked().list {
		sum += m.bytes
		if m.bytes <= 0 || m.droppable && m.Messages == 0 {
			t.Fatalf("a part is %+v", m)
		}
	}
	if noted := q.keeper != nil || q.lim.Drop == DropOld; sum != q.partsLocked().size || noted && sum < q.pending || !noted && sum > 0 {
		t.Fatalf("%d bytes are noted, and said to be %d; %d are pending", sum, q.partsLocked().size, q.pending)
	}
	b := q.back
	if b == nil {
		return
	}
	n, first := sizeOf(b.queue), sizeOf(b.first.queue)
	if b.size != n || b.first.size != first || b.bytes < first+n {
		t.Fatalf("%d and %d bytes are queued, counted are %d and %d, %d with those that are being written", first, n, b.first.size, b.size, b.bytes)
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
				q.shared.overload.many.Store(seed%4 > 1)
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
					q.wantParts(t)
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
				sent := int64(0)
				for _, m := range regexp.MustCompile(`M \d+ (\d+)\n`).FindAllSubmatch(out, -1) {
					n, _ := strconv.Atoi(string(m[1]))
					sent += int64(n)
				}
				if stats := q.Stats(); sent+lost.Payload != r.payload || stats.Lost != lost || stats.Messages != int64(r.messages) || stats.Payload != r.payload {
					t.Errorf("%d bytes of payload and %d lost are not the %d that were pushed; counted are %+v", sent, lost.Payload, r.payload, stats)
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
	got := cap(q.partsLocked().list)
	q.mu.Unlock()
	if most := 8 * dropUnits; got > most {
		t.Errorf("there is room for %d parts, want %d at most", got, most)
	}
	close(release)
	q.Finish(patience)
	out, _ := link.taken()
	if sent := bytes.Count(out, text); sent+int(owner.lost.Messages) != pushed || owner.lost.Messages == 0 {
		t.Errorf("%d messages were sent and %d lost of %d", sent, owner.lost.Messages, pushed)
	}
	if len(owner.first) < 2 || !owner.first[0] || slices.Contains(owner.first[1:], true) {
		t.Errorf("of %d reports not just the first one says that it is the first of this backlog", len(owner.first))
	}
}

// TestUnitsOfWhatIsDropped has a sixteenth of what may be pending, 32 KB at most.
func TestUnitsOfWhatIsDropped(t *testing.T) {
	t.Parallel()
	for maxPending, want := range map[int64]int64{0: 1, 15: 1, 16: 1, 1600: 100, 512 << 10: 32 << 10, 512<<10 - 16: 32<<10 - 1, 1 << 30: 32 << 10} {
		if got := DropUnit(maxPending); got != want {
			t.Errorf("of %d: %d bytes, want %d", maxPending, got, want)
		}
	}
}

// TestTheOldestAreDropped queues parts that may be dropped and parts that must be sent, takes some
// from the front and puts some back, and drops: what is left, and what was lost, is compared with a
// list of the parts.
func TestTheOldestAreDropped(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 8))
		type piece struct {
			text      string
			droppable bool
		}
		var want []piece
		var b backlog
		var p parts
		var chunks []*Chunk
		number, unit := 0, int64(0) // what stays keeps its parts
		if seed%2 == 1 {
			unit = 1 << 30 // what stays becomes a part of what stays before it
		}
		add := func(n int) {
			for range n {
				next := piece{fmt.Sprintf("%03d", number) + string(bytes.Repeat([]byte{byte('a' + number%26)}, r.IntN(1<<r.IntN(12)))), r.IntN(3) > 0}
				number++
				ck := makeChunk(max(len(next.text), 1000), nil)
				ck.buf = append(ck.buf, next.text...)
				chunks = append(chunks, ck)
				m := part{bytes: int64(len(next.text)), droppable: next.droppable}
				if next.droppable {
					m.Messages, m.Payload = 1, m.bytes
				}
				p.add(m, b.size, 0)
				b.add(Segment{Bytes: ck.buf, Chunk: ck})
				want = append(want, next)
			}
		}
		add(1 + r.IntN(20))
		total := func() (n int) {
			for _, p := range want {
				n += len(p.text)
			}
			return n
		}
		for range 6 {
			if r.IntN(2) == 0 { // a write takes something, and gives some of it back
				segs := b.take(r.IntN(total() + 1))
				n := int(sizeOf(segs))
				sent := r.IntN(n + 1)
				b.first.putBack(dropSent(segs, sent))
				back := ""
				for at := n; at > 0; {
					k := min(at, len(want[0].text))
					back += want[0].text[:k]
					if at -= k; k == len(want[0].text) {
						want = want[1:]
						continue
					}
					want[0] = piece{want[0].text[k:], false} // its beginning is being written
				}
				if back = back[sent:]; back != "" {
					want = append([]piece{{back, false}}, want...)
				}
			}
			need := int64(r.IntN(total() + 2))
			var lost, wantLost Lost
			wantFreed, left := int64(0), []piece(nil)
			for _, p := range want {
				if !p.droppable || wantFreed >= need {
					left = append(left, p)
					continue
				}
				wantFreed += int64(len(p.text))
				wantLost.add(Lost{1, int64(len(p.text))})
			}
			want = left
			freed := b.evict(&p, need, &lost, unit)
			text := ""
			for _, p := range want {
				text += p.text
			}
			if got := string(bytes.Join(append(segmentBytes(b.first.queue), segmentBytes(b.queue)...), nil)); freed != wantFreed || lost != wantLost || got != text {
				t.Fatalf("seed %d: %d bytes, %+v are dropped, want %d, %+v; left is %.100q, want %.100q", seed, freed, lost, wantFreed, wantLost, got, text)
			}
			sum := int64(0)
			for _, m := range p.list {
				sum += m.bytes
			}
			if r.IntN(2) == 0 {
				p.trim(int64(len(text)))
				sum = p.size
			}
			if sum != p.size || sum < int64(len(text)) || b.first.size+b.size != int64(len(text)) {
				t.Fatalf("seed %d: %d and %d bytes are noted of %d and %d; %d are left", seed, sum, p.size, b.first.size, b.size, len(text))
			}
			add(r.IntN(4))
		}
		releaseAll(b.all())
		for i, ck := range chunks {
			if n := ck.refs.Load(); n != 1 {
				t.Fatalf("seed %d: chunk %d has %d references", seed, i, n)
			}
		}
	}
}

// TestTheFirstLossOfABacklogIsKnown has texts go beyond what may be pending before a message is
// dropped: no loss has been reported then.
func TestTheFirstLossOfABacklogIsKnown(t *testing.T) {
	t.Parallel()
	for _, policy := range []DropPolicy{DropNew, DropOld} {
		q, _, owner, _, release := blockedQueue(Limits{MaxPending: 100, HighWater: 100, WriteDeadline: patience, Drop: policy})
		q.Push(text(90))
		q.Push(text(90)) // no message: it must be sent
		for range 3 {
			d := text(50)
			d.Droppable = true
			q.Push(d)
		}
		release()
		q.Finish(patience)
		if want := []bool{true, false, false}; !slices.Equal(owner.first, want) || owner.lost != (Lost{3, 150}) {
			t.Errorf("policy %d: reports say %v that they are the first, want %v; lost is %+v", policy, owner.first, want, owner.lost)
		}
	}
}

// TestWhichMessagesAreDropped has a writer wait with one byte, and a hundred may be pending.
func TestWhichMessagesAreDropped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		policy   DropPolicy
		sizes    []int // negative: a text, which must be sent
		tooLarge bool  // the last one
		sent     []int // sizes, in order
		slow     bool
	}{
		{"there is just room", DropNew, []int{50, 49}, false, []int{50, 49}, false},
		{"a byte is too much", DropNew, []int{50, 50}, false, []int{50}, false},
		{"a smaller one fits", DropNew, []int{50, 50, 49}, false, []int{50, 49}, false},
		{"the old ones stay", DropNew, []int{50, 50, 49, 50, 1}, false, []int{50, 49}, false},
		{"a text is sent", DropNew, []int{50, -60, 1}, false, []int{50, -60}, false},
		{"a large one", DropNew, []int{50, 49}, true, []int{50}, false},
		{"there is just room for the old", DropOld, []int{50, 49}, false, []int{50, 49}, false},
		{"the oldest goes", DropOld, []int{50, 49, 1}, false, []int{49, 1}, false},
		{"two of the oldest go", DropOld, []int{20, 20, 59, 30}, false, []int{59, 30}, false},
		{"a text stays", DropOld, []int{20, -20, 20, 39, 50}, false, []int{-20, 50}, false},
		{"texts leave no room", DropOld, []int{-50, -49, 10, -5}, false, []int{-50, -49, -5}, false},
		{"a large one of many", DropOld, []int{50, 49}, true, []int{50}, false},
		{"none may be", DropNone, []int{50, 50}, false, []int{50, 50}, true},
		{"a large one of those", DropNone, []int{50, 1}, true, []int{50, 1}, true},
	} {
		entered, free := make(chan bool, 1), make(chan bool)
		l := &fakeLink{try: func(int) (int, error) { return 0, ErrWouldBlock }}
		l.wait = func(n int) (int, error) {
			select {
			case entered <- true:
			default:
			}
			<-free
			return n, nil
		}
		q, owner, pending := newTestQueue(l, Limits{MaxPending: 100, HighWater: 100, WriteDeadline: patience, Drop: tt.policy})
		q.Push(&Delivery{Segments: []Segment{{Bytes: []byte("-")}}, Bytes: 1})
		<-entered
		want := "-"
		sum := 0
		var chunks []*Chunk
		for i, n := range tt.sizes {
			size := max(n, -n)
			ck := makeChunk(size, nil)
			ck.buf = append(ck.buf, bytes.Repeat([]byte{byte(size)}, size)...)
			chunks = append(chunks, ck)
			d := &Delivery{Segments: []Segment{{Bytes: ck.buf, Chunk: ck}}, Bytes: size, TooLarge: tt.tooLarge && i == len(tt.sizes)-1}
			if n > 0 {
				d.Droppable, d.Messages, d.Payload = true, 1, int64(size)
				sum++
			}
			if i%2 == 1 {
				d.Keep()
			}
			q.Push(d)
		}
		for _, n := range tt.sent {
			want += string(bytes.Repeat([]byte{byte(max(n, -n))}, max(n, -n)))
			if n > 0 {
				sum--
			}
		}
		if got := q.Stats().Pending; got != int64(len(want)) || pending.Load() != got {
			t.Errorf("%s: %d bytes are pending, %d of all, want %d", tt.name, got, pending.Load(), len(want))
		}
		close(free)
		q.Finish(patience)
		out, _ := l.taken()
		slow, _ := owner.reported()
		if string(out) != want || len(slow) > 0 != tt.slow || int(owner.lost.Messages) != sum || q.Stats().Lost != owner.lost {
			t.Errorf("%s: sent is %v, want %v; slow %v, lost %+v", tt.name, out, []byte(want), slow, owner.lost)
		}
		for i, ck := range chunks {
			if n := ck.refs.Load(); n != 1 {
				t.Errorf("%s: %d references to delivery %d", tt.name, n, i)
			}
		}
	}
}

// TestASocketThatTakesEverythingLosesNothing pushes more at a time than may be pending.
func TestASocketThatTakesEverythingLosesNothing(t *testing.T) {
	t.Parallel()
	for _, policy := range []DropPolicy{DropNone, DropNew, DropOld} {
		l := new(fakeLink)
		q, owner, _ := newTestQueue(l, Limits{MaxPending: 100, HighWater: 100, WriteDeadline: patience, Drop: policy})
		d := text(101)
		d.Droppable = true
		q.Push(d)
		if out, _ := l.taken(); len(out) != 101 || owner.lost.Messages != 0 {
			t.Errorf("policy %d: %d bytes were taken, %+v lost", policy, len(out), owner.lost)
		}
		q.Finish(0)
	}
}

// TestWhatIsDroppedIsNotCopied pushes much to a connection that has little room: only what is queued is
// copied before it gets its place.
func TestWhatIsDroppedIsNotCopied(t *testing.T) {
	t.Parallel()
	const size = maxLockedCopy + 1
	for _, tt := range []struct {
		policy DropPolicy
		want   []bool
	}{
		{DropNone, []bool{true, true, true}},
		{DropNew, []bool{true, false, false}},
		{DropOld, []bool{true, true, true}},
	} {
		q, _, owner, _, release := blockedQueue(Limits{MaxPending: 2*size + 1, HighWater: size, WriteDeadline: patience, Drop: tt.policy})
		q.Push(text(size)) // is being written
		for i, want := range tt.want {
			d := text(size)
			d.Droppable = true
			if q.Push(d); d.own != want {
				t.Errorf("policy %d: delivery %d is copied: %v", tt.policy, i, d.own)
			}
		}
		if drops := tt.policy != DropNone; drops != (owner.lost.Messages == 2) {
			t.Errorf("policy %d: %+v is lost", tt.policy, owner.lost)
		}
		release()
		q.Finish(patience)
	}
}
