package server

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"

	"gnatsd/server/internal/access"
	"gnatsd/sublist"
)

// subscription is the interest of one connection in a subject. There may be millions of them.
type subscription struct {
	// Set once.
	conn *conn
	text subText

	// Atomic.
	filter    atomic.Pointer[access.Filter] // blocks messages that must not be delivered; nil = none
	delivered atomic.Int64                  // messages since SUB
	limit     atomic.Int64                  // the subscription ends when delivered reaches it; 0 = no limit; with endedBit
}

// nameLength is the size of each of the two lengths at the end of a subscription's text, in bytes,
// and maxName what it can hold: longer queues and sids are refused, whatever max_control_line is.
const (
	nameLength = 3
	maxName    = 1<<(8*nameLength) - 1
)

// endedBit is set in the limit of a subscription that has ended. Messages that a batch has
// collected for it before are delivered.
const endedBit = 1 << 62

func (s *subscription) ended() bool { return s.limit.Load()&endedBit != 0 }

// most returns how many messages the subscription receives at most, also once it has ended; 0 = no
// limit.
func (s *subscription) most() int64 { return s.limit.Load() &^ endedBit }

// subText is the subject, the queue and the sid of a subscription in one allocation, and the lengths of
// the last two.
type subText string

// newSubscription returns a subscription whose queue and sid are no longer than maxName.
func newSubscription(c *conn, subject, queue, sid []byte) *subscription {
	var b strings.Builder
	b.Grow(len(subject) + len(queue) + len(sid) + 2*nameLength)
	b.Write(subject)
	b.Write(queue)
	b.Write(sid)
	for _, name := range [...][]byte{queue, sid} {
		n := len(name)
		b.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	}
	return &subscription{conn: c, text: subText(b.String())}
}

// names returns where the queue and the sid begin in the text, and where the sid ends.
func (t subText) names() (queue, sid, end int) {
	end = len(t) - 2*nameLength
	q, i := t[end:end+nameLength], t[end+nameLength:]
	sid = end - (int(i[0]) | int(i[1])<<8 | int(i[2])<<16)
	return sid - (int(q[0]) | int(q[1])<<8 | int(q[2])<<16), sid, end
}

func (t subText) subject() string {
	queue, _, _ := t.names()
	return string(t[:queue])
}

func (t subText) queue() string {
	queue, sid, _ := t.names()
	return string(t[queue:sid])
}

func (t subText) sid() string {
	_, sid, end := t.names()
	return string(t[sid:end])
}

func (s *subscription) subject() string { return s.text.subject() }
func (s *subscription) queue() string   { return s.text.queue() }
func (s *subscription) sid() string     { return s.text.sid() }

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
	if s.queue() == "" && s.conn.role == roleRoute {
		return s.conn.routeGroup
	}
	return s.queue()
}

func (s *subscription) entry() sublist.Entry[*subscription] {
	return sublist.Entry[*subscription]{Subject: s.subject(), Queue: s.group(), Value: s}
}

// subscriptions are those of one connection, by sid. Most clients number them: a number takes less
// memory than a text.
type subscriptions struct {
	numbered map[uint64]*subscription
	named    map[string]*subscription // whose sid is not the decimal form of a number
	text     int64                    // bytes of their names
}

// numericSID returns the number of which a sid is the decimal form, if there is one.
func numericSID(sid string) (n uint64, ok bool) {
	const maxDigits = 19 // no overflow
	if len(sid) == 0 || len(sid) > maxDigits || sid[0] == '0' && len(sid) > 1 {
		return 0, false
	}
	for i := range len(sid) {
		if sid[i] < '0' || sid[i] > '9' {
			return 0, false
		}
		n = n*10 + uint64(sid[i]-'0')
	}
	return n, true
}

// with returns the subscription with a sid, nil if there is none.
func (t *subscriptions) with(sid string) *subscription {
	if n, ok := numericSID(sid); ok {
		return t.numbered[n]
	}
	return t.named[sid]
}

// add adds a subscription whose sid is not in use.
func (t *subscriptions) add(sub *subscription) {
	t.text += int64(len(sub.text))
	sid := sub.sid()
	if n, ok := numericSID(sid); ok {
		if t.numbered == nil {
			t.numbered = make(map[uint64]*subscription)
		}
		t.numbered[n] = sub
		return
	}
	if t.named == nil {
		t.named = make(map[string]*subscription)
	}
	t.named[sid] = sub
}

// remove removes a subscription that is there.
func (t *subscriptions) remove(sub *subscription) {
	t.text -= int64(len(sub.text))
	if n, ok := numericSID(sub.sid()); ok {
		delete(t.numbered, n)
	} else {
		delete(t.named, sub.sid())
	}
}

func (t *subscriptions) len() int { return len(t.numbered) + len(t.named) }

// all calls yield for every subscription until it returns false. yield may remove it.
func (t *subscriptions) all(yield func(*subscription) bool) {
	for _, sub := range t.numbered {
		if !yield(sub) {
			return
		}
	}
	for _, sub := range t.named {
		if !yield(sub) {
			return
		}
	}
}

// subscribe adds a subscription, unless its sid is in use. It reports whether the user has too many
// instead. The caller has checked the subject.
func (c *conn) subscribe(sub *subscription) (full bool) {
	if sub.queue() != "" && c.role == roleClient {
		c.out.KeepLeftover(true)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.with(sub.sid()) != nil || c.subsDropped {
		return false
	}
	if !c.takeSubLocked() {
		return true
	}
	if err := sub.table().Insert(sub.subject(), sub.group(), sub); err != nil {
		c.giveSubsLocked(1)
		return false
	}
	c.subs.add(sub)
	if c.role == roleClient {
		c.srv.cluster.interestChanged(sub, false)
	}
	return false
}

// unsubscribe ends a subscription at once.
func (c *conn) unsubscribe(sub *subscription) {
	pending := sub.queue() != "" && c.role == roleClient && c.out.Stats().Pending > 0 // perhaps for it
	if c.removeSub(sub, pending) {
		c.traceRemoved(sub)
	}
}

// traceRemoved traces that a subscription has ended.
func (c *conn) traceRemoved(sub *subscription) {
	if c.tracing {
		c.tracef("<-> [DELSUB %s]", sub.sid())
	}
}

// removeSub removes a subscription and, if it is of a queue group and messages for it may be pending,
// remembers it. It reports whether it was there.
func (c *conn) removeSub(sub *subscription, pending bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.with(sub.sid()) != sub {
		return false
	}
	c.removeSubLocked(sub)
	if pending {
		c.srv.cluster.closed.remember(sub)
	}
	return true
}

func (c *conn) removeSubLocked(sub *subscription) {
	c.subs.remove(sub)
	c.giveSubsLocked(1)
	sub.limit.Or(endedBit)
	sub.table().Remove(sub.subject(), sub.group(), sub)
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
		c.limitedf(levelDebug, "Deferring actual UNSUB(%s): %d max, %d received", sub.subject(), limit, n)
	}
}

// expire ends a subscription that has reached its limit. It runs on the goroutine of the publisher.
func (c *conn) expire(sub *subscription) {
	if c.debugging() {
		c.limitedf(levelDebug, "Auto-unsubscribe limit of %d reached for sid '%s'", sub.most(), sub.sid())
	}
	c.unsubscribe(sub)
}

// subOf returns the subscription with a sid, nil if there is none.
func (c *conn) subOf(sid []byte) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs.with(string(sid))
}

// subCount returns the number of subscriptions of the connection.
func (c *conn) subCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs.len()
}

// dropSubs ends all subscriptions and returns them.
func (c *conn) dropSubs() (subs subscriptions) {
	c.mu.Lock()
	c.subsDropped = true
	subs = c.subs
	c.subs = subscriptions{}
	c.giveSubsLocked(subs.len())
	var w *withdrawal
	if c.role == roleClient {
		w = c.srv.cluster.beginWithdrawal(c, &subs)
	}
	c.mu.Unlock()
	if subs.len() == 0 {
		return subs
	}
	batch := make([]sublist.Entry[*subscription], 0, subs.len())
	var system []sublist.Entry[*subscription]
	for sub := range subs.all {
		sub.limit.Or(endedBit)
		if sub.table() == c.srv.subs {
			batch = append(batch, sub.entry())
		} else {
			system = append(system, sub.entry())
		}
	}
	w.finish()
	removeEntries(c.srv.subs, batch)
	if len(system) > 0 {
		removeEntries(c.srv.system.table, system)
	}
	c.srv.cluster.pushInterest()
	return subs
}

// largeGroup is how many members of a queue group, or subscriptions to one subject, are removed before
// fewer are.
const largeGroup = 1 << 10

// removeEntries removes subscriptions that have ended, those of one queue group after each other, which
// takes half the time. The large groups come first: where most members have ended, a message is offered
// to all of them.
func removeEntries(list *sublist.List[*subscription], batch []sublist.Entry[*subscription]) {
	slices.SortFunc(batch, func(a, b sublist.Entry[*subscription]) int {
		return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.Queue, b.Queue))
	})
	small := batch[:0]
	for len(batch) > 0 {
		k := 1
		for k < len(batch) && batch[k].Subject == batch[0].Subject && batch[k].Queue == batch[0].Queue {
			k++
		}
		if k >= largeGroup {
			list.RemoveBatch(batch[:k])
		} else {
			small = append(small, batch[:k]...)
		}
		batch = batch[k:]
	}
	list.RemoveBatch(small)
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
	for sub := range c.subs.all {
		if d := may(sub); !d.Allowed() {
			c.removeSubLocked(sub)
			ended = append(ended, deniedSub{sub, d})
			continue
		}
		sub.filter.Store(filter(sub))
	}
	return ended
}
