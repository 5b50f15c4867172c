package server

import (
	"sync"
	"time"
)

// closedQueues remembers for 30 to 60 s the queue groups of subscriptions that clients have ended:
// messages for them may be under way from other servers, and go to another member of the group.
type closedQueues struct {
	mu          sync.Mutex
	recent, old map[string]string // generations: queue group by the id that routes use
	rotated     time.Time         // when recent was made
}

const (
	closedQueueLife = 30 * time.Second
	maxClosedQueues = 1 << 16 // per generation
)

// remember adds a subscription that has ended.
func (c *closedQueues) remember(sub *subscription) {
	id := string(appendRouteSID(nil, sub))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked()
	if len(c.recent) < maxClosedQueues {
		c.recent[id] = sub.queue()
	}
}

// group returns the queue group of a subscription that has ended, by the id that routes use.
func (c *closedQueues) group(id []byte) (name string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked()
	if name, known = c.recent[string(id)]; !known {
		name, known = c.old[string(id)]
	}
	return name, known
}

// rotateLocked starts a new generation after closedQueueLife, and drops the oldest.
func (c *closedQueues) rotateLocked() {
	now := time.Now()
	age := now.Sub(c.rotated)
	if age < closedQueueLife && c.recent != nil {
		return
	}
	c.old, c.recent, c.rotated = c.recent, make(map[string]string), now
	if age >= 2*closedQueueLife {
		c.old = nil
	}
}
