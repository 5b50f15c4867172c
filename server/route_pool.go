package server

import (
	"slices"
	"sync/atomic"

	"gnatsd/server/internal/netio"
)

// This file is the pools of routes. Two servers of this kind may have several connections, the
// members of a pool, so that messages between them use several cores and several TCP windows. Which
// connections belong together is decided by package mesh. A server that knows nothing of pools sees
// one connection; between two that do, a single connection is a pool of one.
//
// The subscriptions of the other server belong to the anchor of the pool, a connection without a
// socket, and stay while one member is left. A batch has the anchor as its target; when it is
// flushed, the member is chosen: each publisher gets one when it sends its first message, in turn,
// and stays with it, so its messages remain in order. All interest is sent on one member, the
// carrier.
//
// What is sent on different members has no order by itself. The lines LINK, which only servers of
// this kind exchange, restore it where it matters:
//
//	LINK mark       a place in the stream of this member
//	LINK moved      the same, where a publisher has moved to another member
//	LINK wait m n   read on when n marks have been read on member m, or that has ended
//	LINK gone m     member m is lost: read on when what it has delivered is read
//	LINK leave      nothing follows on this member; the peer leaves it, too
//	LINK joined     the connection is accepted, as the first or as another member
//	LINK s2         what follows is compressed; also without a pool, see route_compression.go
//	LINK sync       all interest follows, on a new carrier
//	LINK synced     that was all: end the interest that was not repeated
//
// A mark follows the interest that is sent, and messages on other members are preceded by a wait
// for it: a message does not arrive before interest that was sent before it. A publisher that moves
// to another member, because one was added or lost, sends a mark on the old one and a wait on the
// new one, or gone. A wait is sent after the mark that it waits for has its place (pushMark), or
// after the last line of the member whose end it waits for, so no circle of them is possible.

// pool is the connections to one server.
type pool struct {
	// Set once.
	k      *cluster
	id     string // chosen by the server that dials
	dialed bool   // this server dials the members
	opener *route // the first member
	anchor conn   // has the subscriptions of the other server

	// Atomic.
	members atomic.Pointer[[]*route] // that messages are sent on, oldest first; the slice never changes
	carrier atomic.Pointer[route]    // that interest is sent on
	placed  atomic.Uint32            // publishers that have been given a member
	ended   atomic.Bool              // all members are lost

	// Set when all members are lost, before dropped is closed.
	subs    subscriptions // that the other server had
	dropped chan struct{}

	// Guarded by cluster.mu.
	byNumber map[int]*route // those whose readers have not ended, joined or not
	open     int            // those that may have something to pass on when they end
}

// openPool makes a route the first member of a pool. The caller holds cluster.mu.
func (k *cluster) openPool(r *route, id string) {
	p := &pool{k: k, id: id, dialed: r.attempt != nil, opener: r, byNumber: map[int]*route{}, dropped: make(chan struct{})}
	p.anchor = conn{
		srv: k.srv, id: r.id, slot: k.srv.slots.take(), role: roleRoute, ops: r, nc: r.nc, start: r.start,
		tracing: r.tracing, routeGroup: r.routeGroup, pool: p, table: k.srv.subs,
	}
	p.anchor.headers.Store(r.headers.Load())
	r.used = true
	p.members.Store(&[]*route{r})
	p.carrier.Store(r)
	p.addLocked(r)
}

// addLocked makes a connection with a number one of the pool, joined or not.
func (p *pool) addLocked(r *route) {
	r.pool = p
	p.byNumber[r.number] = r
	p.open++
}

// release is called when a connection has passed on what it had pending. The subscriptions of the peer go with
// the last one: publishers may hold the pool for long.
func (p *pool) release() {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if p.open--; p.open == 0 {
		p.subs = subscriptions{}
	}
}

// poolOf returns the pool that this server dials with an id, nil if it has ended. The caller holds
// cluster.mu.
func (k *cluster) poolOf(id string) *pool {
	for _, r := range k.active() {
		if p := r.pool; p != nil && p.dialed && p.id == id && !p.ended.Load() {
			return p
		}
	}
	return nil
}

// addMember lets messages be sent on a connection that has joined. It reports false if the pool has
// ended.
func (k *cluster) addMember(r *route) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := r.pool
	if p.ended.Load() {
		return false
	}
	list := append(slices.Clone(*p.members.Load()), r)
	p.members.Store(&list)
	return true
}

// dropMember lets no more messages be sent on a connection that is lost. It returns the members
// that are left.
func (k *cluster) dropMember(r *route) []*route {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := *r.pool.members.Load()
	if i := slices.Index(list, r); i >= 0 {
		list = slices.Delete(slices.Clone(list), i, i+1)
		r.pool.members.Store(&list)
	}
	return list
}

// logMemberLost logs that one of several connections was lost, if there are others.
func (r *route) logMemberLost(cause string, rest int) {
	if !r.used || rest == 0 || r.retired() || r.srv.ended() {
		return
	}
	if r.reason() == closeClient {
		cause = "closed by the other server"
	}
	r.noticef("Connection %d to server %q lost: %s; %d are left", r.number, r.remoteID(), cause, rest)
}

// leave takes a connection whose reader has ended out of its pool. It reports whether that was the
// last one.
func (k *cluster) leave(r *route) (last bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := r.pool
	delete(p.byNumber, r.number)
	return len(*p.members.Load()) == 0 && !p.ended.Swap(true)
}

// numbered returns a connection of the pool by its number, nil if its reader has ended.
func (p *pool) numbered(n int) *route {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.byNumber[n]
}

// holder returns the connection that the subscriptions of the peer belong to.
func (r *route) holder() *conn {
	if r.pool != nil {
		return &r.pool.anchor
	}
	return &r.conn
}

// carrier returns the route that interest for the peer is sent on, the route itself without a pool.
func (r *route) carrier() *route {
	if r.pool != nil {
		return r.pool.carrier.Load()
	}
	return r
}

// siblings returns the connections to the same server that messages are sent on, this one included.
func (r *route) siblings() []*route {
	if r.pool != nil {
		return *r.pool.members.Load()
	}
	return []*route{r}
}

// keepLeftovers makes the only connection of a pool keep what is pushed when its socket has broken, for
// queue members elsewhere. Where there are others publishers see what it refuses, and move to them.
func (p *pool) keepLeftovers() {
	for {
		members := p.members.Load()
		for _, r := range *members {
			r.out.KeepLeftover(len(*members) == 1)
		}
		if p.members.Load() == members {
			return
		}
	}
}

// leavePool is called at teardown. The other members learn that this one is lost, and with the last
// one the interest of the peer ends.
func (r *route) leavePool(cause string) {
	close(r.stopped)
	if r.pool == nil {
		return
	}
	rest := r.srv.cluster.dropMember(r)
	r.pool.keepLeftovers()
	r.logMemberLost(cause, len(rest))
	h := handOver{r: r}
	if !r.retired() {
		for _, o := range rest {
			o.send(goneLine(r.number))
		}
		if r.used && len(rest) > 0 && !r.srv.ended() {
			h.pushPending()
		}
	}
	h.pushDeferred()
	h.end()
	if r.srv.cluster.leave(r) {
		r.pool.subs = r.pool.anchor.dropSubs()
		close(r.pool.dropped)
		r.srv.slots.give(r.pool.anchor.slot)
	}
	r.passUnplaced()
}

// joined makes the connection a member of its pool.
func (r *route) joined() {
	if r.attempt == nil {
		r.send(joinedLine)
	}
	r.stopStepTimer()
	r.interest.beginSync() // before it may become the carrier
	if !r.srv.cluster.addMember(r) {
		r.close(closeDuplicateRoute)
	} else {
		r.used = true
		r.debugf("Connection %d to server %q joined", r.number, r.remoteID())
		r.pool.keepLeftovers()
		for _, o := range r.siblings() {
			o.out.SetLimits(o.writeLimits(r.srv.options()))
		}
		r.startIdleCheck()
		r.measureWay()
		r.renewInfo()
	}
	r.setDecided()
}

// retire lets nothing more be sent on a member of the pool, which is closed when the peer does
// likewise.
func (r *route) retire() {
	r.debugf("Connection %d to server %q leaves", r.number, r.remoteID())
	r.out.Push(&netio.Delivery{Segments: []netio.Segment{{Bytes: []byte(leaveLine)}}, Bytes: len(leaveLine), Last: true, Counter: &r.leaves})
	r.srv.cluster.dropMember(r)
}

// retired reports whether nothing more is sent on the connection because it has left its pool. What
// waits for its end may be sent from then on, and no sooner: all that it carries waits for what was
// sent before.
func (r *route) retired() bool { return r.leaves.Load() > 0 }

// promoted makes the connection the carrier of its pool, whose carrier is lost.
func (r *route) promoted() {
	r.debugf("Connection %d to server %q takes over", r.number, r.remoteID())
	r.srv.cluster.adverts.learn(r, r.peerInfo().ClientConnectURLs)
	r.sendInfo()
	r.send(syncLine)
	go r.interest.sync() // ends when everything is sent, or with the route; Shutdown waits for it
}
