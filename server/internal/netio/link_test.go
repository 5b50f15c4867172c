package netio

import (
	"io"
	"net"
	"testing"
	"time"
)

// feedConn is a connection whose reads return as many bytes as asked for.
type feedConn struct {
	net.Conn
	next  int
	space int // of the last read
}

func (f *feedConn) Read(b []byte) (int, error) {
	f.space = len(b)
	return min(f.next, len(b)), nil
}

func TestPlainLinkSizesItsBufferByNeed(t *testing.T) {
	t.Parallel()
	feed := new(feedConn)
	l := newPlainLink(feed, new(Shared))
	var in ReadBuffer
	read := func(n int) {
		t.Helper()
		feed.next = n
		if _, err := l.Recv(&in, ReadSize); err != nil {
			t.Fatal(err)
		}
		in.Consume(len(in.Unread()))
	}
	for range 8 {
		read(ReadSize)
	}
	for range 4 {
		feed.next = LongRead
		if _, err := l.Recv(&in, LongRead); err != nil {
			t.Fatal(err)
		}
		in.Consume(len(in.Unread()))
	}
	if got := feed.space; got != ReadSize {
		t.Errorf("after full reads it reads into %d bytes, want %d", got, ReadSize)
	}
	for range 8 {
		read(10)
	}
	if got := feed.space; got != minPlainRead {
		t.Errorf("after short reads it waits with %d bytes, want %d", got, minPlainRead)
	}
	in.Clear()
}

// TestLongReadsAreForFew asks for a long read while more and more readers are at work.
func TestLongReadsAreForFew(t *testing.T) {
	t.Parallel()
	shared := new(Shared)
	for n := range maxLongReaders + 2 {
		want := LongRead
		if n > maxLongReaders {
			want = ReadSize
		}
		if got := shared.readLimit(LongRead); got != want {
			t.Errorf("beside %d at work: got %d, want %d", n, got, want)
		}
		if got := shared.readLimit(SmallSize); got != SmallSize {
			t.Errorf("before a login: got %d, want %d", got, SmallSize)
		}
		shared.BusyPoll.begin()
	}
}

// TestPlainLinkWritesInPieces looks at what one Send writes: no more than a slow reader takes within
// the deadline.
func TestPlainLinkWritesInPieces(t *testing.T) {
	t.Parallel()
	for _, segs := range [][]Segment{
		{{Bytes: make([]byte, 1<<20)}},
		{{Bytes: make([]byte, plainBatch-1)}, {Bytes: make([]byte, 1<<20)}, {Bytes: make([]byte, 1)}},
	} {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far) // ends with the pipe
		n, err := newPlainLink(near, &Shared{}).Send(segs, time.Now().Add(patience))
		if n != plainBatch || err != nil {
			t.Errorf("wrote %d, %v; want %d", n, err, plainBatch)
		}
		near.Close()
	}
}
