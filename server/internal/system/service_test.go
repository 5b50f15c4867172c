package system

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeBroker wants every event, and has nothing to say.
type fakeBroker struct{ Broker }

func (fakeBroker) Identify() ServerInfo {
	return ServerInfo{Name: "a", Host: "h", ID: "ID", Cluster: "c"}
}
func (fakeBroker) Wanted(string) bool       { return true }
func (fakeBroker) MaxPayload() int          { return 1 << 20 }
func (fakeBroker) RoutesNearFull() bool     { return false }
func (fakeBroker) NearFull(string) bool     { return false }
func (fakeBroker) Reader(string) string     { return "client" }
func (fakeBroker) Accounts() []AccountStats { return nil }

// TestEventsAreDroppedRatherThanQueuedWithoutEnd publishes more than may wait, while nothing runs.
func TestEventsAreDroppedRatherThanQueuedWithoutEnd(t *testing.T) {
	t.Parallel()
	s := New(fakeBroker{}, "ID")
	name := strings.Repeat("n", 1<<20)
	for range maxEvents + 10 {
		s.Connected("A", func() ClientInfo { return ClientInfo{Account: "A", Name: name} })
	}
	if s.Dropped() != 10 || len(s.events) != maxEvents {
		t.Errorf("%d events wait, %d were dropped; want %d and 10", len(s.events), s.Dropped(), maxEvents)
	}
	if e := <-s.events; len(e.Client.Name) != maxText {
		t.Errorf("an event holds a name of %d bytes", len(e.Client.Name))
	}
}

// TestEventsWaitForOthersWhereThereAreMany reads at the times when events may come.
func TestEventsWaitForOthersWhereThereAreMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		s := New(fakeBroker{}, "ID")
		ended := make(chan struct{})
		go func() { defer close(ended); s.Run(there) }() // ends when here is closed
		var lines atomic.Int64
		go func() { // ends when here is closed
			in := bufio.NewScanner(here)
			for in.Scan() {
				lines.Add(1)
			}
		}()
		happens := func(n int) {
			for range n {
				s.Connected("A", func() ClientInfo { return ClientInfo{} })
			}
			synctest.Wait()
		}
		want := func(what string, n int64) {
			t.Helper()
			if got := lines.Swap(0) / 2; got != n {
				t.Errorf("%s: %d events, want %d", what, got, n)
			}
		}
		happens(1)
		want("the first one, at once", 1)
		happens(2)
		want("the next ones, at once", 0)
		time.Sleep(gatherTime)
		synctest.Wait()
		want("the next ones, after a while", 2)
		happens(1)
		want("one after those, at once", 0)
		time.Sleep(3 * gatherTime)
		synctest.Wait()
		want("one after those, later", 1)
		happens(1)
		want("one after a pause, at once", 1)
		for range 10 {
			happens(maxEvents / 2)
			want("half of what may wait, at once", maxEvents/2)
		}
		if s.Dropped() != 0 {
			t.Errorf("%d events were dropped", s.Dropped())
		}
		here.Close()
		<-ended
	})
}

// busyBroker has a route that is near full.
type busyBroker struct {
	fakeBroker
	full atomic.Bool
}

func (b *busyBroker) RoutesNearFull() bool { return b.full.Load() }

// TestEventsWaitForRoutes has many events while a route cannot take them, and a request.
func TestEventsWaitForRoutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &busyBroker{}
		b.full.Store(true)
		v := serve(t, b)
		for range maxEvents + 10 {
			v.service.Connected("A", func() ClientInfo { return ClientInfo{} })
		}
		time.Sleep(10 * gatherTime)
		got := v.got(msg(reqServer+ping+".IDZ", "r", "", ""))
		if n := strings.Count(got, "PUB $SYS."); n > 2 || !strings.Contains(got, "PUB r ") {
			t.Errorf("%d events are published, and an answer: %v", n, strings.Contains(got, "PUB r "))
		}
		b.full.Store(false)
		time.Sleep(2 * gatherTime)
		if n := strings.Count(v.got("PING\r\n"), "PUB $SYS."); n < maxEvents-10 || v.service.Dropped() < 8 {
			t.Errorf("%d events are published later, and %d were dropped", n, v.service.Dropped())
		}
	})
}

// TestRequestsThatAreNoneAreSkipped sends what the broker would not, and one request behind it.
func TestRequestsThatAreNoneAreSkipped(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	s := New(fakeBroker{}, "ID")
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(there) }() // ends when here is closed
	large := strings.Repeat("x", maxRequest+1)
	go fmt.Fprintf(here, "\r\nPING\r\n+OK\r\nMSG\r\nMSG a b c\r\nHMSG a 1 r 9 3\r\nMSG $SYS.REQ.SERVER.PING.IDZ 1 no %d\r\n%s\r\nMSG $SYS.REQ.SERVER.PING.IDZ 1 yes 0\r\n\r\n", len(large), large)
	in := bufio.NewReader(here)
	for _, want := range []string{"PUB no ", `{"server"`, "PUB yes ", `{"name":"a","host":"h","id":"ID"}` + "\r\n"} {
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("got %q, %v, want %s", line, err, want)
		}
	}
	here.Close()
	<-ended
	if s.Dropped() != 0 {
		t.Errorf("%d requests were dropped", s.Dropped())
	}
}

// served is a service that runs on the clock of a test, with what it has published.
type served struct {
	t       *testing.T
	service *Service
	here    net.Conn
	mu      sync.Mutex
	sent    strings.Builder // guarded by mu
}

func (v *served) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.sent.Write(p)
}

// serve runs a service. The test ends it.
func serve(t *testing.T, b Broker) *served {
	here, there := net.Pipe()
	s := New(b, "ID")
	v := &served{t: t, service: s, here: here}
	over := make(chan struct{}, 2)
	go func() { s.Run(there); over <- struct{}{} }()     // ends when here is closed
	go func() { io.Copy(v, here); over <- struct{}{} }() // likewise
	t.Cleanup(func() { here.Close(); <-over; <-over })
	return v
}

// got sends text to the service and returns what that publishes then.
func (v *served) got(text string) string {
	v.t.Helper()
	if _, err := io.WriteString(v.here, text); err != nil {
		v.t.Fatal(err)
	}
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	defer v.sent.Reset()
	return v.sent.String()
}

// msg returns a message for the service, with a header for who asks unless that is "".
func msg(subject, reply, who, body string) string {
	if who == "" {
		return fmt.Sprintf("MSG %s 1 %s %d\r\n%s\r\n", subject, reply, len(body), body)
	}
	header := "NATS/1.0\r\n" + whose + ": " + who + "\r\n\r\n"
	return fmt.Sprintf("HMSG %s 1 %s %d %d\r\n%s%s\r\n", subject, reply, len(header), len(header)+len(body), header, body)
}

// actingBroker notes what it is made to do.
type actingBroker struct {
	fakeBroker
	acts     []string
	balances []Balance
}

func (b *actingBroker) Act(a *Action) error {
	b.acts = append(b.acts, a.Name+" for "+a.Who)
	return nil
}

func (b *actingBroker) Rebalance(balance *Balance, _ string) error {
	b.balances = append(b.balances, *balance)
	return nil
}

// TestActionsAreForUsersThatAServerNames sends each as an answer that a user has made go there.
func TestActionsAreForUsersThatAServerNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &actingBroker{}
		v := serve(t, b)
		for _, name := range Actions {
			if got := v.got(msg(reqServer+"ID."+name, "r", "", "{}")); !strings.Contains(got, `"code":400`) {
				t.Errorf("%s: got %q, want an error", name, got)
			}
		}
		time.Sleep(2 * countTime)
		if len(b.acts)+len(b.balances) > 0 {
			t.Errorf("done: %v, %v", b.acts, b.balances)
		}
		v.got(msg(reqServer+"ID.KICK", "r", "me", "{}"))
		if want := []string{"KICK for me"}; !slices.Equal(b.acts, want) {
			t.Errorf("done: %v, want %v", b.acts, want)
		}
	})
}

// TestEachServerIsCountedOnce has servers answer a request to rebalance, one of them often.
func TestEachServerIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &actingBroker{}
		v := serve(t, b)
		if got := v.got(msg(reqServer+"ID"+rebalanceName, "r", "me", "")); !strings.Contains(got, counts("ID")) {
			t.Fatalf("got %q", got)
		}
		for server, clients := range map[string]int{"A": 10, "B": 2} {
			answer := fmt.Sprintf(`{"server":{"id":%q},"statsz":{"connections":%d}}`, server, clients)
			v.got(strings.Repeat(msg(counts("ID"), "", "", answer), 100*len(server)))
		}
		v.got(msg(counts("ID"), "", "", `{"statsz":{"connections":5}}`))
		time.Sleep(2 * countTime)
		synctest.Wait()
		if want := []Balance{{Servers: 2, Connections: 12, Mean: 6}}; !slices.Equal(b.balances, want) {
			t.Errorf("got %v, want %v", b.balances, want)
		}
	})
}

// TestRepliesOnSubjectsOfServersAreNotSent asks with such reply subjects.
func TestRepliesOnSubjectsOfServersAreNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := serve(t, &actingBroker{})
		for reply, want := range map[string]bool{
			"a": true, "_INBOX.x": true, "$SYS": true, "$SYSTEM.x": true, counts("OTHER"): true, "$SYS._INBOX": false,
			reqServer + "ID.RELOAD": false, reqServer + ping: false, Connect("APP"): false, Shutdown("ID"): false, "$SYS.x": false, "_SYS.x": false,
		} {
			for subject, who := range map[string]string{reqServer + ping + ".IDZ": "", reqServer + "ID.KICK": "me", reqServer + ping + ".JSZ": ""} {
				if got := v.got(msg(subject, reply, who, "{}")); (got != "") != want {
					t.Errorf("%s with the reply subject %s: got %q", subject, reply, got)
				}
			}
		}
	})
}

// TestRequestsAreReadAsTheBrokerWritesThem has what clients may put into words and payloads: white
// space that is not the protocol's, and lines of it.
func TestRequestsAreReadAsTheBrokerWritesThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &actingBroker{}
		v := serve(t, b)
		forged := "\r\n" + msg(reqServer+"ID.RELOAD", "r", "forger", "")
		for _, blank := range []string{"\u0085", "\u00a0", "\u2003", "\u3000", "\u2028"} {
			got := v.got(msg(reqServer+ping+".IDZ", "re"+blank+"ply", "", forged))
			if !strings.HasPrefix(got, "PUB re"+blank+"ply ") || len(b.acts) > 0 {
				t.Errorf("%q: got %q, and %v was done", blank, got, b.acts)
			}
			v.got(msg(reqAccount+"a"+blank+"b.STATZ", "r", "", forged))
			if len(b.acts) > 0 {
				t.Errorf("%q: %v was done", blank, b.acts)
			}
		}
	})
}

// TestLargeRequestsAreAnswered has requests, headers and reply subjects of many sizes.
func TestLargeRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := serve(t, &actingBroker{})
		for size, want := range map[int]string{maxRequest: `"name":"a"`, maxRequest + 1: `"code":400`, 10 * maxRequest: `"code":400`} {
			body := "{}" + strings.Repeat(" ", size-2)
			for _, who := range []string{"", "a user with a name"} {
				if got := v.got(msg(reqServer+ping+".IDZ", "r", who, body)); !strings.HasPrefix(got, "PUB r ") || !strings.Contains(got, want) {
					t.Errorf("a request of %d bytes is answered %.300q", size, got)
				}
			}
			reply := strings.Repeat("r", size)
			if got := v.got(msg(reqServer+ping+".IDZ", reply, "", "")); !strings.HasPrefix(got, "PUB "+reply+" ") {
				t.Errorf("a reply subject of %d bytes is answered %.300q", size, got)
			}
		}
		if got := v.got(msg(reqServer+ping+".IDZ", "r", strings.Repeat("w", maxRequest), "{}")); !strings.Contains(got, `"code":400`) {
			t.Errorf("large headers are answered %.300q", got)
		}
	})
}

// TestRequestsThatWaitAreBounded sends requests to a service that does not run, and large ones.
func TestRequestsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	s := New(fakeBroker{}, "ID")
	long, body := strings.Repeat("s", 2*maxRequest), make([]byte, maxRequest)
	n := int64(0)
	for s.Ask(long, long, "me", body) {
		n++
	}
	if held := s.requests.held; held > maxHeld || held != n*(requestSize+5*maxRequest+2) || s.Dropped() != 1 {
		t.Errorf("%d requests are held, %d bytes, and %d dropped", n, held, s.Dropped())
	}
	if !s.Ask("s", "r", "you", make([]byte, maxRequest+1)) || s.requests.held > maxHeld {
		t.Error("the error for a large request is not queued, or holds it")
	}
}

// smallBroker has a small max_payload.
type smallBroker struct{ actingBroker }

func (*smallBroker) MaxPayload() int { return 10 }

func (*smallBroker) Act(*Action) error {
	return errors.New("f\u00fc" + strings.Repeat("\u00fc", 4*maxErrorText))
}

// TestErrorsAreSentWhateverMaxPayloadIs asks where no answer is small enough.
func TestErrorsAreSentWhateverMaxPayloadIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := serve(t, &smallBroker{})
		for request, want := range map[string]string{
			msg(reqServer+ping+".IDZ", "r", "", ""):   "max_payload is 10",
			msg(reqServer+ping+".JSZ", "r", "", ""):   "JSZ is not available",
			msg(reqServer+"ID.RELOAD", "r", "me", ""): `"f` + strings.Repeat("\u00fc", (maxErrorText-1)/2) + `"`,
		} {
			if got := v.got(request); !strings.HasPrefix(got, "PUB r ") || !strings.Contains(got, want) || len(got) > 2*maxErrorText+300 {
				t.Errorf("%.60q: got %.600q, want %q in it", request, got, want)
			}
		}
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	here := &ServerInfo{Name: "server-one", Host: "10.0.0.1", ID: "ID", Cluster: "east"}
	for _, c := range []struct {
		filter filter
		want   bool
	}{
		{filter{}, true},
		{filter{ExactMatch: true}, true},
		{filter{Name: "one"}, true},
		{filter{Name: "one", ExactMatch: true}, false},
		{filter{Name: "server-one", ExactMatch: true}, true},
		{filter{Name: "ID", ExactMatch: true}, true},
		{filter{Name: "two"}, false},
		{filter{Host: "10.0"}, true},
		{filter{Host: "10.0", ExactMatch: true}, false},
		{filter{Cluster: "east", Name: "server"}, true},
		{filter{Cluster: "west", Name: "server"}, false},
		{filter{Tags: []string{"x"}}, false},
		{filter{Domain: "x"}, false},
	} {
		if got := c.filter.admits(here); got != c.want {
			t.Errorf("%+v: got %v", c.filter, got)
		}
	}
}

// TestAccountsAreOneToken has names that are no tokens.
func TestAccountsAreOneToken(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"APP": "APP", "a.b": "a_b", ">": "_", "a b\r\nPUB": "a_b__PUB"} {
		if got, want := Connect(name), "$SYS.ACCOUNT."+want+".CONNECT"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
