package test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"gnatsd/server"
	"gnatsd/test/wire"
)

// askersAndResponders are users whose passwords are their names.
var askersAndResponders = []*server.User{
	{Username: "admin", Password: "admin"},
	{Username: "responder", Password: "responder", Permissions: &server.Permissions{Response: &server.ResponsePermission{}}},
}

// dialAs connects a client of a user with some subscriptions.
func dialAs(t *testing.T, s *server.Server, user string, subs ...string) *wire.Client {
	t.Helper()
	c := wire.Dial(t, s.Addr().(*net.TCPAddr).String())
	c.Say(`CONNECT {"verbose":false,"user":"` + user + `","pass":"` + user + `"}`)
	for _, sub := range subs {
		c.Say("SUB " + sub)
	}
	c.Sync()
	return c
}

// TestResponsesOverARoute has requests of another server answered: to a queue group by the member
// that received it only, to plain subscriptions by all.
func TestResponsesOverARoute(t *testing.T) {
	t.Parallel()
	servers := mesh(t, 2, func(_ int, o *server.Options) { o.Users = askersAndResponders })
	asker := dialAs(t, servers[0], "admin", "answer.* 9")
	responders := []*wire.Client{
		dialAs(t, servers[1], "responder", "plain 1", "queue g 2"),
		dialAs(t, servers[1], "responder", "plain 1", "queue g 2"),
	}
	known(t, servers[0], 5)
	known(t, servers[1], 5)

	asker.Say("PUB queue answer.q 0", "", "PUB plain answer.p 0", "")
	asker.Sync()
	members := 0
	for _, c := range responders {
		line := c.Hear("MSG ")
		member := line == "MSG queue 2 answer.q 0\r\n"
		if member {
			members++
			c.Want("")
			line = c.Hear("MSG ")
		}
		if line != "MSG plain 1 answer.p 0\r\n" {
			t.Errorf("got %q", line)
		}
		c.Want("")
		c.Say("PUB answer.q 0", "", "PUB answer.p 0", "")
		if !member {
			c.Want("-ERR 'Permissions Violation for Publish to \"answer.q\"'")
		}
		c.Sync()
	}
	if members != 1 {
		t.Errorf("%d members of the group received the message", members)
	}
	for range 3 {
		asker.Hear("MSG answer.")
		asker.Want("")
	}
	asker.Sync()
}

// TestRequestsCostOthersNoAnswer has a client, of the same server or of another one, send more requests
// than a responder's permissions to answer are remembered for, while it works on those of another client.
func TestRequestsCostOthersNoAnswer(t *testing.T) {
	t.Parallel()
	servers := mesh(t, 2, func(_ int, o *server.Options) { o.Users = askersAndResponders })
	asker := dialAs(t, servers[1], "admin", "answer.* 9")
	responder := dialAs(t, servers[1], "responder", "work 1")
	known(t, servers[0], 2)
	for i, s := range []*server.Server{servers[1], servers[0]} {
		request, answer := fmt.Sprintf("PUB work answer.%d 0", i), fmt.Sprintf("PUB answer.%d 0", i)
		asker.Say(request, "")
		responder.Hear("MSG work 1 answer.")
		responder.Want("")
		greedy := dialAs(t, s, "admin")
		const n = 2000 // 6 MB
		long := "PUB work reply." + strings.Repeat("x", 3000)
		for k := range n {
			greedy.Say(fmt.Sprintf("%s%d 0", long, k), "")
		}
		for range n {
			responder.Hear("MSG work 1 reply.")
			responder.Want("")
		}
		responder.Say(answer, "")
		responder.Sync()
		asker.Hear("MSG answer.")
		asker.Want("")
	}
}
