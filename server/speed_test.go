package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// sinkLink is a link whose socket takes everything and keeps nothing.
type sinkLink struct{ nc net.Conn }

func (l sinkLink) recv(*inbuf, int) (int, error) { return 0, net.ErrClosed }

func (l sinkLink) conn() net.Conn { return l.nc }

func (l sinkLink) trySend(segs []seg) (n int, err error) {
	for _, s := range segs {
		n += s.len()
	}
	return n, nil
}

func (l sinkLink) send(segs []seg, _ time.Time) (int, error) { return l.trySend(segs) }

// sunk returns a client of s that writes nowhere and reads nothing by itself.
func sunk(t testing.TB, s *Server) *client {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	c := newClient(s, near)
	c.link = sinkLink{near}
	c.out.link = c.link
	c.verbose, c.pedantic = false, false
	return c
}

// handle gives a client bytes as if it had read them, and lets it work.
func handle(t testing.TB, c *client, text string) {
	t.Helper()
	for len(text) > 0 {
		n := copy(c.in.space(readSize), text)
		c.in.filled(n)
		text = text[n:]
		if r := c.work(); r != goOn {
			t.Fatalf("the connection ends: %v", r)
		}
	}
}

// TestSpeedNoAllocations runs the walk of a message, from bytes that were read to
// bytes that are handed to the socket, and wants no memory taken on the way.
func TestSpeedNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates; make test runs this again without it")
	}
	tests := []struct {
		name string
		subs func(i int) string // the SUB of client i
		n    int
		pub  string
	}{
		{"published to nobody", nil, 0, "PUB foo 2\r\nhi\r\n"},
		{"one subscriber", func(int) string { return "SUB foo 1\r\n" }, 1, "PUB foo 2\r\nhi\r\n"},
		{"one hundred subscribers with the same sid", func(int) string { return "SUB foo 1\r\n" }, 100, "PUB foo 2\r\nhi\r\n"},
		{"a queue group of eight", func(i int) string { return fmt.Sprintf("SUB foo g %d\r\n", i) }, 8, "PUB foo 2\r\nhi\r\n"},
		{"two subjects in turn", func(i int) string { return fmt.Sprintf("SUB foo.%d 1\r\n", i) }, 2, "PUB foo.0 2\r\nhi\r\nPUB foo.1 2\r\nhi\r\n"},
		{"a large payload by reference", func(int) string { return "SUB foo 1\r\n" }, 2, "PUB foo 16384\r\n" + strings.Repeat("x", 16384) + "\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tt.n {
				handle(t, sunk(t, s), tt.subs(i))
			}
			p := sunk(t, s)
			batch := strings.Repeat(tt.pub, max(1, 8192/len(tt.pub)))
			handle(t, p, batch)
			// Pools may be emptied by a collection meanwhile: a few are allowed
			// per batch of thousands of messages, none per message.
			if got := testing.AllocsPerRun(100, func() { handle(t, p, batch) }); got > 2 {
				t.Errorf("got %v allocations per batch, want none", got)
			}
		})
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, size := range []int{16, 128, 1024, 16384} {
		for _, subs := range []int{0, 1, 10, 100} {
			b.Run(fmt.Sprintf("size=%d/subs=%d", size, subs), func(b *testing.B) {
				s, err := New(nil)
				if err != nil {
					b.Fatal(err)
				}
				for range subs {
					handle(b, sunk(b, s), "SUB foo 1\r\n")
				}
				p := sunk(b, s)
				msg := fmt.Sprintf("PUB foo %d\r\n%s\r\n", size, strings.Repeat("x", size))
				per := max(1, 32<<10/len(msg))
				batch := strings.Repeat(msg, per)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; i < b.N; i += per {
					handle(b, p, batch)
				}
			})
		}
	}
}
