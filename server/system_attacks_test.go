package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gnatsd/server/internal/system"
	"gnatsd/test/wire"
)

// requestsOfSystem are the subjects of all requests that a server answers but that for its asker's
// own name, and those for what it does when it is asked.
func requestsOfSystem(s *Server) (list []string) {
	for _, sub := range system.Subscriptions(s.id) {
		if strings.HasPrefix(sub.Subject, system.Prefix) {
			list = append(list, strings.Replace(sub.Subject, "*", "APP", 1))
		}
	}
	return list
}

// notEvents returns the messages that no server published.
func notEvents(all []*wire.Message) []*wire.Message {
	return slices.DeleteFunc(all, func(m *wire.Message) bool { return bytes.Contains(m.Payload, []byte(`"ver":"`)) })
}

// TestUsersWithoutRightsAreRefusedOnEveryListener sends every request, and asks for every event, as
// an ordinary user: over TCP, over TLS, and in memory.
func TestUsersWithoutRightsAreRefusedOnEveryListener(t *testing.T) {
	t.Parallel()
	plain := systemBroker(t, systemConfig, nil)
	dir := certDir(t)
	secure := systemBroker(t, systemConfig+fmt.Sprintf("tls { cert_file: '%s/server-cert.pem', key_file: '%s/server-key.pem', timeout: 30 }", dir, dir), nil)
	for name, open := range map[string]func() (*Server, *wire.Client){
		"TCP": func() (*Server, *wire.Client) { return plain, openClient(t, plain) },
		"TLS": func() (*Server, *wire.Client) {
			c := openClient(t, secure)
			return secure, wire.Of(t, tls.Client(c.Conn.Conn, &tls.Config{InsecureSkipVerify: true}))
		},
		"in memory": func() (*Server, *wire.Client) {
			nc, err := plain.InProcessConn()
			okay(t, err)
			c := wire.Of(t, nc)
			c.ReadInfo()
			return plain, c
		},
	} {
		s, c := open()
		c.Do(`CONNECT {"verbose":false,"user":"app","pass":"a"}`)
		requests := requestsOfSystem(s)
		if len(requests) < 40 {
			t.Fatalf("there are %d requests only", len(requests))
		}
		for _, subject := range requests {
			c.Say("PUB "+subject+" _INBOX.x 2", "{}")
			if line := c.Hear("-ERR"); line != fmt.Sprintf("-ERR 'Permissions Violation for Publish to %q'\r\n", subject) {
				t.Errorf("%s, %s: got %q", name, subject, line)
			}
		}
		for _, subject := range []string{system.Connect("APP"), system.Disconnect("APP"), system.AuthError(s.id), system.Shutdown(s.id), system.LameDuck(s.id), "$SYS.>", "$SYS.*.>"} {
			c.Say("SUB " + subject + " 1")
			if line := c.Hear("-ERR"); line != fmt.Sprintf("-ERR 'Permissions Violation for Subscription to %q'\r\n", subject) {
				t.Errorf("%s, %s: got %q", name, subject, line)
			}
		}
	}
}

// TestNothingOfTheSystemAccountIsReachedByAReply has ordinary users name subjects of the system
// account as reply subjects, and a system user answer them, be answered on an inbox that others
// listen to, and leave.
func TestNothingOfTheSystemAccountIsReachedByAReply(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 2)
	for _, s := range mesh {
		sys, app, all := as(t, s, "sys"), as(t, s, "app"), as(t, s, "app")
		sys.Do("SUB $SYS.> 1", "SUB > 2", "SUB > q 3")
		all.Do("SUB > 1", "SUB _INBOX.> 2", "SUB _INBOX.ask q 3", "SUB *.> 4")
		app.Do("SUB work 1")
		// The responder gets the request with its reply subject, and may not answer there.
		all.Say("PUB work $SYS.REQ.SERVER."+s.id+".KICK 2", "{}")
		if m, err := app.Next(); err != nil || m == nil || m.Subject != "work" {
			t.Errorf("got %v, %v", m, err)
		}
		app.Say("PUB $SYS.REQ.SERVER."+s.id+".KICK 2", "{}")
		app.Want(fmt.Sprintf("-ERR 'Permissions Violation for Publish to \"$SYS.REQ.SERVER.%s.KICK\"'", s.id))
		messagesOf(t, all) // work, once for each pattern
		if got := notEvents(messagesOf(t, sys)); len(got) > 0 {
			t.Errorf("a user of the system account got %s %q of others", got[0].Subject, got[0].Payload)
		}
		// Answers to a system user go to its inbox alone, also after it has ended its subscription.
		askSystem(t, as(t, s, "sys"), "$SYS.REQ.SERVER.PING.VARZ", "", len(mesh))
		sys.Say("UNSUB 1", "UNSUB 2", "UNSUB 3", "PUB $SYS.REQ.SERVER.PING _INBOX.gone 0", "")
		messagesOf(t, sys)
		askSystem(t, as(t, s, "sys"), "$SYS.REQ.SERVER.PING.VARZ", "", len(mesh)) // answered after that, by both
		if got := messagesOf(t, all); len(got) > 0 {
			t.Errorf("an ordinary user got %s %q", got[0].Subject, got[0].Payload)
		}
	}
}

// TestARogueRouteCannotSpeakForTheSystemAccount has peers without such an account, old and new,
// publish on its subjects, answer its requests and act.
func TestARogueRouteCannotSpeakForTheSystemAccount(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{true, false} {
		s := systemBroker(t, systemConfig, func(o *Options) { o.Cluster.Host, o.Cluster.Port = "127.0.0.1", RandomPort })
		sys, app := as(t, s, "sys"), as(t, s, "app")
		sys.Do("SUB > 1", "SUB $SYS.> 2", "SUB > q 3", "SUB _INBOX.> 4")
		app.Do("SUB > 1")
		r := wire.Listen(t, "rogue", old).Join(s.ClusterAddr())
		conn := s.system.conn.Load()
		for i, subject := range append(requestsOfSystem(s), "$SYS.ACCOUNT.APP.CONNECT", "$SYS.REQ.USER.INFO") {
			r.Say("MSG "+subject+" RSID:1:1 _INBOX.rogue 13", fmt.Sprintf(`{"cid":%5d}`, app.CID()))
			for _, id := range []string{"QRSID:%d:%d", "QRSID:$%d:%d", "QRSID:$q%d:%d"} {
				r.Say("MSG "+subject+" "+fmt.Sprintf(id, conn.id, i)+" _INBOX.rogue 13", fmt.Sprintf(`{"cid":%5d}`, app.CID()))
			}
		}
		r.Say("SUB _INBOX.> RSID:1:7", "SUB _INBOX.> QRSID:$1:8", "SUB $SYS.> QRSID:$1:9")
		r.Do("MSG fence RSID:1:1 1", "x")
		for fenced := false; !fenced; {
			for _, m := range messagesOf(t, app) {
				if fenced = m.Subject == "fence"; !fenced && strings.HasPrefix(m.Subject, system.Prefix) {
					t.Fatalf("old %v: an ordinary user got %s", old, m.Subject)
				}
			}
		}
		if got := notEvents(messagesOf(t, sys)); len(got) > 0 {
			t.Errorf("old %v: a user of the system account got %s of a rogue route", old, got[0].Subject)
		}
		app.Sync() // it was not kicked
		askSystem(t, as(t, s, "sys"), "$SYS.REQ.SERVER.PING.VARZ", "", 1)
		r.Say("PING")
		for line := ""; line != "PONG\r\n"; {
			var err error
			line, err = r.Line()
			okay(t, err)
			if strings.HasPrefix(line, "MSG _INBOX") || strings.Contains(line, system.Prefix) {
				t.Errorf("old %v: the rogue route got %q", old, line)
			}
		}
	}
}

// TestReloadsLeaveNoDecisionBehind makes an ordinary user one of the system account, and back,
// while it publishes and subscribes; and takes rights away from one that has used them.
func TestReloadsLeaveNoDecisionBehind(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	sys, app := as(t, s, "sys"), as(t, s, "app")
	sys.Do("SUB $SYS.ACCOUNT.> 1", "SUB x.> 2", "PUB $SYS.mine 0", "")
	askSystem(t, sys, "$SYS.REQ.SERVER.PING", "", 1)
	app.Say("PUB $SYS.mine 0", "")
	app.Want(`-ERR 'Permissions Violation for Publish to "$SYS.mine"'`)
	reload := func(text string) error {
		okay(t, os.WriteFile(s.options().ConfigFile, []byte(text), 0o600))
		return s.Reload()
	}
	restricted := strings.Replace(systemConfig, "{user: sys, password: s}", `{user: sys, password: s, permissions: {publish: "x.>", subscribe: "x.>"}}`, 1)
	if restricted == systemConfig {
		t.Fatal("nothing is restricted")
	}
	okay(t, reload(restricted))
	sys.HearAfter("-ERR 'Permissions Violation for Subscription") // that ends the subscription
	for _, subject := range []string{"$SYS.mine", "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER." + s.id + ".KICK"} {
		sys.Say("PUB "+subject+" 2", "{}")
		if line := sys.Hear("-ERR"); !strings.Contains(line, subject) {
			t.Errorf("after the reload: got %q", line)
		}
	}
	app.Sync()
	as(t, s, "app").Close()
	if got := notEvents(messagesOf(t, sys)); len(got) > 0 {
		t.Errorf("an event came after the right to it had gone: %s", got[0].Subject)
	}
	okay(t, reload(systemConfig))
	askSystem(t, sys, "$SYS.REQ.SERVER.PING", "", 1)
	for _, without := range []string{"accounts { APP { users: [{user: app, password: a}] } }", "authorization { user: app, password: a }", ""} {
		if err := reload(without); err == nil {
			t.Errorf("a reload without the system account is accepted: %q", without)
		}
	}
	okay(t, reload(systemConfig))
	app.Say("PUB $SYS.mine 0", "")
	app.Want(`-ERR 'Permissions Violation for Publish to "$SYS.mine"'`)
	open := broker(t, nil)
	c := dialClient(t, open)
	c.Say("PUB $SYS.mine 0", "")
	c.Want(`-ERR 'Permissions Violation for Publish to "$SYS.mine"'`)
}

// TestAReplySubjectMakesNoServerAct has a user that may send one request name what it may not
// publish to as the reply subject: servers would act, and events be forged, by their answers.
func TestAReplySubjectMakesNoServerAct(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 2)
	const ping = "$SYS.REQ.SERVER.PING"
	half, sys := as(t, mesh[0], "half"), as(t, mesh[1], "sys")
	eventually(t, "interest of both servers", func() bool { return (&systemView{mesh[0]}).subscribers(ping) == 2 })
	var all []*lineLog
	forged := []string{"$SYS.ACCOUNT.FORGED.CONNECT", "$SYS.SERVER.forged.SHUTDOWN", "_SYS.forged"}
	for i, subject := range forged {
		sys.Do(fmt.Sprintf("SUB %s %d", subject, i))
		eventually(t, "interest in "+subject, func() bool { return strings.HasPrefix(subject, "_") || (&systemView{mesh[0]}).Wanted(subject) })
	}
	for _, s := range mesh {
		lines := newLineLog()
		s.SetLogger(lines, false, false)
		all = append(all, lines)
		for _, action := range system.Actions {
			subject := "$SYS.REQ.SERVER." + s.id + "." + action
			forged = append(forged, subject)
			eventually(t, "interest in "+subject, func() bool { return (&systemView{mesh[0]}).subscribers(subject) == 1 })
			// As a server does that answers on every reply subject.
			_, err := fmt.Fprintf(mesh[0].system.conn.Load().peer, "PUB %s 15\r\n{\"server\":true}\r\n", subject)
			okay(t, err)
		}
	}
	for _, reply := range forged {
		half.Say("PUB "+ping+" "+reply+" 2", "{}")
	}
	askSystem(t, half, ping, "", 2) // comes after what would have been done
	askSystem(t, sys, ping, "", 2)
	if got := messagesOf(t, sys); len(got) > 0 {
		t.Errorf("a forged event came: %s %q", got[0].Subject, got[0].Payload)
	}
	for i, lines := range all {
		for len(lines.lines) > 0 {
			if line := <-lines.lines; strings.Contains(line, "asked for by") || strings.Contains(line, "eload") {
				t.Errorf("server %d has acted: %s", i, line)
			}
		}
	}
}

// TestOnlyServersAnswerEachOther publishes on the subjects of their answers, with every right.
func TestOnlyServersAnswerEachOther(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	lines := newLineLog()
	s.SetLogger(lines, false, false)
	sys, app := as(t, s, "sys"), as(t, s, "app")
	found := 0
	for _, sub := range system.Subscriptions(s.id) {
		if !strings.Contains(sub.Subject, "INBOX") {
			continue
		}
		found++
		for _, c := range []*wire.Client{sys, app} {
			c.Say("PUB "+sub.Subject+" 2", "{}")
			c.Want(fmt.Sprintf("-ERR 'Permissions Violation for Publish to %q'", sub.Subject))
		}
	}
	if found != 1 {
		t.Errorf("there are %d such subjects", found)
	}
	lines.wait(t, `User "sys"`)
}

// TestTheLogSaysWhyARequestIsRefused has users ask without the right to.
func TestTheLogSaysWhyARequestIsRefused(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	lines := newLineLog()
	s.SetLogger(lines, false, false)
	for user, want := range map[string]string{"half": "no allow entry covers it", "app": "subjects that begin with $SYS. are for users of the system account"} {
		as(t, s, user).Say("PUB $SYS.REQ.SERVER."+s.id+".KICK 0", "")
		if line := lines.wait(t, "Publish Violation"); !strings.HasSuffix(line, want) {
			t.Errorf("%s: got %s, want %s", user, line, want)
		}
	}
	as(t, s, "sys").Say("PUB $SYS._INBOX.x 0", "")
	if line := lines.wait(t, "Publish Violation"); !strings.HasSuffix(line, "subjects that begin with $SYS._INBOX. are for servers") {
		t.Errorf("got %s", line)
	}
}
