package main

import (
	"os"
	"runtime"
	"time"
)

// usage is what a process has used of the machine so far.
type usage struct {
	cpu  time.Duration // user and system time of all its threads, ended ones included
	rss  int64         // resident memory now, bytes
	peak int64         // resident memory at its highest since the process started, bytes
}

// clocks are what the clocks show at one moment.
type clocks struct {
	at     time.Time
	server usage // of all processes of the broker together
	driver usage
	busy   time.Duration // of the whole machine
}

// readClocks reads all clocks; the error is that the operating system shows the time only.
func readClocks(broker []*process) (c clocks, err error) {
	c.at = time.Now()
	if c.server, err = usageOf(broker); err != nil {
		return c, err
	}
	if c.driver, err = readUsage(os.Getpid()); err != nil {
		return c, err
	}
	c.busy, err = machineBusy()
	return c, err
}

// span is a measured window, which may have pauses.
type span struct {
	broker []*process
	since  clocks // when it began, or was resumed
	known  bool   // the operating system shows more than the time

	elapsed, server, driver, busy time.Duration // used so far, up to the latest pause
	peak                          int64         // memory of the broker, bytes
}

// newSpan is a window that begins with resume. Garbage of the driver is collected first, so that
// its collector rests in the window.
func newSpan(broker ...*process) *span {
	runtime.GC()
	broker[0].launch.profiles.begin(broker)
	return &span{broker: broker, known: true}
}

// beginSpan begins a window.
func beginSpan(broker ...*process) *span {
	s := newSpan(broker...)
	s.resume()
	return s
}

// resume begins a window, or goes on after a pause.
func (s *span) resume() {
	var err error
	s.since, err = readClocks(s.broker)
	s.known = s.known && err == nil
	s.since.at = time.Now() // reading them took a while
}

// pause adds up what was used since the window began, or was resumed.
func (s *span) pause() {
	now, err := readClocks(s.broker)
	s.known = s.known && err == nil
	s.elapsed += now.at.Sub(s.since.at)
	s.server += now.server.cpu - s.since.server.cpu
	s.driver += now.driver.cpu - s.since.driver.cpu
	s.busy += now.busy - s.since.busy
	s.peak = now.server.peak
}

// end ends a window; see share.
func (s *span) end(n int64) measures {
	s.pause()
	return s.share(n)
}

// share shares out what was used up to the latest pause among n messages (or connections, or
// subscriptions).
func (s *span) share(n int64) measures {
	s.broker[0].launch.profiles.end()
	m := measures{throughput: float64(n) / s.elapsed.Seconds()}
	if !s.known {
		return m
	}
	others := s.busy - s.server - s.driver
	m[othersCPU] = 100 * max(0, others.Seconds()) / (s.elapsed.Seconds() * float64(runtime.NumCPU()))
	m[serverCPU] = float64(s.server) / float64(n)
	m[driverCPU] = float64(s.driver) / float64(n)
	m[peakMemory] = float64(s.peak) / (1 << 20)
	return m
}

// usageOf adds up what processes have used.
func usageOf(list []*process) (sum usage, err error) {
	for _, p := range list {
		u, err := readUsage(p.pid())
		if err != nil {
			return sum, err
		}
		sum.cpu += u.cpu
		sum.rss += u.rss
		sum.peak += u.peak
	}
	return sum, nil
}

// Bounds of settledMemory: how often it looks, how many looks must agree, how much they may differ,
// and how long it tries at most.
const (
	settleEvery  = 25 * time.Millisecond
	settleLooks  = 8
	settleSlack  = 32 << 10
	settleAtMost = 3 * time.Second
)

// settledMemory is the resident memory of a process once it no longer moves, or what it is after
// settleAtMost.
func settledMemory(pid int) (int64, error) {
	poll := time.NewTicker(settleEvery)
	defer poll.Stop()
	limit := time.Now().Add(settleAtMost)
	u, err := readUsage(pid)
	for base, same := u.rss, 0; err == nil && same < settleLooks && time.Now().Before(limit); same++ {
		<-poll.C
		u, err = readUsage(pid)
		if max(u.rss-base, base-u.rss) > settleSlack {
			base, same = u.rss, 0
		}
	}
	return u.rss, err
}
