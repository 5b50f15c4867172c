package main

import "time"

// round is one measurement of one scenario with one fresh broker.
type round struct {
	broker   *process      // under test
	far      *process      // the other end of a route, nil if there is none
	duration time.Duration // of the measured window
	warmUp   time.Duration // before it
	window   int64         // bytes on their way to one subscriber
	deadline time.Time     // of everything
	holding  func() error  // what else is measured while something is held; nil for nothing
}

// whileHolding measures what else is to be measured while something is held.
func (r *round) whileHolding() error {
	if r.holding == nil {
		return nil
	}
	return r.holding()
}

// warmUpShare is the part of the duration that is spent on warming up first: growing buffers and
// heap.
const warmUpShare = 4

// newRound is about to begin now.
func newRound(p *process, s *settings) *round {
	return &round{
		broker: p, duration: s.duration, warmUp: s.duration / warmUpShare, window: s.window,
		deadline: time.Now().Add(s.timeout),
	}
}

// servers are all processes of the broker.
func (r *round) servers() []*process {
	if r.far == nil {
		return []*process{r.broker}
	}
	return []*process{r.broker, r.far}
}

// subscribersAt is where the subscribers of a flow connect; its publishers connect to the broker.
func (r *round) subscribersAt() *process {
	if r.far == nil {
		return r.broker
	}
	return r.far
}

// runner measures once.
type runner func(*round) (measures, error)
