package netio

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen at once.
const patience = 2 * time.Minute

// fakeOwner notes what a queue reports to its connection.
type fakeOwner struct {
	mu     sync.Mutex
	slow   []Limit
	failed []error
	readAt []int64
	lost   Lost
}

func (f *fakeOwner) SlowConsumer(exceeded Limit) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow = append(f.slow, exceeded)
}

func (f *fakeOwner) Written(readAt int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readAt = append(f.readAt, readAt)
}

func (f *fakeOwner) Dropped(lost Lost, _ DropPolicy, _ bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost.add(mark{messages: lost.Messages, payload: lost.Payload})
}

func (f *fakeOwner) WriteFailed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = append(f.failed, err)
}

func (f *fakeOwner) reported() ([]Limit, []error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slow, f.failed
}

// newTestQueue returns a queue over a scripted link, its owner, and what all queues have pending.
func newTestQueue(l *fakeLink, lim Limits) (*WriteQueue, *fakeOwner, *atomic.Int64) {
	if lim.MaxPending == 0 {
		lim.MaxPending, lim.HighWater = 1<<40, 1<<39
	}
	q, owner, shared := new(WriteQueue), new(fakeOwner), new(Shared)
	q.Init(l, owner, shared, &lim)
	return q, owner, &shared.Pending
}

// delivery is what a batch pushes: frames in chunks of their own, which are noted so that the test
// can count references.
type delivery struct {
	Delivery
	chunks []*Chunk
}

func newDelivery(frames ...string) *delivery {
	b := new(delivery)
	for _, f := range frames {
		ck := makeChunk(max(len(f), 2048), nil)
		ck.buf = append(ck.buf, f...)
		b.chunks = append(b.chunks, ck)
		b.Segments = append(b.Segments, Segment{Bytes: ck.buf, Chunk: ck})
		b.Bytes += len(f)
		b.Messages++
	}
	b.Subject = []byte("some.subject")
	return b
}

// awaitWritten waits until nothing writes any more. The queue takes no more.
func awaitWritten(t *testing.T, q *WriteQueue) {
	t.Helper()
	if idle := q.refuse(); idle != nil {
		select {
		case <-idle:
		case <-time.After(patience):
			t.Fatal("the writer does not end: a wake-up is lost")
		}
	}
}

// settled checks that a queue that has ended owes nothing.
func settled(t *testing.T, q *WriteQueue, total *atomic.Int64, deliveries ...*delivery) {
	t.Helper()
	if got := q.Stats().Pending; got != 0 {
		t.Errorf("pending: got %d, want 0", got)
	}
	if got := total.Load(); got != 0 {
		t.Errorf("total: got %d, want 0", got)
	}
	for i, b := range deliveries {
		for j, ck := range b.chunks {
			if n := ck.refs.Load(); n != 1 {
				t.Errorf("delivery %d, chunk %d: %d references left", i, j, n)
			}
		}
	}
}

func TestPushTakesEveryPath(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	big := strings.Repeat("x", 5000)
	type call struct {
		n   int // -1: all
		err error
	}
	cases := []struct {
		name   string
		try    []call // then everything is taken
		wait   []call
		dead   bool // the socket breaks: not everything comes out
		slow   Limit
		failed error
	}{
		{name: "the socket takes everything"},
		{name: "the socket takes nothing at first", try: []call{{0, ErrWouldBlock}}},
		{name: "the socket takes a part of a frame", try: []call{{7, ErrWouldBlock}}},
		{name: "the socket takes a whole frame and no more", try: []call{{10, ErrWouldBlock}}},
		{name: "the socket breaks at once", try: []call{{0, broken}}, dead: true, failed: broken},
		{name: "the socket breaks in the middle", try: []call{{7, broken}}, dead: true, failed: broken},
		{name: "the writer gets on slowly", try: []call{{0, ErrWouldBlock}}, wait: []call{{3, os.ErrDeadlineExceeded}, {4996, os.ErrDeadlineExceeded}}},
		{name: "the writer makes no progress", try: []call{{3, ErrWouldBlock}}, wait: []call{{0, os.ErrDeadlineExceeded}}, dead: true, slow: LimitDeadline, failed: os.ErrDeadlineExceeded},
		{name: "the writer makes progress once", try: []call{{3, ErrWouldBlock}}, wait: []call{{5, os.ErrDeadlineExceeded}, {0, os.ErrDeadlineExceeded}}, dead: true, slow: LimitDeadline, failed: os.ErrDeadlineExceeded},
		{name: "the writer finds the socket broken", try: []call{{3, ErrWouldBlock}}, wait: []call{{5, broken}}, dead: true, failed: broken},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			play := func(calls []call) func(int) (int, error) {
				return func(n int) (int, error) {
					if len(calls) == 0 {
						return n, nil
					}
					now := calls[0]
					calls = calls[1:]
					return now.n, now.err
				}
			}
			l := &fakeLink{try: play(c.try), wait: play(c.wait)}
			q, owner, total := newTestQueue(l, Limits{})
			b := newDelivery("0123456789", big, "abcdefghij")
			b.ReadAt = 42
			q.Push(&b.Delivery)
			awaitWritten(t, q)
			settled(t, q, total, b)
			out, _ := l.taken()
			if want := []int64{42}; c.dead && len(owner.readAt) > 0 || !c.dead && !slices.Equal(owner.readAt, want) {
				t.Errorf("the end of the sample: got %v, want %v if the socket took everything", owner.readAt, want)
			}
			if want := "0123456789" + big + "abcdefghij"; !c.dead && string(out) != want {
				t.Errorf("got %d bytes, want %d", len(out), len(want))
			}
			slow, failed := owner.reported()
			if len(slow) > 1 || len(slow) == 1 && slow[0] != c.slow || len(slow) == 0 && c.slow != 0 {
				t.Errorf("slow consumer: got %v, want %v", slow, c.slow)
			}
			if len(failed) > 1 || len(failed) == 1 && failed[0] != c.failed || len(failed) == 0 && c.failed != nil {
				t.Errorf("write failed: got %v, want %v", failed, c.failed)
			}
		})
	}
}

// TestPushersShareOneSocket lets several goroutines push to one connection whose socket takes what
// it likes, and checks that the frames of each come out whole and in order, and that nothing is
// owed at the end.
func TestPushersShareOneSocket(t *testing.T) {
	t.Parallel()
	const pushers, rounds = 4, 60
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := &fakeLink{try: erratic(seed, false), wait: erratic(seed+100, true)}
			q, owner, total := newTestQueue(l, Limits{})
			all := make([][]*delivery, pushers)
			var wg sync.WaitGroup
			for p := range pushers {
				wg.Go(func() {
					for i := range rounds {
						long := strings.Repeat("=", (i*37+p*1000)%6000)
						b := newDelivery(fmt.Sprintf("%d.%d.a|", p, i), fmt.Sprintf("%d.%d.b%s|", p, i, long))
						all[p] = append(all[p], b)
						q.Push(&b.Delivery)
					}
				})
			}
			wg.Wait()
			awaitWritten(t, q)
			for p := range pushers {
				settled(t, q, total, all[p]...)
			}
			out, overlap := l.taken()
			if overlap {
				t.Error("two wrote at a time")
			}
			checkFrames(t, out, pushers, rounds)
			if slow, failed := owner.reported(); len(slow)+len(failed) > 0 {
				t.Errorf("reported %v, %v", slow, failed)
			}
		})
	}
}

// checkFrames checks that each pusher's frames are there, whole and in order.
func checkFrames(t *testing.T, out []byte, pushers, rounds int) {
	t.Helper()
	next := make([]int, pushers)
	for _, f := range bytes.Split(bytes.TrimSuffix(out, []byte("|")), []byte("|")) {
		var p, i int
		var kind byte
		if _, err := fmt.Sscanf(string(f[:min(len(f), 12)]), "%d.%d.%c", &p, &i, &kind); err != nil {
			t.Fatalf("frame %.20q: %v", f, err)
		}
		if got := 2*i + int(kind-'a'); got != next[p] {
			t.Fatalf("pusher %d: got frame %d, want %d", p, got, next[p])
		}
		next[p]++
	}
	for p, n := range next {
		if n != 2*rounds {
			t.Errorf("pusher %d: got %d frames, want %d", p, n, 2*rounds)
		}
	}
}

func TestEndWhileOthersPush(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		l := &fakeLink{try: erratic(seed, false), wait: erratic(seed+100, true)}
		q, _, total := newTestQueue(l, Limits{MaxPending: 30000, HighWater: 5000})
		var all [4][]*delivery
		var wg sync.WaitGroup
		for p := range all {
			wg.Go(func() {
				resume := make(chan bool, 1)
				for range 30 {
					b := newDelivery(strings.Repeat("a", 700), strings.Repeat("b", 6000))
					all[p] = append(all[p], b)
					if q.Push(&b.Delivery) && q.NotifyResume(resume) {
						q.StopNotify(resume)
					}
					if got := q.Stats().Pending; got < 0 {
						t.Errorf("pending is %d", got)
					}
				}
			})
		}
		for range seed {
			runtime.Gosched()
		}
		q.Finish(time.Duration(seed%2) * time.Microsecond)
		wg.Wait()
		awaitWritten(t, q)
		for p := range all {
			settled(t, q, total, all[p]...)
		}
	}
}

func TestPendingIsNeverNegative(t *testing.T) {
	t.Parallel()
	var q *WriteQueue
	l := new(fakeLink)
	l.try = func(n int) (int, error) {
		q.Finish(0) // the connection ends while its bytes are on their way
		return n, nil
	}
	q, _, total := newTestQueue(l, Limits{})
	b := newDelivery("0123456789")
	q.Push(&b.Delivery)
	settled(t, q, total, b)
}

func TestStalledPublishersResume(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		ease func(q *WriteQueue, free chan struct{})
	}{
		{"when the backlog is short again", func(_ *WriteQueue, free chan struct{}) { close(free) }},
		{"when the connection ends", func(q *WriteQueue, _ chan struct{}) { q.Finish(0) }},
	}
	for _, c := range cases {
		free := make(chan struct{})
		l := &fakeLink{
			try:  func(int) (int, error) { return 0, ErrWouldBlock },
			wait: func(n int) (int, error) { <-free; return n, nil },
		}
		q, _, _ := newTestQueue(l, Limits{MaxPending: 1 << 30, HighWater: 100})
		b := newDelivery(strings.Repeat("x", 200))
		if lagging := q.Push(&b.Delivery); !lagging {
			t.Fatalf("%s: a connection above the high-water mark does not lag", c.name)
		}
		resume := make(chan bool, 1)
		if !q.NotifyResume(resume) {
			t.Fatalf("%s: NotifyResume says that it does not lag", c.name)
		}
		c.ease(q, free)
		select {
		case <-resume:
		case <-time.After(patience):
			t.Fatalf("%s: it did not resume", c.name)
		}
	}
}

func TestMaxPendingMakesASlowConsumer(t *testing.T) {
	t.Parallel()
	l := &fakeLink{
		try:  func(int) (int, error) { return 0, ErrWouldBlock },
		wait: func(n int) (int, error) { return 0, os.ErrDeadlineExceeded },
	}
	q, owner, total := newTestQueue(l, Limits{MaxPending: 1000, HighWater: 100})
	b := newDelivery(strings.Repeat("x", 1001))
	q.Push(&b.Delivery)
	awaitWritten(t, q)
	settled(t, q, total, b)
	if slow, _ := owner.reported(); len(slow) == 0 || slow[0] != LimitPending {
		t.Errorf("got %v, want %v first", slow, LimitPending)
	}
}

// TestWhatASocketTakesIsNotQueued looks at a queue while a push is writing, and when the socket has
// taken a part: only what it has not taken makes a connection the worst.
func TestWhatASocketTakesIsNotQueued(t *testing.T) {
	t.Parallel()
	const size, taken = 1000, 300
	var q *WriteQueue
	var during Stats
	calls := 0
	l := &fakeLink{try: func(n int) (int, error) {
		if calls++; calls == 1 {
			during = q.Stats()
			return taken, ErrWouldBlock
		}
		return 0, ErrWouldBlock
	}}
	release := make(chan struct{})
	l.wait = func(n int) (int, error) { <-release; return n, nil }
	q, _, _ = newTestQueue(l, Limits{WriteDeadline: patience})
	q.Push(&Delivery{Segments: []Segment{{Bytes: make([]byte, size)}}, Bytes: size})
	if during.Pending != size || during.Queued != 0 {
		t.Errorf("while it is written: got %d bytes pending and %d queued, want %d and 0", during.Pending, during.Queued, size)
	}
	if s := q.Stats(); s.Pending != size-taken || s.Queued != size-taken {
		t.Errorf("when the socket is full: got %d bytes pending and %d queued, want %d of both", s.Pending, s.Queued, size-taken)
	}
	close(release)
	q.Finish(patience)
}
