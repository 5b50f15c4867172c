package server

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/monitor"
	"gnatsd/sublist"
)

// Subsz is the page /subsz: statistics of the routing table and, if [SubszOptions] include it, a
// window of the clients' subscriptions. Without it Total is 0.
type Subsz struct {
	*SublistStats
	ID         string      `json:"server_id"`
	ServerName string      `json:"server_name"`
	Now        time.Time   `json:"now"`
	Total      int         `json:"total"` // in this window
	Offset     int         `json:"offset"`
	Limit      int         `json:"limit"`
	Subs       []SubDetail `json:"subscriptions_list"`

	// Remotes are the other servers that a message on the subject of the test is sent to.
	Remotes []RemoteInterest `json:"remotes,omitempty"`
}

// RemoteInterest is another server with subscriptions that a subject matches.
type RemoteInterest struct {
	ID   string `json:"remote_id"`
	Name string `json:"remote_name"` // the id if it has none
}

// subszNumbers is the page without a list.
type subszNumbers struct {
	*SublistStats
	ID         string    `json:"server_id"`
	ServerName string    `json:"server_name"`
	Now        time.Time `json:"now"`
	Total      int       `json:"total"`
	Offset     int       `json:"offset"`
	Limit      int       `json:"limit"`

	Remotes []RemoteInterest `json:"remotes,omitempty"`
}

// numbers returns the page without its list.
func (z *Subsz) numbers() *subszNumbers {
	return &subszNumbers{z.SublistStats, z.ID, z.ServerName, z.Now, z.Total, z.Offset, z.Limit, z.Remotes}
}

func (z *Subsz) encode() ([]byte, error) {
	if len(z.Subs) == 0 {
		return monitor.Encode(z.numbers())
	}
	page := *z
	page.Subs = []SubDetail{}
	return monitor.EncodeList(&page, "subscriptions_list", z.Subs)
}

// SublistStats are statistics of the routing table, which includes subscriptions of routes.
type SublistStats struct {
	NumSubs      uint32  `json:"num_subscriptions"`
	NumCache     uint32  `json:"num_cache"`
	NumInserts   uint64  `json:"num_inserts"`
	NumRemoves   uint64  `json:"num_removes"`
	NumMatches   uint64  `json:"num_matches"`
	CacheHitRate float64 `json:"cache_hit_rate"` // 0 to 1
	MaxFanout    uint32  `json:"max_fanout"`
	AvgFanout    float64 `json:"avg_fanout"`
}

// SubDetail is one subscription of a client.
type SubDetail struct {
	Account string `json:"account,omitempty"` // only of a server with a system account
	Subject string `json:"subject"`
	Queue   string `json:"qgroup,omitempty"`
	Sid     string `json:"sid"`
	Msgs    int64  `json:"msgs"`          // delivered
	Max     int64  `json:"max,omitempty"` // limit of Msgs set by UNSUB; 0 = none
	Cid     uint64 `json:"cid"`

	Client string `json:"client_name,omitempty"` // on /subsz
	Folded int    `json:"folded,omitempty"`      // inboxes that the entry stands for
}

// SubszOptions are the parameters of [Server.Subsz].
type SubszOptions struct {
	Offset        int    // of the window; negative = 0
	Limit         int    // subscriptions in the window; 0 or less = 1024
	Subscriptions bool   // include the list
	Test          string // list only subscriptions that match this subject; "" = all
	Sort          string // "delivered" for those first that got most messages; "" = by client
	FoldInboxes   bool   // the inboxes of a client are one entry, _INBOX.>

	account string // of requests on $SYS only: of this account; "" = of all
}

// subszOptions decodes the parameters of /subsz.
func subszOptions(p *monitor.Params) *SubszOptions {
	return &SubszOptions{Subscriptions: p.Flag("subs"), Offset: p.Number("offset"), Limit: p.Number("limit"), Test: p.Text("test"),
		Sort: p.Text("sort"), FoldInboxes: p.Flag("fold")}
}

func (sub *subscription) detail() SubDetail {
	limit := sub.most()
	msgs := sub.delivered.Load()
	if limit > 0 {
		msgs = min(msgs, limit)
	}
	d := SubDetail{Subject: sub.subject(), Queue: sub.queue(), Sid: sub.sid(), Msgs: msgs, Max: limit, Cid: sub.conn.id}
	if s := sub.conn.srv; s.system != nil {
		d.Account = s.accountOf(sub.conn)
	}
	return d
}

// details returns the subscriptions, sorted by compareSubs.
func details(subs *subscriptions) []SubDetail {
	list := make([]SubDetail, 0, subs.len())
	for sub := range subs.all {
		list = append(list, sub.detail())
	}
	slices.SortFunc(list, compareSubs)
	return list
}

// compareSubs compares subscriptions by client, then by sid; sids that are numbers by their value.
func compareSubs(a, b SubDetail) int {
	return cmp.Or(cmp.Compare(a.Cid, b.Cid), cmp.Compare(len(a.Sid), len(b.Sid)), cmp.Compare(a.Sid, b.Sid))
}

// maxSubsCopy is how many subscriptions are copied under the lock of a connection, which takes some
// 0.2 ms. Those of a larger connection are copied from the routing table, under locks that are held
// for one entry at a time.
const maxSubsCopy = 2000

// subDetails returns the subscriptions of the client; ok is false if they are too many to be copied
// under its lock.
func (c *client) subDetails() (list []SubDetail, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.len() > maxSubsCopy {
		return nil, false
	}
	list = make([]SubDetail, 0, c.subs.len())
	for sub := range c.subs.all {
		list = append(list, sub.detail())
	}
	return list, true
}

// addSubscriptions adds to each row the subscriptions of its client.
func (s *Server) addSubscriptions(rows []*connRow) {
	large := map[*conn]*connRow{}
	var y monitor.Yielder
	for _, r := range rows {
		y.Step()
		if r.c == nil {
			continue // closed: its record has them
		}
		list, ok := r.c.subDetails()
		if !ok {
			large[&r.c.conn] = r
			continue
		}
		slices.SortFunc(list, compareSubs)
		r.subscriptions = list
	}
	if len(large) == 0 {
		return
	}
	for c, r := range large {
		r.subscriptions = make([]SubDetail, 0, c.subCount())
	}
	s.allSubs(func(e sublist.Entry[*subscription]) bool {
		if r := large[e.Value.conn]; r != nil {
			r.subscriptions = append(r.subscriptions, e.Value.detail())
		}
		y.Compared()
		return true
	})
	for _, r := range large {
		slices.SortFunc(r.subscriptions, func(a, b SubDetail) int {
			y.Compared()
			return compareSubs(a, b)
		})
	}
}

// Subsz returns the page /subsz. opts may be nil. The error reports invalid options.
func (s *Server) Subsz(opts *SubszOptions) (*Subsz, error) {
	o := SubszOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Test != "" && !sublist.ValidLiteral(o.Test) {
		return nil, fmt.Errorf("invalid test subject, must be valid publish subject: %s", o.Test)
	}
	if o.Sort != "" && o.Sort != sortDelivered {
		return nil, fmt.Errorf("invalid sorting option: %s", o.Sort)
	}
	z := &Subsz{SublistStats: s.sublistStats(o.account), ID: s.id, ServerName: s.Name(), Now: time.Now().UTC()}
	z.Offset, z.Limit = window(o.Offset, o.Limit)
	switch {
	case !o.Subscriptions:
	case o.Test != "":
		var list []SubDetail
		list, z.Remotes = s.matching(o.Test, o.account)
		choice := newSubChoice(&o, z.Offset, z.Limit)
		for _, d := range list {
			choice.offer(d)
		}
		z.Subs = choice.window(z.Offset, z.Limit)
	case o.account == "" && (o.Sort != "" || o.FoldInboxes):
		z.Subs = s.chosenSubs(&o, z.Offset, z.Limit)
	default:
		z.Subs = s.subsWindow(o.account, z.Offset, z.Limit)
	}
	z.Total = len(z.Subs)
	s.nameClients(z.Subs)
	return z, nil
}

// tableOf returns the routing table of an account, nil if there is no such account. Without its name
// it is that in which a subject is published, as a rule.
func (s *Server) tableOf(account, subject string) *sublist.List[*subscription] {
	o := s.options()
	switch {
	case account == "" && (s.system == nil || !access.OfSystem([]byte(subject))), s.system != nil && account == o.userAccount():
		return s.subs
	case account == "", s.system != nil && account == o.systemAccount():
		return s.system.table
	}
	return nil
}

// sublistStats returns the statistics of the routing table of an account, of the broker's users if
// its name is "".
func (s *Server) sublistStats(account string) *SublistStats {
	table := s.tableOf(account, "")
	if table == nil {
		return &SublistStats{}
	}
	st := table.Stats()
	return &SublistStats{
		NumSubs:      uint32(st.Subscriptions),
		NumCache:     uint32(st.CacheEntries),
		NumInserts:   uint64(st.Inserts),
		NumRemoves:   uint64(st.Removes),
		NumMatches:   uint64(st.Matches),
		CacheHitRate: st.HitRate(),
		MaxFanout:    uint32(st.MaxFanout),
		AvgFanout:    st.AvgFanout,
	}
}

// nameClients adds the names of the clients.
func (s *Server) nameClients(list []SubDetail) {
	names := map[uint64]string{}
	for i := range list {
		d := &list[i]
		if _, known := names[d.Cid]; !known {
			names[d.Cid] = ""
			if c := s.clients.find(d.Cid); c != nil {
				names[d.Cid] = c.connectOptions().Name
			}
		}
		d.Client = names[d.Cid]
	}
}

// matching returns the clients' subscriptions that a message on a subject reaches, and the other
// servers that have any, in an account or, if its name is "", where such messages are published.
func (s *Server) matching(subject, account string) (list []SubDetail, remotes []RemoteInterest) {
	table := s.tableOf(account, subject)
	if table == nil {
		return nil, nil
	}
	add := func(sub *subscription) {
		if _, ok := sub.conn.ops.(*client); ok {
			list = append(list, sub.detail())
			return
		}
		r, ok := sub.conn.ops.(*route)
		if !ok {
			return
		}
		one := r.asRemote()
		if !slices.Contains(remotes, one) {
			remotes = append(remotes, one)
		}
	}
	res := table.Match([]byte(subject))
	for sub := range res.All {
		add(sub)
	}
	for _, group := range res.Queues() {
		for sub := range group.From(0) {
			add(sub)
		}
	}
	slices.SortFunc(list, compareSubs)
	slices.SortFunc(remotes, func(a, b RemoteInterest) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list, remotes
}

// asRemote returns who the other server is.
func (r *route) asRemote() RemoteInterest {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote == nil {
		return RemoteInterest{}
	}
	return RemoteInterest{ID: r.remote.ID, Name: r.remote.name()}
}

// sortDelivered is the order of /subsz that is not by client.
const sortDelivered = "delivered"

// subChoice chooses the first of many subscriptions, in some order, and keeps no more than it must.
type subChoice struct {
	most    int // that are wanted
	order   func(a, b SubDetail) int
	fold    bool
	list    []SubDetail
	inboxes map[uint64]*SubDetail // by cid, of clients that have any
}

func newSubChoice(o *SubszOptions, offset, limit int) *subChoice {
	c := &subChoice{most: math.MaxInt / 4, order: compareSubs, fold: o.FoldInboxes, inboxes: map[uint64]*SubDetail{}}
	if offset < c.most && limit < c.most {
		c.most = min(c.most, offset+limit)
	}
	if o.Sort == sortDelivered {
		c.order = func(a, b SubDetail) int { return cmp.Or(cmp.Compare(b.Msgs, a.Msgs), compareSubs(a, b)) }
	}
	return c
}

// offer adds a subscription.
func (c *subChoice) offer(d SubDetail) {
	if !c.fold || !strings.HasPrefix(d.Subject, string(inboxPrefix)) {
		c.keep(d)
		return
	}
	if sum := c.inboxes[d.Cid]; sum != nil {
		sum.Msgs += d.Msgs
		sum.Folded++
		return
	}
	c.inboxes[d.Cid] = &SubDetail{Subject: string(allInboxes), Sid: d.Sid, Msgs: d.Msgs, Cid: d.Cid, Folded: 1}
}

func (c *subChoice) keep(d SubDetail) {
	if c.list = append(c.list, d); len(c.list) >= 2*c.most+1024 {
		c.cut()
	}
}

func (c *subChoice) cut() {
	slices.SortFunc(c.list, c.order)
	clear(c.list[min(c.most, len(c.list)):])
	c.list = c.list[:min(c.most, len(c.list))]
}

// window returns a window of what was chosen.
func (c *subChoice) window(offset, limit int) []SubDetail {
	for _, d := range c.inboxes {
		c.keep(*d)
	}
	c.cut()
	return windowOf(c.list, offset, limit)
}

// chosenSubs returns a window of the subscriptions of all clients in the order that o asks for. It
// looks at all of them.
func (s *Server) chosenSubs(o *SubszOptions, offset, limit int) []SubDetail {
	choice := newSubChoice(o, offset, limit)
	var y monitor.Yielder
	s.allSubs(func(e sublist.Entry[*subscription]) bool {
		y.Step()
		if e.Value.conn.role == roleClient {
			choice.offer(e.Value.detail())
		}
		return true
	})
	return choice.window(offset, limit)
}

// subsWindow returns a window of the subscriptions of all clients of an account, or of all accounts
// if its name is "", sorted by compareSubs. Of clients before the window only the number of
// subscriptions is read.
func (s *Server) subsWindow(account string, offset, limit int) []SubDetail {
	clients := s.clients.all()
	if account != "" {
		clients = slices.DeleteFunc(clients, func(c *client) bool { return c.account() != account })
	}
	slices.SortFunc(clients, func(a, b *client) int { return cmp.Compare(a.id, b.id) })
	var rows []*connRow
	have := 0 // subscriptions of rows
	for _, c := range clients {
		n := c.subCount()
		if len(rows) == 0 && offset >= n {
			offset -= n
			continue
		}
		rows = append(rows, &connRow{c: c})
		if have += n; have-offset >= limit {
			break
		}
	}
	s.addSubscriptions(rows)
	var list []SubDetail
	for _, r := range rows {
		list = append(list, r.subscriptions...)
	}
	return windowOf(list, offset, limit)
}
