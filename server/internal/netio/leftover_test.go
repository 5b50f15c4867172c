package netio

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestLeftoverIsWhatTheSocketHasNotTaken pushes deliveries over sockets that take parts, break or
// block, and leaves: what was taken and what is left are everything, and what is left begins with a
// whole delivery.
func TestLeftoverIsWhatTheSocketHasNotTaken(t *testing.T) {
	t.Parallel()
	for seed := range uint64(90) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		var broken atomic.Bool
		fault := errors.New("reset")
		script := func(waits bool) func(n int) (int, error) {
			choose := erratic(seed, waits)
			return func(n int) (int, error) {
				if broken.Load() {
					return n / 3, fault
				}
				return choose(n)
			}
		}
		link := &fakeLink{try: script(false), wait: script(true)}
		q, _, pending := newTestQueue(link, Limits{WriteDeadline: time.Hour})
		q.shared.overload.many.Store(seed%4 > 1)
		if seed%2 == 0 {
			q.KeepLeftover(true)
		}
		var all []byte
		starts := map[int]bool{}
		var chunks []*Chunk
		push := func() {
			starts[len(all)] = true
			text := bytes.Repeat([]byte{byte(len(starts))}, 1+rnd.IntN(1<<rnd.IntN(16)))
			all = append(all, text...)
			d := &Delivery{Segments: []Segment{{Bytes: text}}, Bytes: len(text)}
			if rnd.IntN(3) == 0 {
				ck := makeChunk(len(text), nil)
				ck.buf = append(ck.buf, text...)
				chunks = append(chunks, ck)
				d.Segments[0] = Segment{Bytes: ck.buf, Chunk: ck}
				defer ck.Release()
			}
			q.Push(d)
		}
		count := rnd.IntN(40)
		breaks := count
		if seed%3 == 0 {
			breaks = rnd.IntN(40)
		}
		for i := range count {
			if i == breaks {
				broken.Store(true)
			}
			if seed%2 == 1 && i == count/2 {
				q.KeepLeftover(true) // while it lags
			}
			push()
		}
		l, waits := q.Leave(time.Hour)
		taken, overlap := link.taken()
		left := bytes.Join(segmentBytes(l.Segments), nil)
		begin := len(taken) - l.Sent
		switch {
		case overlap:
			t.Fatalf("seed %d: two write at a time", seed)
		case len(left) == 0 && seed%2 == 0 && len(taken) < len(all):
			t.Fatalf("seed %d: %d of %d bytes were taken, nothing is left", seed, len(taken), len(all))
		case len(left) > 0 && seed%2 == 0 && !bytes.Equal(all[begin:], left):
			t.Fatalf("seed %d: %d of %d bytes were taken, and %d are left, of which %d were taken", seed, len(taken), len(all), len(left), l.Sent)
		case len(left) > 0 && !bytes.HasSuffix(all, left):
			t.Fatalf("seed %d: something else is left", seed)
		case len(left) > 0 && !starts[len(all)-len(left)]:
			t.Fatalf("seed %d: what is left begins in the middle of a delivery", seed)
		}
		if waits {
			q.Continue(append(l.First, left[l.Sent:]...))
		}
		push()
		q.Finish(time.Hour)
		if waits {
			if taken, _ = link.taken(); !broken.Load() && !bytes.Equal(taken, all) {
				t.Fatalf("seed %d: %d bytes of %d were taken in the end", seed, len(taken), len(all))
			}
		}
		l.Release()
		if l.Release(); l.Segments != nil {
			t.Fatalf("seed %d: what was given up is still there", seed)
		}
		if n := pending.Load(); n != 0 {
			t.Fatalf("seed %d: %d bytes are pending in the end", seed, n)
		}
		for i, ck := range chunks {
			if n := ck.refs.Load(); n != 0 {
				t.Fatalf("seed %d: chunk %d of %d has %d references in the end", seed, i, len(chunks), n)
			}
		}
	}
}

func segmentBytes(segs []Segment) (list [][]byte) {
	for _, s := range segs {
		list = append(list, s.Bytes)
	}
	return list
}

// TestWriterIsInterrupted leaves while a write waits.
func TestWriterIsInterrupted(t *testing.T) {
	t.Parallel()
	near, far := tcpPair(t)
	defer far.Close()
	var shared Shared
	q, owner := new(WriteQueue), new(fakeOwner)
	q.Init(NewLink(near, &shared), owner, &shared, &Limits{MaxPending: 1 << 30, HighWater: 1 << 20, WriteDeadline: time.Hour})
	q.KeepLeftover(true)
	sent := 0
	for i := range 200 {
		text := []byte(fmt.Sprintf("%7d", i) + string(make([]byte, 100_000)))
		sent += len(text)
		q.Push(&Delivery{Segments: []Segment{{Bytes: text}}, Bytes: len(text)})
	}
	l, waits := q.Leave(0)
	n := 0
	for _, s := range l.Segments {
		n += len(s.Bytes)
	}
	if n-l.Sent == 0 || n > sent || n%100_007 != 0 {
		t.Errorf("%d of %d bytes are left, %d of them sent", n, sent, l.Sent)
	}
	if waits {
		q.Continue(nil)
	}
	if slow, _ := owner.reported(); len(slow) > 0 {
		t.Errorf("it counts as slow: %v", slow)
	}
	if l.Segments[0].Bytes[6] < '0' {
		t.Errorf("it begins with %q", l.Segments[0].Bytes[:10])
	}
	l.Release()
	q.Finish(0)
	if n := shared.Pending.Load(); n != 0 {
		t.Errorf("%d bytes are pending in the end", n)
	}
}

// TestLeftoverOfWhatCameDuringAWrite has something pushed while the socket takes all that was pushed
// before: what is left begins with it.
func TestLeftoverOfWhatCameDuringAWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ first, size int }{{2 * maxDropUnit, 10}, {2 * maxDropUnit, 3 * maxDropUnit}, {100, 10}, {100, maxDropUnit - 7}, {100, 3 * maxDropUnit}} {
		size := tt.size
		q, l, _, pending, release := blockedQueue(Limits{})
		q.KeepLeftover(true)
		calls := 0
		l.try = func(n int) (int, error) {
			switch calls++; calls {
			case 1:
				q.Push(text(size))
				q.Push(text(7))
				return n, nil
			case 2:
				return 3, ErrWouldBlock
			}
			return 0, ErrWouldBlock
		}
		q.Push(text(tt.first))
		time.AfterFunc(time.Millisecond, release)
		left, waits := q.Leave(time.Hour) // the write goes on until then
		taken, _ := l.taken()
		n := int(sizeOf(left.Segments))
		if sent := len(taken) - tt.first; n-left.Sent != size+7-sent || !slices.Contains([]int{0, 7, size + 7}, n) {
			t.Errorf("of %d bytes that came later %d were taken, %d are left, %d of them taken", size+7, sent, n, left.Sent)
		}
		left.Release()
		if waits {
			q.Continue(nil)
		}
		q.Finish(patience)
		if pending.Load() != 0 {
			t.Errorf("%d bytes are pending in the end", pending.Load())
		}
	}
}

// TestContinueCountsWhatIsWritten leaves a queue that can be written to, and has it write something:
// that is pending, unless the queue has ended meanwhile.
func TestContinueCountsWhatIsWritten(t *testing.T) {
	t.Parallel()
	leave := func() (q *WriteQueue, l *fakeLink, pending *atomic.Int64, release func()) {
		q, l, _, pending, _ = blockedQueue(Limits{WriteDeadline: patience})
		step, entered := make(chan int, 1), make(chan bool)
		l.wait = func(int) (int, error) { close(entered); return <-step, nil }
		q.KeepLeftover(true)
		q.Push(text(10))
		<-entered
		go func() { // ends when Leave waits
			for !q.stopping() {
				runtime.Gosched()
			}
			step <- 4
		}()
		left, waits := q.Leave(time.Hour)
		if n := sizeOf(left.Segments); !waits || n != 10 || left.Sent != 4 {
			t.Fatalf("it waits is %v, %d bytes are left, %d of them taken", waits, n, left.Sent)
		}
		left.Release()
		free := make(chan bool)
		l.wait = func(n int) (int, error) { <-free; return n, nil }
		return q, l, pending, func() { close(free) }
	}
	q, l, pending, release := leave()
	q.Push(text(3)) // follows
	q.Continue([]byte("rest"))
	if got := q.Stats().Pending; got != 7 || pending.Load() != 7 {
		t.Errorf("%d bytes are pending, %d of all, want 7", got, pending.Load())
	}
	release()
	q.Finish(patience)
	if out, _ := l.taken(); string(out) != "xxxxrestxxx" || pending.Load() != 0 || q.shared.BusyPoll.awake.Load() != 0 {
		t.Errorf("got %q, %d bytes are pending in the end, %d writers are awake", out, pending.Load(), q.shared.BusyPoll.awake.Load())
	}
	q, l, pending, _ = leave()
	q.Finish(0)
	q.Continue([]byte("rest"))
	if out, _ := l.taken(); string(out) != "xxxx" || pending.Load() != 0 {
		t.Errorf("a queue that has ended wrote %q, %d bytes are pending", out, pending.Load())
	}
}

// TestAPushBehindTheWriteThatLeaveWaitsFor ends the write that Leave waits for, and has something
// pushed before Leave goes on: the writer stops then.
func TestAPushBehindTheWriteThatLeaveWaitsFor(t *testing.T) {
	t.Parallel()
	q, l, _, pending, _ := blockedQueue(Limits{WriteDeadline: patience})
	q.KeepLeftover(true)
	var idle <-chan struct{}
	blocks := l.try
	l.try = func(n int) (int, error) {
		l.try = blocks
		idle = q.stopWriting()
		return n, nil
	}
	q.Push(text(10))
	<-idle
	q.Push(text(3))
	for q.stopping() {
		runtime.Gosched()
	}
	if q.Finish(0); pending.Load() != 0 {
		t.Errorf("%d bytes are pending in the end", pending.Load())
	}
}

// TestLeftoverBehindWhatWasTakenAtOnce has the socket take a delivery as a whole, and then others in
// part: what is left begins with one of those.
func TestLeftoverBehindWhatWasTakenAtOnce(t *testing.T) {
	t.Parallel()
	q, l, _, pending, release := blockedQueue(Limits{WriteDeadline: patience})
	release()
	l.try = nil
	q.KeepLeftover(true)
	q.Push(text(100)) // at once
	l.try = func(int) (int, error) { return 30, ErrWouldBlock }
	steps, entered := make(chan int), make(chan int)
	l.wait = func(n int) (int, error) { entered <- n; return <-steps, nil }
	q.Push(text(50))
	if n := <-entered; n != 20 {
		t.Fatalf("the writer has %d bytes", n)
	}
	q.Push(text(40_000))
	q.Push(text(1000))
	steps <- 20
	if n := <-entered; n != 41_000 {
		t.Fatalf("the writer has %d bytes", n)
	}
	steps <- 40_300
	<-entered
	go func() { // ends when Leave waits
		for !q.stopping() {
			runtime.Gosched()
		}
		steps <- 0
	}()
	left, waits := q.Leave(time.Hour)
	if n := sizeOf(left.Segments); n != 1000 || left.Sent != 300 || !waits {
		t.Errorf("%d bytes are left, %d of them taken, want 1000 and 300", n, left.Sent)
	}
	left.Release()
	l.try, l.wait = nil, nil
	q.Continue(nil)
	q.Finish(patience)
	if pending.Load() != 0 {
		t.Errorf("%d bytes are pending in the end", pending.Load())
	}
}

// TestAsMuchIsGatheredAsMayBePending pushes to a queue whose socket has broken, and that keeps what
// is pushed: it refuses what is more.
func TestAsMuchIsGatheredAsMayBePending(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{true, false} {
		l := &fakeLink{try: func(int) (int, error) { return 0, errors.New("reset") }}
		q, _, pending := newTestQueue(l, Limits{MaxPending: 100, HighWater: 100})
		q.KeepLeftover(all)
		want := 30
		for i := range 6 {
			d := text(30)
			q.Push(d)
			kept := i == 0 || all && i < 4 // 90 bytes are not as much as may be
			if d.Refused == kept {
				t.Errorf("all %v: delivery %d is refused: %v", all, i, d.Refused)
			}
			if kept && i > 0 {
				want += 30
			}
		}
		left, waits := q.Leave(0)
		if n := sizeOf(left.Segments); n != int64(want) || left.Sent != 0 || waits || pending.Load() != 0 {
			t.Errorf("all %v: %d bytes are left, %d of them taken, want %d", all, n, left.Sent, want)
		}
		left.Release()
	}
}

// TestLeftoverOfAQueueThatEndsDuringAWrite has it end while the writer has a part: what is left is in
// the order in which it was pushed.
func TestLeftoverOfAQueueThatEndsDuringAWrite(t *testing.T) {
	t.Parallel()
	entered, free := make(chan bool), make(chan bool)
	l := &fakeLink{
		try:  func(int) (int, error) { return 0, ErrWouldBlock },
		wait: func(int) (int, error) { close(entered); <-free; return 4, errors.New("reset") },
	}
	q, owner, pending := newTestQueue(l, Limits{WriteDeadline: patience})
	q.KeepLeftover(true)
	push := func(text string) { q.Push(&Delivery{Segments: []Segment{{Bytes: []byte(text)}}, Bytes: len(text)}) }
	push("aaaaaaaaaa")
	<-entered
	push("bbbbb")
	q.Finish(0)
	close(free)
	awaitWritten(t, q)
	left, waits := q.Leave(0)
	if got := string(bytes.Join(segmentBytes(left.Segments), nil)); got != "aaaaaaaaaabbbbb" || left.Sent != 4 || waits {
		t.Errorf("left is %q, %d bytes of it taken, it waits is %v", got, left.Sent, waits)
	}
	left.Release()
	if _, failed := owner.reported(); pending.Load() != 0 || len(failed) != 1 {
		t.Errorf("%d bytes are pending in the end, %v", pending.Load(), failed)
	}
}

// TestWhatIsGatheredTakesLittleMoreMemory pushes many small deliveries to a queue whose socket has
// broken, and that keeps what is pushed: they share chunks.
func TestWhatIsGatheredTakesLittleMoreMemory(t *testing.T) {
	t.Parallel()
	q, _, _ := newTestQueue(&fakeLink{try: func(int) (int, error) { return 0, errors.New("reset") }}, Limits{MaxPending: 1 << 20, HighWater: 100})
	q.KeepLeftover(true)
	for range 5000 {
		q.Push(text(20))
	}
	left, _ := q.Leave(0)
	chunks, memory := map[*Chunk]bool{}, 0
	for _, s := range left.Segments {
		if !chunks[s.Chunk] {
			memory += len(s.Chunk.mem)
		}
		chunks[s.Chunk] = true
	}
	if n := sizeOf(left.Segments); n != 100_000 || memory > 150_000+2*SmallSize {
		t.Errorf("%d bytes take %d", n, memory)
	}
	left.Release()
}

// TestWhatIsPushedWhileTheWriterStopsComesLast has a connection that is finished after its writer has
// stopped for Leave: what it has not written precedes what was pushed since.
func TestWhatIsPushedWhileTheWriterStopsComesLast(t *testing.T) {
	t.Parallel()
	release, entered := make(chan bool), make(chan bool, 1)
	link := &fakeLink{try: func(int) (int, error) { return 3, ErrWouldBlock }}
	link.wait = func(int) (int, error) { entered <- true; <-release; return 2, os.ErrDeadlineExceeded }
	q, _, _ := newTestQueue(link, Limits{WriteDeadline: time.Hour, MaxPending: 1 << 20, HighWater: 1 << 19})
	q.KeepLeftover(false)
	push := func(text string) { q.Push(&Delivery{Segments: []Segment{{Bytes: []byte(text)}}, Bytes: len(text)}) }
	push("AAAAAAAAAA")
	<-entered
	idle := q.stopWriting() // the beginning of Leave
	close(release)
	<-idle
	push("BBB")
	q.Finish(0)
	l := q.leftoverLocked() // its end
	got := ""
	for _, s := range l.Segments {
		got += string(s.Bytes)
	}
	if want := "AAAAAAAAAABBB"; got != want || l.Sent != 5 {
		t.Errorf("left %q of which %d bytes were sent, want %q and 5", got, l.Sent, want)
	}
}

// connLink is a fakeLink that has a connection.
type connLink struct {
	fakeLink
	nc net.Conn
}

func (l *connLink) Conn() net.Conn { return l.nc }

// TestAWriteIsInterruptedWhileItsLinkChanges has a queue go over to another link in the moment that a write
// is interrupted. The race detector looks on.
func TestAWriteIsInterruptedWhileItsLinkChanges(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	begun, free := make(chan struct{}), make(chan struct{})
	l := &connLink{nc: a}
	l.try = func(int) (int, error) { return 0, ErrWouldBlock }
	l.wait = func(n int) (int, error) { close(begun); <-free; return n, nil }
	q, _, _ := newTestQueue(&l.fakeLink, Limits{MaxPending: 1 << 20, WriteDeadline: time.Hour})
	q.SetLink(l)
	q.KeepLeftover(true)
	switchLink(q, "switch\r\n", &connLink{nc: b})
	<-begun
	time.AfterFunc(5*interruptAgain, func() { close(free) })
	if l, waits := q.Leave(0); len(l.Segments) > 0 || !waits {
		t.Errorf("%d segments are left, and it waits is %v", len(l.Segments), waits)
	}
	q.Continue(nil)
	awaitWritten(t, q)
}

// TestWhatFollowsATooLargeMessageComesBehindIt pushes one to an idle connection, and more.
func TestWhatFollowsATooLargeMessageComesBehindIt(t *testing.T) {
	t.Parallel()
	l := &fakeLink{}
	q, owner, pending := newTestQueue(l, Limits{MaxPending: 100, HighWater: 10})
	for i, size := range []int{1, 200, 3} {
		q.Push(&Delivery{Segments: []Segment{{Bytes: bytes.Repeat([]byte{'a' + byte(i)}, size)}}, Bytes: size, Messages: 1, TooLarge: size > 100})
	}
	q.Finish(time.Hour)
	want := "a" + strings.Repeat("b", 200) + "ccc"
	if got, _ := l.taken(); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if slow, _ := owner.reported(); len(slow) == 0 || slow[0] != LimitPending {
		t.Errorf("got %v, want that it is a slow consumer", slow)
	}
	if n := pending.Load(); n != 0 {
		t.Errorf("%d bytes are pending in the end", n)
	}
}
