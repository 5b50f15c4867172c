package server

import (
	"sync"
	"time"
)

// closedQueues remembers, for half a minute to a minute, the groups of queue
// subscriptions that clients have ended: other servers may have sent messages for
// them.
type closedQueues struct {
	mu          sync.Mutex
	recent, old map[string]string // group by the id that routes use
	rotated     time.Time         // when recent began
}

const (
	closedQueueLife = 30 * time.Second
	maxClosedQueues = 1 << 16 // of each generation
)

// remember notes the group of a subscription that has ended.
func (c *closedQueues) remember(sub *subscription) {
	id := string(appendRouteSID(nil, sub))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked()
	if len(c.recent) < maxClosedQueues {
		c.recent[id] = sub.queue
	}
}

// group returns the group of a subscription that has ended.
func (c *closedQueues) group(id []byte) (name string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rotateLocked()
	if name, known = c.recent[string(id)]; !known {
		name, known = c.old[string(id)]
	}
	return name, known
}

// rotateLocked makes a new generation, and forgets one, when their time has come.
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
