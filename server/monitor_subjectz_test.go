package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSubjectzShowsWhatIsPublishedMost(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	for i := range 3 {
		speak(t, s, hello(fmt.Sprintf("subscriber-%d", i)), "SUB orders.* 1")
	}
	speak(t, s, hello("queue"), "SUB orders.> workers 1")
	speak(t, s, hello("idle"))
	busy := speak(t, s, hello("busy"))
	lost := speak(t, s, hello("lost"))
	var z Subjectz
	eventually(t, "both subjects and the inboxes", func() bool {
		busy.Do(strings.TrimSuffix(strings.Repeat("PUB orders.new 10\r\n0123456789\r\n", 100), "\r\n"))
		lost.Do("PUB unknown 2\r\nhi", "PUB unknown 2\r\nhi")
		lost.Do("PUB _INBOX.abc.1 2\r\nhi")
		lost.Do("PUB _INBOX.abd.2 2\r\nhi")
		z = decode[Subjectz](t, s, "/subjectz")
		return len(z.Subjects) == 3 && z.Subjects[0].Msgs > 10
	})
	by := map[string]SubjectInfo{}
	for _, info := range z.Subjects {
		by[info.Subject] = info
	}
	top := z.Subjects[0]
	if top.Subject != "orders.new" || top.Fanout != 4 || top.NoReceivers != 0 || top.TopClient != "busy" || top.Publishers != 1 || top.Bytes < 9*top.Msgs {
		t.Errorf("got %+v", top)
	}
	if u := by["unknown"]; u.NoReceivers == 0 || u.NoReceivers != u.Msgs || u.Fanout != 0 || u.TopClient != "lost" {
		t.Errorf("got %+v", u)
	}
	if by["_INBOX.>"].Subject == "" {
		t.Errorf("inboxes are not one subject: %+v", z.Subjects)
	}
	if z.NoReceivers == 0 || decode[Subjectz](t, s, "/subjectz?sort=no_receivers").Subjects[0].NoReceivers == 0 {
		t.Errorf("got %+v", z)
	}
	if one := decode[Subjectz](t, s, "/subjectz?sort=deliveries&limit=1"); len(one.Subjects) != 1 || one.Total != 3 || one.Subjects[0].Subject != "orders.new" {
		t.Errorf("got %+v", one)
	}
	if r := ask(t, s, "/subjectz?sort=x"); r.status != 400 || r.body != "invalid sorting option: x\n" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	for _, c := range s.clients.all() {
		if publishes := c.inMsgs.Load() > 0; publishes != (c.subjects.Load() != nil) {
			t.Errorf("client %d publishes: %t; it has a sketch: %t", c.id, publishes, !publishes)
		}
	}
	// What a client did is known for a while when it is gone.
	busy.Close()
	eventually(t, "the client is gone", func() bool { return s.NumClients() == 6 })
	eventually(t, "its subject stays", func() bool {
		top := decode[Subjectz](t, s, "/subjectz").Subjects[0]
		return top.Subject == "orders.new" && top.TopCid == 0
	})
}

func TestConnzHasRates(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	sub := speak(t, s, hello("subscriber"), "SUB foo 1")
	pub := speak(t, s, hello("publisher"))
	if z := decode[Connz](t, s, "/connz?rates=1"); z.Conns[0].Rates != nil {
		t.Errorf("at first: got %+v", z.Conns[0].Rates)
	}
	pub.Do(strings.TrimSuffix(strings.Repeat("PUB foo 100\r\n"+strings.Repeat("x", 100)+"\r\n", 50), "\r\n"))
	for range 50 {
		sub.Hear("MSG")
		sub.Hear("")
	}
	// Two seconds later.
	last := s.rates.Load()
	s.rates.Store(&rateSamples{newer: &rateSample{at: last.newer.at.Add(-2 * time.Second), counts: last.newer.counts}})
	for order, first := range map[string]string{"rate": "publisher", "msgs_from_rate": "publisher", "bytes_from_rate": "publisher", "msgs_to_rate": "subscriber", "bytes_to_rate": "subscriber"} {
		z := decode[Connz](t, s, "/connz?sort="+order)
		c := z.Conns[0]
		if order == "rate" {
			continue // both do as much
		}
		if c.Name != first || c.Rates == nil || c.Rates.InMsgs+c.Rates.OutMsgs < 1 || c.Rates.InMsgs+c.Rates.OutMsgs > 101 {
			t.Errorf("%s: got %s with %+v, want %s", order, c.Name, c.Rates, first)
		}
	}
	if z := decode[Connz](t, s, "/connz"); z.Conns[0].Rates != nil {
		t.Errorf("without asking: got %+v", z.Conns[0].Rates)
	}
	s.dropRates(time.Now().Add(connRateLinger / 2))
	if s.rates.Load() == nil {
		t.Error("the samples are dropped too early")
	}
	s.dropRates(time.Now().Add(2 * connRateLinger))
	if s.rates.Load() != nil {
		t.Error("the samples stay although rates are not asked for")
	}
}
