package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// systemConfig has a system account and one other.
const systemConfig = `
accounts {
	SYS { users: [{user: sys, password: s}, {user: half, password: h, permissions: {publish: "$SYS.REQ.SERVER.PING", subscribe: ["_INBOX.>", "$SYS.ACCOUNT.>"]}}] }
	APP { users: [{user: app, password: a}, {user: none, password: n, permissions: {publish: {deny: ">"}, subscribe: "x"}}, {user: listed, password: l, permissions: {publish: "x", subscribe: "_INBOX.>"}}] }
}
system_account: SYS
`

// systemBroker runs a server with the settings in text.
func systemBroker(t testing.TB, text string, change func(*Options)) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gnatsd.conf")
	okay(t, os.WriteFile(file, []byte(text), 0o600))
	return broker(t, func(o *Options) {
		okay(t, o.ProcessConfigFile(file))
		o.Host, o.Port = "127.0.0.1", RandomPort
		if change != nil {
			change(o)
		}
	})
}

// systemMesh runs n servers with a system account that have routes to each other.
func systemMesh(t testing.TB, n int) []*Server {
	t.Helper()
	var all []*Server
	for i := range n {
		all = append(all, systemBroker(t, systemConfig, func(o *Options) {
			o.ServerName = string(rune('A' + i))
			o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort
			if i > 0 {
				o.Routes = []*url.URL{{Scheme: "nats-route", Host: all[0].ClusterAddr().String()}}
			}
		}))
	}
	for _, s := range all {
		eventually(t, "all routes", func() bool { return s.NumRoutes() == n-1 })
	}
	return all
}

// as connects a client as a user of systemConfig.
func as(t testing.TB, s *Server, user string) *wire.Client {
	t.Helper()
	c := openClient(t, s)
	c.Do(fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"user":%q,"pass":%q}`, user, user[:1]))
	return c
}

// askSystem sends a request, and returns as many answers.
func askSystem(t testing.TB, c *wire.Client, subject, body string, answers int) (all []map[string]any) {
	t.Helper()
	c.Say("SUB _INBOX.ask 77", fmt.Sprintf("PUB %s _INBOX.ask %d", subject, len(body)), body)
	for range answers {
		m, err := c.Next()
		if err != nil {
			t.Fatalf("%s %s: %v", subject, body, err)
		}
		v := map[string]any{}
		if err := json.Unmarshal(m.Payload, &v); err != nil {
			t.Fatalf("%s %s: %v in %q", subject, body, err, m.Payload)
		}
		all = append(all, v)
	}
	c.Do("UNSUB 77")
	return all
}

// TestNoMessageCrossesTheWallOfTheSystemAccount lets users of both accounts, on both of two servers,
// subscribe to everything, plain and in queue groups, and publish to each other's subjects.
func TestNoMessageCrossesTheWallOfTheSystemAccount(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 2)
	type listener struct {
		c      *wire.Client
		server int
		user   string
	}
	var all []listener
	for i, s := range mesh {
		for _, user := range []string{"sys", "app"} {
			c := as(t, s, user)
			c.Do("SUB > 1", "SUB *.*.* 2", "SUB > q 3", "SUB *.a.b q 4")
			all = append(all, listener{c, i, user})
		}
	}
	for _, l := range all { // interest has arrived when the other server says so
		other := as(t, mesh[1-l.server], l.user)
		subject := "ready." + l.user + "." + fmt.Sprint(l.server)
		for len(withSubject(messagesOf(t, l.c), subject)) == 0 {
			other.Do("PUB "+subject+" 1", "x")
		}
	}
	for _, l := range all {
		messagesOf(t, l.c)
	}
	for i, l := range all {
		from := as(t, mesh[l.server], l.user)
		from.Do("PUB w.a.b 1", fmt.Sprint(i))
	}
	for i, l := range all {
		plain, queued := 0, 0
		for plain < 4 { // two publishers, two plain subscriptions
			for _, m := range withSubject(messagesOf(t, l.c), "w.a.b") {
				from := all[int(m.Payload[0]-'0')]
				if from.user != l.user {
					t.Fatalf("%s on server %d got a message of %s", l.user, l.server, from.user)
				}
				if m.Sid == "1" || m.Sid == "2" {
					plain++
				} else {
					queued++
				}
			}
		}
		if plain > 4 || queued > 4 {
			t.Errorf("%d: got %d plain, %d queued messages", i, plain, queued)
		}
	}
}

// messagesOf returns the messages that have arrived.
func messagesOf(t testing.TB, c *wire.Client) []*wire.Message {
	t.Helper()
	got, err := c.Fence()
	okay(t, err)
	return got
}

// withSubject returns the messages with a subject.
func withSubject(all []*wire.Message, subject string) []*wire.Message {
	return slices.DeleteFunc(all, func(m *wire.Message) bool { return m.Subject != subject })
}

// TestOrdinaryUsersHaveNothingOfTheSystemSubjects tries each way to use them, with and without a
// system account.
func TestOrdinaryUsersHaveNothingOfTheSystemSubjects(t *testing.T) {
	t.Parallel()
	open := broker(t, nil)
	walled := systemBroker(t, systemConfig, nil)
	for name, dial := range map[string]func() *wire.Client{
		"no system account": func() *wire.Client { return dialClient(t, open) },
		"app":               func() *wire.Client { return as(t, walled, "app") },
		"half":              func() *wire.Client { return as(t, walled, "half") },
	} {
		t.Log(name)
		c := dial()
		for _, subject := range []string{"$SYS.>", "$SYS.REQ.SERVER.PING", "$SYS.SERVER.*.STATSZ", "$SYS.*.x q"} {
			c.Say("SUB " + subject + " 5")
			c.Want(fmt.Sprintf("-ERR 'Permissions Violation for Subscription to %q'", strings.Fields(subject)[0]))
		}
		for _, subject := range []string{"$SYS.x", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.x.KICK", "$SYS.DEBUG.SUBSCRIBERS"} {
			c.Say("PUB "+subject+" 0", "")
			c.Want(fmt.Sprintf("-ERR 'Permissions Violation for Publish to %q'", subject))
		}
		c.Do("PUB $SYS 0", "") // is none of them
	}
	c := dialClient(t, open)
	c.Say("PUB $SYS.REQ.USER.INFO x 0", "")
	c.Want(`-ERR 'Permissions Violation for Publish to "$SYS.REQ.USER.INFO"'`)
	none := as(t, walled, "none")
	none.Say("PUB $SYS.REQ.USER.INFO x 0", "")
	none.Want(`-ERR 'Permissions Violation for Publish to "$SYS.REQ.USER.INFO"'`)
}

// TestServersWithoutSystemAccountPassNothingOnFromIt sends a server what a route should not send.
func TestServersWithoutSystemAccountPassNothingOnFromIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ walled, old bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		walled := c.walled
		change := func(o *Options) { o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort }
		s, user := (*Server)(nil), (*wire.Client)(nil)
		if walled {
			s = systemBroker(t, systemConfig, change)
			user = as(t, s, "app")
		} else {
			s = broker(t, change)
			user = dialClient(t, s)
		}
		user.Do("SUB > 1", "SUB > q 2")
		peer := wire.Listen(t, "peer", c.old)
		r := peer.Join(s.ClusterAddr())
		cid := user.CID()
		r.Do("SUB $SYS.> QRSID:$9:1", "SUB > QRSID:$9:2",
			"MSG $SYS.x RSID:1:1 1", "x", fmt.Sprintf("MSG $SYS.x QRSID:%d:2 1", cid), "x",
			fmt.Sprintf("MSG b.c QRSID:$%d:1 1", cid), "x", fmt.Sprintf("MSG b.c QRSID:$q%d:2 1", cid), "x",
			"MSG ok RSID:1:1 1", "x")
		for {
			got := messagesOf(t, user)
			for _, m := range got {
				if m.Subject != "ok" {
					t.Fatalf("walled %v: an ordinary user got %s", walled, m.Subject)
				}
			}
			if len(got) > 0 {
				break
			}
		}
		if walled {
			r.Do("SUB > RSID:9:4")
			sys := as(t, s, "sys")
			sys.Do("SUB d.e 1", "SUB $SYS.> 2", "SUB $SYS.ACCOUNT.> q 3", "PUB b.c 1", "x", "PUB $SYS.x 1", "x")
			askSystem(t, as(t, s, "sys"), "$SYS.REQ.SERVER.PING.VARZ", "", 1)
			as(t, s, "app").Close()
			eventOf(t, sys, "$SYS.ACCOUNT.APP.DISCONNECT")
			user.Do("PUB f.g 1", "x")
			got := false // what is for it
			r.Say("PING")
			for line := ""; line != "PONG\r\n"; {
				var err error
				line, err = r.Line()
				okay(t, err)
				got = got || line == "MSG f.g RSID:9:4 1\r\n"
				if strings.Contains(line, "b.c") || strings.Contains(line, "d.e") || strings.Contains(line, "$") {
					t.Errorf("old %v: a peer without a system account got %q of it", c.old, line)
				}
			}
			if !got {
				t.Errorf("old %v: the peer did not get an ordinary message", c.old)
			}
		}
	}
}

// TestFilesWithAccounts starts with those that mean something here, and says what is wrong with
// others.
func TestFilesWithAccounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"both", systemConfig, ""},
		{"one, not of the system", "accounts { A { users: [{user: a, password: b}] } }", ""},
		{"the default name", `accounts { $SYS { users: [{user: a, password: b}] } }`, ""},
		{"beside users", `accounts { $SYS { users: [{user: a, password: b}] } }` + "\nauthorization { users: [{user: c, password: d}] }", ""},
		{"beside a user", `accounts { $SYS { users: [{user: a, password: b}] } }` + "\nauthorization { user: c, password: d }", ""},
		{"nothing in it", "accounts { A { users: [{user: a, password: b}], imports: [], exports: [], limits {} } }", ""},
		{"JetStream", "accounts { A { jetstream: enabled, users: [{user: a, password: b}] } }", ""},
		{"three", "accounts { $SYS {}, A {}, B {} }", "one too many"},
		{"two, none of the system", "accounts { A {}, B {} }", "one too many"},
		{"imports", "accounts { A { imports: [{stream: {account: B, subject: x}}] } }", `"imports"`},
		{"exports", "accounts { A { exports: [{stream: x}] } }", `"exports"`},
		{"limits", "accounts { A { limits { max_connections: 1 } } }", `"limits"`},
		{"mappings", "accounts { A { mappings { a: b } } }", `"mappings"`},
		{"no such account", "system_account: SYS\naccounts { A {} }", `no account "SYS"`},
		{"users twice", "accounts { A { users: [{user: a, password: b}] } }\nauthorization { users: [{user: c, password: d}] }", "separates its users"},
		{"a name twice", "accounts { $SYS { users: [{user: a, password: b}] }, A { users: [{user: a, password: c}] } }", "is a user of"},
		{"a token", "accounts { $SYS { users: [{user: a, password: b}] } }\nauthorization { token: x }", "token"},
		{"anyone is of the system", "no_auth_user: a\naccounts { $SYS { users: [{user: a, password: b}] } }", "system account"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := &Options{}
			err := loadText(t, o, c.text)
			if err == nil {
				_, err = NewServer(o)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func loadText(t *testing.T, o *Options, text string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gnatsd.conf")
	okay(t, os.WriteFile(file, []byte(text), 0o600))
	return o.ProcessConfigFile(file)
}

// TestOthersNeedNoCredentialsBesideASystemAccountAlone is what nats-server does.
func TestOthersNeedNoCredentialsBesideASystemAccountAlone(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, `accounts { $SYS { users: [{user: sys, password: s}] } }`, nil)
	c := dialClient(t, s)
	c.Do("SUB > 1", "PUB a 1", "x")
	c.Say("SUB $SYS.> 2")
	c.Want(`-ERR 'Permissions Violation for Subscription to "$SYS.>"'`)
	as(t, s, "sys").Do("SUB $SYS.> 1")
	wrong := openClient(t, s)
	wrong.Say(`CONNECT {"verbose":false,"user":"x","pass":"y"}`)
	wrong.Want("-ERR 'Authorization Violation'")
}

// TestAClientStaysInItsAccount logs in twice, and moves a user with a reload.
func TestAClientStaysInItsAccount(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	c := as(t, s, "sys")
	c.Say(`CONNECT {"user":"app","pass":"a"}`)
	c.Want("-ERR 'Authorization Violation'")
	c = as(t, s, "sys")
	c.Do(`CONNECT {"verbose":false,"user":"sys","pass":"s"}`)

	app := as(t, s, "app")
	swapped := strings.NewReplacer("user: sys,", "user: app,", "password: s}", "password: a}", "user: app,", "user: sys,", "password: a}", "password: s}").Replace(systemConfig)
	okay(t, os.WriteFile(s.options().ConfigFile, []byte(swapped), 0o600))
	okay(t, s.Reload())
	c.Want("-ERR 'Authorization Violation'")
	app.Want("-ERR 'Authorization Violation'")
	as(t, s, "app").Do("SUB $SYS.> 1")
	okay(t, os.WriteFile(s.options().ConfigFile, []byte("accounts { A { users: [{user: app, password: a}] } }"), 0o600))
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "system account") {
		t.Errorf("got %v, want an error about the system account", err)
	}
}
