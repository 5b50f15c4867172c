package server

import (
	"sync/atomic"
	"time"
)

// counters are the sums over all connections since the server started.
type counters struct {
	inMsgs, inBytes   atomic.Int64
	outMsgs, outBytes atomic.Int64
	slowConsumers     atomic.Int64
	slowRoutes        atomic.Int64             // of slowConsumers
	slowBy            [closeCount]atomic.Int64 // by reason
	lostHeaders       atomic.Int64             // messages to 1.x servers that had headers
	connections       atomic.Uint64            // accepted, refused ones included
	reloads           reloads
}

// reloads says what became of attempts to reload.
type reloads struct {
	done, failed atomic.Int64
	lastFailed   atomic.Bool
	last         atomic.Int64 // UnixNano of the end of the last one; 0 = there was none
}

// ended notes the end of a reload.
func (r *reloads) ended(err error) {
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
	if msgs > 0 {
		n.outMsgs.Add(msgs)
		n.outBytes.Add(bytes)
	}
}

func (n *counters) slow(of role, r closeReason) {
	n.slowConsumers.Add(1)
	if of == roleRoute {
		n.slowRoutes.Add(1)
	}
	n.slowBy[r].Add(1)
}
