package server

import (
	"sync/atomic"
	"time"

	"gnatsd/server/internal/netio"
)

// counters count over all connections since the server started.
type counters struct {
	traffic       [trafficShards]trafficShard
	stalls        atomic.Int64 // times that a publisher was stalled
	slowConsumers atomic.Int64
	slowRoutes    atomic.Int64                    // of slowConsumers
	slowBy        [closeCount]atomic.Int64        // slowConsumers by reason
	dropped       [netio.DropOld + 1]atomic.Int64 // messages for slow consumers, by policy
	lostHeaders   atomic.Int64                    // messages sent to 1.x servers without their headers
	connections   atomic.Uint64                   // of clients, accepted and rejected
	reloads       reloads
}

// reloads counts reloads by outcome.
type reloads struct {
	done, failed atomic.Int64
	lastFailed   atomic.Bool
	last         atomic.Int64           // UnixNano of the end of the last one; 0 = none
	failure      atomic.Pointer[string] // error of the last one that failed
}

// count counts a reload that ended with err.
func (r *reloads) count(err error) {
	r.lastFailed.Store(err != nil)
	r.last.Store(time.Now().UnixNano())
	if err != nil {
		text := err.Error()
		r.failure.Store(&text)
		r.failed.Add(1)
	} else {
		r.done.Add(1)
	}
}

// traffic counts messages and the bytes of their payloads.
type traffic struct{ inMsgs, inBytes, outMsgs, outBytes atomic.Int64 }

// trafficShard counts what the readers of some connections have received and sent on: if all
// readers counted in one place, they would wait for each other's processors.
type trafficShard struct {
	clients, routes traffic      // by the role of the connection from or to which it went
	noReceivers     atomic.Int64 // messages of clients
	_               [64]byte     // no two shards on one cache line
}

const trafficShards = 32

// of returns where reader c counts what comes from connections of a role, or goes to them.
func (n *counters) of(c *conn, r role) *traffic {
	shard := &n.traffic[c.slot%trafficShards]
	if r == roleRoute {
		return &shard.routes
	}
	return &shard.clients
}

// in counts messages that reader c has received.
func (n *counters) in(c *conn, msgs, bytes int64) {
	t := n.of(c, c.role)
	t.inMsgs.Add(msgs)
	t.inBytes.Add(bytes)
}

// out counts messages that reader c sends to a connection of a role.
func (n *counters) out(c *conn, to role, msgs, bytes int64) {
	t := n.of(c, to)
	t.outMsgs.Add(msgs)
	t.outBytes.Add(bytes)
}

// trafficSum is what has been counted.
type trafficSum struct{ inMsgs, inBytes, outMsgs, outBytes int64 }

func (s *trafficSum) add(t *traffic) {
	s.inMsgs += t.inMsgs.Load()
	s.inBytes += t.inBytes.Load()
	s.outMsgs += t.outMsgs.Load()
	s.outBytes += t.outBytes.Load()
}

// sum returns what came from and went to clients, and clients and routes together.
func (n *counters) sum() (clients, all trafficSum) {
	for i := range n.traffic {
		clients.add(&n.traffic[i].clients)
		all.add(&n.traffic[i].clients)
		all.add(&n.traffic[i].routes)
	}
	return clients, all
}

// unheard counts messages that reader c has received from its client, and that no one receives.
func (n *counters) unheard(c *conn, msgs int64) {
	n.traffic[c.slot%trafficShards].noReceivers.Add(msgs)
}

// noReceivers returns how many messages of clients had no receiver.
func (n *counters) noReceivers() (sum int64) {
	for i := range n.traffic {
		sum += n.traffic[i].noReceivers.Load()
	}
	return sum
}

func (n *counters) slow(of role, r closeReason) {
	n.slowConsumers.Add(1)
	if of == roleRoute {
		n.slowRoutes.Add(1)
	}
	n.slowBy[r].Add(1)
}
