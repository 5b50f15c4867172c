package server

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// This file measures how long messages stay in the server: from the moment the bytes of a batch
// were read until one of its targets' bytes were taken by that target's socket. Measuring all of
// them would cost two looks at the clock and a few shared counters per batch; so only some batches
// are measured, a few hundred per second at most, and of each only one target.

// latencyBounds are the upper bounds of the histogram's buckets.
var latencyBounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// latencies is a histogram of durations.
type latencies struct {
	buckets [len(latencyBounds) + 1]atomic.Uint64 // the last one has no bound
	sum     atomic.Int64                          // ns
}

func (l *latencies) observe(d time.Duration) {
	i, _ := slices.BinarySearch(latencyBounds[:], d)
	l.buckets[i].Add(1)
	l.sum.Add(int64(d))
}

// read returns how many were observed, their sum, and how many were not longer than each bound, in
// seconds.
func (l *latencies) read() (count uint64, sum time.Duration, upTo map[float64]uint64) {
	upTo = make(map[float64]uint64, len(latencyBounds))
	sum = time.Duration(l.sum.Load())
	for i := range l.buckets {
		count += l.buckets[i].Load()
		if i < len(latencyBounds) {
			upTo[latencyBounds[i].Seconds()] = count
		}
	}
	return count, sum, upTo
}

const (
	// sampleSlow and sampleFast are the times between two samples of one sampler outside of
	// which it changes how many batches it passes over.
	sampleSlow = 100 * time.Millisecond
	sampleFast = 10 * time.Millisecond
	// maxSampleEvery bounds the batches of which one is a sample.
	maxSampleEvery = 1 << 12
)

// sampler chooses the batches that are measured: all of them while there are few, one in many when
// there are many. It counts batches rather than time, so that all batches of a burst have the same
// chance.
type sampler struct {
	every uint32 // one of so many is a sample; 0 before the first
	left  uint32 // to pass over before the next
	last  int64  // UnixNano of the last one
}

// due reports whether the next batch is a sample. It costs one comparison for most of them.
func (s *sampler) due() bool {
	if s.left > 0 {
		s.left--
		return false
	}
	return true
}

// took says that a sample was begun at now (UnixNano).
func (s *sampler) took(now int64) {
	switch since := time.Duration(now - s.last); {
	case since < sampleFast:
		s.every = min(2*s.every, maxSampleEvery)
	case since > sampleSlow:
		s.every /= 2
	}
	s.every = max(s.every, 1)
	s.last = now
	s.left = rand.Uint32N(2*s.every - 1) // every-1 on average
}

// Written notes that bytes read at readAt (UnixNano) were taken by the socket of c.
func (c *conn) Written(readAt int64) {
	of := &c.srv.latency.clients
	if c.role == roleRoute {
		of = &c.srv.latency.routes
	}
	of.observe(max(0, time.Duration(time.Now().UnixNano()-readAt)))
}
