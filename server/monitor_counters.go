package server

import (
	"sync/atomic"
	"time"
)

// counters count over all connections since the server started.
type counters struct {
	inMsgs, inBytes   atomic.Int64
	outMsgs, outBytes atomic.Int64
	slowConsumers     atomic.Int64
	slowRoutes        atomic.Int64             // of slowConsumers
	slowBy            [closeCount]atomic.Int64 // slowConsumers by reason
	lostHeaders       atomic.Int64             // messages sent to 1.x servers without their headers
	connections       atomic.Uint64            // of clients, accepted and rejected
	reloads           reloads
}

// reloads counts reloads by outcome.
type reloads struct {
	done, failed atomic.Int64
	lastFailed   atomic.Bool
	last         atomic.Int64 // UnixNano of the end of the last one; 0 = none
}

// count counts a reload that ended with err.
func (r *reloads) count(err error) {
	r.lastFailed.Store(err != nil)
	r.last.Store(time.Now().UnixNano())
	if err != nil {
		r.failed.Add(1)
	} else {
		r.done.Add(1)
	}
}

func (n *counters) in(msgs, bytes int64) {
	n.inMsgs.Add(msgs)
	n.inBytes.Add(bytes)
}

func (n *counters) out(msgs, bytes int64) {
	n.outMsgs.Add(msgs)
	n.outBytes.Add(bytes)
}

func (n *counters) slow(of role, r closeReason) {
	n.slowConsumers.Add(1)
	if of == roleRoute {
		n.slowRoutes.Add(1)
	}
	n.slowBy[r].Add(1)
}
