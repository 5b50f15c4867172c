package netio

import (
	"net"
	"testing"
	"time"
)

// fakeSource is a system whose clock goes on with every look.
type fakeSource struct {
	clock   time.Duration
	readyAt time.Duration     // when there is something to read; 0 = never
	during  func(*fakeSource) // called with every look, unless nil
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

func (f *fakeSource) yield() { f.yields++ }

func (f *fakeSource) now() time.Duration { return f.clock + 1 }

const micro = time.Microsecond

func TestWhenAReaderPollsAndForHowLong(t *testing.T) {
	t.Parallel()
	at := func(looks int, do func()) func(*fakeSource) {
		return func(f *fakeSource) {
			if f.looks == looks {
				do()
			}
		}
	}
	for _, c := range []struct {
		name  string
		set   func(*BusyPoll, *fakeSource)
		read  int // bytes, before
		looks int
	}{
		{"until something is ready", func(_ *BusyPoll, f *fakeSource) { f.readyAt = 20 * micro }, 10, 20},
		{"not at all if something is ready", func(_ *BusyPoll, f *fakeSource) { f.readyAt = 1 }, 10, 1},
		{"for 100 µs", func(*BusyPoll, *fakeSource) {}, 10, 100},
		{"until another reader works", func(p *BusyPoll, f *fakeSource) { f.during = at(10, p.begin) }, 10, 10},
		{"not while another reader works", func(p *BusyPoll, _ *fakeSource) { p.begin() }, 10, 0},
		{"not while one of two works", func(p *BusyPoll, _ *fakeSource) { p.begin(); p.begin(); p.end() }, 10, 0},
		{"after all others have worked", func(p *BusyPoll, _ *fakeSource) { p.begin(); p.begin(); p.end(); p.end() }, 10, 100},
		{"alone", func(p *BusyPoll, f *fakeSource) { f.during = at(10, func() { p.poll(10) }) }, 10, 100},
		{"after a short read", func(*BusyPoll, *fakeSource) {}, maxPolledRead, 100},
		{"not after a long read", func(*BusyPoll, *fakeSource) {}, maxPolledRead + 1, 0},
		{"not if that is off", func(p *BusyPoll, _ *fakeSource) { p.Allow(false) }, 10, 0},
		{"if that is on again", func(p *BusyPoll, _ *fakeSource) { p.Allow(false); p.Allow(true) }, 10, 100},
		{"not where it is impossible", func(p *BusyPoll, _ *fakeSource) { p.source = nil }, 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := new(fakeSource)
			p := &BusyPoll{source: f}
			c.set(p, f)
			p.poll(c.read)
			if f.looks != c.looks {
				t.Errorf("got %d looks, want %d", f.looks, c.looks)
			}
			if f.yields < f.looks-1 {
				t.Errorf("others could have the processor %d times during %d looks", f.yields, f.looks)
			}
		})
	}
}

// TestReadersPollOnlyWhereThatPays has a reader run dry again and again. Work goes on after some
// time, which depends on whether it polled.
func TestReadersPollOnlyWhereThatPays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		polled, slept time.Duration // until work goes on
		pays          bool
	}{
		{"polling saves nearly half", 20 * micro, 36 * micro, true},
		{"polling takes less than twice what it saves", 20 * micro, 31 * micro, true},
		{"polling takes more than twice what it saves", 20 * micro, 29 * micro, false},
		{"polling saves nothing", 20 * micro, 20 * micro, false},
		{"polling is in the way", 90 * micro, 36 * micro, false},
		{"replies come when it has given up", 110 * micro, 300 * micro, false},
		{"nothing comes", time.Second, time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := new(fakeSource)
			p := &BusyPoll{source: f}
			run := func(times int, polled, slept time.Duration) (polls int) {
				for range times {
					looks, start := f.looks, f.clock
					f.readyAt = start + polled
					if p.poll(10); f.looks > looks {
						polls++
						f.clock = start + polled
					} else {
						f.clock = start + slept
					}
					p.begin()
					p.end()
				}
				return polls
			}
			const learn, times = 10_000, 10_000
			run(learn, c.polled, c.slept)
			got := run(times, c.polled, c.slept)
			if c.pays && got < times*9/10 || !c.pays && got > times/20 || got == 0 || got == times {
				t.Errorf("a reader polled %d times of %d; sometimes it must, and sometimes not, to know", got, times)
			}
			run(5*learn, 20*micro, 36*micro)
			if got := run(times, 20*micro, 36*micro); got < times*9/10 {
				t.Errorf("a reader polled %d times of %d after that had become worthwhile", got, times)
			}
		})
	}
}

// TestConnectionThatEndsAtWorkIsNotWaitedFor closes a link in the middle of work.
func TestConnectionThatEndsAtWorkIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "pipe"} {
		near, far := net.Pipe()
		if network == "tcp" {
			near, far = tcpPair(t)
		}
		f := new(fakeSource)
		shared := new(Shared)
		p := &shared.BusyPoll
		p.source = f
		l := NewLink(near, shared)
		go far.Write([]byte("x")) // ends when l has read it
		var in ReadBuffer
		_, err := l.Recv(&in, ReadSize)
		okay(t, err)
		polls := func() bool {
			looks := f.looks
			for range 1000 {
				p.poll(10)
			}
			return f.looks > looks
		}
		if polls() {
			t.Errorf("%s: another reader polls while this one works", network)
		}
		l.Close()
		if !polls() {
			t.Errorf("%s: no reader polls after the connection has ended", network)
		}
		in.Clear()
		far.Close()
	}
}

// tcpPair returns both ends of a connection.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	okay(t, err)
	defer l.Close()
	far, err = net.Dial("tcp", l.Addr().String())
	okay(t, err)
	near, err = l.Accept()
	okay(t, err)
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

func TestPollingNeedsProcessorsToSpare(t *testing.T) {
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
