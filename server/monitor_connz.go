package server

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gnatsd/server/internal/monitor"
)

// Connz is the page /connz: a window of the clients.
type Connz struct {
	ID         string      `json:"server_id"`
	Now        time.Time   `json:"now"`
	NumConns   int         `json:"num_connections"` // in this window
	Total      int         `json:"total"`           // before the window was applied
	Offset     int         `json:"offset"`
	Limit      int         `json:"limit"`
	Conns      []*ConnInfo `json:"connections"`
	ServerName string      `json:"server_name"`

	// lists are the subscriptions of Conns, unless they are in these or are not wanted.
	lists  []subList
	detail bool // all of the subscriptions are wanted, not only the subjects
}

// encode implements encoder.
func (z *Connz) encode(w io.Writer, f monitor.Form) error {
	page := *z
	page.Conns = []*ConnInfo{}
	return monitor.EncodeNested(w, f, &page, "connections", len(z.Conns), func(i int) (*ConnInfo, *monitor.Rest) {
		c := z.Conns[i]
		if z.lists == nil || z.lists[i].len() == 0 {
			return c, nil
		}
		first := *c
		return &first, z.lists[i].begin(&first.Subs, &first.SubsDetail, z.detail)
	})
}

// complete puts the subscriptions into Conns.
func (z *Connz) complete() {
	for i := range z.lists {
		z.lists[i].fill(&z.Conns[i].Subs, &z.Conns[i].SubsDetail, z.detail)
	}
	z.lists = nil
}

// ConnInfo is one client on the page /connz. In and Out are seen from the server: InMsgs is the
// number of messages that the client sent. The fields down to Subs are those of gnatsd 1.4, in its
// order.
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
	Account        string      `json:"account,omitempty"`         // only of a server with a system account
	PendingSubject string      `json:"pending_subject,omitempty"` // subject of most queued bytes
	PendingFor     string      `json:"pending_for,omitempty"`     // how long bytes have been queued, a Go duration
	Rates          *ConnRates  `json:"rates,omitempty"`           // of the last seconds, if they are asked for
	DroppedMsgs    int64       `json:"dropped_msgs,omitempty"`    // of OutMsgs, dropped because the client did not keep up
	DroppedBytes   int64       `json:"dropped_bytes,omitempty"`   // of their payloads
}

// ConnState is which clients [Server.Connz] lists.
type ConnState int

// States of clients.
const (
	ConnOpen   ConnState = iota // connected
	ConnClosed                  // the last MaxClosedClients that were closed
	ConnAll                     // both
)

// ConnzOptions are the parameters of [Server.Connz].
type ConnzOptions struct {
	Sort                SortOpt // "" = ByCid
	Username            bool    // include the user names
	Subscriptions       bool    // include the subjects
	SubscriptionsDetail bool    // include the subscriptions with their counts
	Offset              int     // of the window; negative = 0
	Limit               int     // clients in the window; 0 or less = 1024
	CID                 uint64  // list only this client; 0 = all
	State               ConnState
	// Search lists only clients with this text, in any case, in cid, address, name, user,
	// language or version; "" lists all.
	Search string
	// Reason lists only closed clients whose reason has this prefix, in any case; "" lists all.
	Reason string
	// Rates includes the rates since an earlier request that included them, a second to two minutes
	// before. So do the sort orders by rate.
	Rates bool

	// Of requests on $SYS only.
	user     string
	accounts []string // list only clients of all of these
	interest string   // list only clients with a subscription that has subjects in common with this one
}

// Connz returns the page /connz. opts may be nil. The error reports invalid options.
func (s *Server) Connz(opts *ConnzOptions) (*Connz, error) {
	z, err := s.connz(opts)
	if err != nil {
		return nil, err
	}
	z.complete()
	return z, nil
}

// connz is Connz, with the subscriptions in lists.
func (s *Server) connz(opts *ConnzOptions) (*Connz, error) {
	o := ConnzOptions{}
	if opts != nil {
		o = *opts
	}
	if o.State < ConnOpen || o.State > ConnAll {
		return nil, fmt.Errorf("invalid state: %d: want %d for open, %d for closed or %d for all", o.State, ConnOpen, ConnClosed, ConnAll)
	}
	order, err := sortOrder(o.Sort, o.State)
	if err != nil {
		return nil, err
	}
	z := &Connz{ID: s.id, Now: time.Now().UTC(), Conns: []*ConnInfo{}, ServerName: s.Name()}
	z.Offset, z.Limit = window(o.Offset, o.Limit)
	var rows []*connRow
	if o.inOrder() {
		rows, z.Total = s.rowsInOrder(z.Offset, z.Limit)
	} else {
		rows = s.connRows(o.State)
		if o.withRates() {
			s.setRates(rows, z.Now)
		}
		z.Total = len(rows)
		rows, z.Limit, z.Total = s.filterRows(rows, &o, z.Limit, z.Total)
		sortRowsBy(order, rows, z.Now)
		rows = windowOf(rows, z.Offset, z.Limit)
	}
	if o.Subscriptions || o.SubscriptionsDetail {
		z.lists, z.detail = s.listsOf(rows), o.SubscriptionsDetail
	}
	var y monitor.Yielder
	for i := range rows {
		z.Conns = append(z.Conns, rows[i].info(z.Now, &o))
		y.Step()
	}
	z.NumConns = len(z.Conns)
	return z, nil
}

// inOrder reports whether the options ask for a window of all connected clients in the order of
// their cids, as most tools do.
func (o *ConnzOptions) inOrder() bool {
	return !o.withRates() && o.State == ConnOpen && o.CID == 0 && o.Search == "" && o.Reason == "" && o.user+o.interest == "" && len(o.accounts) == 0 && (o.Sort == "" || o.Sort == ByCid || o.Sort == ByStart)
}

// withRates reports whether rates are needed, and so the rows of all connected clients.
func (o *ConnzOptions) withRates() bool {
	return o.State != ConnClosed && (o.Rates || strings.HasSuffix(string(o.Sort), string(ByRate)))
}

// rowsInOrder returns rows for a window of the connected clients, in the order of their cids,
// without locking the other clients, and the number of all.
func (s *Server) rowsInOrder(offset, limit int) (rows []*connRow, total int) {
	clients := s.clients.all()
	var y monitor.Yielder
	slices.SortFunc(clients, func(a, b *client) int {
		y.Compared()
		return cmp.Compare(a.id, b.id)
	})
	for _, c := range windowOf(clients, offset, limit) {
		rows = append(rows, c.row())
		y.Step()
	}
	return rows, len(clients)
}

// connRows returns rows for all clients in a state. A client that closes meanwhile is listed once.
func (s *Server) connRows(state ConnState) []*connRow {
	var rows []*connRow
	if state != ConnClosed {
		clients := s.clients.all()
		rows = make([]*connRow, 0, len(clients))
		var y monitor.Yielder
		for _, c := range clients {
			rows = append(rows, c.row())
			y.Step()
		}
	}
	if state == ConnOpen {
		return rows
	}
	records := s.closed.records()
	closed := make(map[uint64]bool, len(records))
	for _, rec := range records {
		closed[rec.row.cid] = true
	}
	rows = slices.DeleteFunc(rows, func(r *connRow) bool { return closed[r.cid] })
	for _, rec := range records {
		r := rec.row
		r.closedSubs = rec.subs
		rows = append(rows, &r)
	}
	return rows
}

// filterRows returns the rows that cid, search and reason select, with the limit and total of the
// page. As in gnatsd 1.x a cid does not change the total; search and reason do.
func (s *Server) filterRows(rows []*connRow, o *ConnzOptions, limit, total int) ([]*connRow, int, int) {
	if len(o.accounts) > 0 {
		rows = slices.DeleteFunc(rows, func(r *connRow) bool {
			return slices.ContainsFunc(o.accounts, func(name string) bool { return name != r.account })
		})
		total = len(rows)
	}
	if o.CID != 0 {
		rows = slices.DeleteFunc(rows, func(r *connRow) bool { return r.cid != o.CID })
		return rows, 1, total
	}
	if o.Search != "" {
		text := strings.ToLower(o.Search)
		rows = slices.DeleteFunc(rows, func(r *connRow) bool { return !r.contains(text) })
		total = len(rows)
	}
	if o.user != "" {
		rows = slices.DeleteFunc(rows, func(r *connRow) bool { return r.user != o.user })
		total = len(rows)
	}
	if o.interest != "" {
		rows = s.interested(rows, o.interest)
		total = len(rows)
	}
	if o.Reason != "" {
		rows = slices.DeleteFunc(rows, func(r *connRow) bool { return !r.closedFor(o.Reason) })
		total = len(rows)
	}
	return rows, limit, total
}

// connzOptions decodes the parameters of /connz.
func connzOptions(p *monitor.Params) *ConnzOptions {
	o := &ConnzOptions{Sort: SortOpt(p.Text("sort"))}
	o.Username = p.Flag("auth")
	if p.Text("subs") == "detail" {
		o.SubscriptionsDetail = true
	} else {
		o.Subscriptions = p.Flag("subs")
	}
	o.Offset, o.Limit = p.Number("offset"), p.Number("limit")
	o.CID = p.ID("cid")
	o.Search, o.Reason, o.Rates = p.Text("search"), p.Text("reason"), p.Flag("rates")
	state, err := parseConnState(p.Text("state"))
	if err != nil {
		p.Reject(err)
	}
	o.State = state
	return o
}

func parseConnState(name string) (ConnState, error) {
	switch strings.ToLower(name) {
	case "", "open":
		return ConnOpen, nil
	case "closed":
		return ConnClosed, nil
	case "all", "any":
		return ConnAll, nil
	}
	return ConnOpen, fmt.Errorf("error decoding state for %s", name)
}
