package netio

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestBacklogHoldsLittleMoreMemoryThanBytes queues the shapes that a batch makes, and compares the
// bytes pending with the memory they keep, after each push: one and a half times as much, and a
// small chunk.
func TestBacklogHoldsLittleMoreMemoryThanBytes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		sizes []int // of segments, repeated; each in a chunk of ReadSize, or its own if it is larger
	}{
		{"short messages", []int{40}},
		{"messages of a few KiB", []int{3 << 10}},
		{"messages of 8 KiB", []int{8<<10 + 40}},
		{"a little more than a chunk", []int{2<<10 + 1, 16<<10 + 1}},
		{"a little more than half a large chunk", []int{33 << 10}},
		{"just not worth keeping", []int{2*ReadSize/3 - 1}},
		{"heads and large payloads in turn", []int{40, 9 << 10}},
		{"heads and whole chunks in turn", []int{40, ReadSize}},
		{"payloads larger than a read", []int{40, 100 << 10}},
	}
	for _, own := range []bool{false, true} {
		for _, c := range cases {
			t.Run(fmt.Sprintf("%s/own=%v", c.name, own), func(t *testing.T) {
				var b backlog
				chunks := make(map[*Chunk]bool)
				memory := 0
				for i := range 1000 {
					n := c.sizes[i%len(c.sizes)]
					ck := makeChunk(max(n, ReadSize), nil)
					s := Segment{Bytes: ck.mem[:n], Chunk: ck}
					if own && n > maxLockedCopy { // as a push does that would have to wait
						b.addOwn(kept([]Segment{s})...)
					} else {
						b.add(s)
					}
					b.bytes += int64(n)
					ck.Release()
					for k := len(b.queue) - 1; k >= 0 && !chunks[b.queue[k].Chunk]; k-- {
						chunks[b.queue[k].Chunk] = true
						memory += len(b.queue[k].Chunk.mem)
					}
					if most := int(b.bytes)*3/2 + SmallSize; memory > most {
						t.Fatalf("after push %d: %d bytes hold %d bytes of memory, want %d at most", i, b.bytes, memory, most)
					}
				}
				releaseAll(b.queue)
				b.dropFill()
				for ck := range chunks {
					if n := ck.refs.Load(); n != 0 && ck.pool == nil { // others may have taken it from its pool
						t.Fatalf("%d references left", n)
					}
				}
			})
		}
	}
}

func TestBacklogGivesBackWhatItTook(t *testing.T) {
	t.Parallel()
	var b backlog
	var want, got []byte
	for i := range 3000 {
		ck := makeChunk(16<<10, nil)
		text := bytes.Repeat([]byte{byte(i)}, 1+i*131%9000)
		ck.buf = append(ck.buf, text...)
		want = append(want, text...)
		b.add(Segment{Bytes: ck.buf, Chunk: ck})
		ck.Release()
		if i%5 == 0 {
			segs := b.take(1 + i)
			for _, s := range segs {
				got = append(got, s.Bytes...)
			}
			releaseAll(segs)
		}
	}
	for len(b.queue) > 0 {
		segs := b.take(writeBatch)
		for _, s := range segs {
			got = append(got, s.Bytes...)
		}
		releaseAll(segs)
	}
	b.dropFill()
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
	}
}

func TestTopSubjectIsTheMajority(t *testing.T) {
	t.Parallel()
	var top topSubject
	for i := range 1000 {
		top.add(fmt.Appendf(nil, "other.%d", i), 40)
		top.add([]byte("flood"), 100)
	}
	top.add(nil, 1<<40)
	if got := string(top.subject); got != "flood" {
		t.Errorf("got %q, want %q", got, "flood")
	}
}

func TestSamplesOfABacklogEndWithTheirBytes(t *testing.T) {
	t.Parallel()
	b := &backlog{}
	b.follow(&Delivery{ReadAt: 0}, 5)
	b.follow(&Delivery{ReadAt: 7}, 10)
	b.follow(&Delivery{ReadAt: 8}, 20) // there is one already
	for i, step := range []struct{ n, want int64 }{{9, 0}, {0, 0}, {1, 7}, {10, 0}} {
		if got := b.sample.sent(step.n); got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
	b.follow(&Delivery{ReadAt: 9}, 1)
	if got := b.sample.sent(100); got != 9 {
		t.Errorf("got %d, want 9", got)
	}
}

// TestTopSubjectCountsBytes compares with a vote of single bytes.
func TestTopSubjectCountsBytes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		var top topSubject
		subject, weight := "", 0
		for range 1 + r.IntN(12) {
			s, n := string("abc"[r.IntN(3)]), 1+r.IntN(5)
			top.add([]byte(s), int64(n))
			for range n {
				switch {
				case s == subject:
					weight++
				case weight == 0:
					subject, weight = s, 1
				default:
					weight--
				}
			}
			if string(top.subject) != subject || top.weight != int64(weight) {
				t.Fatalf("got %q with %d, want %q with %d", top.subject, top.weight, subject, weight)
			}
		}
	}
	var top topSubject
	top.add(bytes.Repeat([]byte("x"), 2*maxTopSubject), 1)
	if len(top.subject) != maxTopSubject {
		t.Errorf("%d bytes of a long subject are remembered, want %d", len(top.subject), maxTopSubject)
	}
}

// TestSizesOfChunksForABacklog has chunks that what is to be copied fills to two thirds at least,
// or of a fourth of the backlog.
func TestSizesOfChunksForABacklog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want  int
		bytes int64
		size  int
	}{
		{1, 0, SmallSize},
		{SmallSize, 0, SmallSize},
		{SmallSize + 1, 0, SmallSize},
		{1365, 0, SmallSize},
		{1366, 0, 2 << 10},
		{21845, 0, 16 << 10},
		{21846, 0, 32 << 10},
		{ReadSize, 0, ReadSize},
		{10 * ReadSize, 0, ReadSize},
		{10, 4*10922 + 3, 8 << 10},
		{10, 4 * 10923, 16 << 10},
		{20_000, 4 * 10923, 16 << 10},
		{10, 1 << 30, ReadSize},
	} {
		if got := fillSize(tt.want, tt.bytes); got != tt.size {
			t.Errorf("%d bytes for a backlog of %d: a chunk of %d, want %d", tt.want, tt.bytes, got, tt.size)
		}
	}
}

// TestABacklogForgetsWhatItGaveUp takes segments out, and gives up the chunk for short ones: nothing
// of them is referenced, and another chunk is taken when there is need of one.
func TestABacklogForgetsWhatItGaveUp(t *testing.T) {
	t.Parallel()
	var b backlog
	for range 10 {
		ck := makeChunk(100, nil)
		ck.buf = append(ck.buf, bytes.Repeat([]byte("x"), 100)...)
		b.add(Segment{Bytes: ck.buf, Chunk: ck})
		ck.Release()
	}
	segs := b.take(300)
	if n := sizeOf(segs); len(segs) != 3 || n != 300 || len(b.queue) != 7 {
		t.Errorf("took %d segments of %d bytes, %d are left", len(segs), n, len(b.queue))
	}
	for _, s := range b.queue[len(b.queue):cap(b.queue)] {
		if s.Chunk != nil {
			t.Error("a segment that was taken is still referenced")
		}
	}
	releaseAll(segs)
	if segs = b.take(99); len(segs) != 1 || sizeOf(segs) != 99 {
		t.Errorf("took %d segments of %d bytes, want a part of one", len(segs), sizeOf(segs))
	}
	releaseAll(segs)
	if segs = b.take(201); len(segs) != 3 || sizeOf(segs) != 201 {
		t.Errorf("took %d segments of %d bytes, want the rest of that and two", len(segs), sizeOf(segs))
	}
	releaseAll(segs)
	b.add(Segment{Bytes: []byte("short")})
	b.add(Segment{Bytes: []byte(" and ")})
	if got := len(b.queue); got != 5 {
		t.Errorf("short ones are %d segments, want one", got-4)
	}
	b.dropFill()
	b.add(Segment{Bytes: []byte("more")})
	segs = b.take(1 << 20)
	if got := string(bytes.Join(segmentBytes(segs[4:]), nil)); got != "short and more" {
		t.Errorf("got %q", got)
	}
	releaseAll(segs)
	b.dropFill()
}

// TestWhatStaysQueuedIsNotMoved takes from the front of a long backlog, drops there and puts back: what
// is behind, and what is noted of it, stays in its place, and what is gone is not referred to.
func TestWhatStaysQueuedIsNotMoved(t *testing.T) {
	t.Parallel()
	const count, size = 1000, 100
	var b backlog
	var p parts
	for i := range count {
		ck := makeChunk(size, nil)
		ck.buf = append(ck.buf, bytes.Repeat([]byte("x"), size)...)
		b.addOwn(Segment{Bytes: ck.buf, Chunk: ck})
		p.add(part{bytes: size, Lost: Lost{Messages: 1}, droppable: i%3 > 0}, b.size, 0)
	}
	all, segment, noted := b.queue, &b.queue[count-1], &p.list[count-1]
	wants := func(after string, left int) {
		t.Helper()
		if len(b.queue) != left || &b.queue[left-1] != segment || &p.list[len(p.list)-1] != noted {
			t.Errorf("after %s what stays was moved, or is %d segments, want %d", after, len(b.queue), left)
		}
		for i, s := range all[:count-left] {
			if s.Chunk != nil {
				t.Fatalf("after %s segment %d is still referred to", after, i)
			}
		}
	}
	segs := b.take(10 * size)
	wants("a take", count-10)
	b.first.putBack(segs)
	wants("putting it back", count-10)
	segs = b.take(10*size + size/2)
	if n := sizeOf(segs); n != 10*size+size/2 {
		t.Errorf("%d bytes were taken", n)
	}
	releaseAll(segs)
	wants("taking a part of a delivery", count-10)
	var lost Lost
	b.follow(&Delivery{ReadAt: 7}, 500)
	if freed := b.evict(&p, 20*size, &lost, 0); freed != 20*size || lost.Messages != 20 {
		t.Errorf("%d bytes and %+v were dropped", freed, lost)
	}
	wants("a drop", count-11-30)
	if b.sample != (sample{}) {
		t.Error("the place in the backlog that is measured may have been dropped, and is still there")
	}
	if want := int64(count - 20); p.size != want*size || int64(len(p.list)) != want {
		t.Errorf("%d parts of %d bytes are left, want %d", len(p.list), p.size, want)
	}
	p.trim(b.first.size + b.size)
	wants("a write", count-11-30)
	if want := count - 20 - 10; len(p.list) != want {
		t.Errorf("%d parts are left behind what was written, want %d", len(p.list), want)
	}
	releaseAll(b.all())
}

// BenchmarkPushDropOld pushes to a connection that does not read and has as much pending as may be.
func BenchmarkPushDropOld(b *testing.B) {
	for _, limit := range []int64{1 << 20, 64 << 20} {
		for _, size := range []int{100, 90_000} {
			b.Run(fmt.Sprintf("pending=%dMB/size=%d", limit>>20, size), func(b *testing.B) {
				q, _, _, _, release := blockedQueue(Limits{MaxPending: limit, HighWater: limit, WriteDeadline: patience, Drop: DropOld})
				q.KeepLeftover(false)
				payload := make([]byte, size)
				push := func() {
					q.Push(&Delivery{Segments: []Segment{{Bytes: payload}}, Bytes: size, Messages: 1, Droppable: true})
				}
				for range int(limit)/size + 1 {
					push()
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					push()
				}
				release()
				q.Finish(0)
			})
		}
	}
}
