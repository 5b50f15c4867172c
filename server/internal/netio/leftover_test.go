package netio

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
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
		if seed%2 == 0 {
			q.KeepLeftover(true)
		}
		var all []byte
		starts := map[int]bool{}
		push := func() {
			starts[len(all)] = true
			text := bytes.Repeat([]byte{byte(len(starts))}, 1+rnd.IntN(1<<rnd.IntN(16)))
			all = append(all, text...)
			d := &Delivery{Segments: []Segment{{Bytes: text}}, Bytes: len(text)}
			if rnd.IntN(3) == 0 {
				ck := newChunk(len(text))
				ck.buf = append(ck.buf, text...)
				d.Segments[0] = Segment{Bytes: ck.buf, Chunk: ck}
				defer ck.release()
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
			q.Continue(left[l.Sent:])
		}
		push()
		q.Finish(time.Hour)
		if waits {
			if taken, _ = link.taken(); seed%2 == 0 && !broken.Load() && !bytes.Equal(taken, all) {
				t.Fatalf("seed %d: %d bytes of %d were taken in the end", seed, len(taken), len(all))
			}
		}
		l.Release()
		if n := pending.Load(); n != 0 {
			t.Fatalf("seed %d: %d bytes are pending in the end", seed, n)
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
