package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"gnatsd/test/freeport"
)

// overRoute runs a flow with two servers of the broker and a route in between: publishers connect
// to one, subscribers to the other. The server that the round began with has nothing to do.
func overRoute(prepare func() runner) func() runner {
	return func() runner {
		run := prepare()
		return func(r *round) (measures, error) {
			near, far, err := startPair(r.broker.launch)
			if err != nil {
				return nil, err
			}
			defer near.stop()
			defer far.stop()
			pair := *r
			pair.broker, pair.far = near, far
			m, err := run(&pair)
			if err != nil {
				return nil, fmt.Errorf("%w%s%s", err, near.lastWords(), far.lastWords())
			}
			return m, nil
		}
	}
}

// startPair runs two servers of the broker, the second with a route to the first.
func startPair(l launch) (near, far *process, err error) {
	seed, err := routeAddr()
	if err != nil {
		return nil, nil, err
	}
	own, err := routeAddr()
	if err != nil {
		return nil, nil, err
	}
	if near, err = l.with("--cluster", seed).start(); err != nil {
		return nil, nil, err
	}
	if far, err = l.with("--cluster", own, "--routes", seed).start(); err != nil {
		near.stop()
		return nil, nil, err
	}
	return near, far, nil
}

// routeAddr is the URL of a free port for routes.
func routeAddr() (string, error) {
	port, err := freeport.Get()
	if err != nil {
		return "", fmt.Errorf("a port for routes: %w", err)
	}
	return "nats://" + freeport.Loopback(port), nil
}

// interestKnown returns when the broker knows of everything that is subscribed to at the other end
// of its route: when a subscription made after all of that receives something. Without a route
// there is nothing to wait for.
func (r *round) interestKnown() error {
	if r.far == nil {
		return nil
	}
	s := &stream{}
	s.add([]byte("bench.known"), "1", nil)
	s.endChunk()
	sub, err := r.far.dial("subscriber across the route", r.deadline, []byte("SUB bench.known 1\r\n"))
	if err != nil {
		return err
	}
	defer sub.close()
	var received atomic.Bool
	sub.start(&lapChecker{stream: s, control: control{handle: sub.control}}, func(int) { received.Store(true) }, func(error) {})
	pub, err := r.broker.dial("publisher across the route", r.deadline, nil)
	if err != nil {
		return err
	}
	defer pub.close()
	pub.start(&lapChecker{control: control{handle: pub.control}}, nil, func(error) {})
	for poll := time.NewTicker(pollEvery); ; <-poll.C {
		if _, err := pub.conn.Write(s.publish); err != nil {
			return pub.reason(err)
		}
		for _, c := range []*client{pub, sub} {
			if err := c.fence(); err != nil {
				return err
			}
		}
		if received.Load() {
			return nil
		}
	}
}
