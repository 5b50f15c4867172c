package netio

import (
	"testing"
	"time"
)

// fakeSource is a system whose clock goes on with every look.
type fakeSource struct {
	clock   time.Duration
	readyAt time.Duration     // when there is something to read; 0 = never
	during  func(*fakeSource) // called with every look, unless nil
	away    time.Duration     // for how long others take the processor at the next yield
	looks   int
	yields  int
}

func (f *fakeSource) ready() bool {
	f.looks++
	f.clock += micro
	if f.during != nil {
		f.during(f)
	}
	return f.readyAt > 0 && f.clock >= f.readyAt
}

func (f *fakeSource) yield() {
	f.yields++
	f.clock += f.away
	f.away = 0
}

func (f *fakeSource) now() time.Duration { return f.clock + 1 }

const micro = time.Microsecond

func TestHowAWatchEnds(t *testing.T) {
	t.Parallel()
	const few = yieldEvery
	for _, c := range []struct {
		name    string
		set     func(*BusyPoll, *fakeSource)
		looks   int // and as many more as come between two looks at the clock
		backoff backoff
	}{
		{"when something readyAt", func(_ *BusyPoll, f *fakeSource) { f.readyAt = 20 * micro }, 20, backoff{hits: 1}},
		{"at once if something has stirred already", func(_ *BusyPoll, f *fakeSource) { f.readyAt = 1 }, 1, backoff{hits: 1}},
		{"when it has been long enough", func(*BusyPoll, *fakeSource) {}, 100, backoff{misses: 1, skip: 1}},
		{"a miss if the event had to wait until another thread had run", func(_ *BusyPoll, f *fakeSource) {
			f.away, f.readyAt = 3*time.Millisecond, 20*micro
		}, yieldEvery, backoff{misses: 1, skip: 1}},
		{"in time after another thread has run shortly", func(_ *BusyPoll, f *fakeSource) { f.away, f.readyAt = 15*micro, 20*micro },
			yieldEvery, backoff{hits: 1}},
		{"when a writer is at work", func(p *BusyPoll, f *fakeSource) {
			f.during = func(*fakeSource) {
				if f.looks == 10 {
					p.writing(true)
				}
			}
		}, 10, backoff{}},
		{"before it begins, while a writer is at work", func(p *BusyPoll, _ *fakeSource) {
			p.writing(true)
			p.writing(true)
			p.writing(false)
		}, 0, backoff{}},
		{"when another reader is at work", func(p *BusyPoll, f *fakeSource) {
			f.during = func(f *fakeSource) { p.working.Store(int32(f.clock / (10 * micro))) }
		}, 10, backoff{}},
		{"before it begins, while another reader is at work", func(p *BusyPoll, _ *fakeSource) { p.working.Store(1) }, 0, backoff{}},
		{"before it begins, while another reader watches", func(p *BusyPoll, _ *fakeSource) { p.polling.Store(true) }, 0, backoff{}},
		{"before it begins, when it is off", func(p *BusyPoll, _ *fakeSource) { p.off.Store(true) }, 0, backoff{}},
		{"before it begins, where it is impossible", func(p *BusyPoll, _ *fakeSource) { p.source = nil }, 0, backoff{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := new(fakeSource)
			p, h := &BusyPoll{source: f}, backoff{}
			c.set(p, f)
			p.poll(10, &h)
			if f.looks < c.looks || f.looks > c.looks+few || c.looks == 0 && f.looks > 0 {
				t.Errorf("got %d looks, want %d", f.looks, c.looks)
			}
			if f.yields < f.looks/few-1 {
				t.Errorf("others got the processor %d times during %d looks", f.yields, f.looks)
			}
			if h != c.backoff {
				t.Errorf("got backoff %+v, want %+v", h, c.backoff)
			}
		})
	}
}

func TestNobodyWatchesForAStream(t *testing.T) {
	t.Parallel()
	f := new(fakeSource)
	p, h := &BusyPoll{source: f}, backoff{}
	if p.poll(maxPolledRead+1, &h); f.looks > 0 {
		t.Error("a reader polls after much was read")
	}
	if p.poll(maxPolledRead, &h); f.looks == 0 {
		t.Error("no reader polls after little was read")
	}
}

func TestReadersWatchOnlyWhereThatPays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		watched, slept time.Duration // how long it takes until work goes on
		pays           bool
	}{
		{"a watch saves nearly half", 20 * micro, 36 * micro, true},
		{"a watch takes less than twice what it saves", 20 * micro, 31 * micro, true},
		{"a watch takes more than twice what it saves", 20 * micro, 29 * micro, false},
		{"a watch saves nothing", 20 * micro, 20 * micro, false},
		{"a watch is in the way", 90 * micro, 36 * micro, false},
		{"the rhythm is slow", 110 * micro, 300 * micro, true},
		{"there is no rhythm", time.Second, time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := new(fakeSource)
			p := &BusyPoll{source: f}
			// run has batches follow each other, and counts the watches.
			run := func(watched, slept time.Duration) (watches int) {
				for range 100 * exploreEvery {
					looks, end := f.looks, f.clock
					f.readyAt = f.clock + watched
					if p.poll(10, new(backoff)); f.looks > looks {
						watches++
						f.clock = end + watched
					} else {
						f.clock = end + slept
					}
					p.Begin()
					p.End()
				}
				return watches
			}
			run(c.watched, c.slept)
			want := 100
			if c.pays {
				want *= exploreEvery - 1
			}
			if got := run(c.watched, c.slept); got != want {
				t.Errorf("got %d watches on %d occasions, want %d", got, 100*exploreEvery, want)
			}
			for range 5 { // it learns again
				run(20*micro, 36*micro)
			}
			if got := run(20*micro, 36*micro); got != 100*(exploreEvery-1) {
				t.Errorf("got %d watches on %d occasions after that has become worth while", got, 100*exploreEvery)
			}
		})
	}
}

func TestOnePauseOfManyCountsForLittle(t *testing.T) {
	t.Parallel()
	f := &fakeSource{clock: micro}
	p := &BusyPoll{source: f}
	for range 1000 {
		p.idle.Store(int64(f.now()))
		f.clock += 30 * micro
		p.Begin()
		p.End()
	}
	p.Begin() // after no pause that is measured
	p.pausing(int64(f.now()))
	f.clock += 1000 * micro
	p.End()
	p.Begin() // nor after this, because a reader was at work
	p.End()
	if got := p.slept.mean(); got < 29*micro || got > 31*micro || p.polled.mean() != 0 {
		t.Errorf("got means of %v after sleeps and %v after watches", got, p.polled.mean())
	}
	p.idle.Store(int64(f.now()))
	f.clock += time.Hour
	p.Begin()
	if got := p.slept.mean(); got > 38*micro {
		t.Errorf("got a mean of %v after one long pause", got)
	}
}

func TestWatchesBecomeRareWhereNothingComesSoon(t *testing.T) {
	t.Parallel()
	f := new(fakeSource)
	p, h := &BusyPoll{source: f}, backoff{}
	// occasions until the next watch, that one included.
	occasions := func() int {
		looks := f.looks
		p.attempts = 0 // none is a exploreEvery
		for n := 1; ; n++ {
			p.attempts %= exploreEvery - 1
			p.poll(10, &h)
			if f.looks > looks {
				return n
			}
		}
	}
	for i, want := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256} {
		if got := occasions(); got != want {
			t.Errorf("watch %d in misses: got after %d occasions, want %d", i+1, got, want)
		}
	}
	f.readyAt = 1 // long ago
	for _, want := range []int{256, 128, 64, 32, 16, 8, 4, 2, 1, 1} {
		for i := range hitsPerMiss {
			if got := occasions(); got != want {
				t.Errorf("watch %d in time: got after %d occasions, want %d", i+1, got, want)
			}
		}
	}
}

func TestWatchingNeedsProcessorsToSpare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ours, all int
		quota, ok bool
	}{{1, 1, false, false}, {1, 8, false, false}, {2, 2, false, true}, {2, 8, false, false}, {8, 8, false, true}, {9, 8, false, true}, {8, 8, true, false}} {
		if err := scarceProcessors(c.ours, c.all, c.quota); (err == nil) != c.ok {
			t.Errorf("%d of %d, a quota %v: got %v", c.ours, c.all, c.quota, err)
		}
	}
}
