package server

import (
	"cmp"
	"fmt"
	"io"
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
	d := sub.record().detail(sub.conn.id)
	if s := sub.conn.srv; s.system != nil {
		d.Account = s.accountOf(sub.conn)
	}
	return d
}

// shownMsgs returns how many messages were delivered, as pages show it.
func (sub *subscription) shownMsgs() int64 {
	msgs := sub.delivered.Load()
	if limit := sub.most(); limit > 0 {
		msgs = min(msgs, limit)
	}
	return msgs
}

// subRecord is what is listed of a subscription, in little memory: there may be millions in the records
// of closed connections, few of which are ever asked for.
type subRecord struct {
	text subText
	msgs int64 // delivered
	max  int64 // 0 = no limit
}

func (sub *subscription) record() subRecord {
	return subRecord{text: sub.text, msgs: sub.shownMsgs(), max: sub.most()}
}

// detail returns the details of a subscription of a client, without its account.
func (n subRecord) detail(cid uint64) SubDetail {
	return SubDetail{Subject: n.text.subject(), Queue: n.text.queue(), Sid: n.text.sid(), Msgs: n.msgs, Max: n.max, Cid: cid}
}

// details returns the subscriptions that a closed client had, sorted by compareSubs.
func (r *connRow) details(y *monitor.Yielder) []SubDetail {
	list := make([]SubDetail, 0, len(r.closedSubs))
	for i := range r.closedSubs {
		y.Compared()
		d := r.closedSubs[i].detail(r.cid)
		d.Account = r.account
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b SubDetail) int {
		y.Compared()
		return compareSubs(a, b)
	})
	return list
}

// compareSubs compares subscriptions by client, then by sid; sids that are numbers by their value.
func compareSubs(a, b SubDetail) int { return compareSids(a.Cid, b.Cid, a.Sid, b.Sid) }

// orderSubs is compareSubs.
func orderSubs(a, b *subscription) int {
	return compareSids(a.conn.id, b.conn.id, a.sid(), b.sid())
}

func compareSids(cidA, cidB uint64, a, b string) int {
	return cmp.Or(cmp.Compare(cidA, cidB), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// subList is the subscriptions of a connection on a page. Those of one that is connected are looked at
// when the page is written: copies of all would take several times the memory.
type subList struct {
	live   []*subscription
	record []SubDetail // of a client that is closed
}

func (l *subList) len() int { return len(l.live) + len(l.record) }

// at returns one of them.
func (l *subList) at(i int) SubDetail {
	if l.live == nil {
		return l.record[i]
	}
	return l.live[i].detail()
}

// subject returns the subject of one of them.
func (l *subList) subject(i int) string {
	if l.live == nil {
		return l.record[i].Subject
	}
	return l.live[i].subject()
}

// begin puts the first of them into one of the lists of an entry, and returns the others.
func (l *subList) begin(subjects *[]string, details *[]SubDetail, detail bool) *monitor.Rest {
	if !detail {
		first := l.subject(0)
		*subjects = []string{first}
		return &monitor.Rest{Key: "subscriptions_list", First: first, Len: l.len() - 1, At: func(i int) any { return l.subject(i + 1) }}
	}
	*details = []SubDetail{l.at(0)}
	var d SubDetail
	at := func(i int) any {
		d = l.at(i + 1)
		return &d
	}
	return &monitor.Rest{Key: "subscriptions_list_detail", First: &(*details)[0], Len: l.len() - 1, At: at}
}

// fill puts all of them into one of the lists of an entry.
func (l *subList) fill(subjects *[]string, details *[]SubDetail, detail bool) {
	if detail {
		*details = make([]SubDetail, 0, l.len())
	} else {
		*subjects = make([]string, 0, l.len())
	}
	var y monitor.Yielder
	for i := range l.len() {
		if detail {
			*details = append(*details, l.at(i))
		} else {
			*subjects = append(*subjects, l.subject(i))
		}
		y.Step()
	}
}

// maxSubsCopy is how many subscriptions are looked at under the lock of a connection, which takes some
// 0.2 ms. Those of a larger connection are found in the routing table, under locks that are held for
// one entry at a time.
const maxSubsCopy = 2000

// liveSubs returns the subscriptions of the connection; ok is false if they are too many to be looked
// at under its lock.
func (c *conn) liveSubs() (list []*subscription, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.len() > maxSubsCopy {
		return nil, false
	}
	list = make([]*subscription, 0, c.subs.len())
	for sub := range c.subs.all {
		list = append(list, sub)
	}
	return list, true
}

// subsOf returns the subscriptions of connections, in the order of orderSubs.
func (s *Server) subsOf(conns []*conn) [][]*subscription {
	lists := make([][]*subscription, len(conns))
	large := map[*conn]int{} // their indexes
	var y monitor.Yielder
	for i, c := range conns {
		list, ok := c.liveSubs()
		if !ok {
			large[c] = i
			list = make([]*subscription, 0, c.subCount())
		}
		lists[i] = list
		y.Step()
	}
	if len(large) > 0 {
		s.allSubs(func(e sublist.Entry[*subscription]) bool {
			if i, ok := large[e.Value.conn]; ok {
				lists[i] = append(lists[i], e.Value)
			}
			y.Compared()
			return true
		})
	}
	for _, list := range lists {
		slices.SortFunc(list, func(a, b *subscription) int {
			y.Compared()
			return orderSubs(a, b)
		})
	}
	return lists
}

// listsOf returns the subscriptions of clients.
func (s *Server) listsOf(rows []*connRow) []subList {
	lists := make([]subList, len(rows))
	var y monitor.Yielder
	var conns []*conn
	var at []int // the indexes of conns in rows
	for i, r := range rows {
		if r.c == nil {
			lists[i].record = r.details(&y)
			continue
		}
		conns, at = append(conns, &r.c.conn), append(at, i)
	}
	for k, live := range s.subsOf(conns) {
		lists[at[k]].live = live
	}
	return lists
}

// subEntry is an entry of /subsz: a subscription, or one for all inboxes of a client.
type subEntry struct {
	sub    *subscription
	msgs   int64      // delivered when the entry was chosen
	folded *SubDetail // instead of sub
}

func newSubEntry(sub *subscription) subEntry { return subEntry{sub: sub, msgs: sub.shownMsgs()} }

// detail returns the entry as the page shows it, but for the name of the client.
func (e *subEntry) detail() SubDetail {
	if e.folded != nil {
		return *e.folded
	}
	d := e.sub.detail()
	d.Msgs = e.msgs
	return d
}

// compare is compareSubs.
func (e *subEntry) compare(other *subEntry) int {
	cidA, a := e.id()
	cidB, b := other.id()
	return compareSids(cidA, cidB, a, b)
}

// id returns the ids of the client and of the subscription.
func (e *subEntry) id() (cid uint64, sid string) {
	if e.folded != nil {
		return e.folded.Cid, e.folded.Sid
	}
	return e.sub.conn.id, e.sub.sid()
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

// sortDelivered is the order of /subsz that is not by client.
const sortDelivered = "delivered"

// subChoice chooses the first of many subscriptions, in some order, and keeps no more than it must.
type subChoice struct {
	most    int // that are wanted
	order   func(a, b *subEntry) int
	fold    bool
	list    []subEntry
	inboxes map[uint64]*SubDetail // by cid, of clients that have any
	y       monitor.Yielder
}

// newSubChoice returns a choice of about that many.
func newSubChoice(o *SubszOptions, offset, limit, of int) *subChoice {
	c := &subChoice{most: math.MaxInt / 4, order: (*subEntry).compare, fold: o.FoldInboxes, inboxes: map[uint64]*SubDetail{}}
	if offset < c.most && limit < c.most {
		c.most = min(c.most, offset+limit)
	}
	if o.Sort == sortDelivered {
		c.order = func(a, b *subEntry) int { return cmp.Or(cmp.Compare(b.shownMsgs(), a.shownMsgs()), a.compare(b)) }
	}
	c.list = make([]subEntry, 0, min(of, c.room()))
	return c
}

// room returns how many are kept before some are dropped.
func (c *subChoice) room() int { return 2*c.most + 1024 }

// shownMsgs returns how many messages were delivered, as the page shows it.
func (e *subEntry) shownMsgs() int64 {
	if e.folded != nil {
		return e.folded.Msgs
	}
	return e.msgs
}

// offer adds a subscription.
func (c *subChoice) offer(sub *subscription) {
	c.y.Compared()
	if !c.fold || !strings.HasPrefix(sub.subject(), string(inboxPrefix)) {
		c.keep(newSubEntry(sub))
		return
	}
	if sum := c.inboxes[sub.conn.id]; sum != nil {
		sum.Msgs += sub.shownMsgs()
		sum.Folded++
		return
	}
	c.inboxes[sub.conn.id] = &SubDetail{Subject: string(allInboxes), Sid: sub.sid(), Msgs: sub.shownMsgs(), Cid: sub.conn.id, Folded: 1}
}

func (c *subChoice) keep(e subEntry) {
	if c.list = append(c.list, e); len(c.list) >= c.room() {
		c.cut()
	}
}

func (c *subChoice) cut() {
	slices.SortFunc(c.list, func(a, b subEntry) int {
		c.y.Compared()
		return c.order(&a, &b)
	})
	c.list = c.list[:min(c.most, len(c.list))]
}

// window returns a window of what was chosen.
func (c *subChoice) window(offset, limit int) []subEntry {
	for _, d := range c.inboxes {
		c.keep(subEntry{folded: d})
	}
	c.cut()
	return windowOf(c.list, offset, limit)
}

// chosenSubs returns a window of the subscriptions of all clients in the order that o asks for. It
// looks at all of them.
func (s *Server) chosenSubs(o *SubszOptions, offset, limit int) []subEntry {
	count := s.subs.Count()
	if s.system != nil {
		count += s.system.table.Count()
	}
	choice := newSubChoice(o, offset, limit, count)
	s.allSubs(func(e sublist.Entry[*subscription]) bool {
		if e.Value.conn.role == roleClient {
			choice.offer(e.Value)
		}
		return true
	})
	return choice.window(offset, limit)
}

// subsWindow returns a window of the subscriptions of all clients of an account, or of all accounts
// if its name is "", sorted by compareSubs. Of clients before the window only the number of
// subscriptions is read.
func (s *Server) subsWindow(account string, offset, limit int) []subEntry {
	clients := s.clients.all()
	if account != "" {
		clients = slices.DeleteFunc(clients, func(c *client) bool { return c.account() != account })
	}
	var y monitor.Yielder
	slices.SortFunc(clients, func(a, b *client) int {
		y.Compared()
		return cmp.Compare(a.id, b.id)
	})
	var conns []*conn
	have := 0 // subscriptions of conns
	for _, c := range clients {
		n := c.subCount()
		if len(conns) == 0 && offset >= n {
			offset -= n
			continue
		}
		conns = append(conns, &c.conn)
		if have += n; have-offset >= limit {
			break
		}
	}
	list := make([]subEntry, 0, max(0, min(have-offset, limit)))
	for _, subs := range s.subsOf(conns) {
		part := windowOf(subs, offset, limit-len(list))
		for _, sub := range part {
			list = append(list, newSubEntry(sub))
			y.Compared()
		}
		offset = max(0, offset-len(subs))
	}
	return list
}
