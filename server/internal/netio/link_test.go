package netio

import (
	"net"
	"testing"
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
