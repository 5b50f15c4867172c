package netio

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPipeTakesWhatIsWrittenBeforeItIsRead(t *testing.T) {
	t.Parallel()
	a, b := Pipe()
	for range pipeSize / 8 {
		if n, err := a.Write([]byte("12345678")); n != 8 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); len(got) != pipeSize || err != nil {
		t.Errorf("got %d bytes, %v; want %d and the end", len(got), err, pipeSize)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v for a write to an end that is closed, want %v", err, io.ErrClosedPipe)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v for a write after Close, want %v", err, net.ErrClosed)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v for a read after Close, want %v", err, net.ErrClosed)
	}
}

func TestAPipeThatIsHalfClosed(t *testing.T) {
	t.Parallel()
	a, b := Pipe()
	if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want the end", err)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Errorf("got %v for the other direction", err)
	}
	got := make([]byte, 2)
	if n, err := a.Read(got); n != 1 || got[0] != 'x' || err != nil {
		t.Errorf("got %d, %q, %v", n, got, err)
	}
}

func TestDeadlinesOfAPipe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := Pipe()
		start := time.Now()
		for _, c := range []struct {
			name string
			set  func(time.Time) error
			do   func() (int, error)
		}{
			{"read", a.SetReadDeadline, func() (int, error) { return a.Read(make([]byte, 1)) }},
			{"write", a.SetWriteDeadline, func() (int, error) { return a.Write(make([]byte, 2*pipeSize)) }},
		} {
			_ = c.set(time.Now().Add(time.Second))
			if _, err := c.do(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: got %v, want a timeout", c.name, err)
			}
			_ = c.set(time.Time{})
			go func() { // ends with the wait
				time.Sleep(time.Second)
				_ = c.set(time.Unix(1, 0)) // also ends a wait that has begun
			}()
			if _, err := c.do(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: got %v, want a timeout", c.name, err)
			}
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("the waits took %v, want 4s", took)
		}
	})
}

func TestAPipeKeepsOrder(t *testing.T) {
	t.Parallel()
	a, b := Pipe()
	sent := make([]byte, 3*pipeSize+17)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range sent {
		sent[i] = byte(r.Uint32())
	}
	go func() { // ends when all is read
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(2*pipeSize))
			if _, err := a.Write(rest[:n]); err != nil {
				t.Error(err)
			}
			rest = rest[n:]
		}
		a.Close()
	}()
	if got, err := io.ReadAll(fewBytes{b}); !bytes.Equal(got, sent) || err != nil {
		t.Errorf("got %d bytes, %v; want the %d that were sent", len(got), err, len(sent))
	}
}

// fewBytes reads a few bytes at a time.
type fewBytes struct{ r io.Reader }

func (r fewBytes) Read(b []byte) (int, error) { return r.r.Read(b[:min(len(b), 1000)]) }

// TestALinkOverAPipeWritesWithoutWaiting looks for how much TrySend writes.
func TestALinkOverAPipeWritesWithoutWaiting(t *testing.T) {
	t.Parallel()
	near, far := Pipe()
	l := NewLink(near, new(Shared))
	half := make([]byte, pipeSize/2+1)
	segs := []Segment{{Bytes: half}, {Bytes: half}}
	if n, err := l.TrySend(segs[:1]); n != len(half) || err != nil {
		t.Errorf("got %d, %v, want %d", n, err, len(half))
	}
	if n, err := l.TrySend(segs); n != pipeSize-len(half) || err != ErrWouldBlock {
		t.Errorf("got %d, %v, want %d and %v", n, err, pipeSize-len(half), ErrWouldBlock)
	}
	if got, err := io.ReadFull(far, make([]byte, pipeSize)); got != pipeSize || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	far.Close()
	if _, err := l.TrySend(segs); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v for a pipe that is closed, want %v", err, io.ErrClosedPipe)
	}
	if _, err := newPlainLink(struct{ net.Conn }{near}, new(Shared)).TrySend(segs); err != ErrWouldBlock {
		t.Errorf("got %v where a write may wait, want %v", err, ErrWouldBlock)
	}
}
