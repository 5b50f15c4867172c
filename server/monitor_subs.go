package server

import (
	"cmp"
	"slices"

	"gnatsd/server/internal/monitor"
	"gnatsd/sublist"
)

// This file is subscriptions as pages list them: /connz and /routez those of a connection, /subsz those of clients.

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
