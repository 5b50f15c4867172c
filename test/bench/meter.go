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

// span is a measured window: what the clocks showed when it began.
type span struct {
	broker []*process
	start  time.Time
	server usage // of all of them together
	driver usage
	busy   time.Duration // of the whole machine
	known  bool          // the operating system said
}

// beginSpan reads the clocks. Garbage of the driver is collected first, so that its collector rests
// in the window.
func beginSpan(broker ...*process) span {
	runtime.GC()
	s := span{broker: broker, known: true}
	var err error
	if s.server, err = usageOf(broker); err != nil {
		s.known = false
	}
	if s.driver, err = readUsage(os.Getpid()); err != nil {
		s.known = false
	}
	if s.busy, err = machineBusy(); err != nil {
		s.known = false
	}
	s.start = time.Now()
	return s
}

// end reads the clocks again, and shares out what was used among n messages (or connections, or
// subscriptions).
func (s span) end(n int64) measures {
	elapsed := time.Since(s.start)
	m := measures{throughput: float64(n) / elapsed.Seconds()}
	if !s.known {
		return m
	}
	server, err := usageOf(s.broker)
	if err != nil {
		return m
	}
	driver, err := readUsage(os.Getpid())
	if err != nil {
		return m
	}
	busy, err := machineBusy()
	if err != nil {
		return m
	}
	others := busy - s.busy - (server.cpu - s.server.cpu) - (driver.cpu - s.driver.cpu)
	m[othersCPU] = 100 * max(0, others.Seconds()) / (elapsed.Seconds() * float64(runtime.NumCPU()))
	m[serverCPU] = float64(server.cpu-s.server.cpu) / float64(n)
	m[driverCPU] = float64(driver.cpu-s.driver.cpu) / float64(n)
	m[peakMemory] = float64(server.peak) / (1 << 20)
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
