package server

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"gnatsd/test/wire"
)

func TestLargeInterestNeitherBlocksPublishersNorFloods(t *testing.T) {
	largeInterest(t, 60_000, 20_000)
}

func TestSpeedHalfAMillionSubscriptions(t *testing.T) {
	if raceEnabled {
		t.Skip("needs real speed")
	}
	largeInterest(t, 500_000, 100_000)
}

// largeInterest lets a server join another that has all subscriptions, and then a client leave that
// has some of them.
func largeInterest(t *testing.T, all, leaving int) {
	t.Helper()
	a := startServer(t, nil)
	var clients []*wire.Client
	for n := 0; n < all; n += leaving {
		c := dialClient(t, a)
		subscribeMany(c, len(clients), leaving)
		clients = append(clients, c)
	}
	interested(t, a, all)
	pub := dialClient(t, a)
	pub.Say("CONNECT {\"protocol\":0}\r\n") // takes no INFO in between
	slowest := time.Duration(0)
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	during := func(what string, done func() bool) {
		t.Helper()
		start := time.Now()
		slowest = 0
		for !done() {
			if time.Since(start) > 2*patience {
				t.Fatalf("%s: not done after %v", what, 2*patience)
			}
			at := time.Now()
			pub.Say("PUB other 1\r\nx\r\n")
			pub.Sync()
			slowest = max(slowest, time.Since(at))
			<-pace.C
		}
		t.Logf("%s: %v, slowest publication %v", what, time.Since(start).Round(time.Millisecond), slowest)
		if limit := time.Second; slowest > limit {
			t.Errorf("%s: a publication took %v, want less than %v", what, slowest, limit)
		}
	}
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	during(fmt.Sprintf("a server joins one with %d subscriptions", all), func() bool { return b.NumSubscriptions() == uint32(all) })
	clients[0].Close()
	during(fmt.Sprintf("a client leaves with %d subscriptions", leaving), func() bool {
		return b.NumSubscriptions() == uint32(all-leaving) && a.NumSubscriptions() == uint32(all-leaving)
	})
	if n := a.NumSlowConsumers() + b.NumSlowConsumers(); n > 0 {
		t.Errorf("%d slow consumers", n)
	}
}

// subscribeMany makes n subscriptions on subjects of their own.
func subscribeMany(c *wire.Client, group, n int) {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "SUB many.%d.%d %d\r\n", group, i, i)
		if b.Len() > 1<<16 {
			c.Say(b.String())
			b.Reset()
		}
	}
	c.Say(b.String())
	c.Sync()
}

func TestInterestThatComesAndGoesWhileAServerJoins(t *testing.T) {
	t.Parallel()
	a := startServer(t, nil)
	steady := dialClient(t, a)
	subscribeMany(steady, 0, 5000)
	stop := make(chan bool)
	done := make(chan bool)
	busy := dialClient(t, a)
	go func() { // ends with stop
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			busy.Say(fmt.Sprintf("SUB busy.%d %d\r\nUNSUB %d\r\nSUB keep.%d k%d\r\n", i, i, i, i%100, i%100))
			if _, err := busy.Fence(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 5 {
		b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
		eventually(t, "interest", func() bool { return b.NumSubscriptions() >= 5000 })
		b.Shutdown()
	}
	b := startServer(t, func(o *Options) { o.Routes = []*url.URL{routeTo(t, a)} })
	meshed(t, a, b)
	close(stop)
	<-done
	busy.Sync()
	interested(t, a, 5100)
	interested(t, b, 5100)
}

func TestLineOfInterest(t *testing.T) {
	t.Parallel()
	c := &conn{id: 12}
	for _, tt := range []struct {
		subject, queue, sid string
		removed             bool
		want                string
	}{
		{"foo", "", "1", false, "SUB foo  RSID:12:1\r\n"},
		{"foo.*", "g", "a:b", false, "SUB foo.* g QRSID:12:a:b\r\n"},
		{"foo", "", "1", true, "UNSUB RSID:12:1\r\n"},
		{"foo", "g", "1", true, "UNSUB QRSID:12:1\r\n"},
	} {
		sub := newSubscription(c, []byte(tt.subject), []byte(tt.queue), []byte(tt.sid))
		got := appendInterest(nil, sub, tt.removed)
		if string(got) != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestARequestDoesNotComeBeforeItsInbox has a requester subscribe and publish while the interest of
// others is on its way: a responder elsewhere must find the inbox.
func TestARequestDoesNotComeBeforeItsInbox(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *Options) { o.WriteDeadline = patience })
	many, requester := dialModern(t, s), dialModern(t, s)
	peer := wire.Open(t, s.ClusterAddr().String())
	peer.Hear("INFO ")
	peer.Say("CONNECT {\"verbose\":false,\"name\":\"classic\"}\r\n" +
		"INFO {\"server_id\":\"classic\",\"version\":\"1.4.1\",\"host\":\"127.0.0.1\",\"port\":1,\"max_payload\":1048576}\r\n" +
		"SUB service  RSID:5:1\r\n")
	interested(t, s, 1)
	const subjects = 50_000
	var subs strings.Builder
	for i := range subjects {
		fmt.Fprintf(&subs, "SUB some.subject.of.many.%d %d\r\n", i, i)
	}
	go many.Write([]byte(subs.String())) // ends with the connection
	go func() {                          // ends with the connection
		for i := range 20 {
			inbox := fmt.Sprintf("_INBOX.%d", i)
			fmt.Fprintf(requester, "SUB %s %d\r\nPUB service %s 0\r\n\r\nPING\r\n", inbox, i, inbox)
			requester.In.ReadString('\n')
		}
	}()
	announced := map[string]bool{}
	for requests := 0; requests < 20; {
		line := strings.Fields(peer.Hear(""))
		switch line[0] {
		case "SUB":
			announced[line[1]] = true
		case "MSG":
			peer.Line()
			requests++
			if inbox := line[3]; !announced[inbox] {
				t.Errorf("the request came before its inbox, %s", inbox)
			}
		}
	}
}

// TestARequestDoesNotComeBeforeItsInboxToANewRoute is the same for a route that joins a server with
// much interest.
func TestARequestDoesNotComeBeforeItsInboxToANewRoute(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(o *Options) { o.WriteDeadline = patience })
	many, requester := dialModern(t, s), dialModern(t, s)
	const subjects = 20_000
	var subs strings.Builder
	for i := range subjects {
		fmt.Fprintf(&subs, "SUB some.subject.of.many.%d %d\r\n", i, i)
	}
	many.Say(subs.String())
	many.Sync()
	requester.Say("SUB _INBOX.* 1\r\n")
	requester.Sync()
	peer := wire.Open(t, s.ClusterAddr().String())
	peer.Hear("INFO ")
	peer.Say("CONNECT {\"verbose\":false,\"name\":\"classic\"}\r\n" +
		"INFO {\"server_id\":\"classic\",\"version\":\"1.4.1\",\"host\":\"127.0.0.1\",\"port\":1,\"max_payload\":1048576}\r\n" +
		"SUB service  RSID:5:1\r\n")
	interested(t, s, subjects+2)
	requester.Say("PUB service _INBOX.1 0\r\n\r\n")
	for announced := false; ; {
		line := strings.Fields(peer.Hear(""))
		if line[0] == "SUB" && line[1] == "_INBOX.*" {
			announced = true
		}
		if line[0] == "MSG" {
			if !announced {
				t.Error("the request came before its inbox")
			}
			return
		}
	}
}

// TestNoByteOfASubscriptionBreaksARoute puts every byte into what a client subscribes to, and reads
// what a route would get of it.
func TestNoByteOfASubscriptionBreaksARoute(t *testing.T) {
	t.Parallel()
	client, route := frameLimits{role: roleClient, line: 4096}, frameLimits{role: roleRoute, line: routeLine}
	for b := range 256 {
		for _, form := range []string{"SUB a@b 1", "SUB a q@r 1", "SUB a 1@2", "SUB @ 1", "SUB a q@ 1", "SUB a @"} {
			line := strings.ReplaceAll(form, "@", string([]byte{byte(b)})) + "\r\n"
			var o op
			n, _, _, err := client.next([]byte(line), &o)
			if err != frameOK || n == 0 {
				continue
			}
			queue := []byte(nil)
			if o.argCount == 3 {
				queue = o.arg[1]
			}
			sub := newSubscription(&conn{id: 1}, o.arg[0], queue, o.arg[o.argCount-1])
			for _, gone := range []bool{false, true} {
				sent := appendInterest(nil, sub, gone)
				var back op
				n, _, _, err := route.next(sent, &back)
				if err != frameOK || n != len(sent) || !gone && (string(back.arg[0]) != sub.subject() || string(back.arg[1]) != sub.queue() && sub.queue() != "") {
					t.Fatalf("%q becomes %q on a route: %d bytes, %v", line, sent, n, err)
				}
			}
		}
	}
}
