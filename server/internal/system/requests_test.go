package system

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// askingBroker identifies a client by the first token of its inbox, notes what it is asked for, and has
// clients that are gone or behind a route that is near full.
type askingBroker struct {
	fakeBroker
	log  []string
	gone map[string]bool
	full atomic.Pointer[string] // the client behind a route that is near full; nil if there is none
}

func (b *askingBroker) Reader(reply string) string {
	reader, _, _ := strings.Cut(reply, ".")
	return reader
}
func (b *askingBroker) Wanted(subject string) bool { return !b.gone[b.Reader(subject)] }

func (b *askingBroker) NearFull(subject string) bool {
	full := b.full.Load()
	return full != nil && *full == b.Reader(subject)
}

func (b *askingBroker) Page(name, _ string, options []byte) (any, error) {
	b.log = append(b.log, name+string(options))
	return 1, nil
}

func (b *askingBroker) Stats() *Stats {
	b.log = append(b.log, "STATSZ")
	return &Stats{}
}

func (b *askingBroker) Act(a *Action) error {
	b.log = append(b.log, a.Name)
	return nil
}

const subsz = reqServer + ping + ".SUBSZ"

// waiting returns a service that does not run, for which a client has sent many requests for pages.
func waiting(b Broker, flood int) *Service {
	s := New(b, "ID")
	for i := range flood {
		s.queue(&request{subject: subsz, reply: fmt.Sprintf("flooder.%d", i)})
	}
	return s
}

// serveSome serves n requests, and returns what was published.
func serveSome(s *Service, n int) string {
	w := &writer{}
	for range n {
		if r := s.requests.next(); r != nil {
			s.handle(w, r)
		}
	}
	return string(w.buf)
}

// TestRequestsTakeTurns has one client send 10 000 requests for pages before others ask.
func TestRequestsTakeTurns(t *testing.T) {
	t.Parallel()
	const flood = 10_000
	b := &askingBroker{}
	s := waiting(b, flood)
	most := maxHeld / requestSize
	if n := len(s.requests.classes[classLong].asking["flooder"].list); n > most || n < most/2 || s.Dropped() != int64(flood-n) {
		t.Errorf("%d requests wait, %d at most, and %d were dropped", n, most, s.Dropped())
	}
	for i, r := range []*request{
		{subject: reqServer + "ID.KICK", who: "operator", reply: "operator.1"},
		{subject: reqServer + ping + ".STATSZ", reply: "other.1"},
		{subject: subsz, reply: "other.2", body: []byte("{}")},
	} {
		before := s.Dropped()
		if !s.queue(r) || s.Dropped() > before+2 {
			t.Errorf("request %d is dropped, or more than it needs", i)
		}
	}
	sent := serveSome(s, 4)
	if want := []string{"KICK", "STATSZ", "SUBSZ", "SUBSZ{}"}; !slices.Equal(b.log, want) {
		t.Errorf("served: %v, want %v", b.log, want)
	}
	if !strings.Contains(sent, "PUB other.1 ") || !strings.Contains(sent, "PUB other.2 ") {
		t.Errorf("published: %.500q", sent)
	}
}

// TestNoClassKeepsOutAnother has many requests of each class wait.
func TestNoClassKeepsOutAnother(t *testing.T) {
	t.Parallel()
	b := &askingBroker{}
	s := New(b, "ID")
	for range 200 {
		s.queue(&request{subject: reqServer + "ID.KICK", who: "operator"})
		s.queue(&request{subject: reqServer + ping, reply: "one.1"})
		s.queue(&request{subject: subsz, reply: "two.1"})
	}
	serveSome(s, 2*(servedInTurn[classAction]+servedInTurn[classShort]+servedInTurn[classLong]))
	count := map[string]int{}
	for _, name := range b.log {
		count[name]++
	}
	for name, c := range map[string]class{"KICK": classAction, "STATSZ": classShort, "SUBSZ": classLong} {
		if count[name] != 2*servedInTurn[c] {
			t.Errorf("%s is served %d times, want %d", name, count[name], 2*servedInTurn[c])
		}
	}
}

// TestAnswersThatNoneWantAreNotMade has clients that have never had the inbox, or leave.
func TestAnswersThatNoneWantAreNotMade(t *testing.T) {
	t.Parallel()
	b := &askingBroker{gone: map[string]bool{}}
	s := waiting(b, 5)
	s.queue(&request{subject: reqServer + ping, reply: "flooder.1"})
	if s.queue(&request{subject: subsz}); s.requests.held > 7*requestSize {
		t.Error("a request without a reply subject waits")
	}
	b.gone["flooder"] = true
	if sent := serveSome(s, 6); sent != "" || len(b.log) > 0 || s.requests.held != 0 {
		t.Errorf("made: %v, published: %q, held: %d", b.log, sent, s.requests.held)
	}
	s.queue(&request{subject: reqServer + "ID.KICK", who: "operator", reply: "flooder.1"})
	if sent := serveSome(s, 1); sent != "" || !slices.Equal(b.log, []string{"KICK"}) {
		t.Errorf("done for a client that is gone: %v, published: %q", b.log, sent)
	}
}

// TestLongAnswersWaitForRoutes has a client behind a route that is near full ask for much, and others.
func TestLongAnswersWaitForRoutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, far := &askingBroker{}, "far"
		b.full.Store(&far)
		v := serve(t, b)
		ask := func(subject, reply string) string { return msg(subject, reply, "", "") }
		got := v.got(ask(subsz, "far.1") + ask(subsz, "far.2") + ask(reqServer+ping, "far.3") + ask(subsz, "near.1"))
		time.Sleep(10 * gatherTime)
		got += v.got(ask(subsz, "far.4") + ask(subsz, "near.2"))
		for reply, want := range map[string]int{"far.1": 0, "far.2": 0, "far.4": 0, "far.3": 1, "near.1": 1, "near.2": 1} {
			if n := strings.Count(got, "PUB "+reply+" "); n != want {
				t.Errorf("%s is answered %d times, want %d", reply, n, want)
			}
		}
		b.full.Store(nil)
		time.Sleep(2 * gatherTime)
		got = v.got("PING\r\n")
		first, second, last := strings.Index(got, "PUB far.1 "), strings.Index(got, "PUB far.2 "), strings.Index(got, "PUB far.4 ")
		if first < 0 || second < first || last < second {
			t.Errorf("answered later: %.500q", got)
		}
		if held := v.service.requests.held; held != 0 || len(v.service.requests.classes[classLong].asking) > 0 {
			t.Errorf("%d are held", held)
		}
	})
}

// TestThoseWhoAskForMostLoseRequests fills the queue with the requests of routes that are near full,
// too.
func TestThoseWhoAskForMostLoseRequests(t *testing.T) {
	t.Parallel()
	b, flooder := &askingBroker{}, "flooder"
	b.full.Store(&flooder)
	s := waiting(b, 1)
	serveSome(s, 1) // is postponed
	refused := 0
	s.Rebalance("a signal", func(error) { refused++ })
	for i := range 2 * maxHeld / requestSize {
		s.queue(&request{subject: subsz, reply: fmt.Sprintf("flooder.%d", i)})
	}
	long := make([]byte, maxRequest)
	for s.Ask("x", "", "me", long) { // until it has more than the flooder
	}
	q := s.requests
	if q.held > maxHeld || refused > 0 || len(q.classes[classLong].postponed) != 1 || len(q.classes[classAction].asking) != 2 {
		t.Errorf("held: %d; refused: %d", q.held, refused)
	}
	if n := len(q.classes[classLong].asking["flooder"].list); n < maxHeld/requestSize/3 {
		t.Errorf("the other has left %d", n)
	}
}
