package faults

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// healIn is how long a full mesh may take after a fault is over.
	healIn = 10 * time.Second
	// memoryLimit is what a broker may occupy at any time, in MiB: pending bytes of a route end
	// at 256 MiB.
	memoryLimit = 700
	// rate is how many messages each publisher sends in a second.
	rate = 2000

	smallMessage = 128
	largeMessage = 8 << 10 // what is not read fills queues
)

// pause is how long a server is stopped or cut off.
func pause() time.Duration {
	if *long {
		return 30 * time.Second
	}
	return 5 * time.Second
}

// load is one publisher and one subscriber on each machine. Every message has the number of its
// publisher and its own.
type load struct {
	t     *testing.T
	lab   *lab
	size  int // of a message, in bytes
	users []*user
	quit  chan struct{}
	done  sync.WaitGroup
	peak  atomic.Int64 // MiB
}

// user is the clients of one machine.
type user struct {
	load        *load
	m           *machine
	nc          *nats.Conn
	disconnects atomic.Int64  // times it was disconnected
	moved       chan struct{} // has a sign when it reconnected
	news        chan struct{} // has a sign when a message came
	mu          sync.Mutex
	last        map[int]uint64 // number of the last message, by publisher
	lastTime    map[int]time.Time
	twice       int // messages that came again or late
	received    int
}

// startLoad boots the machines and connects everybody; messages have size bytes.
func startLoad(t *testing.T, l *lab, size int) *load {
	t.Helper()
	ld := &load{t: t, lab: l, size: size, quit: make(chan struct{})}
	for _, m := range l.machines {
		m.boot()
		t.Cleanup(func() { m.kill(syscall.SIGKILL) })
	}
	t.Cleanup(func() { ld.showLogs() })
	for _, m := range l.machines {
		u := &user{load: ld, m: m, last: map[int]uint64{}, lastTime: map[int]time.Time{},
			news: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
		u.connect()
		ld.users = append(ld.users, u)
	}
	ld.meshed("at the start")
	for _, u := range ld.users {
		ld.done.Go(u.publish) // ends with quit
	}
	ld.done.Go(ld.watch)
	t.Cleanup(func() {
		close(ld.quit)
		ld.done.Wait()
		for _, u := range ld.users {
			u.nc.Close()
		}
	})
	return ld
}

// showLogs shows what the brokers logged, if the test failed.
func (ld *load) showLogs() {
	if !ld.t.Failed() {
		return
	}
	for _, m := range ld.lab.machines {
		text, _ := os.ReadFile(filepath.Join(ld.lab.dir, m.name+".log"))
		lines := strings.Split(string(text), "\n")
		ld.t.Logf("end of the log of %s:\n%s", m.name, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

func (u *user) connect() {
	t := u.load.t
	t.Helper()
	u.nc = dial(t, u.m, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.Timeout(time.Second),
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(30),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { u.disconnects.Add(1) }),
		nats.ReconnectHandler(func(*nats.Conn) { signal(u.moved) }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if _, err := u.nc.Subscribe("load.*", u.take); err != nil {
		t.Fatal(err)
	}
	if err := u.nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// take notes a message, which must be newer than all before from its publisher.
func (u *user) take(m *nats.Msg) {
	from, n := int(m.Data[0]), binary.BigEndian.Uint64(m.Data[1:])
	u.mu.Lock()
	defer u.mu.Unlock()
	if n <= u.last[from] {
		u.twice++
	}
	u.last[from] = n
	u.lastTime[from] = time.Now()
	u.received++
	signal(u.news)
}

// signal leaves a sign in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // one is there
	}
}

// publish sends messages at a steady rate.
func (u *user) publish() {
	data := make([]byte, u.load.size)
	data[0] = byte(u.m.index)
	subject := fmt.Sprintf("load.%d", u.m.index)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := uint64(1); ; {
		select {
		case <-u.load.quit:
			return
		case <-tick.C:
		}
		for range rate / 100 {
			binary.BigEndian.PutUint64(data[1:], n)
			n++
			if u.nc.IsConnected() { // what is buffered meanwhile would come much later
				u.nc.Publish(subject, data)
			}
		}
	}
}

// watch notes how much memory the brokers take.
func (ld *load) watch() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ld.quit:
			return
		case <-tick.C:
		}
		for _, m := range ld.lab.machines {
			if n := int64(m.memory()); n > ld.peak.Load() {
				ld.peak.Store(n)
			}
		}
	}
}

// meshed waits until what a client of each machine publishes reaches a client of each other one. As
// messages go one hop only, that is a full mesh. It uses clients of its own: those of the load may
// have moved.
func (ld *load) meshed(when string) {
	ld.t.Helper()
	start := time.Now()
	probe := fmt.Sprintf("probe.%d", rand.Uint64())
	var conns []*nats.Conn
	defer func() {
		for _, nc := range conns {
			nc.Close()
		}
	}()
	want := len(ld.lab.machines) * len(ld.lab.machines)
	var mu sync.Mutex
	seen, all := map[string]bool{}, make(chan struct{}, 1)
	for i, m := range ld.lab.machines {
		nc := dial(ld.t, m, nats.NoReconnect(), nats.Timeout(time.Second))
		conns = append(conns, nc)
		nc.Subscribe(probe+".*", func(msg *nats.Msg) {
			mu.Lock()
			defer mu.Unlock()
			if seen[fmt.Sprintf("%s to %d", msg.Subject[len(probe)+1:], i)] = true; len(seen) == want {
				signal(all)
			}
		})
		nc.Flush()
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.After(time.Until(start.Add(healIn))); ; {
		for i, nc := range conns {
			nc.Publish(fmt.Sprintf("%s.%d", probe, i), nil)
			nc.FlushTimeout(time.Second)
		}
		select {
		case <-all:
			ld.t.Logf("full mesh %s after %v", when, time.Since(start).Round(time.Millisecond))
			return
		case <-late:
			mu.Lock()
			defer mu.Unlock()
			ld.t.Fatalf("%s: no full mesh in %v: %d of %d pairs: %v", when, healIn, len(seen), want, seen)
		case <-again.C: // there is no event for interest that has reached all
		}
	}
}

// dial connects to a machine. There is no event for an open port, so it tries again and again.
func dial(t *testing.T, m *machine, opts ...nats.Option) *nats.Conn {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.After(healIn); ; {
		nc, err := nats.Connect(m.url(), opts...)
		if err == nil {
			return nc
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("connect to %s: %v", m.name, err)
		}
	}
}

// check looks at what the clients saw. Those of the machines in broken may have been disconnected.
func (ld *load) check(broken ...int) {
	ld.t.Helper()
	hurt := map[int]bool{}
	for _, i := range broken {
		hurt[i] = true
	}
	for i, u := range ld.users {
		u.mu.Lock()
		twice, received := u.twice, u.received
		u.mu.Unlock()
		if twice > 0 {
			ld.t.Errorf("the client of %s got %d of %d messages twice", u.m.name, twice, received)
		}
		if n := u.disconnects.Load(); n > 0 && !hurt[i] {
			ld.t.Errorf("the client of %s, which was healthy, was disconnected %d times", u.m.name, n)
		}
		if !u.nc.IsConnected() {
			ld.t.Errorf("the client of %s is not connected", u.m.name)
		}
	}
	if n := ld.peak.Load(); n > memoryLimit {
		ld.t.Errorf("a broker took %d MiB, want %d at most", n, memoryLimit)
	}
	ld.flows()
	ld.t.Logf("at most %d MiB", ld.peak.Load())
}

// flows waits until every client receives from every publisher.
func (ld *load) flows() {
	ld.t.Helper()
	since := time.Now()
	late := time.After(healIn)
	for _, u := range ld.users {
		for from := range ld.users {
			for !u.hasReceived(from, since) {
				select {
				case <-u.news:
				case <-late:
					ld.t.Fatalf("the client of %s does not receive from that of n%d", u.m.name, from)
				}
			}
		}
	}
}

// hasReceived reports whether a message of a publisher has come since then.
func (u *user) hasReceived(from int, since time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lastTime[from].After(since)
}

// seeded is the configuration of the README: all know the first.
func seeded(l *lab) {
	for _, m := range l.machines {
		m.args = []string{"--routes", "nats://n0:6222"}
	}
}

func TestKilledServerComesBack(t *testing.T) {
	if !isolated(t) {
		return
	}
	l := newLab(t, 3)
	seeded(l)
	ld := startLoad(t, l, smallMessage)
	for _, i := range []int{1, 0} {
		l.machines[i].kill(syscall.SIGKILL)
		u := ld.users[i]
		select {
		case <-u.moved:
		case <-time.After(healIn):
			t.Fatalf("the client of %s did not find another server among %v", u.m.name, u.nc.Servers())
		}
		l.machines[i].boot()
		ld.meshed("after kill -9 of " + l.machines[i].name)
	}
	// Clients that moved to n0 were there when it was killed.
	ld.check(0, 1)
}

func TestStoppedServerGoesOn(t *testing.T) {
	if !isolated(t) {
		return
	}
	l := newLab(t, 3)
	seeded(l)
	ld := startLoad(t, l, largeMessage)
	l.machines[2].signal(syscall.SIGSTOP)
	time.Sleep(pause())
	l.machines[2].signal(syscall.SIGCONT)
	ld.meshed("after SIGSTOP and SIGCONT")
	ld.check(2)
}

func TestCutNetworkHeals(t *testing.T) {
	if !isolated(t) {
		return
	}
	l := newLab(t, 4)
	seeded(l)
	ld := startLoad(t, l, smallMessage)
	for _, m := range l.machines[2:] {
		m.plug(halfB)
	}
	time.Sleep(pause())
	for _, m := range l.machines[2:] {
		m.plug(halfA)
	}
	ld.meshed("after a cut in halves")
	ld.check()
	l.machines[0].plug(halfB)
	time.Sleep(3 * time.Second) // how long the fault lasts, as pause above
	l.machines[0].plug(halfA)
	ld.meshed("after a short cut of the seed")
	ld.check()
}

func TestServerMovesBehindItsName(t *testing.T) {
	if !isolated(t) {
		return
	}
	l := newLab(t, 3)
	seeded(l)
	l.machines[0].args = nil // the seed has no routes: the others must find it
	ld := startLoad(t, l, smallMessage)
	l.machines[0].kill(syscall.SIGKILL)
	l.machines[0].move()
	l.machines[0].boot()
	ld.meshed("after the seed moved")
	ld.check(0)
}

func TestRollingRestartUnderLoad(t *testing.T) {
	if !isolated(t) {
		return
	}
	l := newLab(t, 5)
	seeded(l)
	ld := startLoad(t, l, smallMessage)
	all := []int{0, 1, 2, 3, 4}
	for _, m := range l.machines {
		m.kill(syscall.SIGTERM)
		m.boot()
		ld.meshed("after the restart of " + m.name)
	}
	ld.check(all...)
}
