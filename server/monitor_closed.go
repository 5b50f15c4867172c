package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// closedConns has records of closed client connections, for /connz. Slow consumers have a queue of
// their own, so that the records of a reconnect storm do not replace theirs before an operator has
// seen them.
type closedConns struct {
	reasons [closeCount]atomic.Int64 // clients closed since the start

	mu      sync.Mutex // guards what follows
	max     int        // of all records
	maxSlow int
	other   closedQueue
	slow    closedQueue
}

// closedQueue has the latest records, the oldest first.
type closedQueue struct {
	records   []*closedConn
	bytes     int // of records, without their subscriptions
	listBytes int // of their subscriptions
	bare      int // so many of the oldest records have no subscriptions
}

// closedConn is the record of a closed client connection. It does not change.
type closedConn struct {
	row       connRow
	subs      []subRecord // its subscriptions, in no order; nil if they take too much in all records
	listBytes int         // about what they take
}

const (
	// maxClosedSlow bounds the records of slow consumers; so does half the number of all
	// records.
	maxClosedSlow = 256
	// maxClosedBytes bounds what all records take, without subscriptions. 10 000 usual ones take
	// a tenth. Beyond it the oldest are dropped.
	maxClosedBytes = 32 << 20
	// maxClosedListBytes bounds what the subscriptions in all records take. Beyond it the oldest
	// records have only their number.
	maxClosedListBytes = 16 << 20
)

// size returns about how many bytes the record takes, without its subscriptions.
func (r *closedConn) size() int {
	row := &r.row
	return int(unsafe.Sizeof(*r)) + len(row.host) + len(row.name) + len(row.lang) + len(row.version) + len(row.user) + len(row.out.Subject)
}

// listSize returns about how many bytes the subscriptions of a client take in its record.
func listSize(subs *subscriptions) int {
	return subs.len()*(int(unsafe.Sizeof(subRecord{}))+16) + int(subs.text)
}

// slowConsumerLimits are the settings that limit slow consumers, by the reason to close one that
// exceeds them.
var slowConsumerLimits = map[closeReason]string{
	closeSlowPending:  "max_pending",
	closeSlowDeadline: "write_deadline",
	closeSlowTotal:    "max_pending_total",
	closeSlowMemory:   "memory_limit",
}

// ofSlowConsumer reports whether r is the reason of a slow consumer.
func (r closeReason) ofSlowConsumer() bool { return slowConsumerLimits[r] != "" }

// limit sets the number of records.
func (z *closedConns) limit(n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.max = max(n, 0)
	z.maxSlow = min(maxClosedSlow, z.max/2)
}

// add adds a record. The oldest slow consumer, if there are too many, moves to the other records, of which
// the oldest is dropped if there are too many in all.
func (z *closedConns) add(rec *closedConn) {
	z.reasons[rec.row.reason].Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	q := &z.other
	if rec.row.reason.ofSlowConsumer() {
		q = &z.slow
	}
	q.put(rec)
	if len(z.slow.records) > z.maxSlow {
		z.other.put(z.slow.take())
	}
	if len(z.other.records)+len(z.slow.records) > z.max {
		z.other.take()
	}
	for _, q := range []*closedQueue{&z.other, &z.slow} {
		for len(q.records) > 0 && z.other.bytes+z.slow.bytes > maxClosedBytes {
			q.take()
		}
		for q.listBytes > 0 && z.other.listBytes+z.slow.listBytes > maxClosedListBytes {
			q.dropList()
		}
	}
}

// put adds a record.
func (q *closedQueue) put(rec *closedConn) {
	q.records = append(q.records, rec)
	q.bytes += rec.size()
	q.listBytes += rec.listBytes
}

// take removes and returns the oldest record.
func (q *closedQueue) take() *closedConn {
	rec := q.records[0]
	q.records[0] = nil // the array stays for a while
	q.records = q.records[1:]
	q.bytes -= rec.size()
	q.listBytes -= rec.listBytes
	q.bare = max(q.bare-1, 0)
	return rec
}

// dropList removes the subscriptions of the oldest record that has any.
func (q *closedQueue) dropList() {
	for q.records[q.bare].subs == nil {
		q.bare++
	}
	rec := q.records[q.bare]
	q.listBytes -= rec.listBytes
	q.records[q.bare] = &closedConn{row: rec.row}
	q.bare++
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
