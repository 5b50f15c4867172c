package server

import (
	"sync"
	"sync/atomic"
)

// closedConns remembers closed client connections, for /connz. Slow consumers are
// kept apart from the rest, so that a reconnect storm does not push them out of
// memory before an operator has looked.
type closedConns struct {
	reasons [closeCount]atomic.Int64 // clients closed since the start

	mu       sync.Mutex // guards what follows
	rest     ring
	slow     ring
	subjects int // in all records
}

// ring holds the last records; once it is full the oldest goes.
type ring struct {
	max  int
	next int // the oldest, if full
	all  []*closedConn
}

// closedConn is one closed client connection. It is never changed.
type closedConn struct {
	row connRow
	// subs are its subscriptions, sorted; nil if the memory for them was used up.
	subs []SubDetail
}

const (
	// maxClosedSlow is how many slow consumers are kept apart, but half of all records at most.
	maxClosedSlow = 256
	// maxClosedSubjects bounds the subscriptions that all records hold: some
	// 20 MB. Beyond it a record has only their number.
	maxClosedSubjects = 100_000
)

// slowConsumerLimits are the settings whose limit makes a slow consumer, by the
// reason to close it.
var slowConsumerLimits = map[closeReason]string{
	closeSlowPending:  "max_pending",
	closeSlowDeadline: "write_deadline",
	closeSlowTotal:    "max_pending_total",
}

// ofSlowConsumer reports whether r is a reason to close a slow consumer.
func (r closeReason) ofSlowConsumer() bool { return slowConsumerLimits[r] != "" }

// limit sets how many records are kept in all.
func (z *closedConns) limit(most int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	most = max(most, 0)
	z.slow.max = min(maxClosedSlow, most/2)
	z.rest.max = most - z.slow.max
}

// file remembers a client. A slow one that makes room for another joins the rest.
func (z *closedConns) file(rec *closedConn) {
	z.reasons[rec.row.reason].Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.subjects+len(rec.subs) > maxClosedSubjects {
		rec = &closedConn{row: rec.row}
	}
	z.subjects += len(rec.subs)
	if rec.row.reason.ofSlowConsumer() {
		rec = z.slow.put(rec)
	}
	if rec != nil {
		rec = z.rest.put(rec)
	}
	if rec != nil {
		z.subjects -= len(rec.subs)
	}
}

// put adds a record and returns the one that had to go, if any.
func (r *ring) put(rec *closedConn) (gone *closedConn) {
	switch {
	case r.max == 0:
		return rec
	case len(r.all) < r.max:
		r.all = append(r.all, rec)
		return nil
	}
	gone = r.all[r.next]
	r.all[r.next] = rec
	r.next = (r.next + 1) % r.max
	return gone
}

// records returns what is remembered, in no order.
func (z *closedConns) records() []*closedConn {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append(append(make([]*closedConn, 0, len(z.rest.all)+len(z.slow.all)), z.rest.all...), z.slow.all...)
}

// byName returns how many clients were closed, by the name of the reason.
func (z *closedConns) byName() map[string]int64 {
	sums := make(map[string]int64, len(z.reasons))
	for r := closeClient; r < closeCount; r++ {
		sums[r.String()] += z.count(r)
	}
	return sums
}

// count returns how many clients were closed for a reason.
func (z *closedConns) count(r closeReason) int64 { return z.reasons[r].Load() }
