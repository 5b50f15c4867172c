package server

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gnatsd/server/internal/netio"
)

// TestTheEndOfAClientLooksAtNothingUnderALock has a client end with subscriptions that panic if they are
// looked at, some of which are queued for a route and some sent.
func TestTheEndOfAClientLooksAtNothingUnderALock(t *testing.T) {
	s, err := NewServer(&Options{})
	okay(t, err)
	r := newRoute(s, deadPipe(t), nil)
	s.cluster.interest.Store(&[]*route{r})
	c := &conn{id: 1, srv: s, role: roleClient}
	var subs subscriptions
	subs.numbered = map[uint64]*subscription{}
	f := r.interest.flowLocked(c)
	for i := range uint64(1000) {
		sub := &subscription{conn: c}
		subs.numbered[i] = sub
		if i%2 == 0 {
			f.add(flowItem{sub: sub})
		}
	}
	var w *withdrawal
	few := testing.AllocsPerRun(1, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		w = s.cluster.beginWithdrawal(c, &subs)
	})
	if len(w.flows) != 1 || few > 10 {
		t.Errorf("got %d flows, and %v allocations, want one, and few", len(w.flows), few)
	}
	if r.interest.startSending() {
		r.interest.sendPiece()
		if !r.interest.stopSending() {
			t.Error("the sender goes on, though all that there is waits for the client")
		}
	}
	if r.interest.clients.Load() == 0 || r.interest.waiting.Load() == 0 {
		t.Error("nothing is to be sent, though the subscriptions have not been withdrawn")
	}
}

// interestModel is a queue of interest, its clients, and what the peer should know in the end.
type interestModel struct {
	t       *testing.T
	rnd     *rand.Rand
	srv     *Server
	q       *interestQueue
	link    *fakeLink
	clients []*withdrawingClient
	aside   []withdrawingEnd // have ended, and are not put back
	ids     uint64
	live    map[string]bool // ids of subscriptions
	within  bool            // a step of the sender
}

type withdrawingClient struct {
	*conn
	subs map[string]*subscription
	msgs int
}

type withdrawingEnd struct {
	flow  *flow
	items []flowItem
	all   []*subscription
}

func newInterestModel(t *testing.T, seed uint64) *interestModel {
	t.Helper()
	s, err := NewServer(&Options{MaxPending: 1 << 30})
	okay(t, err)
	m := &interestModel{t: t, rnd: rand.New(rand.NewPCG(seed, 7)), srv: s, live: map[string]bool{}}
	m.link = &fakeLink{try: m.written}
	r := newRoute(s, deadPipe(t), nil)
	r.out.SetLink(m.link)
	m.q = &r.interest
	for range 1 + m.rnd.IntN(6) {
		m.clients = append(m.clients, m.newClient())
	}
	return m
}

func (m *interestModel) newClient() *withdrawingClient {
	m.ids++
	return &withdrawingClient{conn: &conn{id: m.ids, srv: m.srv, role: roleClient}, subs: map[string]*subscription{}}
}

// written is called in the middle of a piece: others change what there is.
func (m *interestModel) written(n int) (int, error) {
	if m.within {
		for range m.rnd.IntN(4) {
			m.change()
		}
	}
	return n, nil
}

// change does something that a client may do while the queue is sent.
func (m *interestModel) change() {
	i := m.rnd.IntN(len(m.clients))
	c := m.clients[i]
	switch k := m.rnd.IntN(100); {
	case k < 2:
		m.end(c)
		m.clients[i] = m.newClient()
	case k < 12:
		m.putBack()
	case k < 17 && len(c.subs) > 0:
		m.q.addAgain(c.any(m.rnd))
	case k < 20:
		c.msgs++
		text := fmt.Appendf(nil, "MSG to.%d.%d x 0\r\n\r\n", c.id, c.msgs)
		d := netio.Delivery{Segments: []netio.Segment{{Bytes: text}}, Bytes: len(text)}
		if !m.q.addMessages(c.conn, &flowOther{messages: d, to: m.q.to}) {
			m.q.to.out.Push(&d)
		}
	case k < 50 && len(c.subs) > 0:
		sub := c.any(m.rnd)
		delete(c.subs, sub.sid())
		m.q.add(sub, true)
		delete(m.live, subID(sub))
	default:
		for range 1 + m.rnd.IntN(20) {
			sid := fmt.Sprint(len(m.live), strings.Repeat("x", m.rnd.IntN(600)), m.rnd.Uint32())
			sub := newSubscription(c.conn, []byte("foo"), nil, []byte(sid))
			c.subs[sid] = sub
			m.q.add(sub, false)
			m.live[subID(sub)] = true
		}
	}
}

// any returns one of the subscriptions.
func (c *withdrawingClient) any(rnd *rand.Rand) *subscription {
	sids := slices.Sorted(maps.Keys(c.subs))
	return c.subs[sids[rnd.IntN(len(sids))]]
}

func subID(sub *subscription) string { return string(appendRouteSID(nil, sub)) }

// end ends a client, until its flow is put back.
func (m *interestModel) end(c *withdrawingClient) {
	e := withdrawingEnd{all: slices.Collect(maps.Values(c.subs))}
	e.flow, e.items = m.q.setAside(c.conn)
	m.aside = append(m.aside, e)
	for _, sub := range c.subs {
		delete(m.live, subID(sub))
	}
}

// putBack puts back the flow of a client that has ended, if there is one.
func (m *interestModel) putBack() {
	if len(m.aside) == 0 {
		return
	}
	i := m.rnd.IntN(len(m.aside))
	e := m.aside[i]
	m.aside = slices.Delete(m.aside, i, i+1)
	m.q.putBack(e.flow, withoutUnsent(e.items, e.all))
}

// send sends a piece, during which there are changes.
func (m *interestModel) send() {
	if !m.q.startSending() {
		return
	}
	m.within = true
	m.q.sendPiece()
	m.within = false
	m.q.sending.Store(false)
	m.q.senders.Done()
}

// TestTheInterestOfClientsThatEndIsWithdrawnExactly has clients subscribe, unsubscribe, publish and end at
// random, with the sender stopped anywhere. What is withdrawn has been announced, what has not ended stays,
// and messages of a client arrive in order.
func TestTheInterestOfClientsThatEndIsWithdrawnExactly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		m := newInterestModel(t, seed)
		for range m.rnd.IntN(1500) {
			m.change()
			if m.rnd.IntN(20) == 0 {
				m.send()
			}
		}
		for len(m.aside) > 0 {
			m.putBack()
		}
		for m.q.readyLocked() {
			m.send()
			for len(m.aside) > 0 {
				m.putBack()
			}
		}
		m.q.mu.Lock()
		bytes, flows := m.q.bytes, len(m.q.flows)
		m.q.mu.Unlock()
		if lines := m.q.waiting.Load(); lines != 0 || m.q.clients.Load() != 0 || bytes != 0 || flows != 0 {
			t.Fatalf("seed %d: %d lines, %d flows and %d bytes are left", seed, lines, flows, bytes)
		}
		allWritten(t, &m.q.to.out)
		m.check(seed)
	}
}

// check compares what the peer knows with what there is.
func (m *interestModel) check(seed uint64) {
	m.t.Helper()
	known, last := map[string]bool{}, map[uint64]int{}
	for line := range strings.Lines(string(m.link.out)) {
		switch f := strings.Fields(line); {
		case len(f) == 0:
		case f[0] == "SUB":
			known[f[2]] = true
		case f[0] == "UNSUB":
			if !known[f[1]] {
				m.t.Fatalf("seed %d: %.40s is withdrawn, and the peer does not know it", seed, f[1])
			}
			delete(known, f[1])
		case f[0] == "MSG":
			var cid uint64
			var n int
			fmt.Sscanf(f[1], "to.%d.%d", &cid, &n)
			if n != last[cid]+1 {
				m.t.Fatalf("seed %d: message %d of client %d follows %d", seed, n, cid, last[cid])
			}
			last[cid] = n
		}
	}
	if !maps.Equal(known, m.live) {
		m.t.Fatalf("seed %d: the peer knows %d subscriptions, there are %d", seed, len(known), len(m.live))
	}
}
