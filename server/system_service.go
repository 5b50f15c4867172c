package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/system"
	"gnatsd/sublist"
)

// This file connects the service of the system account (package system) with the server.

// systemConn is the connection of the service, in memory. It has a reader and a write queue like
// every connection, but no file descriptor and no login, and is not counted as a client.
//
// Nothing that users do closes it, or makes the service wait: of what it publishes they choose the
// subjects, and how slowly they read. It has frame limits of its own (see conn.frameLimits), is not
// stalled for clients that lag (batch.lagging), and what it does not read soon enough is dropped.
type systemConn struct {
	conn
	peer net.Conn // the service's end
}

// systemFrameLimits are those of the connection of the service, which keeps to max_payload itself. A
// request for an action has the subject and the reply subject of a client in one line.
var systemFrameLimits = frameLimits{role: roleClient, line: registeredLine, payload: -1}

// startSystem starts the service, if there is a system account.
func (s *Server) startSystem() {
	if s.system == nil {
		return
	}
	s.system.running.Store(system.New(&systemView{s}, s.id))
	c := s.newSystemConn()
	go s.runSystem(c) // ends when Shutdown closes the connection and waits for it
}

// newSystemConn opens a connection of the service, with its subscriptions.
func (s *Server) newSystemConn() *systemConn {
	here, there := net.Pipe()
	c := &systemConn{peer: there}
	c.conn.init(s, roleClient, here, c)
	c.table, c.tracing = s.system.table, false
	c.inSystem.Store(true)
	c.headers.Store(true)
	c.out.SetLimits(s.systemWriteLimits())
	for i, sub := range system.Subscriptions(s.id) {
		c.subscribe(newSubscription(&c.conn, []byte(sub.Subject), []byte(sub.Queue), []byte(strconv.Itoa(i))))
	}
	s.system.conn.Store(c)
	s.conns.Add(1)
	return c
}

// systemWriteLimits are what the service may have pending. Those who publish to it wait for one another, and
// what routes have is dropped: requests wait in the service, where those who ask take turns.
func (s *Server) systemWriteLimits() *netio.Limits {
	lim := *s.writeLimits.Load()[access.DropNew]
	lim.Stalls, lim.HighWater = true, lim.HighWater/systemHighWaterShare
	return &lim
}

// systemHighWaterShare is the part of what others may have pending before they lag that the service may.
const systemHighWaterShare = 4

// runSystem runs the service. If its connection is lost there is another one, when the service has
// ended what it was doing: it must not run twice.
func (s *Server) runSystem(c *systemConn) {
	for {
		over := make(chan struct{})
		s.conns.Add(1)
		go func() { // ends with the connection
			defer s.conns.Done()
			defer close(over)
			s.system.running.Load().Run(c.peer)
		}()
		c.serve()
		<-over
		if s.ended() || !s.pause(stallStep) {
			return
		}
		c = s.newSystemConn()
		if s.ended() {
			c.close(closeShutdown) // Shutdown may have missed it
		}
	}
}

// do implements operator: the service publishes.
func (c *systemConn) do(o *op, b *batch) closeReason {
	if o.verb != verbPub && o.verb != verbHpub {
		return keepOpen
	}
	b.inMsgs += int64(o.count)
	b.inBytes += int64(o.count) * int64(o.size)
	subject := o.arg[0]
	b.pin()
	b.publishAll(b.lookUp(subject), subject, b.add(subject, o.reply(), o))
	return keepOpen
}

// ready moves the targets to the front that take what the service has published, and returns these. Routes
// that are near full do not: they would be closed, with what others send over them. What one that is lost
// refuses goes to another one.
func (c *systemConn) ready(b *batch, targets []target) []target {
	n := 0
	for i := range targets {
		t := &targets[i]
		if t.c.role == roleRoute && t.c.out.NearFull() {
			c.srv.system.service().AddDropped(b.messagesOf(t))
			continue
		}
		targets[n], targets[i] = targets[i], targets[n]
		n++
	}
	return targets[:n]
}

// longAnswer is how many bytes of the service others wait for, in their turn, before a route is sent more.
const longAnswer = 32 << 10

// noteSent notes up to where routes have long answers of the service, if the batch may have some.
func (c *systemConn) noteSent(b *batch, targets []target) {
	if b.collected+b.single < longAnswer {
		return
	}
	for i := range targets {
		if r, ok := targets[i].c.ops.(*route); ok {
			pushed, _ := r.out.Progress()
			r.systemSent.Store(pushed)
		}
	}
}

// takesPages reports whether the route may be sent another long answer of the service: it is not near full,
// and its peer has taken most of what the service has sent before.
func (r *route) takesPages() bool {
	pushed, _ := r.out.Progress()
	taken, _ := r.out.Acknowledged()
	left := min(r.systemSent.Load(), pushed) - taken // less is pushed if something was dropped
	return !r.out.HalfFull() && left <= r.out.Limits().HighWater
}

// answersEach implements operator.
func (c *systemConn) answersEach() bool { return false }

// unregister implements operator.
func (c *systemConn) unregister(closeReason, *subscriptions) {
	c.peer.Close()
	a := c.srv.system
	a.mu.Lock()
	defer a.mu.Unlock()
	a.past.add(&c.conn)
	a.conn.CompareAndSwap(c, nil)
}

// describePeer implements operator.
func (c *systemConn) describePeer() string { return "system account" }

// label implements operator.
func (c *systemConn) label() string { return "System" }

// announceState publishes the event, with the subject that of returns, that the state has changed.
func (s *Server) announceState(of func(id string) string) {
	if service := s.system.service(); service != nil {
		service.State(of(s.id))
	}
}

// shutdownNotice is how long Shutdown waits for its event to be sent.
const shutdownNotice = time.Second

// announceShutdown publishes the event that the server shuts down, and ends the service.
func (s *Server) announceShutdown() {
	service := s.system.service()
	if service == nil {
		return
	}
	s.announceState(system.Shutdown)
	service.Flush(shutdownNotice)
	if c := s.system.conn.Load(); c != nil {
		c.close(closeShutdown)
	}
}

// account returns the name of the account that the client is in.
func (c *client) account() string { return c.srv.accountOf(&c.conn) }

// accountOf returns the name of the account that the connection of a client is in.
func (s *Server) accountOf(c *conn) string {
	if c.inSystem.Load() {
		return s.options().systemAccount()
	}
	return s.options().userAccount()
}

// described returns a row as events show it.
func (r *connRow) described(account string) system.ClientInfo {
	return system.ClientInfo{
		Start: r.start.UTC(), Host: r.host, ID: r.cid, Account: account, User: r.user,
		Name: r.name, Lang: r.lang, Version: r.version, RTT: r.rtt,
	}
}

// announceConnected publishes the event that the client has logged in.
func (c *client) announceConnected() {
	if service := c.srv.system.service(); service != nil {
		account := c.account()
		service.Connected(account, func() system.ClientInfo { return c.row().described(account) })
	}
}

// announceDisconnected publishes the event that the client is gone, or could not log in.
func (c *client) announceDisconnected(r closeReason) {
	service := c.srv.system.service()
	if service == nil {
		return
	}
	account := "$G" // it is in none
	departure := func() system.Departure { return c.departure(account, r) }
	if c.connected {
		account = c.account()
		service.Disconnected(account, departure)
	}
	if r == closeAuthFailure || r == closeAuthTimeout {
		service.Refused(departure)
	}
}

// departure returns what events say about a client that is gone.
func (c *client) departure(account string, r closeReason) system.Departure {
	row := c.lastRow()
	return system.Departure{
		Client: row.described(account), Reason: eventReason(r),
		Sent: system.Traffic{Msgs: row.inMsgs, Bytes: row.inBytes}, Received: system.Traffic{Msgs: row.out.Messages, Bytes: row.out.Payload},
	}
}

// eventReason returns a reason as events have it, which is that of nats-server.
func eventReason(r closeReason) string {
	if r == closeClient {
		return "Client Closed"
	}
	return r.String()
}

// systemView is the server as its service sees it.
type systemView struct{ s *Server }

// Identify implements system.Broker.
func (v *systemView) Identify() system.ServerInfo {
	info := v.s.info.Load().info
	return system.ServerInfo{Name: v.s.Name(), Host: info.Host, ID: v.s.id, Cluster: info.Cluster, Version: Version}
}

// MaxPayload implements system.Broker.
func (v *systemView) MaxPayload() int {
	if limit := v.s.options().MaxPayload; limit >= 0 {
		return limit
	}
	return maxSize
}

// RoutesNearFull implements system.Broker.
func (v *systemView) RoutesNearFull() bool {
	return slices.ContainsFunc(v.s.cluster.active(), func(r *route) bool {
		return !r.retired() && !r.ended() && r.out.HalfFull() && !r.out.Retry()
	})
}

// NearFull implements system.Broker.
func (v *systemView) NearFull(subject string) bool {
	full := func(r *route) bool { return !r.retired() && !r.ended() && !r.takesPages() }
	return slices.ContainsFunc(v.receivers(subject), func(sub *subscription) bool {
		r, ok := sub.conn.ops.(*route)
		return ok && slices.ContainsFunc(r.siblings(), full)
	})
}

// receivers returns subscriptions that a subject of the system account matches, maxReceivers of clients
// and of each route and queue group at most.
func (v *systemView) receivers(subject string) (list []*subscription) {
	res := v.s.system.table.Match([]byte(subject))
	for _, set := range res.Plain[:min(len(res.Plain), maxReceivers)] {
		list = append(list, set.Values[0]) // the others have the same subject
	}
	for _, g := range res.Queues() {
		for i := range min(g.Len(), maxReceivers) {
			list = append(list, g.At(i))
		}
	}
	return list
}

// maxReceivers is more than those who ask have for one reply subject.
const maxReceivers = 16

// Reader implements system.Broker. Clients of other servers are in the sid of the subscription.
func (v *systemView) Reader(reply string) string {
	var sub *subscription
	for _, s := range v.receivers(reply) {
		if sub == nil || len(s.subject()) > len(sub.subject()) {
			sub = s
		}
	}
	if sub == nil {
		return ""
	}
	reader := strconv.FormatUint(sub.conn.id, 10)
	if sid := sub.sid(); strings.HasPrefix(sid, systemID) {
		cid, _, _ := strings.Cut(strings.TrimLeft(sid[len(systemID):], "q"), ":")
		reader += " " + cid
	}
	return reader
}

// Wanted implements system.Broker.
func (v *systemView) Wanted(subject string) bool {
	return !v.s.system.table.Match([]byte(subject)).Empty()
}

// Stats implements system.Broker.
func (v *systemView) Stats() *system.Stats {
	z, _ := v.s.Varz(nil) // never fails
	clients, _ := v.s.counters.sum()
	st := &system.Stats{
		Start: z.Start, Mem: z.Mem, Cores: z.Cores, CPU: z.CPU, GoMaxProcs: z.GoMaxProcs,
		Connections: z.Connections, TotalConnections: z.TotalConnections, Subscriptions: z.Subscriptions + uint32(v.s.system.table.Count()),
		Sent: system.Traffic{Msgs: z.OutMsgs, Bytes: z.OutBytes}, Received: system.Traffic{Msgs: z.InMsgs, Bytes: z.InBytes},
		SentToClients:       system.Traffic{Msgs: clients.outMsgs, Bytes: clients.outBytes},
		ReceivedFromClients: system.Traffic{Msgs: clients.inMsgs, Bytes: clients.inBytes},
		SlowConsumers:       z.SlowConsumers, ActiveServers: z.Remotes + 1,
	}
	for _, a := range v.Accounts() {
		if a.Conns > 0 {
			st.ActiveAccounts++
		}
	}
	routes, _ := v.s.routeInfos(&RoutezOptions{})
	for _, r := range routes {
		st.Routes = append(st.Routes, system.RouteStats{
			ID: r.Rid, Name: r.RemoteName, Pending: r.Pending,
			Sent: system.Traffic{Msgs: r.OutMsgs, Bytes: r.OutBytes}, Received: system.Traffic{Msgs: r.InMsgs, Bytes: r.InBytes},
		})
	}
	return st
}

// Accounts implements system.Broker: the system account, then that of all others. What is counted
// together is taken apart by the connections of the system account.
func (v *systemView) Accounts() []system.AccountStats {
	s := v.s
	clients, _ := s.counters.sum()
	ownName := s.options().systemAccount()
	own := system.AccountStats{Account: ownName, Name: ownName, Subscriptions: uint32(s.system.table.Count())}
	var conns []*conn
	for _, c := range s.system.connected() {
		conns = append(conns, &c.conn)
	}
	own.Conns = len(conns)
	if c := s.system.conn.Load(); c != nil { // not a client, but counted with them
		conns = append(conns, &c.conn)
	}
	traffic := s.system.ended()
	for _, c := range conns {
		traffic.add(c)
	}
	own.Sent.Traffic, own.Received.Traffic = traffic.sent, traffic.received
	name := s.options().userAccount()
	users := system.AccountStats{
		Account: name, Name: name, Conns: max(0, s.clients.len()-own.Conns), Subscriptions: uint32(s.subs.Count()),
		SlowConsumers: max(0, s.counters.slowConsumers.Load()-s.counters.slowRoutes.Load()),
	}
	users.Sent.Traffic = system.Traffic{Msgs: max(0, clients.outMsgs-own.Sent.Msgs), Bytes: max(0, clients.outBytes-own.Sent.Bytes)}
	users.Received.Traffic = system.Traffic{Msgs: max(0, clients.inMsgs-own.Received.Msgs), Bytes: max(0, clients.inBytes-own.Received.Bytes)}
	own.TotalConns, users.TotalConns = own.Conns, users.Conns
	return []system.AccountStats{own, users}
}

// Subscribers implements system.Broker. Subscriptions of other servers count.
func (v *systemView) Subscribers(subject, queue string) (n int, err error) {
	if !sublist.ValidLiteral(subject) {
		return 0, fmt.Errorf("want the subject of a message, and possibly a queue group behind it")
	}
	res := v.s.tableOf("", subject).Match([]byte(subject))
	if queue == "" {
		n = res.Count()
	}
	for _, g := range res.Queues() {
		if g.Name == queue || queue == "" {
			n += g.Len()
		}
	}
	return n, nil
}

// pageOptions are the parameters of pages as requests have them.
type pageOptions struct {
	Sort                SortOpt   `json:"sort"`
	Username            bool      `json:"auth"`
	Subscriptions       bool      `json:"subscriptions"`
	SubscriptionsDetail bool      `json:"subscriptions_detail"`
	Offset              int       `json:"offset"`
	Limit               int       `json:"limit"`
	CID                 uint64    `json:"cid"`
	State               ConnState `json:"state"`
	User                string    `json:"user"`
	Account             string    `json:"acc"`
	FilterSubject       string    `json:"filter_subject"`
	Test                string    `json:"test"`
}

// Page implements system.Broker.
func (v *systemView) Page(name, account string, options []byte) (any, error) {
	var o pageOptions
	if len(strings.TrimSpace(string(options))) > 0 {
		if err := json.Unmarshal(options, &o); err != nil {
			return nil, fmt.Errorf("invalid options: %w", jsonError(err, "the request"))
		}
	}
	switch name {
	case "VARZ":
		return v.s.Varz(nil)
	case "CONNZ":
		z := &ConnzOptions{Sort: o.Sort, Username: o.Username, Subscriptions: o.Subscriptions, SubscriptionsDetail: o.SubscriptionsDetail,
			Offset: o.Offset, Limit: o.Limit, CID: o.CID, State: o.State}
		z.user, z.accounts, z.interest = o.User, withoutEmpty(account, o.Account), o.FilterSubject
		return streamed(v.s.connz(z))
	case "ROUTEZ":
		return streamed(v.s.routez(&RoutezOptions{Subscriptions: o.Subscriptions, SubscriptionsDetail: o.SubscriptionsDetail}))
	case "SUBSZ":
		return streamed(v.s.subsz(&SubszOptions{Subscriptions: o.Subscriptions, Offset: o.Offset, Limit: o.Limit, Test: o.Test, account: cmp.Or(account, o.Account)}))
	case "HEALTHZ":
		return v.healthz(), nil
	case "INFO":
		return v.accountInfo(account), nil
	}
	return nil, errors.New("there is no page " + name)
}

// streamedPage is a page that is encoded in pieces.
type streamedPage struct{ page encoder }

// WriteJSON implements system.Streamed.
func (p streamedPage) WriteJSON(w io.Writer) error { return p.page.encode(w, monitor.Compact) }

// streamed returns a page for the service.
func streamed[P encoder](page P, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return streamedPage{page}, nil
}

// withoutEmpty returns the texts that are not "".
func withoutEmpty(texts ...string) []string {
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}

// accountInfo is the page INFO of an account.
type accountInfo struct {
	Name          string        `json:"account_name"`
	Updated       time.Time     `json:"update_time"`
	System        bool          `json:"is_system,omitempty"`
	Expired       bool          `json:"expired"`           // never
	Complete      bool          `json:"complete"`          // always
	JetStream     bool          `json:"jetstream_enabled"` // never
	LeafNodes     int           `json:"leafnode_connections"`
	Clients       int           `json:"client_connections"`
	Subscriptions uint32        `json:"subscriptions"`
	Sublist       *SublistStats `json:"sublist_stats"`
}

func (v *systemView) accountInfo(name string) *accountInfo {
	info := &accountInfo{Name: name, Updated: v.s.ConfigTime().UTC(), System: name == v.s.options().systemAccount(), Complete: true, Sublist: v.s.sublistStats(name)}
	info.Subscriptions = info.Sublist.NumSubs
	for _, a := range v.Accounts() {
		if a.Account == name {
			info.Clients = a.Conns
		}
	}
	return info
}

// healthStatus is the page HEALTHZ.
type healthStatus struct {
	Status string `json:"status"`
	Code   int    `json:"status_code"`
	Error  string `json:"error,omitempty"`
}

func (v *systemView) healthz() *healthStatus {
	if why := v.s.health(0); why != "" {
		return &healthStatus{Status: "unavailable", Code: 503, Error: why}
	}
	return &healthStatus{Status: "ok", Code: 200}
}
