package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/test/wire"
)

// limitedUsers is a file with two users: a has limits, b has none.
func limitedUsers(limits string) string {
	return "authorization { users: [{user: a, password: x, limits: {" + limits + "}}, {user: b, password: x}] }"
}

// loginAs connects as a user and waits until the login is done.
func loginAs(t testing.TB, s *Server, user string) *wire.Client {
	t.Helper()
	c := openClient(t, s)
	c.Say(connectAs(user))
	c.Sync()
	return c
}

func connectAs(user string) string {
	return fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"protocol":1,"user":%q,"pass":"x"}`, user)
}

func TestUserHasNoMoreConnectionsThanItMay(t *testing.T) {
	t.Parallel()
	s := startReloader(t, limitedUsers("max_connections: 2"))
	first := loginAs(t, s.Server, "a")
	second := loginAs(t, s.Server, "a")
	for range 3 {
		third := openClient(t, s.Server)
		third.Say(connectAs("a"), "PING")
		third.End("-ERR 'maximum connections exceeded'")
	}
	for range 4 { // others are not limited
		loginAs(t, s.Server, "b")
	}
	second.Say(connectAs("a")) // again: it is counted once
	second.Sync()
	first.Close()
	s.log.wait(t, `maximum connections exceeded - User "a"`)
	eventually(t, "the end of the first", func() bool { return s.clients.len() == 5 })
	loginAs(t, s.Server, "a")
}

func TestLoweredUserLimitDisconnectsTheNewest(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"max_connections: 9", "max_payload: 5"} {
		t.Run(before, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, limitedUsers(before))
			var list []*wire.Client
			for range 4 {
				list = append(list, loginAs(t, s.Server, "a"))
			}
			other := loginAs(t, s.Server, "b")
			s.okay(t, limitedUsers("max_connections: 2"))
			s.log.wait(t, `Closed 2 connections of user "a" to fall within its max_connections`)
			for _, c := range list[2:] {
				if got := c.HearAfter("-ERR"); got != "-ERR 'maximum connections exceeded'\r\n" {
					t.Errorf("got %q", got)
				}
				c.End()
			}
			for _, c := range append(list[:2], other) {
				c.Do()
			}
			s.okay(t, limitedUsers("max_connections: -1"))
			for range 4 {
				loginAs(t, s.Server, "a")
			}
		})
	}
}

func TestUserHasNoMoreSubscriptionsThanItMay(t *testing.T) {
	t.Parallel()
	s := startReloader(t, limitedUsers("max_subscriptions: 3"))
	one, two := loginAs(t, s.Server, "a"), loginAs(t, s.Server, "a")
	one.Say("SUB x 1", "SUB y q 2")
	one.Sync()
	two.Say("SUB x 1")
	two.Sync()
	const refused = "-ERR 'maximum subscriptions exceeded'"
	for _, c := range []*wire.Client{one, two} {
		c.Say("SUB z 9", "PING")
		c.Want(refused, "PONG")
	}
	other := loginAs(t, s.Server, "b")
	other.Say("SUB x 1", "SUB x 2", "SUB x 3", "SUB x 4")
	other.Sync()
	one.Say("UNSUB 1")
	one.Sync()
	two.Say("SUB z 9", "SUB z 10", "PING")
	two.Want(refused, "PONG")
	two.Close() // gives back two
	eventually(t, "room for another", func() bool { return s.userSubs("a") == 1 })
	one.Say("SUB z 3", "UNSUB 3 1", "PUB z 0", "", "PING")
	one.Want("MSG z 3 0", "", "PONG") // it ends by itself
	if n := s.userSubs("a"); n != 1 {
		t.Errorf("%d subscriptions are counted, want 1", n)
	}
	s.okay(t, limitedUsers("max_payload: 100")) // the count goes on
	one.HearAfter("INFO")
	one.Say("SUB z 4", "SUB z 5", "SUB z 6", "SUB z 7")
	one.Sync()
	s.okay(t, limitedUsers("max_subscriptions: 2")) // those that exist stay
	one.HearAfter("INFO")
	one.Say("UNSUB 4", "UNSUB 5", "UNSUB 6", "SUB z 8", "PING")
	one.Want(refused, "PONG")
	one.Say("UNSUB 7", "SUB z 8", "PING")
	one.Want("PONG")
}

// userSubs returns how many subscriptions are counted for a user with limits.
func (s *Server) userSubs(name string) int64 {
	s.users.mu.Lock()
	defer s.users.mu.Unlock()
	return s.users.users[name].subs.Load()
}

// TestNoMaxPayloadIsAnnouncedAsTheLargest has clients not refuse to publish: they compare with the number.
func TestNoMaxPayloadIsAnnouncedAsTheLargest(t *testing.T) {
	t.Parallel()
	s := startReloader(t, "max_payload: -1\n"+limitedUsers("max_payload: 10"))
	want := func(info, most string) {
		t.Helper()
		if !strings.Contains(info, `"max_payload":`+most+`,`) {
			t.Errorf("got %s, want %s", info, most)
		}
	}
	c := openClient(t, s.Server)
	want(c.Info, "999999999")
	if v, _ := s.Varz(nil); v.MaxPayload != -1 {
		t.Errorf("/varz has %d", v.MaxPayload)
	}
	c.Say(connectAs("a"), "PING")
	c.Want("PONG")
	want(c.Hear("INFO"), "10")
	s.okay(t, "max_payload: -1\n"+limitedUsers("max_connections: 5"))
	want(c.Hear("INFO"), "999999999")
	c.Say("PUB x 2000000", strings.Repeat("x", 2_000_000))
	c.Sync()
}

func TestUserPublishesNoLargerMessagesThanItMay(t *testing.T) {
	t.Parallel()
	s := startReloader(t, "max_payload: 1000\n"+limitedUsers("max_payload: 10"))
	c, other := openClient(t, s.Server), loginAs(t, s.Server, "b")
	if !strings.Contains(c.Info, `"max_payload":1000,`) {
		t.Errorf("got %s", c.Info)
	}
	c.Say(connectAs("a"), "PING", "PUB x 10", "0123456789")
	c.Want("PONG")
	if info := c.Hear("INFO"); !strings.Contains(info, `"max_payload":10,`) {
		t.Errorf("got %s", info)
	}
	c.Sync()
	s.okay(t, "max_payload: 1000\n"+limitedUsers("max_payload: 20"))
	if info := c.Hear("INFO"); !strings.Contains(info, `"max_payload":20,`) {
		t.Errorf("got %s", info)
	}
	for _, both := range []struct{ users, max, want string }{ // at once
		{"max_payload: 30", "25", "25"}, {"", "40", "40"}, {"max_payload: 20", "1000", "20"},
	} {
		s.okay(t, "max_payload: "+both.max+"\n"+limitedUsers(both.users))
		if info := c.Hear("INFO"); !strings.Contains(info, `"max_payload":`+both.want+`,`) {
			t.Errorf("%v: got %s", both, info)
		}
	}
	c.Say("PUB x 11", "01234567890")
	c.Sync()
	c.Say("PUB x 21", "012345678901234567890")
	c.End("-ERR 'Maximum Payload Violation'")
	s.log.wait(t, "maximum payload exceeded: 21 vs 20")
	other.Say("PUB x 21", "012345678901234567890")
	other.Sync()
}

func TestDefaultLimitsAreThoseOfEveryUser(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, connect string }{
		"users":       {`users: [{user: a, password: x}, {user: b, password: x, limits: {max_payload: 9}}]`, connectAs("b")},
		"single user": {`user: a, password: x`, connectAs("a")},
		"token":       {`token: x`, `CONNECT {"verbose":false,"auth_token":"x"}`},
		"none":        {``, `CONNECT {"verbose":false}`},
		"an nkey": {`users: [{nkey: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT}, {user: n, password: x}]`,
			connectAs("n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, "authorization { default_limits: {max_connections: 1}\n"+row.text+" }")
			c := openClient(t, s.Server)
			c.Say(row.connect)
			c.Do()
			second := openClient(t, s.Server)
			second.Say(row.connect, "PING")
			second.End("-ERR 'maximum connections exceeded'")
		})
	}
}

func TestLimitsOfUsersInAccounts(t *testing.T) {
	t.Parallel()
	s := startReloader(t, `accounts { $SYS { users: [{user: sys, password: x, limits: {max_connections: 1}}] }, A { users: [{user: a, password: x, limits: {max_connections: 1}}] } }`)
	for _, user := range []string{"a", "sys"} {
		loginAs(t, s.Server, user)
		c := openClient(t, s.Server)
		c.Say(connectAs(user), "PING")
		c.End("-ERR 'maximum connections exceeded'")
	}
}

func TestLimitsAreReadAndWritten(t *testing.T) {
	t.Parallel()
	const text = `authorization {
		default_limits: {max_connections: 7, slow_consumer: drop_new}
		users: [{user: a, password: x, limits: {max_conn: 3, subs: -1, max_pay: 64KB, max_msgs_per_second: 100, max_bytes_per_second: 1MB, slow_consumer: DROP_OLD}}]
	}`
	o := mustConfigure(t, text)
	if got, want := o.Users[0].Limits.text(), "{max_connections: 3, max_subscriptions: -1, max_payload: 65536, max_msgs_per_second: 100, max_bytes_per_second: 1048576, slow_consumer: drop_old}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if text, err := Explain(o, []string{"user=a", "pub=x"}); err != nil || !strings.HasSuffix(text, "; limits: max_connections 3, max_payload 65536, max_msgs_per_second 100, max_bytes_per_second 1048576, slow_consumer drop_old") {
		t.Errorf("got %s, %v", text, err)
	}
	if !strings.Contains(usersText(o, true), "limits: {max_connections: 3") {
		t.Errorf("got %s", usersText(o, true))
	}
	again := mustConfigure(t, "authorization { default_limits: "+o.defaultLimits.text()+", users: "+usersText(o, true)+" }")
	if changes := optionTable().Compare(o, again); len(changes) != 0 {
		t.Errorf("read again, %s differs", changes[0].Row.Key)
	}
	for file, want := range map[string]string{
		"max_connections: 0":          `:1:74: authorization.users.limits.max_connections: want a number from 1 to 1073741824, or -1 for no limit, have`,
		"max_payload: many":           `authorization.users.limits.max_payload: want a number`,
		"slow_consumer: wait":         `authorization.users.limits.slow_consumer: want "disconnect", "drop_new" or "drop_old", have`,
		"data: 5":                     `unknown field "data" parsing limits`,
		"max_subs: 1, subs: 2":        `"subs" is given twice`,
		"max_msgs_per_second: -2":     `want a number`,
		"max_bytes_per_second: 99999": "",
	} {
		_, err := configured(t, limitedUsers(file))
		switch {
		case want == "" && err == nil:
		case err == nil || want == "" || !strings.Contains(err.Error(), want):
			t.Errorf("%s: got %v, want %s", file, err, want)
		}
	}
}

func TestLimitsOfAProgramAreChecked(t *testing.T) {
	t.Parallel()
	_, err := NewServer(&Options{Users: []*User{{Username: "a", Password: "x", Limits: &UserLimits{SlowConsumer: "wait"}}}})
	if err == nil || !strings.Contains(err.Error(), `limits of user "a": unknown SlowConsumer "wait"`) {
		t.Errorf("got %v", err)
	}
}

// TestSlowConsumerOfAUserThatDropsLosesWholeMessages publishes more to a client than may be pending
// for it, while it does not read.
func TestSlowConsumerOfAUserThatDropsLosesWholeMessages(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"drop_new", "drop_old"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := startReloader(t, "max_pending: 300KB, write_deadline: \"100ms\"\n"+limitedUsers("slow_consumer: "+policy))
			sub, pub := loginAs(t, s.Server, "a"), loginAs(t, s.Server, "b")
			okay(t, sub.Conn.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
			sub.Say("SUB x 1", "SUB q group 2")
			sub.Sync()
			published, padding := 0, strings.Repeat("p", 4000)
			pings := 0
			for lost := int64(0); lost < 50; lost = s.connLost(t, sub.CID()) {
				var b strings.Builder
				for range 100 {
					text := fmt.Sprintf("%d %s", published, padding[:published%len(padding)])
					fmt.Fprintf(&b, "PUB x %d\r\n%s\r\n", len(text), text)
					published++
				}
				pub.Say(b.String())
				pub.Sync()
				sub.Say("PING")
				pings++
			}
			s.log.wait(t, "Slow Consumer: messages are dropped ("+policy+`, name "", user "a"`)
			sub.Say("PING")
			last, got := -1, 0
			for pongs := 0; pongs <= pings; {
				m, err := sub.Next()
				okay(t, err)
				if m == nil {
					pongs++
					continue
				}
				text, tail, _ := strings.Cut(string(m.Payload), " ")
				n, err := strconv.Atoi(text)
				okay(t, err)
				if n <= last || tail != padding[:n%len(padding)] {
					t.Fatalf("got message %d after %d", n, last)
				}
				last = n
				got++
			}
			lost := s.connLost(t, sub.CID())
			if int64(got)+lost != int64(published) {
				t.Errorf("got %d messages, %d were dropped, %d were published", got, lost, published)
			}
			if policy == "drop_old" && last != published-1 {
				t.Errorf("the last message is %d of %d", last, published)
			}
			if v, _ := s.Varz(nil); v.DroppedMsgs != lost || v.SlowConsumers != 0 {
				t.Errorf("/varz has %d dropped messages, want %d, and %d slow consumers", v.DroppedMsgs, lost, v.SlowConsumers)
			}
			pub.Say("PUB x 1", "y")
			sub.Want("MSG x 1 1", "y")
		})
	}
}

// TestAMemberThatDropsIsPassedOver has a queue group of two, of which one does not read: the other
// gets what would be dropped. Alone it gets everything, too.
func TestAMemberThatDropsIsPassedOver(t *testing.T) {
	t.Parallel()
	s := startReloader(t, "max_pending: 300KB\n"+limitedUsers("slow_consumer: drop_new"))
	idle, pub := loginAs(t, s.Server, "a"), loginAs(t, s.Server, "b")
	okay(t, idle.Conn.Conn.(*net.TCPConn).SetReadBuffer(64<<10))
	idle.Say("SUB q group 1")
	idle.Sync()
	payload := strings.Repeat("p", 4000)
	batch := strings.Repeat(fmt.Sprintf("PUB q %d\r\n%s\r\n", len(payload), payload), 20)
	for s.connLost(t, idle.CID()) == 0 {
		pub.Say(batch)
		pub.Sync()
	}
	before := s.connLost(t, idle.CID())
	works := loginAs(t, s.Server, "b")
	works.Say("SUB q group 1")
	works.Sync()
	const rounds = 50
	for range rounds {
		pub.Say(batch)
		pub.Sync()
		for range 20 {
			m, err := works.Next()
			okay(t, err)
			if len(m.Payload) != len(payload) {
				t.Fatalf("got %d bytes", len(m.Payload))
			}
		}
	}
	if lost := s.connLost(t, idle.CID()) - before; lost != 0 {
		t.Errorf("%d of %d messages were dropped for the member that does not read", lost, 20*rounds)
	}
}

// connLost returns how many messages /connz says were dropped for a client.
func (s *Server) connLost(t testing.TB, cid uint64) int64 {
	t.Helper()
	page, err := s.Connz(&ConnzOptions{CID: cid})
	okay(t, err)
	return page.Conns[0].DroppedMsgs
}

func TestReloadChangesWhatHappensToSlowConsumers(t *testing.T) {
	t.Parallel()
	s := startReloader(t, limitedUsers("max_connections: 5"))
	loginAs(t, s.Server, "a")
	c := s.clients.all()[0]
	for _, step := range []struct {
		limits string
		want   netio.DropPolicy
	}{{"slow_consumer: drop_old", netio.DropOld}, {"slow_consumer: drop_new", netio.DropNew}, {"slow_consumer: disconnect", netio.DropNone}} {
		s.okay(t, limitedUsers(step.limits))
		if got := c.out.Limits().Drop; got != step.want {
			t.Errorf("%s: got %d, want %d", step.limits, got, step.want)
		}
		if got := unsentLimit(t, c.nc); (got > 0) != (step.want != netio.DropNone) && runtime.GOOS == "linux" {
			t.Errorf("%s: its socket takes %d bytes beyond what it has sent", step.limits, got)
		}
	}
	s.okay(t, "write_deadline: 7s\n"+limitedUsers("slow_consumer: drop_new"))
	if l := c.out.Limits(); l.Drop != netio.DropNew || l.WriteDeadline != 7*time.Second {
		t.Errorf("got %+v", l)
	}
}

// TestChangedLimitsApplyToAWriteThatWaits has a client that does not read when a reload gives it less
// time, over TCP and TLS. It has nothing else to end for.
func TestChangedLimitsApplyToAWriteThatWaits(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	secure := fmt.Sprintf("tls { cert_file: %q, key_file: %q, timeout: 20 }\n", filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem"))
	for name, texts := range map[string][2]string{
		"a shorter deadline":             {"write_deadline: \"1h\"\n" + limitedUsers("max_connections: 9"), "write_deadline: \"50ms\"\n" + limitedUsers("max_payload: 1MB")},
		"messages are dropped no longer": {"write_deadline: \"50ms\"\n" + limitedUsers("slow_consumer: drop_old"), "write_deadline: \"50ms\"\n" + limitedUsers("max_connections: 9")},
	} {
		for over, block := range map[string]string{"TCP": "", "TLS": secure} {
			t.Run(name+" over "+over, func(t *testing.T) {
				t.Parallel()
				if runtime.GOOS == "windows" {
					t.Skip("the deadline of a write that waits cannot be changed here")
				}
				s := startReloader(t, block+texts[0])
				login := func(user string) *wire.Client {
					c := openClient(t, s.Server)
					c.Conn.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
					if block != "" {
						c = wire.Of(t, tls.Client(c.Conn.Conn, &tls.Config{InsecureSkipVerify: true}))
					}
					c.Say(connectAs(user))
					c.Sync()
					return c
				}
				slow, pub := login("a"), login("b")
				slow.Say("SUB x 1")
				slow.Sync()
				eventually(t, "a write that waits", func() bool {
					for s.io.Pending.Load() < 16<<20 { // more than a socket takes, which is less while messages are dropped
						pub.Say("PUB x 100000", strings.Repeat("x", 100_000))
						pub.Sync()
					}
					return slices.ContainsFunc(s.clients.all(), func(c *client) bool { return c.out.Stats().Lag > time.Second/2 })
				})
				s.okay(t, block+texts[1])
				eventually(t, "the end of the client that does not read", func() bool { return s.clients.len() == 1 })
				if got := s.NumSlowConsumers(); got != 1 {
					t.Errorf("%d slow consumers, want 1", got)
				}
			})
		}
	}
}

// TestClientsAreToldOnlyWhatIsInForce changes what makes a server send INFO together with what else is
// in INFO.
func TestClientsAreToldOnlyWhatIsInForce(t *testing.T) {
	t.Parallel()
	text := func(host string, most int) string {
		return fmt.Sprintf("client_advertise: \"%s:1\"\nmax_payload: 1000\ncluster { listen: 127.0.0.1:-1 }\n%s", host, limitedUsers(fmt.Sprint("max_payload: ", most)))
	}
	s := startReloader(t, text("old", 10))
	c := loginAs(t, s.Server, "a")
	c.HearAfter("INFO")
	for i, host := range []string{"new", "other", "third"} {
		s.okay(t, text(host, 20+i))
		if info := c.HearAfter("INFO"); !strings.Contains(info, `"host":"`+host) || !strings.Contains(info, fmt.Sprintf(`"max_payload":%d,`, 20+i)) {
			t.Errorf("after a reload to %s: got %s", host, info)
		}
		c.Sync()
		s.okay(t, text(host, 30+i)) // another one, after which nothing of the first can follow
		for info := ""; !strings.Contains(info, fmt.Sprintf(`"max_payload":%d,`, 30+i)); {
			if info = c.HearAfter("INFO"); !strings.Contains(info, `"host":"`+host) {
				t.Errorf("after a reload to %s: got %s", host, info)
			}
		}
	}
}

// TestAClientThatDropsLosesStatusesToo fills what a client may have pending, and has it send requests that
// have no receiver: the answers are dropped like messages, and it stays.
func TestAClientThatDropsLosesStatusesToo(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"drop_new", "drop_old"} {
		s := startReloader(t, "max_pending: 300KB\n"+limitedUsers("slow_consumer: "+policy))
		c := openClient(t, s.Server)
		okay(t, c.Conn.Conn.(*net.TCPConn).SetReadBuffer(4<<10))
		c.Say(`CONNECT {"verbose":false,"headers":true,"no_responders":true,"user":"a","pass":"x"}`, "SUB x 1", "SUB reply 2")
		c.Sync()
		pub := loginAs(t, s.Server, "b")
		for s.connLost(t, c.CID()) == 0 {
			pub.Say("PUB x 10000", strings.Repeat("p", 10_000))
			pub.Sync()
		}
		before := s.connLost(t, c.CID())
		const requests = 1000 // of 1 000 bytes each: more than answers that are no messages may take
		subject := strings.Repeat("s", 1000)
		go c.Say(strings.TrimSuffix(strings.Repeat("PUB "+subject+" reply 0\r\n\r\n", requests), "\r\n"))
		eventually(t, "all of it is dropped", func() bool {
			if s.clients.len() != 2 {
				t.Fatalf("%s: the client is disconnected", policy)
			}
			return s.connLost(t, c.CID())-before >= requests/2
		})
	}
}
