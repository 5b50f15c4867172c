package server

import (
	"strings"
	"sync/atomic"

	"gnatsd/server/internal/access"
	"gnatsd/sublist"
)

// subscription is the interest of one connection in a subject.
type subscription struct {
	// Set once. The three strings share one allocation.
	conn    *conn
	subject string
	queue   string
	sid     string

	// Atomic.
	filter    atomic.Pointer[access.Filter] // blocks messages that must not be delivered; nil = none
	delivered atomic.Int64                  // messages since SUB
	limit     atomic.Int64                  // the subscription ends when delivered reaches it; 0 = no limit; with endedBit
}

// endedBit is set in the limit of a subscription that has ended. Messages that a batch has
// collected for it before are delivered.
const endedBit = 1 << 62

func (s *subscription) ended() bool { return s.limit.Load()&endedBit != 0 }

func newSubscription(c *conn, subject, queue, sid []byte) *subscription {
	var b strings.Builder
	b.Grow(len(subject) + len(queue) + len(sid))
	b.Write(subject)
	b.Write(queue)
	b.Write(sid)
	s, n, k := b.String(), len(subject), len(subject)+len(queue)
	return &subscription{conn: c, subject: s[:n], queue: s[n:k], sid: s[k:]}
}

// claim counts n messages as delivered, and returns how many of them are within the limit. The call
// that reaches the limit ends the subscription.
func (s *subscription) claim(n int64) int64 {
	total := s.delivered.Add(n)
	limit := s.limit.Load() &^ endedBit
	if limit == 0 || total < limit {
		return n
	}
	before := total - n
	if before < limit { // this call reaches the limit
		s.conn.expire(s)
	}
	return max(0, min(n, limit-before))
}

// group returns the queue group that the subscription has in the list of subscriptions. The plain
// subscriptions of a route are a group, see routeGroupPrefix.
func (s *subscription) group() string {
	if s.queue == "" && s.conn.role == roleRoute {
		return s.conn.routeGroup
	}
	return s.queue
}

func (s *subscription) entry() sublist.Entry[*subscription] {
	return sublist.Entry[*subscription]{Subject: s.subject, Queue: s.group(), Value: s}
}

// subscribe adds a subscription, and reports false if its sid is in use. The caller has checked the
// subject.
func (c *conn) subscribe(sub *subscription) (added bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.subs[sub.sid]; taken || c.subsDropped {
		return false
	}
	if c.subs == nil {
		c.subs = make(map[string]*subscription)
	}
	if err := c.srv.subs.Insert(sub.subject, sub.group(), sub); err != nil {
		return false
	}
	c.subs[sub.sid] = sub
	if c.role == roleClient {
		c.srv.cluster.interestChanged(sub, false)
	}
	return true
}

// unsubscribe ends a subscription at once.
func (c *conn) unsubscribe(sub *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[sub.sid] != sub {
		return
	}
	delete(c.subs, sub.sid)
	sub.limit.Or(endedBit)
	c.srv.subs.Remove(sub.subject, sub.group(), sub)
	if c.role == roleClient {
		c.srv.cluster.interestChanged(sub, true)
	}
}

// unsubscribeAfter ends a subscription when limit messages have been delivered since SUB, or at
// once if they have been already. A limit of 0 or less ends it at once.
func (c *conn) unsubscribeAfter(sub *subscription, limit int64) {
	if limit <= 0 {
		c.unsubscribe(sub)
		return
	}
	if old := sub.limit.Load(); old&endedBit != 0 || !sub.limit.CompareAndSwap(old, limit) {
		return // it has ended meanwhile
	}
	if n := sub.delivered.Load(); n >= limit {
		c.unsubscribe(sub)
	} else if c.debugging() {
		c.debugf("Deferring actual UNSUB(%s): %d max, %d received", sub.subject, limit, n)
	}
}

// expire ends a subscription that has reached its limit. It runs on the goroutine of the publisher.
func (c *conn) expire(sub *subscription) {
	if c.debugging() {
		c.debugf("Auto-unsubscribe limit of %d reached for sid '%s'", sub.limit.Load(), sub.sid)
	}
	c.unsubscribe(sub)
}

// subOf returns the subscription with a sid, nil if there is none.
func (c *conn) subOf(sid []byte) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs[string(sid)]
}

// subCount returns the number of subscriptions of the connection.
func (c *conn) subCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.subs)
}

// dropSubs ends all subscriptions and returns them.
func (c *conn) dropSubs() (subs map[string]*subscription) {
	c.mu.Lock()
	c.subsDropped = true
	subs = c.subs
	c.subs = nil
	if c.role == roleClient {
		c.srv.cluster.interestDropped(subs)
	}
	c.mu.Unlock()
	if len(subs) == 0 {
		return nil
	}
	batch := make([]sublist.Entry[*subscription], 0, len(subs))
	for _, sub := range subs {
		sub.limit.Or(endedBit)
		batch = append(batch, sub.entry())
	}
	c.srv.subs.RemoveBatch(batch)
	c.srv.cluster.pushInterest()
	return subs
}

// deniedSub is a subscription that is no longer allowed, with the decision that denies it.
type deniedSub struct {
	sub      *subscription
	decision access.Decision
}

// recheckSubs ends the subscriptions of a connection that are no longer allowed, and returns them.
// It sets the filters of the others.
func (c *conn) recheckSubs(may func(*subscription) access.Decision, filter func(*subscription) *access.Filter) (ended []deniedSub) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for sid, sub := range c.subs {
		if d := may(sub); !d.Allowed() {
			delete(c.subs, sid)
			sub.limit.Or(endedBit)
			c.srv.subs.Remove(sub.subject, sub.group(), sub)
			if c.role == roleClient {
				c.srv.cluster.interestChanged(sub, true)
			}
			ended = append(ended, deniedSub{sub, d})
			continue
		}
		sub.filter.Store(filter(sub))
	}
	return ended
}
