package server

import (
	"gnatsd/server/internal/access"
	"gnatsd/server/internal/netio"
)

// This file is how much may be pending for a connection, and how long a write may take.

// highWater is how many bytes a connection may have pending before it lags, unless a quarter of
// max_pending is less.
const highWater = 1 << 20

// dropPolicies are what write queues do with messages, by what happens to slow consumers.
var dropPolicies = [...]netio.DropPolicy{access.Disconnect: netio.DropNone, access.DropNew: netio.DropNew, access.DropOld: netio.DropOld}

// writeLimits are what a client may have pending, by what happens to slow consumers of its user.
type writeLimits [len(dropPolicies)]*netio.Limits

// highWater returns how many bytes a client may have pending before it lags, and may get of one batch:
// half of max_pending may be pending when a publisher goes on that was stalled.
func (o *Options) highWater() int64 {
	return min(highWater, o.MaxPending/4)
}

// newWriteLimits returns what clients may have pending.
func newWriteLimits(o *Options) *writeLimits {
	var all writeLimits
	for policy, drop := range dropPolicies {
		all[policy] = &netio.Limits{MaxPending: o.MaxPending, HighWater: o.highWater(), WriteDeadline: o.WriteDeadline, Drop: drop}
	}
	return &all
}

// setWriteLimits makes the limits in force those of the connection, which is a client.
func (c *conn) setWriteLimits() {
	for {
		all, u := c.srv.writeLimits.Load(), c.limited.Load()
		lim := all[u.slowConsumer()]
		if drops := lim.Drop != netio.DropNone; drops != (c.out.Limits().Drop != netio.DropNone) {
			netio.LimitUnsent(c.nc, drops)
		}
		c.out.SetLimits(lim)
		if c.srv.writeLimits.Load() == all && c.limited.Load() == u {
			return // else they have changed meanwhile
		}
	}
}

// routeWriteLimits returns the limits of the write queue of routes.
func routeWriteLimits(o *Options) *netio.Limits {
	l := newWriteLimits(o)[access.Disconnect]
	l.MaxPending *= routePendingShare
	l.WriteDeadline = max(l.WriteDeadline, routeDeadline)
	return l
}

// writeLimits returns the limits of the write queue of the route.
func (r *route) writeLimits(o *Options) *netio.Limits {
	l := routeWriteLimits(o)
	if r.pool != nil && len(r.siblings()) > 1 {
		l.WriteDeadline *= routePendingShare // its reader may wait for what is pending on another one
	}
	return l
}
