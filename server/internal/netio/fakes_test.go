package netio

import (
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// fakeLink is a link whose socket takes what a script says. It keeps what it took, and notes if two
// write at a time.
type fakeLink struct {
	mu      sync.Mutex
	busy    bool
	overlap bool
	out     []byte
	sum     int  // bytes that were taken
	forgets bool // out is not kept
	// try returns how many of n bytes a direct write takes, and with what error.
	try func(n int) (int, error)
	// wait is the same for a write that waits.
	wait func(n int) (int, error)
	// unsent returns what the socket holds; nil = that is not known.
	unsent func() int
}

func (f *fakeLink) Recv(*ReadBuffer, int) (int, error) { return 0, net.ErrClosed }

func (f *fakeLink) Conn() net.Conn { return nil }

func (f *fakeLink) Close() error { return nil }

func (f *fakeLink) Unsent() int {
	if f.unsent == nil {
		return -1
	}
	return f.unsent()
}

func (f *fakeLink) EndWork() {}

func (f *fakeLink) Yield() {}

func (f *fakeLink) EndTurn() {}

func (f *fakeLink) TrySend(segs []Segment) (int, error) { return f.write(segs, f.try) }

func (f *fakeLink) Send(segs []Segment, _ time.Time) (int, error) { return f.write(segs, f.wait) }

func (f *fakeLink) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.overlap = f.overlap || f.busy
	f.busy = true
}

func (f *fakeLink) write(segs []Segment, script func(int) (int, error)) (int, error) {
	f.begin()
	total := 0
	for _, s := range segs {
		total += len(s.Bytes)
	}
	n, err := total, error(nil)
	if script != nil {
		n, err = script(total)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	left := n
	f.sum += n
	for _, s := range segs {
		if f.forgets {
			break
		}
		k := min(left, len(s.Bytes))
		f.out = append(f.out, s.Bytes[:k]...)
		left -= k
	}
	f.busy = false
	return n, err
}

func (f *fakeLink) taken() ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out, f.overlap
}

// erratic returns a script of random choices: everything, a part, nothing.
func erratic(seed uint64, waits bool) func(int) (int, error) {
	r := rand.New(rand.NewPCG(seed, 7))
	return func(n int) (int, error) {
		part, refusal := r.IntN(n), error(ErrWouldBlock)
		if waits {
			refusal = os.ErrDeadlineExceeded
			part = 1 + part
		}
		switch r.IntN(3) {
		case 0:
			return n, nil
		case 1:
			if part == n {
				return n, nil
			}
			return part, refusal
		default:
			if waits {
				return n, nil
			}
			return 0, ErrWouldBlock
		}
	}
}

func okay(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
