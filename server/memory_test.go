package server

import (
	"fmt"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/test/wire"
)

func TestMemoryLimitCountsEachCollectionOnce(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	var bytes, pools int64
	var cycles uint64
	m := memoryLimit{limit: 100 * mb, live: func() (int64, uint64) { return bytes, cycles }}
	m.collect = func() { bytes, pools, cycles = bytes-pools, 0, cycles+1 }
	now := time.Now()
	for i, step := range []struct {
		after  time.Duration
		bytes  int64
		pools  int64 // of bytes
		cycles uint64
		want   int64
	}{
		{time.Hour, 74 * mb, 0, 1, 0},
		{time.Hour, 80 * mb, 0, 2, 5 * mb},
		{time.Hour, 80 * mb, 0, 3, 0}, // what was given up is not yet collected
		{time.Hour, 85 * mb, 0, 4, 10 * mb},
		{memoryInterval / 2, 95 * mb, 0, 6, 0}, // too soon
		{memoryInterval / 2, 95 * mb, 0, 6, 20 * mb},
		{time.Hour, 10 * mb, 0, 8, 0},
		{time.Hour, 95 * mb, 90 * mb, 9, 0},
		{time.Hour, 95 * mb, 15 * mb, 11, 5 * mb},
	} {
		now = now.Add(step.after)
		bytes, pools, cycles = step.bytes, step.pools, step.cycles
		if m.full(now) {
			m.measure()
		}
		if got := m.excess.Swap(0); got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
}

// TestMemoryThatExceedsIsActedOnAtOnceOnly has little pending when the memory is measured: no connection is
// closed for that later.
func TestMemoryThatExceedsIsActedOnAtOnceOnly(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	s.memory = memoryLimit{limit: 100 << 20, live: func() (int64, uint64) { return 90 << 20, 1 }, collect: func() {}}
	s.conns.Add(1)
	s.measureMemory()
	if got := s.memory.excess.Load(); got != 0 {
		t.Errorf("%d bytes are still to be given up", got)
	}
}

func TestMemoryIsGivenBackWhenMuchWasFreed(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tt := range []struct {
		name  string
		taken []int64 // at each look, in MB
		peaks []int64 // between it and the look before
		want  []bool
	}{
		{"little is taken", []int64{1, 5, 1, 7, 0}, []int64{0, 0, 0, 0, 0}, []bool{false, false, false, false, false}},
		{"much is freed, once", []int64{100, 10, 10, 9}, []int64{0, 0, 0, 0}, []bool{false, true, false, false}},
		{"much was taken between two looks", []int64{5, 5, 5}, []int64{0, 200, 0}, []bool{false, true, false}},
		{"a small part is freed", []int64{4000, 3500, 3100, 2900}, []int64{0, 0, 0, 0}, []bool{false, false, false, true}},
	} {
		var p memoryPeak
		for i := range tt.taken {
			p.note(tt.peaks[i] * mb)
			if got := p.fell(tt.taken[i] * mb); got != tt.want[i] {
				t.Errorf("%s: look %d: got %v, want %v", tt.name, i, got, tt.want[i])
			}
		}
	}
}

// TestEndedClientsAreNotKept has clients of every kind come and go, and looks whether anything still
// references them: a client over TLS takes some 20 KB.
func TestEndedClientsAreNotKept(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.MaxClosedClients = 10 })
	stays := dialClient(t, s)
	stays.Do("SUB service 1")
	for name, work := range map[string]func(i int) []string{
		"nothing": func(int) []string { return nil },
		"its own subject": func(i int) []string {
			return []string{fmt.Sprintf("SUB own.%d 1", i), fmt.Sprintf("PUB own.%d 1", i), "x"}
		},
		"an inbox": func(i int) []string {
			return []string{fmt.Sprintf("SUB _INBOX.%d.* 1", i), fmt.Sprintf("PUB _INBOX.%d.1 1", i), "x"}
		},
		"two that overlap": func(i int) []string {
			return []string{fmt.Sprintf("SUB o.%d.* 1", i), fmt.Sprintf("SUB o.%d.> 2", i), fmt.Sprintf("PUB o.%d.1 1", i), "x"}
		},
		"a common subject": func(int) []string { return []string{"SUB common 1", "PUB common 1", "x"} },
		"a queue":          func(i int) []string { return []string{"SUB q.* g 1", fmt.Sprintf("PUB q.%d 1", i), "x"} },
		"a request":        func(i int) []string { return []string{fmt.Sprintf("PUB service _INBOX.%d.1 1", i), "x"} },
		"a maximum": func(i int) []string {
			return []string{fmt.Sprintf("SUB m.%d 1", i), "UNSUB 1 2", fmt.Sprintf("PUB m.%d 1", i), "x"}
		},
		"no receiver": func(i int) []string { return []string{fmt.Sprintf("PUB none.%d 1", i), "x"} },
	} {
		var live atomic.Int64
		const n = 40
		for i := range n {
			c := dialClient(t, s)
			c.Do(work(i)...)
			live.Add(1)
			runtime.AddCleanup(s.clients.find(c.CID()), func(int) { live.Add(-1) }, 0)
			okay(t, c.Close())
		}
		eventually(t, "one client", func() bool { return s.clients.len() == 1 })
		collections := 0
		if !comesTrue(func() bool {
			s.dropUnused(time.Now())
			runtime.GC()
			collections++
			return live.Load() == 0
		}) {
			t.Fatalf("after %d collections %d of %d clients with %s are still referenced", collections, live.Load(), n, name)
		}
	}
}

// TestEndedClientsAreNotKeptByRoutes has clients receive what comes over a route, and leave.
func TestEndedClientsAreNotKeptByRoutes(t *testing.T) {
	t.Parallel()
	a := startServer(t, func(o *Options) { o.idleTick = 500 * time.Millisecond })
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	meshed(t, a, b)
	pub := dialClient(t, b)
	for name, subscribe := range map[string]func(i int) string{
		"plain": func(int) string { return "SUB foo 1" },
		"queue": func(i int) string { return fmt.Sprintf("SUB foo queue%d 1", i) },
	} {
		var live atomic.Int64
		const n = 20
		var clients []*wire.Client
		for i := range n {
			c := dialClient(t, a)
			c.Do(subscribe(i))
			live.Add(1)
			runtime.AddCleanup(a.clients.find(c.CID()), func(int) { live.Add(-1) }, 0)
			clients = append(clients, c)
		}
		interested(t, b, n)
		pub.Do("PUB foo 1", "x")
		for _, c := range clients {
			if d, err := c.Next(); err != nil || d == nil {
				t.Fatal(d, err)
			}
			okay(t, c.Close())
		}
		if !comesTrue(func() bool {
			a.dropUnused(time.Now())
			runtime.GC()
			return live.Load() == 0
		}) {
			t.Fatalf("%d of %d clients with %s subscriptions are still referenced", live.Load(), n, name)
		}
	}
}

// TestMemoryOfHalfMessagesCounts has a client send most of a message, and leave.
func TestMemoryOfHalfMessagesCounts(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	s := broker(t, func(o *Options) { o.MaxPayload = size })
	c := dialClient(t, s)
	c.Say(fmt.Sprintf("PUB half %d\r\n%s", size, strings.Repeat("x", size-1000)))
	eventually(t, "the message is counted", func() bool { return s.memoryTaken() >= size })
	c.Close()
	eventually(t, "the message is gone", func() bool { return s.io.Unread.Load() == 0 })
	if peak := s.peak.bytes.Load(); peak < size || !s.peak.fell(s.memoryTaken()) {
		t.Errorf("the peak is %d bytes, want %d or more, and that memory is given back", peak, size)
	}
}

// TestThoseWhoDoNotFinishOperationsAreDisconnectedWhereMemoryIsShort has clients that have sent a part of an
// operation, a while ago or just now, and live memory above its share by so much.
func TestThoseWhoDoNotFinishOperationsAreDisconnectedWhereMemoryIsShort(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tt := range []struct {
		name   string
		excess int64
		many   int      // more clients that hold little
		want   []string // closed, without those
		least  int      // of those that are closed
	}{
		{"enough memory", 0, 0, nil, 0},
		{"what one holds is enough", 6 * mb, 0, []string{"much"}, 0},
		{"all that holds some", 50 * mb, 100, []string{"much", "some"}, 0},
		{"queues help, too", 11 * mb, 0, []string{"much", "some", "has a queue"}, 0},
		{"what they hold would not help", 100 * mb, 0, nil, 0},
		{"those who hold little are enough together", 12 * mb, 1000, []string{"much", "some"}, 150},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := NewServer(nil)
			okay(t, err)
			log := newLineLog()
			s.SetLogger(log, false, false)
			s.memory = memoryLimit{limit: 100 * mb, live: func() (int64, uint64) { return 75*mb + tt.excess, 1 }, collect: func() {}}
			clients := make(map[string]*client)
			release := make(chan bool)
			add := func(name string, size int) *client {
				c := onFake(t, s, &fakeLink{
					try:  func(int) (int, error) { return 0, netio.ErrWouldBlock },
					wait: func(int) (int, error) { <-release; return 0, net.ErrClosed },
				})
				c.opts = &ConnectOptions{Name: name}
				if r := s.clients.add(c); r != keepOpen {
					t.Fatalf("not registered: %d", r)
				}
				c.in.Filled(len(c.in.Space(size)))
				s.io.Hold(&c.in)
				if name != "goes on" {
					c.lastIn.Add(-int64(time.Hour))
				}
				clients[name] = c
				return c
			}
			for name, size := range map[string]int{"much": 8 * mb, "some": mb, "little": 10_000, "goes on": 9 * mb} {
				add(name, size)
			}
			for i := range tt.many {
				add(fmt.Sprint("many ", i), 10_000)
			}
			slow := add("has a queue", 0)
			t.Cleanup(func() { close(release); allWritten(t, &slow.out) })
			slow.push(make([]byte, 3*mb))
			s.conns.Add(1)
			s.measureMemory()
			var closed []string
			little := 0
			for name, c := range clients {
				switch {
				case c.reason() != closeSlowMemory:
				case name == "little", strings.HasPrefix(name, "many "):
					little++
				default:
					closed = append(closed, name)
				}
			}
			if little < tt.least || little > 2*tt.least {
				t.Errorf("%d of those who hold little were closed, want at least %d, and as few as possible", little, tt.least)
			}
			if slices.Sort(closed); !slices.Equal(closed, slices.Sorted(slices.Values(tt.want))) {
				t.Fatalf("closed: got %q, want %q", closed, tt.want)
			}
			for _, name := range tt.want { // the one that holds most first
				part := fmt.Sprintf(`GOMEMLIMIT of %d Approached (name %q, `, 100*mb, name)
				holds := "bytes for an operation that it has not finished)"
				if name == "has a queue" {
					holds = "bytes pending for "
				}
				if line := <-log.lines; !strings.Contains(line, part) || !strings.Contains(line, holds) {
					t.Errorf("the log has %q, want %q and how much it holds", line, part)
				}
			}
		})
	}
}

// TestThoseWithLittlePendingAreSpared has queues that are too much together.
func TestThoseWithLittlePendingAreSpared(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, tt := range []struct {
		queues []int // bytes
		limit  int64
		closed int // the first ones
	}{
		{[]int{4 * mb, 4 * mb, 3 * mb, mb}, mb, 3},
		{[]int{mb, mb, mb, mb, mb}, 3 * mb, 2},
		{[]int{2 * mb, mb}, 4 * mb, 0},
	} {
		s, err := NewServer(nil)
		okay(t, err)
		s.SetLogger(newLineLog(), false, false)
		release := make(chan bool)
		var clients []*client
		for _, n := range tt.queues {
			c := onFake(t, s, &fakeLink{
				try:  func(int) (int, error) { return 0, netio.ErrWouldBlock },
				wait: func(int) (int, error) { <-release; return 0, net.ErrClosed },
			})
			c.opts = &defaultConnectOptions
			if r := s.clients.add(c); r != keepOpen {
				t.Fatalf("not registered: %d", r)
			}
			c.push(make([]byte, n))
			clients = append(clients, c)
		}
		s.limitTotal(s.io.Pending.Load(), tt.limit)
		closed := 0
		for i, c := range clients {
			if !c.ended() {
				continue
			}
			if closed++; tt.queues[i] < tt.queues[tt.closed-1] {
				t.Errorf("%v: a queue of %d bytes is closed", tt.queues, tt.queues[i])
			}
		}
		if closed != tt.closed {
			t.Errorf("%v: %d are closed, want %d", tt.queues, closed, tt.closed)
		}
		close(release)
		for _, c := range clients {
			allWritten(t, &c.out)
		}
	}
}

// TestLeftoversGoBeforeConnections has memory short several times in turn, with a leftover that stays.
func TestLeftoversGoBeforeConnections(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	s, err := NewServer(nil)
	okay(t, err)
	s.SetLogger(newLineLog(), false, false)
	var cycles atomic.Uint64
	s.memory = memoryLimit{limit: 100 * mb, live: func() (int64, uint64) { return 80 * mb, cycles.Load() }, collect: func() {}}
	s.io.SetAside.Add(20 * mb)
	var clients []*client
	for range 2 {
		c := onFake(t, s, new(fakeLink))
		c.opts = &defaultConnectOptions
		if r := s.clients.add(c); r != keepOpen {
			t.Fatalf("not registered: %d", r)
		}
		c.in.Filled(len(c.in.Space(10 * mb)))
		s.io.Hold(&c.in)
		c.lastIn.Add(-int64(time.Hour))
		clients = append(clients, c)
	}
	for i, want := range []int{0, 1, 1, 2} {
		dropped := s.leftovers.drops()
		cycles.Add(1)
		s.conns.Add(1)
		s.measureMemory()
		closed := 0
		for _, c := range clients {
			if c.ended() {
				closed++
			}
		}
		if drops := dropped != s.leftovers.drops(); drops != (i%2 == 0) || closed != want {
			t.Errorf("measurement %d: leftovers were given up: %v, %d clients are closed, want %d", i, drops, closed, want)
		}
	}
}

// TestWhoIsMadeToWaitIsNotUnfinished has a client with half an operation, whose reader does not read on: what
// it holds is not held against it while the server makes it wait.
func TestWhoIsMadeToWaitIsNotUnfinished(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	c := onFake(t, s, new(fakeLink))
	c.in.Space(1 << 20)
	s.io.Hold(&c.in)
	c.lastIn.Store(0)
	for _, paused := range []bool{false, true, false} {
		c.paused.Store(paused)
		if held := c.unfinished() > 0; held == paused {
			t.Errorf("paused is %v, and what it holds counts is %v", paused, held)
		}
	}
	c.in.Clear()
	s.io.Hold(&c.in)
	if n := c.unfinished(); n != 0 {
		t.Errorf("it holds %d bytes at the end", n)
	}
}

// TestMemoryIsGivenBackTwice counts collections of garbage: what was freed may still be in use at the first
// look.
func TestMemoryIsGivenBackTwice(t *testing.T) {
	s, err := NewServer(&Options{})
	okay(t, err)
	s.peak.note(1 << 30)
	for look, want := range []bool{true, true, false, false} {
		_, before := heapInUse()
		s.giveBackMemory()
		if _, after := heapInUse(); (after-before >= 2) != want {
			t.Errorf("look %d: %d collections, want two: %v", look+1, after-before, want)
		}
	}
}
