package server

import (
	"cmp"
	"fmt"
	"io"
	"slices"
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

	entries []subEntry              // of the list, unless they are in Subs
	name    func(cid uint64) string // returns the name of a client
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

// encode implements encoder.
func (z *Subsz) encode(w io.Writer, f monitor.Form) error {
	if len(z.entries) == 0 {
		return monitor.Encode(w, f, z.numbers())
	}
	page := *z
	page.Subs = []SubDetail{}
	var d SubDetail
	return monitor.EncodeList(w, f, &page, "subscriptions_list", len(z.entries), func(i int) *SubDetail {
		d = z.detail(i)
		return &d
	})
}

// detail returns an entry of the list.
func (z *Subsz) detail(i int) SubDetail {
	d := z.entries[i].detail()
	d.Client = z.name(d.Cid)
	return d
}

// complete puts the entries into Subs.
func (z *Subsz) complete() {
	if len(z.entries) > 0 {
		z.Subs = make([]SubDetail, 0, len(z.entries))
	}
	var y monitor.Yielder
	for i := range z.entries {
		z.Subs = append(z.Subs, z.detail(i))
		y.Step()
	}
	z.entries = nil
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

// Subsz returns the page /subsz. opts may be nil. The error reports invalid options.
func (s *Server) Subsz(opts *SubszOptions) (*Subsz, error) {
	z, err := s.subsz(opts)
	if err != nil {
		return nil, err
	}
	z.complete()
	return z, nil
}

// subsz is Subsz, with the list in entries.
func (s *Server) subsz(opts *SubszOptions) (*Subsz, error) {
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
		var list []*subscription
		list, z.Remotes = s.matching(o.Test, o.account)
		choice := newSubChoice(&o, z.Offset, z.Limit, len(list))
		for _, sub := range list {
			choice.offer(sub)
		}
		z.entries = choice.window(z.Offset, z.Limit)
	case o.account == "" && (o.Sort != "" || o.FoldInboxes):
		z.entries = s.chosenSubs(&o, z.Offset, z.Limit)
	default:
		z.entries = s.subsWindow(o.account, z.Offset, z.Limit)
	}
	z.Total, z.name = len(z.entries), s.clientNames()
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

// clientNames returns what returns the names of clients. Each is looked up once.
func (s *Server) clientNames() func(cid uint64) string {
	names := map[uint64]string{}
	return func(cid uint64) string {
		name, known := names[cid]
		if known {
			return name
		}
		if c := s.clients.find(cid); c != nil {
			name = c.connectOptions().Name
		}
		names[cid] = name
		return name
	}
}

// matching returns the clients' subscriptions that a message on a subject reaches, and the other
// servers that have any, in an account or, if its name is "", where such messages are published.
func (s *Server) matching(subject, account string) (list []*subscription, remotes []RemoteInterest) {
	table := s.tableOf(account, subject)
	if table == nil {
		return nil, nil
	}
	var y monitor.Yielder
	add := func(sub *subscription) {
		y.Compared()
		if _, ok := sub.conn.ops.(*client); ok {
			list = append(list, sub)
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
	list = make([]*subscription, 0, countOf(res))
	for sub := range res.All {
		add(sub)
	}
	for _, group := range res.Queues() {
		for sub := range group.From(0) {
			add(sub)
		}
	}
	slices.SortFunc(list, func(a, b *subscription) int {
		y.Compared()
		return orderSubs(a, b)
	})
	slices.SortFunc(remotes, func(a, b RemoteInterest) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return list, remotes
}

// countOf returns how many subscriptions a subject has.
func countOf(res *sublist.Result[*subscription]) int {
	n := res.Count()
	for _, group := range res.Queues() {
		n += group.Len()
	}
	return n
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
