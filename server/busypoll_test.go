package server

import (
	"testing"
	"time"
)

// fakeSource is a system whose clock goes on by look with every look.
type fakeSource struct {
	clock  time.Duration
	look   time.Duration
	stirs  time.Duration     // when there is something to read; 0 = never
	taken  []time.Duration   // when others take the processor for a while, in order
	away   time.Duration     // for how long
	during func(*fakeSource) // called with every look, unless nil
	held   time.Duration     // the machine is held up once at that time, for away
	looks  int
	lost   int64
}

func (f *fakeSource) ready(int) bool {
	f.looks++
	if f.during != nil {
		f.during(f)
	}
	return f.stirs > 0 && f.clock >= f.stirs
}

func (f *fakeSource) yield() {
	f.clock += f.look
	if len(f.taken) > 0 && f.clock >= f.taken[0] {
		f.taken = f.taken[1:]
		f.clock += f.away
		f.lost++
	}
	if f.held > 0 && f.clock >= f.held {
		f.held = 0
		f.clock += f.away
	}
}

func (f *fakeSource) now() time.Duration { return f.clock }

func (f *fakeSource) switches() int64 { return f.lost }

const micro = time.Microsecond

func TestHowAWatchEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		set   func(*busyPoll, *fakeSource)
		looks int // at least; 0 = none at all
		ends  time.Duration
		trust int
		habit habit
	}{
		{"when something stirs", func(_ *busyPoll, f *fakeSource) { f.stirs = 20 * micro }, 20, 20 * micro, 1, habit{}},
		{"at once if something has stirred already", func(_ *busyPoll, f *fakeSource) { f.clock, f.stirs = 1, 1 }, 1, 1, 1, habit{}},
		{"when it has been long enough", func(*busyPoll, *fakeSource) {}, 100, watchTime, 0, habit{1, 1}},
		{"when another reader is at work", func(p *busyPoll, f *fakeSource) {
			f.during = func(f *fakeSource) { p.atWork.Store(int32(f.clock / (10 * micro))) }
		}, 10, 10 * micro, 0, habit{}},
		{"when somebody else takes the processor", func(_ *busyPoll, f *fakeSource) { f.taken = []time.Duration{5 * micro} },
			5, 10 * micro, trustNew, habit{}},
		{"as usual if who took the processor has sent something", func(_ *busyPoll, f *fakeSource) {
			f.taken, f.stirs = []time.Duration{5 * micro}, 7*micro
		}, 5, 10 * micro, 1, habit{}},
		{"as usual if the machine was held up", func(_ *busyPoll, f *fakeSource) { f.held, f.stirs = 5*micro, 20*micro }, 10, 20 * micro, 1, habit{}},
		{"before it begins, while another reader is at work", func(p *busyPoll, _ *fakeSource) { p.atWork.Store(1) }, 0, 0, 0, habit{}},
		{"before it begins, while another reader watches", func(p *busyPoll, _ *fakeSource) { p.watching.Store(true) }, 0, 0, 0, habit{}},
		{"before it begins, when it is off", func(p *busyPoll, _ *fakeSource) { p.off.Store(true) }, 0, 0, 0, habit{}},
		{"before it begins, where it is impossible", func(p *busyPoll, _ *fakeSource) { p.source = nil }, 0, 0, 0, habit{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &fakeSource{look: micro, away: 5 * micro}
			p, h := &busyPoll{source: f}, habit{}
			c.set(p, f)
			p.watch(0, 10, &h)
			if f.looks < c.looks || c.looks == 0 && f.looks > 0 || f.clock != c.ends {
				t.Errorf("got %d looks until %v, want %d until %v", f.looks, f.clock, c.looks, c.ends)
			}
			if p.trust != c.trust || h != c.habit {
				t.Errorf("got trust %d and habit %v, want %d and %v", p.trust, h, c.trust, c.habit)
			}
		})
	}
}

func TestNobodyWatchesForAStream(t *testing.T) {
	t.Parallel()
	f := &fakeSource{look: micro}
	p, h := &busyPoll{source: f}, habit{}
	if p.watch(0, single+1, &h); f.looks > 0 {
		t.Error("somebody watches after much was read")
	}
	if p.watch(0, single, &h); f.looks == 0 {
		t.Error("nobody watches after little was read")
	}
}

func TestWatchesRestWhereOthersWantTheProcessor(t *testing.T) {
	t.Parallel()
	f := &fakeSource{look: micro, away: 10 * micro}
	p, h := &busyPoll{source: f}, habit{}
	watch := func() (watched bool) {
		looks := f.looks
		p.watch(0, 10, &h)
		return f.looks > looks
	}
	quiet := func(n int) {
		for range n {
			f.stirs = f.clock + micro
			watch()
		}
		f.stirs = 0
	}
	taken := func() { f.taken = append(f.taken, f.clock+micro) }

	quiet(3 * disturbed)
	for range 3 {
		taken()
		if !watch() {
			t.Fatal("nobody watches after few disturbances")
		}
	}
	quiet(disturbed - 1) // one too few to make up for the next
	taken()
	watch()
	f.clock += restTime / 2
	if watch() {
		t.Error("somebody watches where one watch in 32 and more was disturbed")
	}
	f.clock += restTime
	if !watch() {
		t.Error("nobody watches after the rest")
	}
}

func TestWatchesBecomeRareWhereNothingComesSoon(t *testing.T) {
	t.Parallel()
	f := &fakeSource{look: micro}
	p, h := &busyPoll{source: f}, habit{}
	// occasions until the next watch, that one included.
	occasions := func() int {
		looks := f.looks
		for n := 1; ; n++ {
			p.watch(0, 10, &h)
			if f.looks > looks {
				return n
			}
		}
	}
	for i, want := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256} {
		if got := occasions(); got != want {
			t.Errorf("watch %d in vain: got after %d occasions, want %d", i+1, got, want)
		}
	}
	f.stirs = 1
	occasions()
	for _, want := range []int{128, 64, 32, 16, 8, 4, 2, 1, 1} {
		if got := occasions(); got != want {
			t.Errorf("in time: got after %d occasions, want %d", got, want)
		}
	}
}

func TestWatchingNeedsProcessorsToSpare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ours, all int
		ok        bool
	}{{1, 1, false}, {1, 8, false}, {2, 2, true}, {2, 8, false}, {8, 8, true}, {9, 8, true}} {
		if err := enoughProcessors(c.ours, c.all); (err == nil) != c.ok {
			t.Errorf("%d of %d: got %v", c.ours, c.all, err)
		}
	}
}
