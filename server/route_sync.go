package server

import (
	"maps"
	"slices"
)

// This file is the initial sync of a route: all subscriptions that there are when it is made; and what is
// done with that of a peer on a new carrier.

// syncStep is how many subscriptions the initial sync queues before it waits for the peer.
const syncStep = 4096

// beginSync precedes the initial sync, and whatever may be published to the route.
func (q *interestQueue) beginSync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.early = map[*conn]bool{}
	q.clients.Add(1)
}

// endSync is called when the whole initial sync is queued. In a pool a line follows it.
func (q *interestQueue) endSync() {
	q.stopEarly()
	q.earlyAdd.Wait()
	if q.to.pool != nil {
		q.addEndOfSync()
	}
}

// stopEarly lets no more clients have their subscriptions queued early: all are queued.
func (q *interestQueue) stopEarly() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.early = nil
	q.clients.Add(-1)
}

// addEndOfSync queues the end of the initial sync behind everything that is queued.
func (q *interestQueue) addEndOfSync() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.flowLocked(&q.to.conn) // so that there is one
	for _, f := range q.flows {
		f.add(flowItem{other: new(flowOther)})
	}
	q.unsynced = len(q.flows)
}

// sync is the initial sync: it queues all interest of local clients for a new route, and sends it
// at the pace of the peer.
func (q *interestQueue) sync() {
	defer q.to.srv.conns.Done()
	n := 0
	for e := range q.to.srv.allSubs {
		sub := e.Value
		if sub.conn.role != roleClient || q.isEarly(sub.conn) {
			continue
		}
		q.addCurrent(sub)
		if n++; n%syncStep == 0 {
			q.push()
			q.awaitShort()
		}
		if q.to.ended() {
			q.stopEarly()
			return
		}
	}
	q.endSync()
	q.push()
	q.to.debugf("Sent local subscriptions to route")
}

// isEarly reports whether the subscriptions of a client need no initial sync any more.
func (q *interestQueue) isEarly(c *conn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.early[c]
}

// syncEarly queues the subscriptions of a client that publishes to the route during the initial
// sync, once. The reader of the client calls it, or waits for it.
func (q *interestQueue) syncEarly(c *conn) {
	if !q.setEarly(c) {
		return
	}
	c.mu.Lock()
	subs := slices.Collect(c.subs.all)
	c.mu.Unlock()
	for _, sub := range subs {
		q.addCurrent(sub)
	}
	q.earlyAdd.Done()
}

// setEarly reports whether the subscriptions of a client must be queued now, and is not asked
// again.
func (q *interestQueue) setEarly(c *conn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.early == nil || q.early[c] {
		return false
	}
	q.early[c] = true
	q.earlyAdd.Add(1)
	return true
}

// awaitShort waits until another goroutine has sent most of the queue.
func (q *interestQueue) awaitShort() {
	for {
		next := q.next() // first, so that no progress is missed
		if next == nil || q.waiting.Load() <= syncStep {
			return
		}
		<-next // another goroutine is sending the queue, or the reader that queued it is about to
	}
}

// announceAgain notes a subscription that the new carrier of the peer repeats. If its sid stood for
// another one it ends that: the client has used the sid again, and the UNSUB was lost with the
// carrier before.
func (r *route) announceAgain(s *subscription, holder *conn) {
	r.forgetEnded(holder) // first: holder does not have s yet
	r.announced[s.sid()] = true
	if old := holder.subOf([]byte(s.sid())); old != nil && old.text != s.text {
		holder.unsubscribe(old)
	}
}

// forgetEnded forgets what has been repeated and has ended, if that is more than half.
func (r *route) forgetEnded(holder *conn) {
	const free = 1 << 10
	holder.mu.Lock()
	defer holder.mu.Unlock()
	if len(r.announced) > 2*holder.subs.len()+free {
		maps.DeleteFunc(r.announced, func(sid string, _ bool) bool { return holder.subs.with(sid) == nil })
	}
}

// endUnannounced ends the interest of the peer that its new carrier has not repeated.
func (r *route) endUnannounced() {
	known := r.announced
	if known == nil {
		return
	}
	r.announced = nil
	c := r.holder()
	c.mu.Lock()
	defer c.mu.Unlock()
	for sub := range c.subs.all {
		if !known[sub.sid()] {
			c.removeSubLocked(sub)
		}
	}
}
