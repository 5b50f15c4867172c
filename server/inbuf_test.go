package server

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestBufferKeepsEveryByteInOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var in inbuf
	var sent, taken int
	var held []seg // as a queue refers to payloads where they were read
	var want [][]byte
	pattern := func(i int) byte { return byte(i * 7 % 251) }
	for range 5000 {
		space := in.space(1 + r.IntN(readSize))
		if len(space) == 0 {
			t.Fatal("no space to read into")
		}
		n := r.IntN(min(len(space), 3000)) + 1
		for i := range n {
			space[i] = pattern(sent + i)
		}
		in.filled(n)
		sent += n
		for !in.short() && r.IntN(4) > 0 {
			n := 1 + r.IntN(len(in.unread()))
			text := in.unread()[:n]
			for i, b := range text {
				if b != pattern(taken+i) {
					t.Fatalf("byte %d: got %d, want %d", taken+i, b, pattern(taken+i))
				}
			}
			if r.IntN(8) == 0 {
				in.ck.retain()
				held = append(held, seg{b: text, ck: in.ck})
				want = append(want, bytes.Clone(text))
			}
			in.take(n)
			taken += n
		}
		if r.IntN(10) == 0 && len(in.unread()) > 0 {
			in.want(len(in.unread())+1+r.IntN(100000), 0)
		}
		if r.IntN(3) == 0 {
			in.rest()
		}
		for len(held) > 20 {
			if !bytes.Equal(held[0].b, want[0]) {
				t.Fatal("bytes that somebody refers to were written again")
			}
			held[0].ck.release()
			held, want = held[1:], want[1:]
		}
	}
	in.drop()
	for i, s := range held {
		if !bytes.Equal(s.b, want[i]) {
			t.Fatal("bytes that somebody refers to were written again")
		}
		s.ck.release()
	}
}

func TestQuietConnectionWithHalfAnOperationHoldsLittle(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		have int
		most int
	}{
		{"nothing is unread", 0, 0},
		{"a few bytes", 20, smallChunk},
		{"half a control line", 1000, smallChunk},
		{"more than a small chunk", 3000, 4 << 10},
		{"much of a chunk stays where it is", readSize / 2, readSize},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var in inbuf
			in.space(readSize)
			in.filled(c.have)
			in.want(1<<20, 0)
			in.rest()
			got := 0
			if in.ck != nil {
				got = cap(in.ck.b)
			}
			if got > c.most {
				t.Errorf("holds %d bytes, want %d at most", got, c.most)
			}
			if got := len(in.unread()); got != c.have {
				t.Errorf("unread: got %d bytes, want %d", got, c.have)
			}
			in.drop()
		})
	}
}

func TestLargeOperationGetsMemoryAsItArrives(t *testing.T) {
	t.Parallel()
	var in inbuf
	in.filled(len(in.space(readSize)[:10]))
	in.want(100<<20, 0)
	for have := 10; have < 8<<20; {
		space := in.space(readSize)
		if got, most := cap(in.ck.b), max(readSize, 2*grow*have); got > most {
			t.Fatalf("with %d bytes there: took %d, want %d at most", have, got, most)
		}
		in.filled(len(space))
		have += len(space)
	}
	in.drop()
}

func TestChunkGoesBackOnce(t *testing.T) {
	t.Parallel()
	ck := newChunk(10)
	ck.retain()
	ck.release()
	ck.release()
	defer func() {
		if recover() == nil {
			t.Error("a chunk was released twice without a panic")
		}
	}()
	ck = makeChunk(10, nil)
	ck.release()
	ck.release()
}

func TestPlainLinkSizesItsBufferByNeed(t *testing.T) {
	t.Parallel()
	feed := new(feedConn)
	l := &plainLink{nc: feed}
	var in inbuf
	read := func(n int) {
		t.Helper()
		feed.next = n
		if _, err := l.recv(&in, readSize); err != nil {
			t.Fatal(err)
		}
		in.take(len(in.unread()))
	}
	for range 8 {
		read(readSize)
	}
	if got := feed.space; got != readSize {
		t.Errorf("after full reads it reads into %d bytes, want %d", got, readSize)
	}
	for range 8 {
		read(10)
	}
	if got := feed.space; got != plainRead {
		t.Errorf("after short reads it waits with %d bytes, want %d", got, plainRead)
	}
	in.drop()
}
