package server

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// closedQueues remembers for 30 to 60 s the queue groups of subscriptions that clients have ended:
// messages for them may be under way from other servers, and go to another member of the group.
// Where many end, only the latest are remembered: what is kept is bounded in bytes, however long
// their names are.
type closedQueues struct {
	mu          sync.Mutex
	recent, old map[uint64]string         // generations: queue group by the hash of the id that routes use
	bytes       int                       // of recent
	rotated     time.Time                 // when recent was made
	leaving     map[uint64]*subscriptions // of clients, by id, that have ended, and are remembered one by one
}

const (
	closedQueueLife = 30 * time.Second
	// maxClosedQueueBytes bounds a generation. Some 50 000 groups with short names take as much.
	maxClosedQueueBytes = 4 << 20
	// closedQueueBytes is what an entry takes besides the name of its group.
	closedQueueBytes = 80
)

// closedQueueSeed is the hash seed of the ids.
var closedQueueSeed = maphash.MakeSeed()

// remember adds a subscription that has ended.
func (c *closedQueues) remember(sub *subscription) {
	id := maphash.Bytes(closedQueueSeed, appendRouteSID(nil, sub))
	group := strings.Clone(sub.queue()) // not the text of the whole subscription
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked()
	c.recent[id] = group
	c.bytes += closedQueueBytes + len(group)
}

// group returns the queue group of a subscription that has ended, by the id that routes use.
func (c *closedQueues) group(id []byte) (name string, known bool) {
	hash := maphash.Bytes(closedQueueSeed, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked()
	if name, known = c.recent[hash]; !known {
		name, known = c.old[hash]
	}
	if !known && len(c.leaving) > 0 {
		return c.leavingLocked(id)
	}
	return name, known
}

// leavingLocked is group for subscriptions of clients that are leaving.
func (c *closedQueues) leavingLocked(id []byte) (name string, known bool) {
	cid, sid, ok := parseQueueID(id)
	if subs := c.leaving[cid]; ok && subs != nil {
		if sub := subs.with(string(sid)); sub != nil && sub.queue() != "" {
			return strings.Clone(sub.queue()), true
		}
	}
	return "", false
}

// beginLeaving remembers all subscriptions of a client that ends, until endLeaving is called. They do not
// change any more.
func (c *closedQueues) beginLeaving(cid uint64, subs *subscriptions) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving == nil {
		c.leaving = map[uint64]*subscriptions{}
	}
	c.leaving[cid] = subs
}

// endLeaving forgets a client of which as much as may be is remembered by remember.
func (c *closedQueues) endLeaving(cid uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.leaving, cid)
}

// rotateLocked starts a new generation after closedQueueLife, or when the recent one is full, and
// drops the oldest.
func (c *closedQueues) rotateLocked() {
	now := time.Now()
	age := now.Sub(c.rotated)
	if age < closedQueueLife && c.recent != nil && c.bytes < maxClosedQueueBytes {
		return
	}
	c.old, c.recent, c.bytes, c.rotated = c.recent, make(map[uint64]string), 0, now
	if age >= 2*closedQueueLife {
		c.old = nil
	}
}
