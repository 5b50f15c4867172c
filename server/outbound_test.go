package server

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

// newTestOut returns an outbound over a scripted link.
func newTestOut(l *fakeLink, lim outLimits) (*outbound, *fakeOwner, *atomic.Int64) {
	owner, total := new(fakeOwner), new(atomic.Int64)
	if lim.max == 0 {
		lim.max, lim.high = 1<<40, 1<<39
	}
	return &outbound{link: l, owner: owner, total: total, lim: &lim}, owner, total
}

// testLoad is what a stage pushes: frames in chunks of their own, which are noted
// so that the test can count references.
type testLoad struct {
	t      load
	chunks []*chunk
}

func newTestLoad(frames ...string) *testLoad {
	b := new(testLoad)
	for _, f := range frames {
		ck := makeChunk(max(len(f), 2048), nil)
		ck.b = append(ck.b, f...)
		b.chunks = append(b.chunks, ck)
		b.t.segs = append(b.t.segs, seg{b: ck.b, ck: ck})
		b.t.bytes += len(f)
		b.t.msgs++
	}
	b.t.subject = []byte("some.subject")
	return b
}

// ended waits until nobody writes, by the same way as teardown.
func ended(t *testing.T, o *outbound) {
	t.Helper()
	if idle := o.refuse(); idle != nil {
		select {
		case <-idle:
		case <-time.After(patience):
			t.Fatal("the writer does not end: a wake-up is lost")
		}
	}
}

// settled checks that an outbound that has ended owes nothing.
func settled(t *testing.T, o *outbound, total *atomic.Int64, batches ...*testLoad) {
	t.Helper()
	if got := o.stats().pending; got != 0 {
		t.Errorf("pending: got %d, want 0", got)
	}
	if got := total.Load(); got != 0 {
		t.Errorf("total: got %d, want 0", got)
	}
	for i, b := range batches {
		for j, ck := range b.chunks {
			if n := ck.refs.Load(); n != 1 {
				t.Errorf("testLoad %d, chunk %d: %d references left", i, j, n)
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
		slow   closeReason
		failed error
	}{
		{name: "the socket takes everything"},
		{name: "the socket takes nothing at first", try: []call{{0, errWouldBlock}}},
		{name: "the socket takes a part of a frame", try: []call{{7, errWouldBlock}}},
		{name: "the socket takes a whole frame and no more", try: []call{{10, errWouldBlock}}},
		{name: "the socket breaks at once", try: []call{{0, broken}}, dead: true, failed: broken},
		{name: "the socket breaks in the middle", try: []call{{7, broken}}, dead: true, failed: broken},
		{name: "the writer gets on slowly", try: []call{{0, errWouldBlock}}, wait: []call{{3, os.ErrDeadlineExceeded}, {4996, os.ErrDeadlineExceeded}}},
		{name: "the writer makes no progress", try: []call{{3, errWouldBlock}}, wait: []call{{0, os.ErrDeadlineExceeded}}, dead: true, slow: closeSlowDeadline, failed: os.ErrDeadlineExceeded},
		{name: "the writer makes progress once", try: []call{{3, errWouldBlock}}, wait: []call{{5, os.ErrDeadlineExceeded}, {0, os.ErrDeadlineExceeded}}, dead: true, slow: closeSlowDeadline, failed: os.ErrDeadlineExceeded},
		{name: "the writer finds the socket broken", try: []call{{3, errWouldBlock}}, wait: []call{{5, broken}}, dead: true, failed: broken},
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
			o, owner, total := newTestOut(l, outLimits{})
			b := newTestLoad("0123456789", big, "abcdefghij")
			b.t.born = 42
			o.push(&b.t)
			ended(t, o)
			settled(t, o, total, b)
			out, _ := l.taken()
			if want := []int64{42}; c.dead && len(owner.born) > 0 || !c.dead && !slices.Equal(owner.born, want) {
				t.Errorf("the end of the sample: got %v, want %v if the socket took everything", owner.born, want)
			}
			if want := "0123456789" + big + "abcdefghij"; !c.dead && string(out) != want {
				t.Errorf("got %d bytes, want %d", len(out), len(want))
			}
			slow, failed := owner.told()
			if len(slow) > 1 || len(slow) == 1 && slow[0] != c.slow || len(slow) == 0 && c.slow != keepOpen {
				t.Errorf("slow consumer: got %v, want %v", slow, c.slow)
			}
			if len(failed) > 1 || len(failed) == 1 && failed[0] != c.failed || len(failed) == 0 && c.failed != nil {
				t.Errorf("write failed: got %v, want %v", failed, c.failed)
			}
		})
	}
}

// TestPushersShareOneSocket lets several goroutines push to one connection
// whose socket is moody, and checks that the frames of each come out whole and
// in order, and that nothing is owed at the end.
func TestPushersShareOneSocket(t *testing.T) {
	t.Parallel()
	const pushers, rounds = 4, 60
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			l := &fakeLink{try: moody(seed, false), wait: moody(seed+100, true)}
			o, owner, total := newTestOut(l, outLimits{})
			all := make([][]*testLoad, pushers)
			var wg sync.WaitGroup
			for p := range pushers {
				wg.Go(func() {
					for i := range rounds {
						long := strings.Repeat("=", (i*37+p*1000)%6000)
						b := newTestLoad(fmt.Sprintf("%d.%d.a|", p, i), fmt.Sprintf("%d.%d.b%s|", p, i, long))
						all[p] = append(all[p], b)
						o.push(&b.t)
					}
				})
			}
			wg.Wait()
			ended(t, o)
			for p := range pushers {
				settled(t, o, total, all[p]...)
			}
			out, overlap := l.taken()
			if overlap {
				t.Error("two wrote at a time")
			}
			checkFrames(t, out, pushers, rounds)
			if slow, failed := owner.told(); len(slow)+len(failed) > 0 {
				t.Errorf("told of %v, %v", slow, failed)
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
		l := &fakeLink{try: moody(seed, false), wait: moody(seed+100, true)}
		o, _, total := newTestOut(l, outLimits{max: 30000, high: 5000})
		var all [4][]*testLoad
		var wg sync.WaitGroup
		for p := range all {
			wg.Go(func() {
				relief := make(chan bool, 1)
				for range 30 {
					b := newTestLoad(strings.Repeat("a", 700), strings.Repeat("b", 6000))
					all[p] = append(all[p], b)
					if o.push(&b.t) && o.await(relief) {
						o.forget(relief)
					}
					if got := o.stats().pending; got < 0 {
						t.Errorf("pending is %d", got)
					}
				}
			})
		}
		for range seed {
			runtime.Gosched()
		}
		o.finish(time.Duration(seed%2) * time.Microsecond)
		wg.Wait()
		ended(t, o)
		for p := range all {
			settled(t, o, total, all[p]...)
		}
	}
}

func TestPendingIsNeverNegative(t *testing.T) {
	t.Parallel()
	var o *outbound
	l := new(fakeLink)
	l.try = func(n int) (int, error) {
		o.finish(0) // the connection ends while its bytes are on their way
		return n, nil
	}
	o, _, total := newTestOut(l, outLimits{})
	b := newTestLoad("0123456789")
	o.push(&b.t)
	settled(t, o, total, b)
}

func TestHeldPublishersGoOn(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	l := &fakeLink{
		try:  func(int) (int, error) { return 0, errWouldBlock },
		wait: func(n int) (int, error) { <-free; return n, nil },
	}
	cases := []struct {
		name string
		ease func(o *outbound)
	}{
		{"when the backlog is short again", func(*outbound) { close(free) }},
		{"when the connection ends", func(o *outbound) { o.finish(0) }},
	}
	for _, c := range cases {
		o, _, _ := newTestOut(l, outLimits{max: 1 << 30, high: 100})
		b := newTestLoad(strings.Repeat("x", 200))
		if lagging := o.push(&b.t); !lagging {
			t.Fatalf("%s: a connection above the high-water mark does not lag", c.name)
		}
		relief := make(chan bool, 1)
		if !o.await(relief) {
			t.Fatalf("%s: await says that it does not lag", c.name)
		}
		c.ease(o)
		select {
		case <-relief:
		case <-time.After(patience):
			t.Fatalf("%s: no relief", c.name)
		}
	}
}

func TestMaxPendingCuts(t *testing.T) {
	t.Parallel()
	l := &fakeLink{
		try:  func(int) (int, error) { return 0, errWouldBlock },
		wait: func(n int) (int, error) { return 0, os.ErrDeadlineExceeded },
	}
	o, owner, total := newTestOut(l, outLimits{max: 1000, high: 100})
	b := newTestLoad(strings.Repeat("x", 1001))
	o.push(&b.t)
	ended(t, o)
	settled(t, o, total, b)
	if slow, _ := owner.told(); len(slow) == 0 || slow[0] != closeSlowPending {
		t.Errorf("got %v, want %v first", slow, closeSlowPending)
	}
}

// TestBacklogHoldsLittleMoreMemoryThanBytes queues the shapes that a stage
// makes, and compares the bytes pending with the memory they keep.
func TestBacklogHoldsLittleMoreMemoryThanBytes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		sizes []int // of segments, repeated; each in a chunk of readSize
		share int   // memory over bytes, at most
	}{
		{"short messages", []int{40}, 2},
		{"messages of a few KiB", []int{3 << 10}, 2},
		{"heads and large payloads in turn", []int{40, 9 << 10}, 2},
		{"heads and whole chunks in turn", []int{40, readSize}, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var b backlog
			bytes := 0
			for i := range 400 {
				n := c.sizes[i%len(c.sizes)]
				ck := makeChunk(readSize, nil)
				b.add(seg{b: ck.mem[:n], ck: ck})
				b.bytes += int64(n)
				ck.release()
				bytes += n
			}
			seen := make(map[*chunk]bool)
			memory := 0
			for _, s := range b.queue {
				if !seen[s.ck] {
					seen[s.ck] = true
					memory += len(s.ck.mem)
				}
			}
			if most := c.share*bytes + readSize; memory > most {
				t.Errorf("%d bytes hold %d bytes of memory, want %d at most", bytes, memory, most)
			}
			releaseAll(b.queue)
			b.end()
			for ck := range seen {
				if n := ck.refs.Load(); n != 0 {
					t.Fatalf("%d references left", n)
				}
			}
		})
	}
}

func TestBacklogGivesBackWhatItTook(t *testing.T) {
	t.Parallel()
	var b backlog
	var want, got []byte
	for i := range 3000 {
		ck := makeChunk(16<<10, nil)
		text := bytes.Repeat([]byte{byte(i)}, 1+i*131%9000)
		ck.b = append(ck.b, text...)
		want = append(want, text...)
		b.add(seg{b: ck.b, ck: ck})
		ck.release()
		if i%5 == 0 {
			segs, n := b.take(1 + i)
			before := len(got)
			for _, s := range segs {
				got = append(got, s.b...)
			}
			if len(got)-before != n {
				t.Fatalf("take says %d bytes, its segments have %d", n, len(got)-before)
			}
			releaseAll(segs)
		}
	}
	for len(b.queue) > 0 {
		segs, _ := b.take(writeBatch)
		for _, s := range segs {
			got = append(got, s.b...)
		}
		releaseAll(segs)
	}
	b.end()
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d, or they differ", len(got), len(want))
	}
}

func TestTopSubjectIsTheMajority(t *testing.T) {
	t.Parallel()
	var top topSubject
	for i := range 1000 {
		top.add(fmt.Appendf(nil, "other.%d", i), 40)
		top.add([]byte("flood"), 100)
	}
	top.add(nil, 1<<40)
	if got := string(top.subject); got != "flood" {
		t.Errorf("got %q, want %q", got, "flood")
	}
}
