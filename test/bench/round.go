package main

import "time"

// round is one measurement of one scenario with one fresh broker.
type round struct {
	broker   *process
	duration time.Duration // of the measured window
	warmUp   time.Duration // before it
	window   int64         // bytes in flight to one subscriber
	deadline time.Time     // of everything
}

// warmUpShare is the part of the duration that is spent on warming up first: growing buffers and heap.
const warmUpShare = 4

// newRound is about to begin now.
func newRound(p *process, s *settings) *round {
	return &round{
		broker: p, duration: s.duration, warmUp: s.duration / warmUpShare, window: s.window,
		deadline: time.Now().Add(s.timeout),
	}
}

// runner measures once.
type runner func(*round) (measures, error)
