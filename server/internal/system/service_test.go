package system

import (
	"bufio"
	"fmt"
	"net"
	"strings"
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
	for range maxRequests + 3 {
		s.Ask("x", "", "me", nil)
	}
	if s.Dropped() != 13 {
		t.Errorf("%d were dropped, want 13", s.Dropped())
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
	line, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "PUB yes ") {
		t.Errorf("got %q, %v", line, err)
	}
	text, err := in.ReadString('\n')
	if want := `{"name":"a","host":"h","id":"ID"}` + "\r\n"; err != nil || text != want {
		t.Errorf("got %q, %v", text, err)
	}
	here.Close()
	<-ended
	if s.Dropped() != 1 {
		t.Errorf("%d requests were dropped, want 1", s.Dropped())
	}
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
