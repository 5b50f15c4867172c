package server

import (
	"slices"
	"sync"
	"sync/atomic"
)

// closedConns has records of closed client connections, for /connz. Slow consumers have a ring of
// their own, so that the records of a reconnect storm do not replace theirs before an operator has
// seen them.
type closedConns struct {
	reasons [closeCount]atomic.Int64 // clients closed since the start

	mu            sync.Mutex // guards what follows
	other         ring
	slow          ring
	subscriptions int // in all records
}

// ring holds the latest records.
type ring struct {
	max     int
	next    int // index of the oldest record, if the ring is full
	records []*closedConn
}

// closedConn is the record of a closed client connection. It does not change.
type closedConn struct {
	row connRow
	// subs are its subscriptions, sorted; nil if there are too many in all records.
	subs []SubDetail
}

const (
	// maxClosedSlow bounds the records of slow consumers; so does half the number of all
	// records.
	maxClosedSlow = 256
	// maxClosedSubscriptions bounds the subscriptions in all records, some 20 MB. Beyond it a
	// record has only their number.
	maxClosedSubscriptions = 100_000
)

// slowConsumerLimits are the settings that limit slow consumers, by the reason to close one that
// exceeds them.
var slowConsumerLimits = map[closeReason]string{
	closeSlowPending:  "max_pending",
	closeSlowDeadline: "write_deadline",
	closeSlowTotal:    "max_pending_total",
}

// ofSlowConsumer reports whether r is the reason of a slow consumer.
func (r closeReason) ofSlowConsumer() bool { return slowConsumerLimits[r] != "" }

// limit sets the number of records.
func (z *closedConns) limit(n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	n = max(n, 0)
	z.slow.max = min(maxClosedSlow, n/2)
	z.other.max = n - z.slow.max
}

// add adds a record. The oldest slow consumer, if its ring is full, moves to the other records.
func (z *closedConns) add(rec *closedConn) {
	z.reasons[rec.row.reason].Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.subscriptions+len(rec.subs) > maxClosedSubscriptions {
		rec = &closedConn{row: rec.row}
	}
	z.subscriptions += len(rec.subs)
	if rec.row.reason.ofSlowConsumer() {
		rec = z.slow.put(rec)
	}
	if rec != nil {
		rec = z.other.put(rec)
	}
	if rec != nil {
		z.subscriptions -= len(rec.subs)
	}
}

// put adds a record and returns the oldest one if there is no room for it, else nil.
func (r *ring) put(rec *closedConn) (dropped *closedConn) {
	switch {
	case r.max == 0:
		return rec
	case len(r.records) < r.max:
		r.records = append(r.records, rec)
		return nil
	}
	dropped = r.records[r.next]
	r.records[r.next] = rec
	r.next = (r.next + 1) % r.max
	return dropped
}

// records returns all records, in no order.
func (z *closedConns) records() []*closedConn {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Concat(z.other.records, z.slow.records)
}

// byName returns how many clients were closed since the start, by the name of the reason.
func (z *closedConns) byName() map[string]int64 {
	sums := make(map[string]int64, len(z.reasons))
	for r := closeClient; r < closeCount; r++ {
		sums[r.String()] += z.count(r)
	}
	return sums
}

// count returns how many clients were closed for a reason since the start.
func (z *closedConns) count(r closeReason) int64 { return z.reasons[r].Load() }
