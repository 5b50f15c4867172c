package server

import (
	"math/rand/v2"
	"net"
	"os"
	"sync"
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

// fakeLink is a link whose socket takes what a script says. It keeps what it
// took, and fails the test if two write at a time.
type fakeLink struct {
	mu      sync.Mutex
	busy    bool
	overlap bool
	out     []byte
	sum     int  // bytes that were taken
	forgets bool // out is not kept
	// try says how many of n bytes a direct write takes, and with what error.
	try func(n int) (int, error)
	// wait is the same for a write that waits.
	wait func(n int) (int, error)
}

func (f *fakeLink) recv(*inbuf, int) (int, error) { return 0, net.ErrClosed }

func (f *fakeLink) conn() net.Conn { return nil }

func (f *fakeLink) trySend(segs []seg) (int, error) { return f.write(segs, f.try) }

func (f *fakeLink) send(segs []seg, _ time.Time) (int, error) { return f.write(segs, f.wait) }

func (f *fakeLink) enter() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.overlap = f.overlap || f.busy
	f.busy = true
}

func (f *fakeLink) write(segs []seg, script func(int) (int, error)) (int, error) {
	f.enter()
	total := 0
	for _, s := range segs {
		total += len(s.b)
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
		k := min(left, len(s.b))
		f.out = append(f.out, s.b[:k]...)
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

// fakeOwner notes what an outbound tells its connection.
type fakeOwner struct {
	mu     sync.Mutex
	slow   []closeReason
	failed []error
	born   []int64
}

func (f *fakeOwner) slowConsumer(r closeReason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow = append(f.slow, r)
}

func (f *fakeOwner) writing(bool) {}

func (f *fakeOwner) written(born int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.born = append(f.born, born)
}

func (f *fakeOwner) writeFailed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = append(f.failed, err)
}

func (f *fakeOwner) told() ([]closeReason, []error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slow, f.failed
}

// moody returns a script of random moods: everything, a part, nothing.
func moody(seed uint64, waits bool) func(int) (int, error) {
	r := rand.New(rand.NewPCG(seed, 7))
	return func(n int) (int, error) {
		part, refusal := r.IntN(n), error(errWouldBlock)
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
			return 0, errWouldBlock
		}
	}
}
