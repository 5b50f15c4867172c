package server

import "slices"

// This file withdraws the interest of a client that ends. It may have a million subscriptions, so
// what is done under the lock of the client and those of the interest queues does not depend on
// their number: the flows of the client are set aside. Its reader works on them without a lock, and
// puts back what the peers must be sent.

// withdrawal is the end of the interest of a client.
type withdrawal struct {
	k      *cluster
	c      *conn
	subs   *subscriptions // that it had; they do not change any more
	policy *routePolicy   // when it had them
	flows  []endedFlow
}

// endedFlow is a flow of a client that has ended, and what it had.
type endedFlow struct {
	q     *interestQueue
	flow  *flow
	items []flowItem // the reader of the client owns them
}

// beginWithdrawal sets aside what waits to be sent of a client that has ended, which is nil if there
// is none. The caller holds conn.mu of the client, and calls finish when it has unlocked it.
func (k *cluster) beginWithdrawal(c *conn, subs *subscriptions) *withdrawal {
	routes := k.active()
	if len(routes) == 0 || subs.len() == 0 {
		return nil
	}
	w := &withdrawal{k: k, c: c, subs: subs, policy: k.policy.Load()}
	for _, r := range routes {
		if f, items := r.interest.setAside(c); f != nil {
			w.flows = append(w.flows, endedFlow{&r.interest, f, items})
		}
	}
	k.closed.beginLeaving(c.id, subs)
	return w
}

// finish queues the withdrawal of all subscriptions that peers have been sent, and remembers those of
// queue groups.
func (w *withdrawal) finish() {
	if w == nil {
		return
	}
	defer w.k.closed.endLeaving(w.c.id)
	all, queues := make([]*subscription, 0, w.subs.len()), 0
	for sub := range w.subs.all {
		if !w.policy.announces(sub, true) {
			continue
		}
		all = append(all, sub)
		if sub.queue() != "" && queues < maxRemembered {
			queues++
			w.k.closed.remember(sub)
		}
	}
	for _, e := range w.flows {
		e.q.putBack(e.flow, withoutUnsent(e.items, all))
	}
}

// withoutUnsent removes the subscriptions of a client, which has ended, that the peer does not know from
// its items: each whose first SUB is among them. It adds the withdrawal of those that the peer may know.
func withoutUnsent(items []flowItem, all []*subscription) (left remainder) {
	unsent := map[*subscription]bool{}
	for i := range items {
		if it := &items[i]; it.isSub() && !it.again {
			unsent[it.sub] = true
		}
	}
	left.items = slices.DeleteFunc(items, func(it flowItem) bool {
		if it.sub != nil && unsent[it.sub] {
			left.count(-1, it.sub)
			return true
		}
		return it == flowItem{}
	})
	left.items = slices.Grow(slices.Clip(left.items), 1+fewItems) // the array may be of very many
	known := all
	if len(unsent) > 0 {
		known = make([]*subscription, 0, max(0, len(all)-len(unsent)))
		for _, sub := range all {
			if !unsent[sub] {
				known = append(known, sub)
			}
		}
	}
	for _, sub := range known {
		left.count(1, sub)
	}
	if len(known) > 0 {
		left.items = append(left.items, flowItem{other: &flowOther{removed: known}})
	}
	return left
}

// remainder is what is left of a flow that was set aside.
type remainder struct {
	items []flowItem
	lines int64 // so many more are queued
	bytes int   // of lines
}

func (p *remainder) count(lines int, sub *subscription) {
	p.lines += int64(lines)
	p.bytes += lines * lineSize(sub)
}

// setAside takes what is queued of a client that ends. Until putBack is called its flow has no turn,
// and counts as sending, so that what a closed queue has left includes it. It returns nil if the queue is
// closed, or not for the client.
func (q *interestQueue) setAside(c *conn) (*flow, []flowItem) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || !q.takes(c) {
		return nil, nil
	}
	f := q.flows[c]
	if f == nil {
		f = q.newFlowLocked(c)
		f.resting = true
	}
	items := f.items
	f.clear()
	f.ending = true
	q.waiting.Add(1) // whatever it is that will be withdrawn
	q.senders.Add(1)
	return f, items
}

// putBack gives back a flow that was set aside, with what is left of it before what was queued meanwhile.
func (q *interestQueue) putBack(f *flow, left remainder) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.senders.Done()
	f.items = append(left.items, f.items...)
	f.ending = false
	q.waiting.Add(-1)
	if q.closed {
		return
	}
	q.countLocked(left.lines, left.bytes)
	switch resting := f.resting; {
	case !resting: // it is dealt with at its turn
	case f.len() > 0:
		q.turns = append(q.turns, f)
	default:
		q.forgetLocked(f)
	}
	f.resting = false
	q.progressedLocked()
}
