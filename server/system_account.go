package server

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"gnatsd/server/internal/system"
	"gnatsd/sublist"
)

// systemAccount is the account in which the server answers requests about itself and publishes its
// events, for the tools of operators. Its users have a routing table of their own, so that none of
// their messages reaches another user, whatever that subscribes to, and none of the others' reaches
// them. Between servers its subscriptions have ids of their own (systemID).
type systemAccount struct {
	// Set once.
	table *sublist.List[*subscription]

	// Atomic.
	running   atomic.Pointer[system.Service] // the service; nil before it runs
	conn      atomic.Pointer[systemConn]     // of the service; nil before it runs
	balancing atomic.Bool                    // clients are being disconnected to spread them over the mesh
	kicks     atomic.Int64                   // connections closed because an operator asked for it

	mu    sync.Mutex // guards what follows
	users map[*client]bool
	past  accountTraffic // of connections that have ended
}

// accountTraffic is what connections have been sent, and what was received from them.
type accountTraffic struct{ sent, received system.Traffic }

// add adds the traffic of a connection.
func (t *accountTraffic) add(c *conn) {
	out := c.out.Stats()
	t.sent.Msgs += out.Messages
	t.sent.Bytes += out.Payload
	t.received.Msgs += c.inMsgs.Load()
	t.received.Bytes += c.inBytes.Load()
}

// ended returns the traffic of connections that have ended.
func (a *systemAccount) ended() accountTraffic {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.past
}

// newSystemAccount returns the system account of the settings, nil if they have none.
func newSystemAccount(o *Options) *systemAccount {
	if o.systemAccount() == "" {
		return nil
	}
	return &systemAccount{table: sublist.New[*subscription](), users: map[*client]bool{}}
}

// service returns the service that runs, nil if there is none.
func (a *systemAccount) service() *system.Service {
	if a == nil {
		return nil
	}
	return a.running.Load()
}

// connected returns the connected users.
func (a *systemAccount) connected() []*client {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.users))
}

// stats returns the numbers on the page /varz, nil without a system account.
func (a *systemAccount) stats() *SystemStats {
	if a == nil {
		return nil
	}
	st := &SystemStats{Users: len(a.connected()), Kicks: a.kicks.Load()}
	if service := a.service(); service != nil {
		st.Dropped = service.Dropped()
	}
	return st
}

// allSubs calls yield for the subscriptions of all accounts until it returns false.
func (s *Server) allSubs(yield func(sublist.Entry[*subscription]) bool) {
	more := true
	s.subs.All(func(e sublist.Entry[*subscription]) bool {
		more = yield(e)
		return more
	})
	if more && s.system != nil {
		s.system.table.All(yield)
	}
}

// table returns the table that the subscription is in.
func (s *subscription) table() *sublist.List[*subscription] {
	if s.conn.role == roleRoute && strings.HasPrefix(s.sid(), systemID) {
		return s.conn.srv.system.table
	}
	return s.conn.table
}

// enterAccount sets the routing table of a client that has logged in. It reports false if the client
// had logged in before to another account: its subscriptions cannot move.
func (c *client) enterAccount() bool {
	system := c.currentIdentity().System
	if system == c.inSystem.Load() {
		return true
	}
	if c.connected || c.srv.system == nil {
		return false
	}
	c.mu.Lock()
	c.table = c.srv.system.table
	c.inSystem.Store(true)
	c.mu.Unlock()
	a := c.srv.system
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users[c] = true
	return true
}

// leaveAccount is called when a client has ended.
func (c *client) leaveAccount() {
	if a := c.srv.system; c.inSystem.Load() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.users, c)
		a.past.add(&c.conn)
	}
}

// mayAsk reports whether the peer may send a subscription: one of the system account only if both
// servers have one.
func (r *route) mayAsk(sub *subscription) bool {
	return r.hasSystem.Load() || !strings.HasPrefix(sub.sid(), systemID)
}

// mayDeliverSystem decides about a message on a subject that ordinary messages may not have, or that
// is not imported.
func (r *route) mayDeliverSystem(subject, sid []byte) bool {
	return r.hasSystem.Load() && bytes.HasPrefix(sid, []byte(systemID)) && r.srv.cluster.policy.Load().permissions.CanImportSystem(subject).Allowed()
}

// publishSystem collects messages of the system account that came over a route: for a queue
// subscription if the id names one, else for every plain local subscription.
func (b *batch) publishSystem(subject, id []byte, p place) {
	r, ok := b.from.ops.(*route)
	if !ok || !r.hasSystem.Load() {
		return
	}
	rest, queued := bytes.CutPrefix(id, []byte(systemQueueID))
	if !queued {
		b.toPlain(r.matchSystem(subject), subject, p)
		return
	}
	cid, sid, ok := parseQueueID(append([]byte(queueID), rest...))
	if !ok {
		r.limitedf(levelError, "Unable to deliver routed queue message: invalid QRSID: %s", later(func() string { return printable(id) }))
		return
	}
	table := b.srv.system.table
	sub := b.srv.queueSubscription(cid, sid, table)
	if own := b.srv.system.conn.Load(); own != nil && own.id == cid {
		sub = own.subOf(sid)
	}
	if sub != nil && sublist.Matches(sub.subject(), string(subject)) {
		p = b.lines[p.line].behind(p, b.offer(sub, subject, p))
	}
	if p.n > 0 {
		b.redeliver(id, subject, p, redelivery{match: r.matchSystem})
	}
}

// dropStale is that of its connection, for both tables.
func (r *route) dropStale() {
	r.conn.dropStale()
	if r.systemCursor != nil {
		r.systemCursor.DropStale()
	}
}

// matchSystem returns the subscriptions of the system account that a subject matches.
func (r *route) matchSystem(subject []byte) *sublist.Result[*subscription] {
	if r.systemCursor == nil {
		r.systemCursor = new(sublist.Cursor[*subscription])
	}
	res := r.systemCursor.Match(r.srv.system.table, subject)
	r.systemCursor.Flush(r.srv.system.table)
	return res
}
