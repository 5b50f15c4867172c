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

// route is a connection to another server. Its methods act on each verb.
type route struct {
	conn
	interest interestQueue // to be sent to the peer

	// Set once, before the reader starts.
	attempt *mesh.Attempt // to dial the peer; nil for an accepted connection
	host    string        // of the peer, without brackets
	port    int
	socket  netio.Link // without compression

	// Set once, when the mesh has registered the connection or let it join.
	pool   *pool // nil if the peer knows nothing of pools
	number int   // in the pool

	// Owned by the reader.
	began        *peerInfo // the INFO of this server that it began with
	inflated     bool      // LINK s2 was read
	inflateRest  bool      // and what was read behind it is to be decompressed
	peerOffersS2 bool      // the peer has said in INFO how it compresses
	used         bool      // messages were sent on it as a member of a pool
	verbose      bool
	claimedID    string          // server id in CONNECT
	infoDue      time.Time       // when it must have sent INFO; zero before that is known
	decisions    access.Cache    // about subjects of received messages
	announced    map[string]bool // by sid: interest that a new carrier has repeated; nil else

	systemCursor *sublist.Cursor[*subscription] // owned by the reader; nil until it sends a message of the system account

	// Guarded by conn.mu.
	remote      *peerInfo // latest INFO of the peer, not changed in place; nil before
	compression routeCompression
	cause       string // why it is closed, for /routez; "" if closeReason says enough
	check       idleCheck

	// Atomic.
	received       atomic.Int64          // when something was received last, a duration since the server started
	headersDropped atomic.Int64          // messages sent without their headers
	pings, pongs   atomic.Int64          // that were sent, and their answers
	marks          atomic.Int64          // LINK mark that were pushed
	followed       atomic.Int64          // the last of them behind which publishers go on elsewhere
	marked         markCount             // LINK mark that were read
	fenced         atomic.Pointer[fence] // up to where a carrier precedes what was sent; nil = nothing
	offersS2       atomic.Bool           // this server offers compression in INFO, or has done so
	offerSent      atomic.Bool           // such an INFO was sent: what is sent now follows it
	inStandby      atomic.Bool           // the reader waits, or has waited, for decided
	leaves         atomic.Int64          // LINK leave that were pushed, at most one: nothing is taken behind it
	waiting        atomic.Bool           // the reader waits for another member of the pool
	systemSent     atomic.Int64          // up to where it has been pushed long answers of the service, as out.Progress counts
	hasSystem      atomic.Bool           // this server and the peer have a system account

	decided    chan struct{} // closed when the mesh has registered the connection or closed it
	decideOnce sync.Once
	stopped    chan struct{} // closed when the reader has delivered everything, at teardown
	handedOver chan struct{} // closed when other members of the pool have what was pending, at teardown
	handedTo   *route        // set before: the member that has it; nil = none
	handedMark int64         // set before: the mark behind it on that; 0 = that is lost, too
	unplaced   []byte        // what no other member has taken of what was pending

	// Guarded by cluster.mu.
	deferredMessages []*flowOther // that it has refused
	defersNone       bool         // no more are kept
}

// Limits of routes that differ from those of clients.
const (
	// routeLine is the smallest limit of a control line before a connection is the route to a
	// server: INFO lists many addresses.
	routeLine = 256 << 10
	// registeredLine is the limit afterwards. Subject, reply and subscription id may each be as
	// long as a whole line of a client of the other server, whose max_control_line is its own: a
	// line that is too long would close the route, and come again with the next one.
	registeredLine = 3*maxName + 1<<10
	// routePayload is the smallest limit of a payload: gnatsd 1.x has no limit for routes.
	routePayload = 64 << 20
	// routePendingShare is max_pending of routes as a multiple of that of clients: a route has
	// the messages of many clients.
	routePendingShare = 4
	// routeInfoTimeout is how long another server may take to send INFO, after the login. It is
	// long: a server that is suspended or overloaded may continue with this connection later.
	routeInfoTimeout = 10 * time.Second
	// routeDeadline is the smallest write_deadline of routes. A peer that is dead is found by its
	// silence before (route_idle.go): until then what a network has held back may still arrive.
	routeDeadline = 10 * time.Second
)

// newRoute prepares a route over nc.
func newRoute(s *Server, nc net.Conn, attempt *mesh.Attempt) *route {
	r := &route{attempt: attempt, decided: make(chan struct{}), stopped: make(chan struct{}), handedOver: make(chan struct{})}
	r.conn.init(s, roleRoute, nc, r)
	r.routeGroup = routeGroupPrefix + strconv.FormatUint(r.id, 10)
	r.noteReceived()
	r.host, r.port = r.conn.peer()
	r.socket = r.link
	r.interest.to = r
	r.interest.replaced = make(chan struct{})
	r.out.SetLimits(routeWriteLimits(s.options()))
	return r
}

// routeFrameLimits returns the framing limits of routes.
func routeFrameLimits(o *Options, registered bool) frameLimits {
	l := frameLimits{role: roleRoute, line: min(max(o.MaxControlLine, routeLine), maxName), payload: o.MaxPayload}
	if registered {
		l.line = registeredLine
	}
	if l.payload >= 0 {
		l.payload = max(l.payload, routePayload)
	}
	return l
}

func (r *route) label() string { return "Router" }

// logCreated logs that the connection has been made.
func (r *route) logCreated() {
	if r.quiet {
		r.debugf("Route connection created (attempt %d)", r.attempt.Failures+1)
		return
	}
	r.noticef("Route connection created")
}

func (r *route) answersEach() bool { return false }

// describePeer returns the id of the peer, and its name if it has one.
func (r *route) describePeer() string {
	info := r.peerInfo()
	switch {
	case info == nil:
		return `route to ""`
	case info.Name == "" || info.Name == info.ID:
		return fmt.Sprintf("route to %q", info.ID)
	}
	return fmt.Sprintf("route to %q, name \"%s\"", info.ID, printable([]byte(info.Name)))
}

// remoteID returns the id of the peer, "" before its INFO.
func (r *route) remoteID() string {
	if info := r.peerInfo(); info != nil {
		return info.ID
	}
	return ""
}

// seconds converts a number of seconds, as settings have it, to a duration.
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
	case verbLink:
		return r.linkLine(o, b)
	case verbConnect:
		return r.connect(o, b)
	case verbPing:
		r.dropStale()
		r.noteAsked()
		r.tracef("<<- [PONG]")
		b.reply(answerPong)
	case verbPong:
		r.dropStale()
		r.pongs.Add(1)
		r.pong()
		r.interest.answered()
		r.adjustLevel()
	case verbErr:
		r.setCause("Route Error " + printable(o.args))
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

// reportDuplicate sends the peer an INFO with Duplicate, if it understands that.
func (r *route) reportDuplicate() {
	if r.peerInfo().extended() {
		r.send((&peerInfo{Info: Info{ID: r.srv.id}, Duplicate: true}).line(false))
	}
}

// peerInfo returns the latest INFO of the peer, nil before it has sent one.
func (r *route) peerInfo() *peerInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remote
}

// takesInfo reports whether the peer treats a second INFO as an update. gnatsd 1.1 does not: it
// closes the connection as a duplicate.
func (r *route) takesInfo() bool {
	info := r.peerInfo()
	return info != nil && info.Proto >= 1
}

// forward sends the peer the INFO of the server at the end of another route.
func (r *route) forward(other *route) {
	about := *other.peerInfo()
	about.CID, about.Lost = 0, false
	about.PoolSize, about.PoolID, about.PoolMember, about.Compression = 0, "", 0, ""
	r.send(about.line(false))
}

// withdraw sends the peer an INFO with Lost: there is no route any more to the server id.
func (r *route) withdraw(id string) {
	r.send((&peerInfo{Info: Info{ID: id}, Lost: true}).line(false))
}

// sub handles SUB: interest of the peer.
func (r *route) sub(o *op, b *batch) closeReason {
	subject, queue, sid := o.subArgs()
	r.noteActive()
	if max(len(queue), len(sid)) > maxName {
		return keepOpen // no subscription can have it
	}
	holder := r.holder()
	s := newSubscription(holder, subject, queue, sid)
	p := r.srv.cluster.policy.Load()
	switch {
	case !r.mayAsk(s):
	case !sublist.ValidSubject(s.subject()):
		b.reply("-ERR '" + wireInvalidSubject + "'\r\n")
		return keepOpen
	case p.permissions.CanExport(s.subject(), s.queue()).Allowed():
		s.filter.Store(p.permissions.ExportFilter(s.subject(), s.queue()))
		if r.announced != nil {
			r.announceAgain(s, holder)
		}
		holder.subscribe(s)
		if r.srv.cluster.policy.Load() != p {
			r.recheck() // a reload may have missed it
		}
	}
	r.ok(b)
	return keepOpen
}

// unsub handles UNSUB: it ends interest of the peer at once or, with a limit, as gnatsd 1.1 sends
// it, after that many messages.
func (r *route) unsub(o *op, b *batch) closeReason {
	r.noteActive()
	holder := r.holder()
	if s := holder.subOf(o.arg[0]); s != nil {
		limit := int64(0)
		if o.argCount == 2 {
			b.flush() // messages that came before count
			limit = unsubLimit(o.arg[1])
		}
		holder.unsubscribeAfter(s, limit)
	}
	r.ok(b)
	return keepOpen
}

// lostHeaders counts n messages that were sent without their headers to a peer that does not
// support headers, such as gnatsd 1.x.
func (r *route) lostHeaders(n int64) {
	if r.headersDropped.Add(n) == n {
		r.noticef("Headers of messages are dropped on the way to server %q, which does not support them", r.remoteID())
	}
	r.srv.counters.lostHeaders.Add(n)
}

// msg handles MSG and HMSG.
func (r *route) msg(o *op, b *batch) closeReason {
	b.inMsgs += int64(o.count)
	b.inBytes += int64(o.count) * int64(o.size)
	subject := o.arg[0]
	if !r.decisions.CanImport(r.srv.cluster.policy.Load().permissions, subject).Allowed() || subject[0] == '$' && access.OfSystem(subject) {
		if !r.mayDeliverSystem(subject, o.arg[1]) {
			b.passBy(o)
			return keepOpen
		}
	}
	b.publishRouted(o, subject, b.add(subject, o.reply(), o))
	return keepOpen
}

// setCause sets the cause that /routez shows when the route has been closed.
func (r *route) setCause(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cause = cause
}

// unregister removes the route from the cluster.
func (r *route) unregister(reason closeReason, _ *subscriptions) {
	r.stopStepTimer()
	r.stopIdleCheck()
	cause := reason.String()
	r.mu.Lock()
	if r.cause != "" {
		cause = r.cause
	}
	r.mu.Unlock()
	r.setDecided()
	r.leavePool(cause)
	left := r.interest.close()
	r.srv.cluster.remove(r, cause)
	r.interest.resend(left) // when another member has taken over
}
