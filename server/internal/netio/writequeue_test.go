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
	"testing/synctest"
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
	first  []bool

	failedAt time.Time // the last time
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

func (f *fakeOwner) Dropped(lost Lost, _ DropPolicy, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost.Messages += lost.Messages
	f.lost.Payload += lost.Payload
	f.first = append(f.first, first)
}

func (f *fakeOwner) WriteFailed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed, f.failedAt = append(f.failed, err), time.Now()
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
	if idle := q.Refuse(); idle != nil {
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
			q.shared.overload.many.Store(seed%4 == 3)
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
		q.shared.overload.many.Store(seed%4 == 3)
		var all [4][]*delivery
		var wg sync.WaitGroup
		for p := range all {
			wg.Go(func() {
				granted := make(chan Room, 1)
				for range 30 {
					b := newDelivery(strings.Repeat("a", 700), strings.Repeat("b", 6000))
					all[p] = append(all[p], b)
					room, ok := q.Admit(6700, granted)
					if !ok {
						q.StopWaiting(granted)
					}
					q.Push(&b.Delivery)
					room.Release()
					select {
					case r := <-granted:
						r.Release()
					default:
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
		q.Push(&b.Delivery)
		granted := make(chan Room, 1)
		if _, ok := q.Admit(1, granted); ok {
			t.Fatalf("%s: a connection above the high-water mark does not lag", c.name)
		}
		c.ease(q, free)
		select {
		case <-granted:
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

// text returns a delivery of so many bytes that are lent.
func text(n int) *Delivery {
	return &Delivery{Segments: []Segment{{Bytes: bytes.Repeat([]byte("x"), n)}}, Bytes: n, Messages: 1, Payload: int64(n)}
}

// blockedQueue returns a queue whose socket takes nothing until it is released.
func blockedQueue(lim Limits) (q *WriteQueue, l *fakeLink, owner *fakeOwner, pending *atomic.Int64, release func()) {
	free := make(chan struct{})
	l = &fakeLink{
		try:  func(int) (int, error) { return 0, ErrWouldBlock },
		wait: func(n int) (int, error) { <-free; return n, nil },
	}
	q, owner, pending = newTestQueue(l, lim)
	return q, l, owner, pending, sync.OnceFunc(func() { close(free) })
}

// TestLevelsOfAQueue has so many bytes pending, by a push that finds the socket full, by one behind
// others, and by bytes that wait elsewhere, and says what that is called.
func TestLevelsOfAQueue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n                   int
		drop                DropPolicy
		lagging, half, slow bool
	}{
		{100, DropNone, false, false, false},
		{101, DropNone, true, false, false},
		{500, DropNone, true, false, false},
		{501, DropNone, true, true, false},
		{1000, DropNone, true, true, false},
		{1001, DropNone, true, true, true},
		{101, DropNew, false, false, false},
		{1001, DropOld, false, true, false},
		{1000 + textRoom, DropNew, false, true, false},
		{1001 + textRoom, DropOld, false, true, true},
	} {
		for way, push := range map[string]func(q *WriteQueue){
			"first":    func(q *WriteQueue) { q.Push(text(tt.n)) },
			"behind":   func(q *WriteQueue) { q.Push(text(10)); q.Push(text(tt.n - 10)) },
			"reserved": func(q *WriteQueue) { q.Reserve(tt.n) },
		} {
			q, _, owner, pending, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: patience, Drop: tt.drop})
			push(q)
			granted := make(chan Room, 1)
			room, ok := q.Admit(0, granted)
			lagging := !ok
			room.Release()
			slow, _ := owner.reported()
			if lagging != tt.lagging || q.HalfFull() != tt.half || slices.Contains(slow, LimitPending) != tt.slow || len(slow) > 1 {
				t.Errorf("%d, policy %d, %s: lags %v, half full %v, slow %v", tt.n, tt.drop, way, lagging, q.HalfFull(), slow)
			}
			if got := q.Stats().Pending; got != int64(tt.n) || pending.Load() != got {
				t.Errorf("%d, policy %d, %s: %d bytes are pending, and %d of all", tt.n, tt.drop, way, got, pending.Load())
			}
			release()
			q.Finish(patience)
			if tt.lagging && len(granted) != 1 || pending.Load() != 0 || q.Stats().Pending != 0 {
				t.Errorf("%d, policy %d, %s: room for %d, %d bytes pending at the end", tt.n, tt.drop, way, len(granted), pending.Load())
			}
			if !q.HalfFull() {
				t.Errorf("%d, policy %d, %s: a queue that has ended has room", tt.n, tt.drop, way)
			}
		}
	}
}

// TestHowFarAPeerLags looks at a queue while its peer takes nothing, takes something, and has taken all.
func TestHowFarAPeerLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := make(chan int)
		l := &fakeLink{
			try:  func(int) (int, error) { return 0, ErrWouldBlock },
			wait: func(int) (int, error) { return <-takes, nil },
		}
		q, _, _ := newTestQueue(l, Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: time.Hour})
		begin := time.Now()
		look := func(when string, halfFull bool, pending int64) {
			t.Helper()
			synctest.Wait()
			s := q.Stats()
			if q.HalfFull() != halfFull || s.Pending != pending || s.Queued != pending {
				t.Errorf("%s: half full %v, %+v", when, q.HalfFull(), s)
			}
			if want := time.Since(begin); pending > 0 && s.Lag != want {
				t.Errorf("%s: it lags since %v, want %v", when, s.Lag, want)
			}
		}
		look("at first", false, 0)
		q.Push(text(600))
		look("after a push", true, 600)
		time.Sleep(time.Second)
		takes <- 0
		look("when a write took nothing", true, 600)
		takes <- 99
		look("when some is taken", true, 501)
		time.Sleep(time.Second)
		takes <- 1
		look("when half is left", false, 500)
		takes <- 500
		look("when all is taken", false, 0)
		q.Finish(time.Hour)
	})
}

// TestBytesThatWaitElsewhere reserves, and pushes later what was reserved.
func TestBytesThatWaitElsewhere(t *testing.T) {
	t.Parallel()
	l := new(fakeLink)
	q, _, pending := newTestQueue(l, Limits{MaxPending: 1000, HighWater: 100, WriteDeadline: patience})
	want := func(when string, bytes, pushed, written int64) {
		t.Helper()
		p, w := q.Progress()
		if got := q.Stats().Pending; got != bytes || pending.Load() != bytes || p != pushed || w != written {
			t.Errorf("%s: %d bytes pending, %d of all, %d of %d written, want %d, and %d of %d", when, got, pending.Load(), w, p, bytes, written, pushed)
		}
	}
	want("at first", 0, 0, 0)
	q.Push(text(7))
	want("after a push", 0, 7, 7)
	q.Reserve(300)
	want("reserved", 300, 7, 7)
	granted := make(chan Room, 1)
	if _, ok := q.Admit(0, granted); ok {
		t.Error("it does not lag, though much waits elsewhere")
	}
	d := text(200)
	d.Reserved = true
	q.Push(d)
	want("a part of it is pushed", 100, 207, 207)
	if len(granted) != 0 {
		t.Error("who waits has room before all that was reserved has been pushed")
	}
	d = text(100)
	d.Reserved = true
	q.Push(d)
	want("all of it is pushed", 0, 307, 307)
	if len(granted) != 1 {
		t.Error("who waits has no room when all that was reserved has been pushed")
	}
	q.Reserve(50)
	q.Finish(0)
	want("at the end", 0, 307, 307)
	if q.Reserve(10); pending.Load() != 0 {
		t.Errorf("a queue that has ended has %d bytes pending", pending.Load())
	}
	ck := makeChunk(100, nil)
	ck.buf = append(ck.buf, make([]byte, 100)...)
	d = &Delivery{Segments: []Segment{{Bytes: ck.buf, Chunk: ck}}, Bytes: 100, Reserved: true}
	d.Keep()
	if q.Push(d); !d.Refused || ck.refs.Load() != 2 || pending.Load() != 0 {
		t.Errorf("refused is %v, %d references, %d bytes pending", d.Refused, ck.refs.Load(), pending.Load())
	}
	if d.Drop(); ck.refs.Load() != 1 {
		t.Errorf("%d references when it was dropped", ck.refs.Load())
	}
	d = &Delivery{Segments: []Segment{{Bytes: ck.buf, Chunk: ck}}, Bytes: 100}
	d.Keep()
	if q.Push(d); !d.Refused || ck.refs.Load() != 1 {
		t.Errorf("not reserved: refused is %v, %d references", d.Refused, ck.refs.Load())
	}
}

// TestProgressOfABacklog counts what the socket has taken of what was pushed.
func TestProgressOfABacklog(t *testing.T) {
	t.Parallel()
	q, l, _, _, release := blockedQueue(Limits{})
	l.try = func(n int) (int, error) { return min(n, 30), ErrWouldBlock }
	q.Push(text(100))
	q.Reserve(1000)
	if pushed, written := q.Progress(); pushed != 100 || written != 30 {
		t.Errorf("%d of %d bytes, want 30 of 100", written, pushed)
	}
	release()
	awaitWritten(t, q)
	if pushed, written := q.Progress(); pushed != 100 || written != 100 {
		t.Errorf("%d of %d bytes, want all", written, pushed)
	}
	q.Finish(0)
}

// TestNothingFollowsTheLastDelivery pushes after one that says that it is the last, over a socket
// that takes it and over one that does not.
func TestNothingFollowsTheLastDelivery(t *testing.T) {
	t.Parallel()
	for _, blocked := range []bool{false, true} {
		q, l, _, _, release := blockedQueue(Limits{})
		if !blocked {
			l.try = nil
		}
		q.Push(text(10))
		last := text(5)
		last.Last = true
		q.Push(last)
		after := text(3)
		if q.Push(after); !after.Refused || last.Refused {
			t.Errorf("blocked %v: refused are the last one %v, and one after it %v", blocked, last.Refused, after.Refused)
		}
		if got := q.Stats(); got.Messages != 2 || got.Payload != 15 {
			t.Errorf("blocked %v: %+v are counted", blocked, got)
		}
		release()
		q.Finish(patience)
		if out, _ := l.taken(); len(out) != 15 {
			t.Errorf("blocked %v: %d bytes were taken, want 15", blocked, len(out))
		}
	}
}

// TestACounterCountsWhatHasItsPlace has goroutines push counted texts, and others that push a text
// when they have seen a count: what was counted stands before it.
func TestACounterCountsWhatHasItsPlace(t *testing.T) {
	t.Parallel()
	const pushers, rounds = 4, 500
	l := &fakeLink{try: erratic(1, false), wait: erratic(2, true)}
	q, _, _ := newTestQueue(l, Limits{})
	var counter atomic.Int64
	push := func(count *atomic.Int64, text string) int64 {
		d := Delivery{Segments: []Segment{{Bytes: []byte(text)}}, Bytes: len(text), Counter: count}
		q.Push(&d)
		return d.Count
	}
	var counts [pushers][rounds]int64
	var wg sync.WaitGroup
	for p := range pushers {
		wg.Go(func() {
			for i := range rounds {
				counts[p][i] = push(&counter, fmt.Sprintf("%d %d|", p, i))
			}
		})
		wg.Go(func() {
			for range rounds {
				push(nil, fmt.Sprintf("saw %d|", counter.Load()))
			}
		})
	}
	wg.Wait()
	awaitWritten(t, q)
	q.Refuse()
	if n := push(&counter, "late"); n != 0 || counter.Load() != pushers*rounds {
		t.Errorf("what is refused has count %d of %d", n, counter.Load())
	}
	out, _ := l.taken()
	n := int64(0)
	for f := range strings.SplitSeq(strings.TrimSuffix(string(out), "|"), "|") {
		var p, i, saw int64
		if _, err := fmt.Sscanf(f, "saw %d", &saw); err == nil {
			if saw > n {
				t.Fatalf("%d were counted when %d had a place", saw, n)
			}
			continue
		}
		n++
		if _, err := fmt.Sscanf(f, "%d %d", &p, &i); err != nil || counts[p][i] != n {
			t.Fatalf("text %d is %q, with count %d", n, f, counts[p][i])
		}
	}
}

// switchLink has a text be the last on the link of a queue, and the rest follow on the next.
func switchLink(q *WriteQueue, text string, next Link) {
	q.Push(&Delivery{Segments: []Segment{{Bytes: []byte(text)}}, Bytes: len(text), Then: next})
}

// TestSwitchToAnotherLink has a text follow what is pending, and everything else another link.
func TestSwitchToAnotherLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, l, owner, pending, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 1 << 10, WriteDeadline: time.Hour})
		next := new(fakeLink)
		q.Push(text(10))
		switchLink(q, "switch\r\n", next)
		release()
		synctest.Wait()
		q.Push(text(20))
		switchLink(q, "again\r\n", l)
		q.Push(text(2))
		awaitWritten(t, q)
		out, _ := l.taken()
		after, _ := next.taken()
		if want := strings.Repeat("x", 10) + "switch\r\nxx"; string(out) != want || string(after) != strings.Repeat("x", 20)+"again\r\n" {
			t.Errorf("got %q, and behind it %q", out, after)
		}
		q.Refuse()
		if switchLink(q, "never\r\n", next); pending.Load() != 0 || q.Stats().Pending != 0 {
			t.Error("bytes are pending at the end")
		}
		again, _ := next.taken()
		if before, _ := l.taken(); len(again) != len(after) || len(before) != len(out) {
			t.Error("a queue that has ended writes")
		}
		if slow, failed := owner.reported(); len(slow)+len(failed) > 0 {
			t.Errorf("%v, %v are reported", slow, failed)
		}
		broken := errors.New("broken")
		q, l, owner, _, _ = blockedQueue(Limits{})
		l.wait = func(int) (int, error) { return 0, broken }
		switchLink(q, "lost\r\n", next)
		synctest.Wait()
		if _, failed := owner.reported(); !slices.Equal(failed, []error{broken}) {
			t.Errorf("%v is reported, want %v", failed, broken)
		}
		d := text(1)
		if q.Push(d); !d.Refused {
			t.Error("a queue takes something after its socket has broken")
		}
	})
}

// TestPushesDuringASwitchFollowIt pushes while the text of a switch is written.
func TestPushesDuringASwitchFollowIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, l, _, pending, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 1 << 10, WriteDeadline: time.Hour})
		next := new(fakeLink)
		switchLink(q, "switch\r\n", next)
		q.Push(text(20))
		release()
		synctest.Wait()
		awaitWritten(t, q)
		out, _ := l.taken()
		if after, _ := next.taken(); string(out) != "switch\r\n" || len(after) != 20 || pending.Load() != 0 {
			t.Errorf("got %q, and behind it %q; %d bytes pending", out, after, pending.Load())
		}
		if got := q.shared.BusyPoll.awake.Load(); got != 0 {
			t.Errorf("%d writers are awake", got)
		}
	})
}

// unsentLink is a fakeLink whose socket holds bytes, of which the peer takes some.
type unsentLink struct {
	fakeLink
	held []int // what Unsent returns, one after the other; then the last one
}

func (l *unsentLink) Unsent() int {
	n := l.held[0]
	if len(l.held) > 1 {
		l.held = l.held[1:]
	}
	return n
}

// TestAPeerThatTakesFromTheSocketIsNotSlow has a deadline pass while the socket takes nothing: what
// counts is whether the peer has taken something of what it holds.
func TestAPeerThatTakesFromTheSocketIsNotSlow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		held []int // before and after each write
		slow bool
	}{
		{"all is still there", []int{1000, 1000}, true},
		{"some was taken", []int{1000, 999, 999, 500, 500, 0}, false},
		{"all was taken", []int{5, 0, 9, 8, 7, 6}, false},
		{"some was taken, then nothing", []int{1000, 999, 999, 999}, true},
		{"there is more", []int{1000, 1001}, true},
		{"it is not known", []int{-1}, true},
		{"it is not known afterwards", []int{10, -1}, true},
	} {
		l := &unsentLink{held: tt.held}
		l.try = func(int) (int, error) { return 0, ErrWouldBlock }
		writes := 0
		l.wait = func(n int) (int, error) {
			if writes++; writes <= 3 {
				return 0, os.ErrDeadlineExceeded
			}
			return n, nil
		}
		q, owner, shared := new(WriteQueue), new(fakeOwner), new(Shared)
		q.Init(l, owner, shared, &Limits{MaxPending: 1 << 20, HighWater: 1 << 10, WriteDeadline: maxWaitStep})
		q.Push(text(100))
		awaitWritten(t, q)
		if slow, failed := owner.reported(); slices.Contains(slow, LimitDeadline) != tt.slow || (len(failed) > 0) != tt.slow || shared.Pending.Load() != 0 {
			t.Errorf("%s: slow %v, failed %v, %d bytes pending", tt.name, slow, failed, shared.Pending.Load())
		}
	}
}

// TestFinishWaitsNoLongerThanItMay ends queues that write, and one that does not.
func TestFinishWaitsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name              string
			pending           bool
			frees, wait, took time.Duration
			written           int
		}{
			{"nothing is pending", false, time.Second, time.Hour, 0, 0},
			{"it does not wait", true, time.Second, 0, 0, 0},
			{"the socket takes it in time", true, time.Second, time.Minute, time.Second, 100},
			{"the socket takes it too late", true, time.Minute, time.Second, time.Second, 0},
		} {
			q, l, _, pending, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 1 << 10, WriteDeadline: time.Hour})
			if tt.pending {
				q.Push(text(100))
			}
			synctest.Wait()
			free := time.AfterFunc(tt.frees, release)
			begin := time.Now()
			q.Finish(tt.wait)
			took := time.Since(begin)
			l.mu.Lock()
			written := l.sum
			l.mu.Unlock()
			if took != tt.took || written != tt.written || pending.Load() != 0 {
				t.Errorf("%s: it took %v, want %v; %d bytes were written, %d are pending", tt.name, took, tt.took, written, pending.Load())
			}
			if free.Stop() {
				release()
			}
			synctest.Wait()
		}
	})
}

// TestDeadlinesOfWrites are those of the limits, and very long ones where messages are dropped.
func TestDeadlinesOfWrites(t *testing.T) {
	t.Parallel()
	for drop, want := range map[DropPolicy]time.Duration{DropNone: time.Minute, DropNew: dropDeadline, DropOld: dropDeadline} {
		l := &Limits{WriteDeadline: time.Minute, Drop: drop}
		if got := l.patience(); got != want {
			t.Errorf("policy %d: a write may take %v, want %v", drop, got, want)
		}
	}
}

// TestAPushWritesWhatComesMeanwhile has others push while the socket takes a push, which it does all
// the time: nothing is left to a writer, and nothing that was not measured is reported.
func TestAPushWritesWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	var q *WriteQueue
	l := new(fakeLink)
	calls := 0
	l.try = func(n int) (int, error) {
		if calls++; calls < pushRounds {
			q.Push(text(calls))
		}
		return n, nil
	}
	q, owner, pending := newTestQueue(l, Limits{MaxPending: 1000, HighWater: 1, WriteDeadline: patience})
	ck := makeChunk(10, nil)
	ck.buf = append(ck.buf, make([]byte, 10)...)
	d := &Delivery{Segments: []Segment{{Bytes: ck.buf, Chunk: ck}}, Bytes: 10}
	d.Keep()
	q.Push(d)
	if n := ck.refs.Load(); n != 1 {
		t.Errorf("%d references to what was taken", n)
	}
	if out, _ := l.taken(); len(out) != 16 || q.queues(d) || pending.Load() != 0 || q.Stats().Pending != 0 || q.shared.BusyPoll.awake.Load() != 0 {
		t.Errorf("%d bytes were taken, %d are pending", len(out), pending.Load())
	}
	if len(owner.readAt) > 0 {
		t.Errorf("%v is reported as written", owner.readAt)
	}
	q.Finish(0)
}

// TestAQueueEndsDuringAWrite has it end while the socket takes a part, of a push and of a backlog.
func TestAQueueEndsDuringAWrite(t *testing.T) {
	t.Parallel()
	for _, direct := range []bool{true, false} {
		var q *WriteQueue
		l := new(fakeLink)
		end := func(n int) (int, error) {
			q.Finish(0)
			return n / 2, ErrWouldBlock
		}
		l.try = func(int) (int, error) { return 0, ErrWouldBlock }
		if direct {
			l.try = end
		}
		l.wait = func(n int) (int, error) {
			end(n)
			return (n + 1) / 2, nil
		}
		q, owner, total := newTestQueue(l, Limits{WriteDeadline: patience})
		b := newDelivery(strings.Repeat("x", 2000), strings.Repeat("y", 2000))
		q.Push(&b.Delivery)
		awaitWritten(t, q)
		settled(t, q, total, b)
		if slow, _ := owner.reported(); len(slow) > 0 {
			t.Errorf("direct %v: %v are exceeded", direct, slow)
		}
		if len(owner.readAt) > 0 {
			t.Errorf("direct %v: %v is reported as written", direct, owner.readAt)
		}
		if got := q.shared.BusyPoll.awake.Load(); got != 0 {
			t.Errorf("direct %v: %d writers are awake", direct, got)
		}
	}
}

// TestASocketThatTakesAPartOfABacklog writes without waiting what came during a push, of which the
// socket takes a part, with and without an error.
func TestASocketThatTakesAPartOfABacklog(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{nil, ErrWouldBlock} {
		var q *WriteQueue
		l := new(fakeLink)
		calls := 0
		l.try = func(n int) (int, error) {
			switch calls++; calls {
			case 1:
				q.Push(text(20))
				return n, nil
			case 2:
				return 7, refusal
			}
			return 0, ErrWouldBlock
		}
		q, owner, pending := newTestQueue(l, Limits{WriteDeadline: patience})
		q.Push(text(10))
		q.Finish(patience)
		out, _ := l.taken()
		if _, failed := owner.reported(); refusal != nil && (len(out) != 30 || len(failed) > 0) || refusal == nil && len(out) != 17 && len(out) != 30 || pending.Load() != 0 {
			t.Errorf("%v: %d bytes were taken, want 30; failed %v, %d bytes pending", refusal, len(out), failed, pending.Load())
		}
	}
}

// TestLimitsMayChange gives a queue others while something is pending.
func TestLimitsMayChange(t *testing.T) {
	t.Parallel()
	q, _, owner, _, release := blockedQueue(Limits{MaxPending: 100, HighWater: 100, WriteDeadline: patience})
	q.Push(text(90))
	other := &Limits{MaxPending: 1000, HighWater: 50, WriteDeadline: patience}
	q.SetLimits(other)
	q.Push(text(20))
	if _, ok := q.Admit(1, nil); ok || q.Limits() != other {
		t.Error("the limits are those from before")
	}
	if slow, _ := owner.reported(); len(slow) > 0 {
		t.Errorf("%v is exceeded", slow)
	}
	release()
	q.Finish(patience)
}

// TestASampleThatCameDuringAWrite has a delivery that is followed to the socket come while the socket
// takes a part of another one: it is reported when both are written.
func TestASampleThatCameDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *WriteQueue
		l := new(fakeLink)
		steps, calls := make(chan int), 0
		l.try = func(int) (int, error) {
			if calls++; calls == 1 {
				d := text(20)
				d.ReadAt = 9
				q.Push(d)
				return 4, ErrWouldBlock
			}
			return 0, ErrWouldBlock
		}
		l.wait = func(int) (int, error) { return <-steps, nil }
		q, owner, _ := newTestQueue(l, Limits{WriteDeadline: time.Hour})
		q.Push(text(10))
		for i, n := range []int{6, 19, 1} {
			steps <- n
			synctest.Wait()
			owner.mu.Lock()
			if got, want := len(owner.readAt), i/2; got != want {
				t.Errorf("step %d: %d are reported, want %d", i, got, want)
			}
			owner.mu.Unlock()
		}
		q.Finish(0)
	})
}

// TestWhatThePeerHasTaken looks at bytes that wait, that are in the socket, and that follow dropped ones.
func TestWhatThePeerHasTaken(t *testing.T) {
	t.Parallel()
	q, l, _, _, release := blockedQueue(Limits{MaxPending: 1000, HighWater: 1000, Drop: DropOld})
	var inSocket atomic.Int64
	l.unsent = func() int { return int(inSocket.Load()) }
	want := func(when string, n int64, taken bool) {
		t.Helper()
		if got := q.Taken(n); got != taken {
			t.Errorf("%s: the first %d bytes are taken: got %v, want %v", when, n, got, taken)
		}
	}
	want("at first", 0, true)
	q.Push(text(100)) // no message that may be dropped
	want("the socket is full", 0, true)
	want("the socket is full", 100, false)
	for range 100 { // most of them are dropped
		d := text(300)
		d.Droppable = true
		q.Push(d)
	}
	want("messages were dropped behind it", 100, false)
	q.Push(text(50))
	end, _ := q.Progress()
	for range 100 {
		d := text(300)
		d.Droppable = true
		q.Push(d)
	}
	want("messages were dropped before it and behind it", end, false)
	inSocket.Store(500)
	release()
	awaitWritten(t, q)
	want("the socket has the last", 100, true)
	pushed, _ := q.Progress()
	want("the socket has the last", pushed, false)
	inSocket.Store(0)
	want("the peer has all", pushed, true)
	want("the peer has all", end, true)
	q.Finish(0)
}

// TestAKeptDeliveryHasItsOwnSubject pushes a delivery later than it was read: its subject stands no longer
// where it was.
func TestAKeptDeliveryHasItsOwnSubject(t *testing.T) {
	t.Parallel()
	q, _, _, _, release := blockedQueue(Limits{MaxPending: 1 << 20, HighWater: 1 << 19, WriteDeadline: patience})
	read := []byte("foo")
	d := text(1000)
	d.Subject = read
	d.Keep()
	copy(read, "bar")
	q.Push(text(1))
	q.Push(d)
	if got := q.Stats().Subject; got != "foo" {
		t.Errorf("most is on %q, want foo", got)
	}
	release()
	awaitWritten(t, q)
}
