package server

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"gnatsd/server/internal/monitor"
	"gnatsd/sublist"
)

// This file chooses the subscriptions that are in the window of /subsz.

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
