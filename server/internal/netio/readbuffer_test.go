package netio

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

func TestBufferKeepsEveryByteInOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var in ReadBuffer
	var sent, taken int
	var held []Segment // as a queue refers to payloads where they were read
	var want [][]byte
	pattern := func(i int) byte { return byte(i * 7 % 251) }
	for range 5000 {
		space := in.Space(1 + r.IntN(ReadSize))
		if len(space) == 0 {
			t.Fatal("no space to read into")
		}
		n := r.IntN(min(len(space), 3000)) + 1
		for i := range n {
			space[i] = pattern(sent + i)
		}
		in.Filled(n)
		sent += n
		for !in.Incomplete() && r.IntN(4) > 0 {
			n := 1 + r.IntN(len(in.Unread()))
			text := in.Unread()[:n]
			for i, b := range text {
				if b != pattern(taken+i) {
					t.Fatalf("byte %d: got %d, want %d", taken+i, b, pattern(taken+i))
				}
			}
			if r.IntN(8) == 0 {
				in.chunk.retain()
				held = append(held, Segment{Bytes: text, Chunk: in.chunk})
				want = append(want, bytes.Clone(text))
			}
			in.Consume(n)
			taken += n
		}
		if r.IntN(10) == 0 && len(in.Unread()) > 0 {
			in.Need(len(in.Unread())+1+r.IntN(100000), 0)
		}
		if r.IntN(3) == 0 {
			in.Shrink()
		}
		for len(held) > 20 {
			if !bytes.Equal(held[0].Bytes, want[0]) {
				t.Fatal("bytes that are referred to were written again")
			}
			held[0].Chunk.Release()
			held, want = held[1:], want[1:]
		}
	}
	in.Clear()
	for i, s := range held {
		if !bytes.Equal(s.Bytes, want[i]) {
			t.Fatal("bytes that are referred to were written again")
		}
		s.Chunk.Release()
	}
}

func TestIdleConnectionWithHalfAnOperationHoldsLittle(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		have int
		most int
	}{
		{"nothing is unread", 0, 0},
		{"a few bytes", 20, SmallSize},
		{"half a control line", 1000, SmallSize},
		{"more than a small chunk", 3000, 4 << 10},
		{"much of a chunk stays where it is", ReadSize / 2, ReadSize},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var in ReadBuffer
			in.Space(ReadSize)
			in.Filled(c.have)
			in.Need(1<<20, 0)
			in.Shrink()
			got := 0
			if in.chunk != nil {
				got = cap(in.chunk.buf)
			}
			if got > c.most {
				t.Errorf("holds %d bytes, want %d at most", got, c.most)
			}
			if got := len(in.Unread()); got != c.have {
				t.Errorf("unread: got %d bytes, want %d", got, c.have)
			}
			in.Clear()
		})
	}
}

func TestLargeOperationGetsMemoryAsItArrives(t *testing.T) {
	t.Parallel()
	var in ReadBuffer
	in.Filled(len(in.Space(ReadSize)[:10]))
	in.Need(100<<20, 0)
	for have := 10; have < 8<<20; {
		space := in.Space(ReadSize)
		if got, most := cap(in.chunk.buf), max(ReadSize, 2*growthFactor*have); got > most {
			t.Fatalf("with %d bytes there: took %d, want %d at most", have, got, most)
		}
		in.Filled(len(space))
		have += len(space)
	}
	in.Clear()
}

// TestReadsOfLargeOperationsHoldSeveral reads operations that are just larger than a usual read: the
// buffer is to hold several, or each would take a read of its own, and most of its bytes a copy.
func TestReadsOfLargeOperationsHoldSeveral(t *testing.T) {
	t.Parallel()
	const size, operations = ReadSize + 40, 100
	var in ReadBuffer
	reads := 0
	for done := 0; done < operations; {
		in.Filled(len(in.Space(ReadSize)))
		for reads++; len(in.Unread()) >= size; done++ {
			in.Consume(size)
		}
		in.Need(size, 0)
	}
	if most := operations / 2; reads > most {
		t.Errorf("%d reads for %d operations, want %d at most", reads, operations, most)
	}
	in.Clear()
}

// TestEachByteIsMovedAFewTimes has a large operation arrive in small pieces, with a wait after each,
// and counts the bytes that are copied within the buffer or into another one.
func TestEachByteIsMovedAFewTimes(t *testing.T) {
	t.Parallel()
	// A remainder that is shorter than a part of a read may be moved before and after each wait.
	const remainder = 2 * ReadSize / growthFactor
	for _, c := range []struct {
		name        string
		size, piece int
		limit       int
		known       bool // the size of the operation
	}{
		{"a message of 1 MB", 1 << 20, 100, ReadSize, true},
		{"a message just above the largest chunk", 1<<20 + 50, 100, ReadSize, true},
		{"a message of 64 MB", 64 << 20, 1000, ReadSize, true},
		{"a message of 64 MB in full packets", 64 << 20, 64 << 10, ReadSize, true},
		{"a message of 300 KB, byte by byte", 300 << 10, 1, ReadSize, true},
		{"a message of 8 MB by short reads", 8 << 20, 1000, SmallSize, true},
		{"a line of 8 MB", 8 << 20, 1000, ReadSize, false},
		{"a line of 300 KB, byte by byte", 300 << 10, 1, ReadSize, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var in ReadBuffer
			moved, small, held := 0, 0, 0
			watch := func(do func()) {
				chunk, start, n := in.chunk, in.start, len(in.Unread())
				do()
				if in.chunk != chunk || in.start != start {
					if n <= ReadSize/growthFactor {
						small += n
					} else {
						moved += n
					}
				}
			}
			pieces := 0
			for have := 0; have < c.size; pieces++ {
				var space []byte
				watch(func() { space = in.Space(c.limit) })
				held = max(held, cap(in.chunk.buf)-2*growthFactor*have)
				n := min(len(space), c.piece, c.size-have)
				in.Filled(n)
				have += n
				if c.known {
					in.Need(c.size, 0)
				} else {
					in.Need(have+1, 0)
				}
				watch(in.Shrink)
			}
			if most := 3 * c.size; moved > most {
				t.Errorf("%d bytes are moved, want %d at most", moved, most)
			}
			if most := min(pieces, ReadSize/growthFactor/c.piece+1) * remainder; small > most {
				t.Errorf("%d bytes of short remainders are moved, want %d at most", small, most)
			}
			if held > ReadSize {
				t.Errorf("the buffer takes %d bytes more than is justified by what came", held)
			}
			in.Clear()
		})
	}
}

// TestWhatABufferNeeds says when another look at it is worthwhile, and what of it matters.
func TestWhatABufferNeeds(t *testing.T) {
	t.Parallel()
	var in ReadBuffer
	read := func(text string) {
		n := copy(in.Space(SmallSize), text)
		in.Filled(n)
	}
	want := func(incomplete bool, unread string) {
		t.Helper()
		if in.Incomplete() != incomplete || string(in.Unread()) != unread {
			t.Errorf("incomplete %v, unread %q, want %v, %q", in.Incomplete(), in.Unread(), incomplete, unread)
		}
	}
	want(true, "")
	read("one")
	want(false, "one")
	in.Need(5, 0)
	want(true, "one")
	read("t")
	want(true, "onet")
	read("w")
	want(false, "onetw")
	in.Consume(3)
	want(false, "tw")
	in.Need(9, 1) // the rest does not matter
	want(true, "t")
	read("hree")
	want(true, "three")
	in.Need(5, 0)
	want(false, "three")
	in.Consume(5)
	want(true, "")
	read("x")
	old := in.Chunk()
	old.retain()
	in.Need(2*SmallSize, 0)
	read("y") // the chunk is shared, so it is not moved within
	for in.Chunk() == old {
		read(string(make([]byte, SmallSize)))
	}
	if n := old.refs.Load(); n != 1 || string(in.Unread()[:2]) != "xy" {
		t.Errorf("%d references to the chunk before, and it begins with %q", n, in.Unread()[:2])
	}
	old.Release()
	last := in.Chunk()
	last.retain()
	in.Clear()
	if n := last.refs.Load(); n != 1 || in.Chunk() != nil {
		t.Errorf("%d references when it was cleared", n)
	}
	last.Release()
}

// TestMemoryOfUnreadBytesIsCounted has half of a large operation arrive, a wait follow, and the rest, over a
// direct link and over a plain one, which holds a small buffer while it waits.
func TestMemoryOfUnreadBytesIsCounted(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(net.Conn, *Shared) Link{"direct": NewLink, "plain": newPlainLink} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := tcpPair(t)
			shared := new(Shared)
			l := open(near, shared)
			var in ReadBuffer
			const size = 1 << 20
			receive := func(n int) {
				go far.Write(make([]byte, n)) // ends when it is read
				for want := len(in.Unread()) + n; len(in.Unread()) < want; {
					if _, err := l.Recv(&in, ReadSize); err != nil {
						t.Fatal(err)
					}
					in.Need(size, 0)
				}
			}
			wait := func(when string, least, most int64) {
				t.Helper()
				near.SetReadDeadline(time.Now().Add(-time.Second))
				if _, err := l.Recv(&in, ReadSize); err == nil {
					t.Fatal("there was something to read")
				}
				near.SetReadDeadline(time.Time{})
				if name == "direct" { // its wait has not begun: the deadline had passed
					in.Shrink()
					shared.Hold(&in)
				}
				if got := in.Held(); got < least || got > most || shared.Unread.Load() != got {
					t.Errorf("%s: it holds %d bytes, all %d, want %d to %d", when, got, shared.Unread.Load(), least, most)
				}
			}
			wait("at first", 0, 0)
			receive(100)
			wait("a few bytes", 0, 4<<10)
			receive(size - 200)
			wait("almost all", size-100, 2*size)
			receive(100)
			in.Consume(size)
			wait("all", 0, ReadSize)
			in.Clear()
			shared.Hold(&in)
			if got := shared.Unread.Load(); got != 0 {
				t.Errorf("at the end %d bytes are counted", got)
			}
		})
	}
}
