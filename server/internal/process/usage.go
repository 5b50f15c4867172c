package process

import (
	"math"
	"sync"
	"time"
)

// usageWindow is the time over which the share of CPU is measured, 1 s: what `cpu` of /varz
// promises.
const usageWindow = time.Second

// usageLinger is how long the sampler goes on measuring after the last request, 1 min: longer than
// monitors wait between two requests, so that they get the last second and not the average since
// their last one.
const usageLinger = time.Minute

// A usageReading is what the process has used up to a moment.
type usageReading struct {
	at  time.Time
	cpu time.Duration // user and system time of all threads since the process began
	rss int64         // resident memory now, bytes
}

// A UsageSampler measures how much CPU and memory this process uses. While Usage is called a timer
// reads the CPU time once a second; when it was not called for a minute that ends. The first result
// is about the time since the sampler was made, and a result after a pause is about the pause. It
// is safe for concurrent use.
type UsageSampler struct {
	// set once
	read func() (cpu time.Duration, rss int64, err error)

	// guarded by mu
	mu      sync.Mutex
	last    usageReading // the beginning of the window; zero before the first
	percent float64
	called  time.Time // Usage, last
	armed   bool      // the timer is set
}

// NewUsageSampler measures the process from now on.
func NewUsageSampler() *UsageSampler { return startUsageSampler(readUsage) }

// startUsageSampler is NewUsageSampler with readings of the caller's choice. A first reading that
// fails leaves the sampler to begin with the next.
func startUsageSampler(read func() (time.Duration, int64, error)) *UsageSampler {
	s := &UsageSampler{read: read}
	if now, err := s.reading(); err == nil {
		s.last = now
	}
	return s
}

// Usage returns the percentage of one core used over the last second, to one decimal (it exceeds
// 100 when several cores work), and the resident memory in bytes.
func (s *UsageSampler) Usage() (cpuPercent float64, rss int64, err error) {
	now, err := s.reading()
	if err != nil {
		return 0, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called = now.at
	if !s.armed {
		s.advanceLocked(now)
		s.armLocked()
	}
	return s.percent, now.rss, nil
}

// Total returns the CPU time that the process has used since it began, and the resident memory in
// bytes. It does not start measuring.
func (s *UsageSampler) Total() (cpu time.Duration, rss int64, err error) { return s.read() }

// reading is what the process has used so far.
func (s *UsageSampler) reading() (usageReading, error) {
	cpu, rss, err := s.read()
	return usageReading{at: time.Now(), cpu: cpu, rss: rss}, err
}

// tick closes one window and opens the next, unless Usage was not called for long.
func (s *UsageSampler) tick() {
	now, err := s.reading()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	if err != nil {
		return
	}
	s.advanceLocked(now)
	if now.at.Sub(s.called) < usageLinger {
		s.armLocked()
	}
}

// armLocked sets the timer that closes the window.
func (s *UsageSampler) armLocked() {
	s.armed = true
	time.AfterFunc(usageWindow, s.tick)
}

// advanceLocked closes the window at a reading. Readings out of order, from calls at the same time,
// change nothing.
func (s *UsageSampler) advanceLocked(now usageReading) {
	if s.last.at.IsZero() {
		s.last = now
	}
	if now.at.After(s.last.at) {
		s.percent = cpuPercent(s.last, now)
		s.last = now
	}
}

// cpuPercent is the share of one core used between two readings, to one decimal, never negative.
func cpuPercent(from, to usageReading) float64 {
	elapsed := to.at.Sub(from.at)
	if elapsed <= 0 || to.cpu <= from.cpu {
		return 0
	}
	return math.Round(1000*float64(to.cpu-from.cpu)/float64(elapsed)) / 10
}
