package server

import (
	"cmp"
	"fmt"
	"slices"
	"time"

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
}

func (z *Subsz) encode() ([]byte, error) {
	if len(z.Subs) == 0 {
		return monitor.Encode(&subszNumbers{z.SublistStats, z.ID, z.ServerName, z.Now, z.Total, z.Offset, z.Limit})
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
	Subject string `json:"subject"`
	Queue   string `json:"qgroup,omitempty"`
	Sid     string `json:"sid"`
	Msgs    int64  `json:"msgs"`          // delivered
	Max     int64  `json:"max,omitempty"` // limit of Msgs set by UNSUB; 0 = none
	Cid     uint64 `json:"cid"`
}

// SubszOptions are the parameters of [Server.Subsz].
type SubszOptions struct {
	Offset        int    // of the window; negative = 0
	Limit         int    // subscriptions in the window; 0 or less = 1024
	Subscriptions bool   // include the list
	Test          string // list only subscriptions that match this subject; "" = all
}

// subszOptions decodes the parameters of /subsz.
func subszOptions(p *monitor.Params) *SubszOptions {
	return &SubszOptions{Subscriptions: p.Flag("subs"), Offset: p.Number("offset"), Limit: p.Number("limit"), Test: p.Text("test")}
}

func (sub *subscription) detail() SubDetail {
	limit := sub.limit.Load()
	msgs := sub.delivered.Load()
	if limit > 0 {
		msgs = min(msgs, limit)
	}
	return SubDetail{Subject: sub.subject(), Queue: sub.queue(), Sid: sub.sid(), Msgs: msgs, Max: limit, Cid: sub.conn.id}
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
	s.allSubs(func(e sublist.Entry[*subscription]) bool {
		if r := large[e.Value.conn]; r != nil {
			r.subscriptions = append(r.subscriptions, e.Value.detail())
		}
		return true
	})
	for _, r := range large {
		slices.SortFunc(r.subscriptions, compareSubs)
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
	z := &Subsz{SublistStats: s.sublistStats(), ID: s.id, ServerName: s.Name(), Now: time.Now().UTC()}
	z.Offset, z.Limit = window(o.Offset, o.Limit)
	switch {
	case !o.Subscriptions:
	case o.Test != "":
		z.Subs = windowOf(s.matching(o.Test), z.Offset, z.Limit)
	default:
		z.Subs = s.subsWindow(z.Offset, z.Limit)
	}
	z.Total = len(z.Subs)
	return z, nil
}

func (s *Server) sublistStats() *SublistStats {
	st := s.subs.Stats()
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

// matching returns the clients' subscriptions that match a subject.
func (s *Server) matching(subject string) []SubDetail {
	var list []SubDetail
	res := s.subs.Match([]byte(subject))
	add := func(sub *subscription) {
		if sub.conn.role == roleClient {
			list = append(list, sub.detail())
		}
	}
	for sub := range res.All {
		add(sub)
	}
	for _, group := range res.Queues() {
		for i := range group.Len() {
			add(group.At(i))
		}
	}
	slices.SortFunc(list, compareSubs)
	return list
}

// subsWindow returns a window of the subscriptions of all clients, sorted by compareSubs. Of
// clients before the window only the number of subscriptions is read.
func (s *Server) subsWindow(offset, limit int) []SubDetail {
	clients := s.clients.all()
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
