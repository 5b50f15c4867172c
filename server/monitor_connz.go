package server

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
