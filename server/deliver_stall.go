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

// awaitRoom reserves room for what is about to be handed over, at one of its receivers. If all of them lag
// it waits for its turn at one of them, for stallStep while there is room for more in what may be pending.
// Else it waits on, unless none has had a turn for as long as a write may take. Meanwhile those only wait
// for the batch that it holds messages for.
func (b *batch) awaitRoom(receivers []target) (room netio.Room) {
	n := int64(min(b.collected+b.single, b.limit))
	if n == 0 {
		return room // no messages
	}
	room, lag := b.lagging(receivers, n)
	if len(lag) == 0 {
		return room
	}
	b.narrowTo(receivers)
	b.srv.grace.setWaits(&b.long, true)
	defer b.srv.grace.setWaits(&b.long, false)
	granted := make(chan netio.Room, 1)
	defer stopWaiting(lag, granted)
	for _, q := range lag {
		if room, ok := q.Admit(n, granted); ok {
			return room
		}
	}
	ticks := time.NewTicker(stallStep)
	defer ticks.Stop()
	for stalled := stallStep; ; stalled += stallStep {
		select {
		case room = <-granted:
			return room
		case <-ticks.C:
		}
		if stalled == stallStep {
			b.srv.counters.stalls.Add(1)
		}
		deadline := b.srv.options().WriteDeadline
		inTurn := func(q *netio.WriteQueue) bool { return q.HasGranted(deadline) }
		if b.from.ended() || stalled >= deadline && !slices.ContainsFunc(lag, inTurn) {
			return room
		}
		for _, q := range lag {
			if room, ok := q.AdmitLate(n); ok {
				return room
			}
		}
	}
}

// stopWaiting ends a wait for room. What was granted meanwhile is given back.
func stopWaiting(queues []*netio.WriteQueue, granted chan netio.Room) {
	for _, q := range queues {
		q.StopWaiting(granted)
	}
	select {
	case room := <-granted:
		room.Release()
	default:
	}
}

// lagging returns the receivers for which the publisher is stalled if all of them lag, else room for n
// bytes at one that does not. The service of the system account is not stalled for clients, since all
// users would wait for one of them, but for routes, which others need, as far as they lag. Routes are not
// stalled.
func (b *batch) lagging(receivers []target, n int64) (room netio.Room, lag []*netio.WriteQueue) {
	if b.from.role == roleRoute {
		return room, nil
	}
	_, service := b.from.ops.(*systemConn)
	for i := range receivers {
		c := receivers[i].c
		if service && c.role != roleRoute {
			continue
		}
		r, ok := c.out.Admit(n, nil)
		switch {
		case ok && !service:
			return r, nil
		case ok:
			r.Release()
		case len(lag) < maxStallTargets:
			lag = append(lag, &c.out)
		}
	}
	return room, lag
}
