package server

import (
	"slices"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/netio"
)

// This file makes a publisher wait while every connection that receives from it lags (a producer
// stall).

const (
	// highWater is how many bytes a connection may have pending before it lags, unless a
	// quarter of max_pending is less.
	highWater = 1 << 20
	// stallStep is the longest time a publisher is stalled at a time.
	stallStep = 100 * time.Millisecond
	// maxStallTargets bounds how many targets a stalled publisher waits for.
	maxStallTargets = 64
)

// writeLimits are what a client may have pending, by what happens to slow consumers of its user.
type writeLimits [access.DropOld + 1]*netio.Limits

// highWater returns how many bytes a client may have pending before it lags, and may get of one batch:
// half of max_pending may be pending when a publisher goes on that was stalled.
func (o *Options) highWater() int64 {
	return min(highWater, o.MaxPending/4)
}

// newWriteLimits returns what clients may have pending.
func newWriteLimits(o *Options) *writeLimits {
	var all writeLimits
	for policy, drop := range map[access.SlowConsumer]netio.DropPolicy{access.Disconnect: netio.DropNone, access.DropNew: netio.DropNew, access.DropOld: netio.DropOld} {
		all[policy] = &netio.Limits{MaxPending: o.MaxPending, HighWater: o.highWater(), WriteDeadline: o.WriteDeadline, Drop: drop}
	}
	return &all
}

// setWriteLimits makes the limits in force those of the connection, which is a client.
func (c *conn) setWriteLimits() {
	for {
		all, u := c.srv.writeLimits.Load(), c.limited.Load()
		c.out.SetLimits(all[u.slowConsumer()])
		if c.srv.writeLimits.Load() == all && c.limited.Load() == u {
			return // else they have changed meanwhile
		}
	}
}

// stallFor returns the targets for which the publisher is stalled, all of which lag; none if it is not.
// The service of the system account is not stalled for clients, since all users would wait for one of
// them, but for routes, which others need, as far as they lag.
func (b *batch) stallFor(x *expansion) (lag []*netio.WriteQueue) {
	if _, service := b.from.ops.(*systemConn); service {
		for i := range b.targets {
			if c := b.targets[i].c; c.role == roleRoute && slices.Contains(x.lag, &c.out) {
				lag = append(lag, &c.out)
			}
		}
		return lag
	}
	if x.reached > 0 && len(x.lag) == x.reached && b.from.role == roleClient {
		return x.lag
	}
	return nil
}

// stall waits until one of the targets, all of which lag, has caught up. Once is enough while there
// is room for what the publisher may send next; when all are so full that it might disconnect them,
// although they read, it waits on, as long as a write may take.
func (b *batch) stall(lagging []*netio.WriteQueue) {
	targets := lagging[:min(len(lagging), maxStallTargets)]
	hasRoom := func(q *netio.WriteQueue) bool { return !q.NearFull() }
	for stalled := time.Duration(0); allLag(targets, make(chan bool, 1)); {
		if stalled == 0 {
			b.srv.counters.stalls.Add(1)
		}
		stalled += stallStep
		if stalled >= b.srv.options().WriteDeadline || b.from.ended() || slices.ContainsFunc(targets, hasRoom) {
			return
		}
	}
}

// allLag waits for stallStep. It reports false as soon as one of the targets does not lag,
// which resume receives.
func allLag(targets []*netio.WriteQueue, resume chan bool) bool {
	for _, q := range targets {
		defer q.StopNotify(resume)
		if !q.NotifyResume(resume) {
			return false
		}
	}
	timer := time.NewTimer(stallStep)
	defer timer.Stop()
	select {
	case <-resume:
		return false
	case <-timer.C:
		return true
	}
}
