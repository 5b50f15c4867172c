package server

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/sublist"
)

// route is a connection to another server. Its methods say what each verb means
// there. How a route comes to be is the business of cluster.go.
type route struct {
	conn
	feed feed // interest on its way to the peer

	// Set once, before the reader starts.
	order *dialOrder // what was dialed; nil if the peer did
	host  string     // of the peer, without brackets
	port  int

	// Owned by the reader.
	mustAuth  bool // nothing counts before the peer has shown credentials
	connected bool // a CONNECT was accepted
	verbose   bool
	name      string // server id that CONNECT gave

	// Guarded by conn.mu.
	remote   *peerInfo       // latest INFO of the peer; nil before
	why      string          // it ends, if closeReason does not tell
	admitted bool            // it may stay, as far as credentials go
	shown    *ConnectOptions // what it was admitted for; nil if nothing was asked
	watching *time.Timer
	due      time.Time // of the next tick of watching
	seen     int64     // heard at the last tick
	silent   int       // ticks without anything received

	// Atomic.
	heard    atomic.Int64 // when something was received last, since the server started
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
func newRoute(s *Server, nc net.Conn, order *dialOrder) *route {
	r := &route{order: order, settled: make(chan struct{})}
	r.conn.init(s, roleRoute, nc, r)
	r.heard.Store(int64(time.Since(s.start)))
	r.host, r.port = r.conn.peer()
	r.link = &attentiveLink{link: r.link, start: s.start, heard: &r.heard}
	r.feed.to = r
	r.out.setLimits(routeOutLimits(s.options()))
	return r
}

func routeOutLimits(o *Options) *outLimits {
	l := newOutLimits(o)
	l.max *= routePendingShare
	l.deadline = max(l.deadline, routeDeadline)
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

// attentiveLink notes when something is received.
type attentiveLink struct {
	link
	start time.Time // of the server: the clock of the machine may be set meanwhile
	heard *atomic.Int64
}

func (l *attentiveLink) recv(in *inbuf, limit int) (int, error) {
	n, err := l.link.recv(in, limit)
	if n > 0 {
		l.heard.Store(int64(time.Since(l.start)))
	}
	return n, err
}

// quiet is how long ago something was received.
func (r *route) quiet() time.Duration { return time.Since(r.srv.start) - time.Duration(r.heard.Load()) }

func (r *route) label() string { return "Router" }

// identity is the id of the server at the other end.
func (r *route) identity() string { return fmt.Sprintf("route to %q", r.remoteID()) }

// remoteID is the id of the server at the other end, "" if it is not known.
func (r *route) remoteID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote == nil {
		return ""
	}
	return r.remote.ID
}

// serveRoute runs a route that another server opened.
func (s *Server) serveRoute(nc net.Conn) {
	r := newRoute(s, s.cluster.wrapRoute(nc, ""), nil)
	if !s.cluster.join(r, nil, "") {
		r.abandon()
		return
	}
	if !r.handshake() {
		r.teardown()
		return
	}
	r.noticef("Route connection created")
	r.send(s.cluster.info())
	r.awaitCredentials()
	r.startPing()
	r.serve()
}

// serveDialed runs a route that we opened.
func (s *Server) serveDialed(nc net.Conn, order *dialOrder, addr string) {
	r := newRoute(s, s.cluster.wrapRoute(nc, order.addr), order)
	if !s.cluster.join(r, order, addr) {
		r.abandon()
		return
	}
	if !r.handshake() {
		r.teardown()
		return
	}
	r.send(r.connectLine() + s.cluster.info())
	r.debugf("Route connect msg sent")
	r.noticef("Route connection created")
	r.setLimit(greetingWait, endStale)
	r.startPing()
	r.serve()
}

// seconds converts what settings and the monitoring pages have as a number.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// abandon ends a route that never began.
func (r *route) abandon() {
	r.close(endShutdown)
	r.teardown()
}

// routeConnect is CONNECT as a server sends it.
type routeConnect struct {
	Echo     bool   `json:"echo"`
	Verbose  bool   `json:"verbose"`
	Pedantic bool   `json:"pedantic"`
	User     string `json:"user,omitempty"`
	Pass     string `json:"pass,omitempty"`
	TLS      bool   `json:"tls_required"`
	Name     string `json:"name"`
}

// connectLine returns the CONNECT for what was dialed.
func (r *route) connectLine() string {
	c := routeConnect{Echo: true, User: r.order.user, Pass: r.order.pass, TLS: r.srv.cluster.rules.Load().tls != nil, Name: r.srv.id}
	if o := r.srv.options(); r.order.own {
		c.User, c.Pass = o.Cluster.Username, o.Cluster.Password
	}
	text, err := json.Marshal(&c)
	if err != nil {
		panic("CONNECT cannot be encoded: " + err.Error()) // no field can fail
	}
	return "CONNECT " + string(text) + "\r\n"
}

// do acts on one operation of a route.
func (r *route) do(o *op, st *stage) closeReason {
	if r.mustAuth && o.verb != verbConnect {
		r.errorf("authorization error")
		return endAuthFailure
	}
	switch o.verb {
	case verbMsg, verbHmsg:
		return r.msg(o, st)
	case verbSub:
		return r.sub(o, st)
	case verbUnsub:
		return r.unsub(o, st)
	case verbInfo:
		return r.info(o, st)
	case verbConnect:
		return r.connect(o, st)
	case verbPing:
		r.tracef("<<- [PONG]")
		st.reply(answerPong)
	case verbPong:
		r.pong()
	case verbErr:
		r.fail("Route Error " + string(o.args))
		r.errorf("Route Error %s", printable(o.args))
		return endPeerError
	}
	return goOn
}

// ok answers an accepted operation in verbose mode.
func (r *route) ok(st *stage) {
	if r.verbose {
		r.tracef("<<- [OK]")
		st.reply(answerOK)
	}
}

// connect takes the name and the credentials of a server that dialed us.
func (r *route) connect(o *op, st *stage) closeReason {
	var opts ConnectOptions
	if err := json.Unmarshal(o.args, &opts); err != nil {
		r.errorf("CONNECT: %v", connectError(err))
		return endBadArgs
	}
	if opts.Lang != "" {
		return endWrongPort
	}
	if r.order == nil {
		r.endLimit()
		if end := r.authenticate(&opts); end != goOn {
			return end
		}
	}
	r.connected, r.mustAuth = true, false
	r.locked, r.readLimit = false, readSize
	st.limits = routeFrameLimits(r.srv.options())
	r.verbose, r.name = opts.Verbose, opts.Name
	r.active()
	r.ok(st)
	return goOn
}

// info takes what the peer says of itself, or of others. When a connection may
// be a second one to the same server, it waits here until that is decided.
func (r *route) info(o *op, st *stage) closeReason {
	info := new(peerInfo)
	if err := json.Unmarshal(o.args, info); err != nil {
		r.errorf("INFO: %v", err)
		return endBadArgs
	}
	if info.ID == "" {
		r.errorf("INFO without server_id: '%s'", printable(o.args))
		return endBadArgs
	}
	if r.order != nil && info.ClientID != 0 && r.remoteID() == "" {
		why := fmt.Sprintf("%s is a port for clients, not for routes", r.order.addr)
		r.fail(why)
		r.errorf("Route Error %s", why)
		return endPeerError
	}
	r.active()
	own, before := r.introduced(info)
	if own {
		r.endLimit()
		if info.IP == "" {
			info.IP = routeURL(r.host, info.Port)
		}
	}
	r.srv.cluster.event(func(m *mesh, now time.Time) { m.learned(now, r.id, r.name, info) })
	if !own {
		if before != nil && !before.Export.same(info.Export) {
			r.exportsChanged(before.Export, info.Export)
		}
		return goOn
	}
	st.flush()
	<-r.settled // shutdown, or the mesh within seconds, closes it
	return r.reason()
}

// introduced notes the first INFO by which the peer says who it is, and reports
// whether this is it. Of a later one about itself it notes the permissions, and
// returns what it was before.
func (r *route) introduced(info *peerInfo) (own bool, before *peerInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote == nil {
		if r.name != "" && r.name != info.ID {
			return false, nil
		}
		r.remote = info
		r.headers.Store(info.Headers)
		return true, nil
	}
	if info.ID == r.remote.ID && info.ClientID == 0 && !info.Duplicate { // 1.4 also sends one meant for clients
		was, known := *r.remote, *r.remote // copies: the mesh keeps the first one up to date
		before = &was
		known.Import, known.Export = info.Import, info.Export
		r.remote = &known
	}
	return false, before
}

// decided lets the reader go on, which then finds out what was decided.
func (r *route) decided() { r.settle.Do(func() { close(r.settled) }) }

// registered makes this the route to its peer.
func (r *route) registered() {
	r.debugf("Registering remote route %q", r.remoteID())
	r.mu.Lock()
	peer := r.remote
	if !r.gone && peer.ours() {
		r.due = time.Now().Add(watchTick)
		r.watching = time.AfterFunc(watchTick, r.watch)
	}
	r.mu.Unlock()
	r.srv.cluster.adverts.learn(r, peer.ConnectURLs)
	go r.feed.sendAll() // Shutdown waits for it; it ends when all is sent, or with the route
	r.decided()
}

// tellDuplicate tells the peer, if it understands, why this connection ends.
func (r *route) tellDuplicate() {
	r.mu.Lock()
	peer := r.remote
	r.mu.Unlock()
	if peer != nil && peer.ours() {
		r.send((&peerInfo{Info: Info{ID: r.srv.id}, Duplicate: true}).line(false))
	}
}

// forward tells the peer of a third server.
func (r *route) forward(about *peerInfo) { r.send(about.line(false)) }

// sub takes interest of the peer.
func (r *route) sub(o *op, st *stage) closeReason {
	subject, queue, sid := o.word[0], []byte(nil), o.word[o.words-1]
	if o.words == 3 {
		queue = o.word[1]
	}
	r.active()
	s := newSubscription(&r.conn, subject, queue, sid)
	rules := r.srv.cluster.rules.Load()
	switch {
	case !sublist.ValidSubject(s.subject):
		st.reply("-ERR '" + wireInvalidSubject + "'\r\n")
		return goOn
	case rules.permits.canExport(s.subject, s.queue).allowed():
		s.filter.Store(rules.permits.exportFilter(s.subject, s.queue))
		r.subscribe(s)
		if r.srv.cluster.rules.Load() != rules {
			r.review() // a reload may have missed it
		}
	}
	r.ok(st)
	return goOn
}

// unsub withdraws interest of the peer, with a limit (1.1 sends that) once so
// many messages have been forwarded.
func (r *route) unsub(o *op, st *stage) closeReason {
	r.active()
	if s := r.subOf(o.word[0]); s != nil {
		limit := int64(0)
		if o.words == 2 {
			limit, _ = strconv.ParseInt(string(o.word[1]), 10, 64) // no number means now
		}
		r.unsubscribeAfter(s, limit)
	}
	r.ok(st)
	return goOn
}

// lostHeaders notes that a message went to the peer without its headers, which
// 1.x does not know.
func (r *route) lostHeaders() {
	if r.stripped.Add(1) == 1 {
		r.noticef("Headers of messages are dropped on the way to server %q, which does not support them", r.remoteID())
	}
	r.srv.counters.lostHeaders.Add(1)
}

// msg delivers a message of the peer.
func (r *route) msg(o *op, st *stage) closeReason {
	m := &st.msg
	m.payload = o.payload
	if !o.repeat {
		st.lines += 2
		*m = message{subject: o.word[0], size: o.size, header: o.header, payload: o.payload, line: st.lines}
		if o.words == verbRows[o.verb].max {
			m.reply = o.word[2]
		}
	}
	st.inMsgs++
	st.inBytes += int64(o.size)
	st.publishRouted(m, o.word[1])
	return goOn
}

// fail remembers, for the operator, why the route ends.
func (r *route) fail(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
}

// leave tells the cluster that the route has ended.
func (r *route) leave(reason closeReason, _ map[string]*subscription) {
	r.endLimit()
	r.mu.Lock()
	if r.watching != nil {
		r.watching.Stop()
	}
	why := reason.String()
	if r.why != "" {
		why = r.why
	}
	r.mu.Unlock()
	r.decided()
	r.feed.end()
	r.srv.cluster.leave(r, why)
}

// Between servers of this kind silence is noticed early: a PING goes out after
// a tick in which nothing came, and a route that stays silent for watchLimit
// ticks is given up. A tick that comes late does not count: this server was
// stopped, or has too much to do, and may have had no time to read. Towards 1.x
// there is only the ping timer of clients.
const (
	watchTick  = 2 * time.Second
	watchLimit = 3
)

// watch runs at every tick, on the timer's goroutine.
func (r *route) watch() {
	heard, now := r.heard.Load(), time.Now()
	r.mu.Lock()
	switch {
	case heard != r.seen:
		r.silent, r.seen = 0, heard
	case r.silent == 0 || now.Sub(r.due) < watchTick/2:
		r.silent++
	}
	silent := r.silent
	if !r.gone {
		r.due = now.Add(watchTick)
		r.watching.Reset(watchTick)
	}
	r.mu.Unlock()
	switch {
	case silent > watchLimit:
		r.close(endStale)
	case silent > 0:
		r.tracef("<<- [PING]")
		r.send("PING\r\n")
	}
}
