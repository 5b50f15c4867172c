package server

import (
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
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
	// wait is the same for a write that waits, until deadline.
	wait     func(n int) (int, error)
	deadline time.Time
	yields   int // calls of Yield
	turns    int // calls of EndTurn
	// unsent returns how many bytes the peer has not taken; nil = that is not known.
	unsent func() int
}

func (f *fakeLink) Recv(*netio.ReadBuffer, int) (int, error) { return 0, net.ErrClosed }

func (f *fakeLink) Conn() net.Conn { return nil }

func (f *fakeLink) Close() error { return nil }

func (f *fakeLink) Unsent() int {
	if f.unsent == nil {
		return -1
	}
	return f.unsent()
}

func (f *fakeLink) EndWork() {}

func (f *fakeLink) Yield() { f.yields++ }

func (f *fakeLink) EndTurn() { f.turns++ }

func (f *fakeLink) TrySend(segs []netio.Segment) (int, error) { return f.write(segs, f.try) }

func (f *fakeLink) Send(segs []netio.Segment, deadline time.Time) (int, error) {
	f.deadline = deadline
	return f.write(segs, f.wait)
}

func (f *fakeLink) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.overlap = f.overlap || f.busy
	f.busy = true
}

func (f *fakeLink) write(segs []netio.Segment, script func(int) (int, error)) (int, error) {
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
		part, refusal := r.IntN(n), error(netio.ErrWouldBlock)
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
			return 0, netio.ErrWouldBlock
		}
	}
}

// allWritten waits until what was pushed to a queue is written. The queue takes no more.
func allWritten(t *testing.T, q *netio.WriteQueue) {
	t.Helper()
	start := time.Now()
	if q.Finish(patience); time.Since(start) >= patience {
		t.Fatal("the writer does not end: a wake-up is lost")
	}
}
