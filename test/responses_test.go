package test

import (
	"net"
	"testing"

	"gnatsd/server"
	"gnatsd/test/wire"
)

// TestResponsesOverARoute has requests of another server answered: to a queue group by the member
// that received it only, to plain subscriptions by all.
func TestResponsesOverARoute(t *testing.T) {
	t.Parallel()
	servers := mesh(t, 2, func(_ int, o *server.Options) {
		o.Users = []*server.User{
			{Username: "admin", Password: "a"},
			{Username: "responder", Password: "r", Permissions: &server.Permissions{Response: &server.ResponsePermission{}}},
		}
	})
	dial := func(s *server.Server, user, password string, subs ...string) *wire.Client {
		c := wire.Dial(t, s.Addr().(*net.TCPAddr).String())
		c.Say(`CONNECT {"verbose":false,"user":"` + user + `","pass":"` + password + `"}`)
		for _, sub := range subs {
			c.Say("SUB " + sub)
		}
		c.Sync()
		return c
	}
	asker := dial(servers[0], "admin", "a", "answer.* 9")
	responders := []*wire.Client{
		dial(servers[1], "responder", "r", "plain 1", "queue g 2"),
		dial(servers[1], "responder", "r", "plain 1", "queue g 2"),
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
