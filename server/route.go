package server

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/mesh"
	"gnatsd/server/internal/netio"
	"gnatsd/sublist"
)

// route is a connection to another server. Its methods say what each verb means
// there. How a route comes to be is the business of cluster.go.
type route struct {
	conn
	interest interestQueue // on its way to the peer

	// Set once, before the reader starts.
	attempt *mesh.Attempt // what was dialed; nil if the peer did
	host    string        // of the peer, without brackets
	port    int

	// Owned by the reader.
	connected bool // a CONNECT was accepted
	verbose   bool
	name      string       // server id that CONNECT gave
	imported  access.Cache // of decisions about messages

	// Guarded by conn.mu.
	remote *peerInfo // latest INFO of the peer, not changed in place; nil before
	why    string    // it ends, if closeReason is not enough
	check  idleCheck

	// Atomic.
	received atomic.Int64 // when something was received last, since the server started
	stripped atomic.Int64 // messages that lost their headers on the way to the peer

	settled chan struct{} // closed when it is known whether this is the route
	settle  sync.Once
}

// Limits of routes that differ from those of clients.
const (
	// routeLine bounds a control line at least: subject, reply and the id of a
	// subscription may each be as long as a client's whole line, and INFO lists
	// many addresses.
	routeLine = 256 << 10
	// routePayload bounds a message at least: the classic broker has no limit
	// here, but no client of it may publish more.
	routePayload = 64 << 20
	// routePendingShare is how much more than a client a route may have pending:
	// it carries the messages of many.
	routePendingShare = 4
	// greetingWait is how long a server that we dialed may take to send INFO: it
	// may be stopped, or have too much to do, and go on with this connection.
	greetingWait = 10 * time.Second
	// routeDeadline is the shortest time without progress of a write.
	routeDeadline = 5 * time.Second
)

// newRoute prepares a route over nc.
func newRoute(s *Server, nc net.Conn, attempt *mesh.Attempt) *route {
	r := &route{attempt: attempt, settled: make(chan struct{})}
	r.conn.init(s, roleRoute, nc, r)
	r.auth = r
	r.routeGroup = routeGroupPrefix + strconv.FormatUint(r.id, 10)
	r.received.Store(int64(time.Since(s.start)))
	r.host, r.port = r.conn.peer()
	r.noteReceived()
	r.interest.to = r
	r.out.SetLimits(routeWriteLimits(s.options()))
	return r
}

func routeWriteLimits(o *Options) *netio.Limits {
	l := newWriteLimits(o)
	l.MaxPending *= routePendingShare
	l.WriteDeadline = max(l.WriteDeadline, routeDeadline)
	return l
}

// routeFrameLimits are the framing limits of routes.
func routeFrameLimits(o *Options) frameLimits {
	l := frameLimits{role: roleRoute, line: max(o.MaxControlLine, routeLine), payload: o.MaxPayload}
	if l.payload >= 0 {
		l.payload = max(l.payload, routePayload)
	}
	return l
}

func (r *route) label() string { return "Router" }

func (r *route) answersEach() bool { return false }

// identity is the id of the server at the other end.
func (r *route) describePeer() string { return fmt.Sprintf("route to %q", r.remoteID()) }

// remoteID is the id of the server at the other end, "" if it is not known.
func (r *route) remoteID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote == nil {
		return ""
	}
	return r.remote.ID
}

// seconds converts what settings and the monitoring pages have as a number.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// do acts on one operation of a route.
func (r *route) do(o *op, b *batch) closeReason {
	switch o.verb {
	case verbMsg, verbHmsg:
		return r.msg(o, b)
	case verbSub:
		return r.sub(o, b)
	case verbUnsub:
		return r.unsub(o, b)
	case verbInfo:
		return r.info(o, b)
	case verbConnect:
		return r.connect(o, b)
	case verbPing:
		r.tracef("<<- [PONG]")
		b.reply(answerPong)
	case verbPong:
		r.pong()
	case verbErr:
		r.fail("Route Error " + string(o.args))
		r.errorf("Route Error %s", printable(o.args))
		return closePeerError
	}
	return keepOpen
}

// ok answers an accepted operation in verbose mode.
func (r *route) ok(b *batch) {
	if r.verbose {
		r.tracef("<<- [OK]")
		b.reply(answerOK)
	}
}

// reportDuplicate sends the peer, if it understands, why this connection ends.
func (r *route) reportDuplicate() {
	if r.peerInfo().extended() {
		r.send((&peerInfo{Info: Info{ID: r.srv.id}, Duplicate: true}).line(false))
	}
}

// peerInfo returns the latest INFO of the peer, nil before there is one.
func (r *route) peerInfo() *peerInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remote
}

// takesInfo reports whether the peer takes a second INFO as an update. 1.1 takes
// it for a duplicate of itself.
func (r *route) takesInfo() bool {
	info := r.peerInfo()
	return info != nil && info.Proto >= 1
}

// forward sends the peer INFO of the server behind another route.
func (r *route) forward(other *route) {
	about := *other.peerInfo()
	about.ClientID, about.Lost = 0, false
	r.send(about.line(false))
}

// withdraw sends the peer that there is no route any more to a server.
func (r *route) withdraw(id string) {
	r.send((&peerInfo{Info: Info{ID: id}, Lost: true}).line(false))
}

// sub takes interest of the peer.
func (r *route) sub(o *op, b *batch) closeReason {
	subject, queue, sid := o.arg[0], []byte(nil), o.arg[o.argCount-1]
	if o.argCount == 3 {
		queue = o.arg[1]
	}
	r.markActive()
	s := newSubscription(&r.conn, subject, queue, sid)
	rules := r.srv.cluster.policy.Load()
	switch {
	case !sublist.ValidSubject(s.subject):
		b.reply("-ERR '" + wireInvalidSubject + "'\r\n")
		return keepOpen
	case rules.permissions.CanExport(s.subject, s.queue).Allowed():
		s.filter.Store(rules.permissions.ExportFilter(s.subject, s.queue))
		r.subscribe(s)
		if r.srv.cluster.policy.Load() != rules {
			r.recheck() // a reload may have missed it
		}
	}
	r.ok(b)
	return keepOpen
}

// unsub withdraws interest of the peer, with a limit (1.1 sends that) once so
// many messages have been forwarded.
func (r *route) unsub(o *op, b *batch) closeReason {
	r.markActive()
	if s := r.subOf(o.arg[0]); s != nil {
		limit := int64(0)
		if o.argCount == 2 {
			limit, _ = strconv.ParseInt(string(o.arg[1]), 10, 64) // no number means now
		}
		r.unsubscribeAfter(s, limit)
	}
	r.ok(b)
	return keepOpen
}

// lostHeaders notes that n messages went to the peer without their headers, which
// 1.x does not know.
func (r *route) lostHeaders(n int64) {
	if r.stripped.Add(n) == n {
		r.noticef("Headers of messages are dropped on the way to server %q, which does not support them", r.remoteID())
	}
	r.srv.counters.lostHeaders.Add(n)
}

// msg delivers messages of the peer.
func (r *route) msg(o *op, b *batch) closeReason {
	b.inMsgs += int64(o.count)
	b.inBytes += int64(o.count) * int64(o.size)
	subject, reply := o.arg[0], []byte(nil)
	if !r.imported.CanImport(r.srv.cluster.policy.Load().permissions, subject).Allowed() {
		return keepOpen
	}
	if o.argCount == verbRows[o.verb].max {
		reply = o.arg[2]
	}
	p := place{at: b.offset(o.payload), line: b.addLine(subject, reply, o), n: uint32(o.count)}
	b.publishRouted(subject, o.arg[1], p)
	return keepOpen
}

// fail remembers, for the operator, why the route ends.
func (r *route) fail(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
}

// leave reports to the cluster that the route has ended.
func (r *route) unregister(reason closeReason, _ map[string]*subscription) {
	r.stopStepTimer()
	r.stopIdleCheck()
	why := reason.String()
	r.mu.Lock()
	if r.why != "" {
		why = r.why
	}
	r.mu.Unlock()
	r.decided()
	r.interest.end()
	r.srv.cluster.remove(r, why)
}
