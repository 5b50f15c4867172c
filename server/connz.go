package server

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Connz is the page /connz: clients, one window of them.
type Connz struct {
	ID         string      `json:"server_id"`
	Now        time.Time   `json:"now"`
	NumConns   int         `json:"num_connections"` // in this window
	Total      int         `json:"total"`           // before the window was cut
	Offset     int         `json:"offset"`
	Limit      int         `json:"limit"`
	Conns      []*ConnInfo `json:"connections"`
	ServerName string      `json:"server_name"`
}

func (z *Connz) encode() ([]byte, error) {
	page := *z
	page.Conns = []*ConnInfo{}
	return indentedList(&page, "connections", z.Conns)
}

// ConnInfo is one client on the page /connz. Counts are from the server's point
// of view. The fields down to Subs are those of gnatsd 1.4, in its order.
type ConnInfo struct {
	Cid            uint64     `json:"cid"`
	IP             string     `json:"ip"`
	Port           int        `json:"port"`
	Start          time.Time  `json:"start"`
	LastActivity   time.Time  `json:"last_activity"`
	Stop           *time.Time `json:"stop,omitempty"`
	Reason         string     `json:"reason,omitempty"`
	RTT            string     `json:"rtt,omitempty"`
	Uptime         string     `json:"uptime"`
	Idle           string     `json:"idle"`
	Pending        int        `json:"pending_bytes"`
	InMsgs         int64      `json:"in_msgs"`
	OutMsgs        int64      `json:"out_msgs"`
	InBytes        int64      `json:"in_bytes"`
	OutBytes       int64      `json:"out_bytes"`
	NumSubs        uint32     `json:"subscriptions"`
	Name           string     `json:"name,omitempty"`
	Lang           string     `json:"lang,omitempty"`
	Version        string     `json:"version,omitempty"`
	TLSVersion     string     `json:"tls_version,omitempty"`
	TLSCipher      string     `json:"tls_cipher_suite,omitempty"`
	AuthorizedUser string     `json:"authorized_user,omitempty"`
	Subs           []string   `json:"subscriptions_list,omitempty"`

	SubsDetail     []SubDetail `json:"subscriptions_list_detail,omitempty"`
	Kind           string      `json:"kind"`                      // always Client
	Type           string      `json:"type"`                      // always nats
	PendingSubject string      `json:"pending_subject,omitempty"` // that most of the queued bytes were published on
	PendingFor     string      `json:"pending_for,omitempty"`     // age of the queue, a Go duration
}

// ConnState says which clients [Server.Connz] lists.
type ConnState int

// States of clients.
const (
	ConnOpen   ConnState = iota // connected
	ConnClosed                  // gone, as far as remembered
	ConnAll                     // both
)

// ConnzOptions say what [Server.Connz] is to list, and how.
type ConnzOptions struct {
	Sort                SortOpt // "" is ByCid
	Username            bool    // tell the user names
	Subscriptions       bool    // tell the subjects
	SubscriptionsDetail bool    // tell the subscriptions with their counts
	Offset              int
	Limit               int    // 0 or less = 1024
	CID                 uint64 // list only this client; 0 = all
	State               ConnState
	Search              string // list only clients with this text in cid, address, name, user, language or version; "" = all
	Reason              string // list only clients that are gone for a reason that begins like this; "" = all
}

// connRow is what is copied of a client to sort and to show it.
type connRow struct {
	c            *client // nil for one that is gone
	cid          uint64
	host         string
	port         int
	start        time.Time
	active       time.Time
	stop         time.Time // zero while it is connected
	reason       closeReason
	rtt          time.Duration // 0 = unknown
	inMsgs       int64
	inBytes      int64
	out          outStats
	subs         int
	name         string
	lang         string
	version      string
	user         string
	tlsVersion   uint16
	tlsCipher    uint16
	subscription []SubDetail // if asked for
}

// row copies a client. It takes its two locks one after the other, each for a
// few fields.
func (c *client) row() *connRow {
	r := &connRow{
		c: c, cid: c.id, start: time.Unix(0, c.start),
		inMsgs: c.inMsgs.Load(), inBytes: c.inBytes.Load(),
		out: c.out.stats(), active: c.lastActivity(),
	}
	r.host, r.port = c.peer()
	c.mu.Lock()
	defer c.mu.Unlock()
	r.subs, r.rtt = len(c.subs), c.ping.rtt
	r.tlsVersion, r.tlsCipher = c.tlsVersion, c.tlsCipher
	r.name, r.lang, r.version, r.user = c.opts.Name, c.opts.Lang, c.opts.Version, c.userLocked()
	return r
}

// secured notes the TLS parameters of the connection, for monitoring: asking
// the TLS connection itself would wait for a handshake that hangs.
func (c *conn) secured(state tls.ConnectionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tlsVersion, c.tlsCipher = state.Version, state.CipherSuite
}

// fileClosed remembers the client, which has ended for reason, and the
// subscriptions it had.
func (c *client) fileClosed(reason closeReason, had map[string]*subscription) {
	row := c.row()
	row.c, row.stop, row.reason, row.subs = nil, time.Now(), reason, len(had)
	if lag := c.lag.Load(); lag != nil && slowEnd(reason) {
		row.out = *lag
	}
	rec := &closedConn{row: *row}
	if len(had) <= maxClosedSubjects {
		rec.subs = details(had)
	}
	c.srv.closed.file(rec)
}

// idle is how long ago the client did something that matters.
func (r *connRow) idle(now time.Time) time.Duration {
	if !r.stop.IsZero() {
		now = r.stop
	}
	return now.Sub(r.active)
}

// uptime is how long the client has been, or was, connected.
func (r *connRow) uptime(now time.Time) time.Duration {
	if !r.stop.IsZero() {
		now = r.stop
	}
	return now.Sub(r.start)
}

// contains reports whether text is in what people know a client by.
func (r *connRow) contains(text string) bool {
	for _, field := range []string{r.name, r.host + ":" + strconv.Itoa(r.port), strconv.FormatUint(r.cid, 10), r.user, r.lang, r.version} {
		if strings.Contains(strings.ToLower(field), text) {
			return true
		}
	}
	return false
}

// endedFor reports whether the client is gone for a reason that begins like
// this, in any case.
func (r *connRow) endedFor(reason string) bool {
	name := r.reason.String()
	return !r.stop.IsZero() && len(name) >= len(reason) && strings.EqualFold(name[:len(reason)], reason)
}

// info returns the row as the page shows it.
func (r *connRow) info(now time.Time, opts *ConnzOptions) *ConnInfo {
	i := &ConnInfo{
		Cid: r.cid, IP: r.host, Port: r.port, Kind: "Client", Type: "nats",
		Start: r.start.UTC(), LastActivity: r.active.UTC(),
		RTT:    rttText(r.rtt),
		Uptime: span(r.uptime(now)), Idle: span(r.idle(now)),
		Pending: int(r.out.pending),
		InMsgs:  r.inMsgs, InBytes: r.inBytes, OutMsgs: r.out.msgs, OutBytes: r.out.bytes,
		NumSubs: uint32(r.subs),
		Name:    r.name, Lang: r.lang, Version: r.version,
	}
	if r.out.pending > 0 {
		i.PendingSubject, i.PendingFor = r.out.top, r.out.lag.Round(time.Millisecond).String()
	}
	if !r.stop.IsZero() {
		stop := r.stop.UTC()
		i.Stop, i.Reason = &stop, r.reason.String()
	}
	if r.tlsVersion != 0 {
		i.TLSVersion, i.TLSCipher = tlsVersionName(r.tlsVersion), tlsCipherName(r.tlsCipher)
	}
	if opts.Username {
		i.AuthorizedUser = r.user
	}
	switch {
	case opts.SubscriptionsDetail:
		i.SubsDetail = r.subscription
	case opts.Subscriptions:
		for _, sub := range r.subscription {
			i.Subs = append(i.Subs, sub.Subject)
		}
	}
	return i
}

// rttText returns a round-trip time as pages show it: to the millisecond, or to
// the microsecond if it is less; "" if it is unknown.
func rttText(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return d.Truncate(time.Microsecond).String()
	}
	return d.Truncate(time.Millisecond).String()
}

// Connz returns the page /connz. Nil options are fine. The error says what is
// wrong with the options.
func (s *Server) Connz(opts *ConnzOptions) (*Connz, error) {
	o := ConnzOptions{}
	if opts != nil {
		o = *opts
	}
	order, err := sortOrder(o.Sort, o.State)
	if err != nil {
		return nil, err
	}
	z := &Connz{ID: s.id, Now: time.Now().UTC(), Conns: []*ConnInfo{}, ServerName: s.name()}
	z.Offset, z.Limit = window(o.Offset, o.Limit)
	var rows []*connRow
	if o.inOrder() {
		rows, z.Total = s.rowsInOrder(z.Offset, z.Limit)
	} else {
		rows = s.connRows(o.State)
		z.Total = len(rows)
		rows, z.Limit, z.Total = choose(rows, &o, z.Limit, z.Total)
		sortRowsBy(order, rows, z.Now)
		rows = cut(rows, z.Offset, z.Limit)
	}
	if o.Subscriptions || o.SubscriptionsDetail {
		s.addSubscriptions(rows)
	}
	var p pace
	for i := range rows {
		z.Conns = append(z.Conns, rows[i].info(z.Now, &o))
		p.step()
	}
	z.NumConns = len(z.Conns)
	return z, nil
}

// inOrder reports whether the page is a window of all clients that are
// connected, in the order of their cids: what most tools ask for.
func (o *ConnzOptions) inOrder() bool {
	return o.State == ConnOpen && o.CID == 0 && o.Search == "" && o.Reason == "" && (o.Sort == "" || o.Sort == ByCid || o.Sort == ByStart)
}

// rowsInOrder copies a window of the clients that are connected, in the order of
// their cids, without looking into the others. It also returns how many there are.
func (s *Server) rowsInOrder(offset, limit int) (rows []*connRow, total int) {
	clients := s.clients.all()
	var p pace
	slices.SortFunc(clients, func(a, b *client) int {
		p.compared()
		return cmp.Compare(a.id, b.id)
	})
	for _, c := range cut(clients, offset, limit) {
		rows = append(rows, c.row())
		p.step()
	}
	return rows, len(clients)
}

// sortRowsBy sorts rows by order and, where that makes no difference, by cid.
func sortRowsBy(order rowOrder, rows []*connRow, now time.Time) {
	var p pace
	slices.SortFunc(rows, func(a, b *connRow) int {
		p.compared()
		return cmp.Or(order(a, b, now), cmp.Compare(a.cid, b.cid))
	})
}

// connRows copies all clients in a state. One that ends meanwhile is there once.
func (s *Server) connRows(state ConnState) []*connRow {
	var rows []*connRow
	if state != ConnClosed {
		clients := s.clients.all()
		rows = make([]*connRow, 0, len(clients))
		var p pace
		for _, c := range clients {
			rows = append(rows, c.row())
			p.step()
		}
	}
	if state == ConnOpen {
		return rows
	}
	records := s.closed.records()
	gone := make(map[uint64]bool, len(records))
	for _, rec := range records {
		gone[rec.row.cid] = true
	}
	rows = slices.DeleteFunc(rows, func(r *connRow) bool { return gone[r.cid] })
	for _, rec := range records {
		r := rec.row
		r.subscription = rec.subs
		rows = append(rows, &r)
	}
	return rows
}

// choose keeps the rows that cid, search and reason ask for. Looking for a cid
// does not change the total, as it never did; the others do.
func choose(rows []*connRow, o *ConnzOptions, limit, total int) ([]*connRow, int, int) {
	if o.CID != 0 {
		rows = slices.DeleteFunc(rows, func(r *connRow) bool { return r.cid != o.CID })
		return rows, 1, total
	}
	if o.Search != "" {
		text := strings.ToLower(o.Search)
		rows = slices.DeleteFunc(rows, func(r *connRow) bool { return !r.contains(text) })
		total = len(rows)
	}
	if o.Reason != "" {
		rows = slices.DeleteFunc(rows, func(r *connRow) bool { return !r.endedFor(o.Reason) })
		total = len(rows)
	}
	return rows, limit, total
}

// SortOpt is the order of the page /connz.
type SortOpt string

// Orders of the page /connz. All but ByCid, ByStart, ByUptime and ByReason put the
// largest first; "to" and "from" are seen from the client.
const (
	ByCid      SortOpt = "cid"
	ByStart    SortOpt = "start"
	BySubs     SortOpt = "subs"
	ByPending  SortOpt = "pending"
	ByOutMsgs  SortOpt = "msgs_to"
	ByInMsgs   SortOpt = "msgs_from"
	ByOutBytes SortOpt = "bytes_to"
	ByInBytes  SortOpt = "bytes_from"
	ByLast     SortOpt = "last"
	ByIdle     SortOpt = "idle"
	ByUptime   SortOpt = "uptime"
	ByRTT      SortOpt = "rtt"
	ByStop     SortOpt = "stop"   // of clients that are gone
	ByReason   SortOpt = "reason" // of clients that are gone
)

// rowOrder compares two rows; now is the time of the page.
type rowOrder func(a, b *connRow, now time.Time) int

// sortRow is one order: its word, whether it is for clients that are gone only,
// and the comparison.
type sortRow struct {
	opt    SortOpt
	closed bool
	order  rowOrder
}

// byNumber orders by a number, the largest first.
func byNumber(of func(*connRow) int64) rowOrder {
	return func(a, b *connRow, _ time.Time) int { return cmp.Compare(of(b), of(a)) }
}

var sortRows = []sortRow{
	{opt: ByCid, order: func(_, _ *connRow, _ time.Time) int { return 0 }},
	{opt: ByStart, order: func(_, _ *connRow, _ time.Time) int { return 0 }},
	{opt: BySubs, order: byNumber(func(r *connRow) int64 { return int64(r.subs) })},
	{opt: ByPending, order: byNumber(func(r *connRow) int64 { return r.out.pending })},
	{opt: ByOutMsgs, order: byNumber(func(r *connRow) int64 { return r.out.msgs })},
	{opt: ByInMsgs, order: byNumber(func(r *connRow) int64 { return r.inMsgs })},
	{opt: ByOutBytes, order: byNumber(func(r *connRow) int64 { return r.out.bytes })},
	{opt: ByInBytes, order: byNumber(func(r *connRow) int64 { return r.inBytes })},
	{opt: ByLast, order: byNumber(func(r *connRow) int64 { return r.active.UnixNano() })},
	{opt: ByIdle, order: func(a, b *connRow, now time.Time) int { return cmp.Compare(b.idle(now), a.idle(now)) }},
	{opt: ByUptime, order: func(a, b *connRow, now time.Time) int { return cmp.Compare(a.uptime(now), b.uptime(now)) }},
	{opt: ByRTT, order: byNumber(func(r *connRow) int64 { return int64(r.rtt) })},
	{opt: ByStop, closed: true, order: byNumber(func(r *connRow) int64 { return r.stop.UnixNano() })},
	{opt: ByReason, closed: true, order: func(a, b *connRow, _ time.Time) int {
		return strings.Compare(a.reason.String(), b.reason.String())
	}},
}

// IsValid reports whether there is such an order. The empty one is ByCid.
func (o SortOpt) IsValid() bool {
	return o == "" || slices.ContainsFunc(sortRows, func(r sortRow) bool { return r.opt == o })
}

// sortOrder returns the comparison of an order for clients in a state.
func sortOrder(opt SortOpt, state ConnState) (rowOrder, error) {
	if opt == "" {
		opt = ByCid
	}
	for _, r := range sortRows {
		if r.opt != opt {
			continue
		}
		if r.closed && state != ConnClosed {
			return nil, fmt.Errorf("sort by %s only valid on closed connections", opt)
		}
		return r.order, nil
	}
	return nil, fmt.Errorf("invalid sorting option: %s", opt)
}

// connzOptions decodes the parameters of /connz.
func connzOptions(p *params) *ConnzOptions {
	o := &ConnzOptions{Sort: SortOpt(p.values.Get("sort"))}
	o.Username = p.flag("auth")
	if p.values.Get("subs") == "detail" {
		o.SubscriptionsDetail = true
	} else {
		o.Subscriptions = p.flag("subs")
	}
	o.Offset, o.Limit = p.number("offset"), p.number("limit")
	o.CID = p.id("cid")
	o.Search, o.Reason = p.values.Get("search"), p.values.Get("reason")
	state, err := parseConnState(p.values.Get("state"))
	if err != nil && p.err == nil {
		p.err = err
	}
	o.State = state
	return o
}

func parseConnState(word string) (ConnState, error) {
	switch strings.ToLower(word) {
	case "", "open":
		return ConnOpen, nil
	case "closed":
		return ConnClosed, nil
	case "all", "any":
		return ConnAll, nil
	}
	return ConnOpen, fmt.Errorf("error decoding state for %s", word)
}

// errPageLost says that whoever asked for a page has gone.
var errPageLost = errors.New("the client went away")

// HandleConnz answers /connz.
func (s *Server) HandleConnz(w http.ResponseWriter, r *http.Request) {
	p := params{values: r.URL.Query()}
	opts := connzOptions(&p)
	if p.err != nil {
		badRequest(w, p.err)
		return
	}
	s.mon.count("/connz")
	var text []byte
	err := errPageLost
	s.largePage(r, func() {
		var z *Connz
		if z, err = s.Connz(opts); err == nil {
			text, err = z.encode()
		}
	})
	switch err {
	case nil:
		s.answer(w, r, text)
	case errPageLost:
	default:
		badRequest(w, err)
	}
}
