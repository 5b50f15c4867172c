package server

import (
	"time"

	"gnatsd/server/internal/netio"
)

// This file makes a publisher wait while every connection that receives from it lags (a producer
// stall).

const (
	// stallStep is the longest time a publisher is stalled at a time while there is room for more in what
	// may be pending.
	stallStep = netio.LateAfter
	// maxStall is how long one batch waits at most, unless write_deadline is more: publishers that wait in
	// turn for a slow reader may be many.
	maxStall = 10 * time.Second
	// maxStallTargets bounds how many targets a stalled publisher waits for.
	maxStallTargets = 64
)

// awaitRoom reserves room for what is about to be handed over, at one of its receivers. If all of them lag
// it waits for its turn at one of them: for stallStep while there is room for more in what may be pending,
// else for maxStall, as long as one of them is worth waiting for. Meanwhile those only wait for the
// batch that it holds messages for.
func (b *batch) awaitRoom(receivers []target) (room netio.Room) {
	n := int64(min(b.collected+b.single, b.limit))
	if n == 0 {
		return room // no messages
	}
	room, lag := b.lagging(receivers, n)
	if !b.worthWaiting(lag) {
		return room
	}
	b.from.paused.Store(true)
	defer b.from.paused.Store(false)
	b.narrowTo(receivers)
	b.from.link.EndTurn()
	b.srv.grace.Stall(1)
	defer b.srv.grace.Stall(-1)
	begun, granted := time.Now(), make(chan netio.Room, 1)
	defer b.stopWaiting(begun, lag, granted)
	for _, c := range lag {
		if room, ok := c.out.Admit(n, granted); ok {
			return room
		}
	}
	deadline, ticks := b.srv.options().WriteDeadline, time.NewTicker(stallStep)
	defer ticks.Stop()
	for {
		select {
		case room = <-granted:
			return room
		case <-ticks.C:
		}
		if b.from.ended() || time.Since(begun) >= max(maxStall, deadline) || !b.worthWaiting(lag) {
			return room
		}
	}
}

// worthWaiting reports whether a receiver of those that lag is neither ending nor too slow. A route is
// never too slow: it has messages for many, and without waiting a slow line would soon have more than may
// be pending. One that takes nothing is closed by its write deadline.
func (b *batch) worthWaiting(lag []*conn) (worth bool) {
	for _, c := range lag {
		if slow := c.out.Retry(); !c.ended() && (!slow || c.role == roleRoute) {
			worth = true
		}
	}
	return worth
}

// stopWaiting ends a wait for room that has begun then. What was granted meanwhile is given back.
func (b *batch) stopWaiting(begun time.Time, lag []*conn, granted chan netio.Room) {
	if time.Since(begun) >= stallStep {
		b.srv.counters.stalls.Add(1)
	}
	for _, c := range lag {
		c.out.StopWaiting(granted)
	}
	select {
	case room := <-granted:
		room.Release()
	default:
	}
}

// lagging returns the receivers for which the publisher is stalled if all of them lag, else room for n
// bytes at one that does not. Routes are not stalled, nor is the service of the system account: all users
// would wait for one of them. What a connection leaves that has ended waits only if too much is pending for another leftover.
func (b *batch) lagging(receivers []target, n int64) (room netio.Room, lag []*conn) {
	if _, service := b.from.ops.(*systemConn); service || b.from.role == roleRoute {
		return room, nil
	}
	for i := range receivers {
		c := receivers[i].c
		if b.from.ended() && !c.out.HalfFull() {
			return room, nil
		}
		r, ok := c.out.Admit(n, nil)
		switch {
		case ok:
			return r, nil
		case len(lag) < maxStallTargets:
			lag = append(lag, c)
		}
	}
	return room, lag
}
