package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"gnatsd/server/internal/system"
	"gnatsd/test/wire"
)

// answersOf sends a request and returns as many answers, by the name of their server.
func answersOf(t testing.TB, c *wire.Client, subject, body string, n int) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, v := range askSystem(t, c, subject, body, n) {
		server, _ := v["server"].(map[string]any)
		if server == nil {
			server = v // IDZ
		}
		all[fmt.Sprint(server["name"])] = v
	}
	return all
}

// TestEveryServerAnswersOnce asks one server of a mesh, for each page and for each filter.
func TestEveryServerAnswersOnce(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 3)
	c := as(t, mesh[0], "sys")
	eventually(t, "interest of all servers", func() bool {
		return (&systemView{mesh[0]}).subscribers("$SYS.REQ.SERVER.PING.VARZ") == 3
	})
	for page, key := range map[string]string{
		"": "statsz", ".STATSZ": "statsz", ".STATZ": "statsz", ".VARZ": "data", ".CONNZ": "data", ".ROUTEZ": "data",
		".SUBSZ": "data", ".HEALTHZ": "data", ".IDZ": "id", ".JSZ": "error", ".RAFTZ": "error", ".GATEWAYZ": "error", ".LEAFZ": "error", ".ACCOUNTZ": "error",
	} {
		subject := "$SYS.REQ.SERVER.PING" + page
		eventually(t, "interest in "+subject, func() bool { return (&systemView{mesh[0]}).subscribers(subject) == 3 })
		got := answersOf(t, c, subject, "", 3)
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, []string{"A", "B", "C"}) {
			t.Errorf("%s is answered by %v", subject, names)
		}
		for name, answer := range got {
			if answer[key] == nil {
				t.Errorf("%s: the answer of %s has no %s: %v", subject, name, key, answer)
			}
		}
	}
	for filter, want := range map[string]string{
		`{"server_name":"B"}`: "B", `{"server_name":"B","exact_match":true}`: "B", `{"server_name":"` + mesh[2].ID() + `","exact_match":true}`: "C",
		`{"host":"127.0.0.1","server_name":"C"}`: "C",
	} {
		if got := slices.Collect(maps.Keys(answersOf(t, c, "$SYS.REQ.SERVER.PING.VARZ", filter, 1))); got[0] != want {
			t.Errorf("%s: %v answers, want %s", filter, got, want)
		}
	}
	for _, filter := range []string{`{"server_name":"X"}`, `{"cluster":"x"}`, `{"tags":["a"]}`, `{"domain":"d"}`, `{"server_name":"","host":"127","exact_match":true}`} {
		c.Say("SUB _INBOX.none 8", fmt.Sprintf("PUB $SYS.REQ.SERVER.PING _INBOX.none %d", len(filter)), filter)
		askSystem(t, c, "$SYS.REQ.SERVER.PING", "", 3) // comes after what would have been an answer
		if got := withSubject(messagesOf(t, c), "_INBOX.none"); len(got) > 0 {
			t.Errorf("%s is answered: %s", filter, got[0].Payload)
		}
		c.Do("UNSUB 8")
	}
	for _, s := range mesh {
		got := answersOf(t, c, "$SYS.REQ.SERVER."+s.ID()+".VARZ", "{}", 1)
		data := got[s.Name()]["data"].(map[string]any)
		if data["server_id"] != s.ID() {
			t.Errorf("the answer for %s is of %v", s.ID(), data["server_id"])
		}
	}
	if got := askSystem(t, c, "$SYS.REQ.SERVER.PING.CONNZ", "{", 3); got[0]["error"] == nil {
		t.Errorf("a broken request is answered %v", got[0])
	}
	if got := askSystem(t, c, "$SYS.REQ.SERVER.PING.CONNZ", `{"state":3}`, 3); !strings.Contains(fmt.Sprint(got[0]["error"]), "invalid state: 3: want 0 for open") {
		t.Errorf("got %v for a state that there is not", got[0])
	}
	if got := askSystem(t, c, "$SYS.REQ.SERVER.PING.CONNZ", `{"cid":"x"}`, 3); !strings.Contains(fmt.Sprint(got[0]["error"]), `string into field "cid" of the request`) {
		t.Errorf("a request with a wrong type is answered %v", got[0])
	}
}

// subscribers returns the number of subscriptions that a subject has, 0 for an invalid one.
func (v *systemView) subscribers(subject string) int {
	n, _ := v.Subscribers(subject, "")
	return n
}

// TestAnswersOfOneServer looks at what they say.
func TestAnswersOfOneServer(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	c, app := as(t, s, "sys"), as(t, s, "app")
	app.Do("SUB a.b 1", "SUB a.* q 2", "SUB _INBOX.ask 3")
	data := func(subject, body string) map[string]any {
		t.Helper()
		v, _ := askSystem(t, c, subject, body, 1)[0]["data"].(map[string]any)
		return v
	}
	conns := data("$SYS.REQ.SERVER.PING.CONNZ", `{"auth":true,"user":"app","subscriptions":true}`)["connections"].([]any)
	if len(conns) != 1 || conns[0].(map[string]any)["account"] != "APP" || len(conns[0].(map[string]any)["subscriptions_list"].([]any)) != 3 {
		t.Errorf("got %v, want the client of app", conns)
	}
	for body, want := range map[string]int{`{"auth":true,"acc":"SYS"}`: 1, `{"filter_subject":"a.x"}`: 1, `{"filter_subject":"none"}`: 0, `{"limit":1}`: 1} {
		if got := data("$SYS.REQ.SERVER.PING.CONNZ", body)["connections"].([]any); len(got) != want {
			t.Errorf("%s: got %d connections, want %d", body, len(got), want)
		}
	}
	if got := data("$SYS.REQ.SERVER.PING.HEALTHZ", ""); got["status"] != "ok" || got["status_code"] != 200.0 {
		t.Errorf("got %v", got)
	}
	accounts := data("$SYS.REQ.ACCOUNT.PING.STATZ", "")["account_statz"].([]any)
	if len(accounts) != 2 || accounts[1].(map[string]any)["num_subscriptions"] != 3.0 {
		t.Errorf("got %v, want two accounts, one with three subscriptions", accounts)
	}
	if got := data("$SYS.REQ.ACCOUNT.APP.STATZ", "")["account_statz"].([]any); len(got) != 1 {
		t.Errorf("got %v, want one account", got)
	}
	for body, want := range map[string]string{"a.b": "2", "a.c": "1", "a.b q": "1", "x": "0"} {
		c.Say("SUB _INBOX.n 9", fmt.Sprintf("PUB $SYS.DEBUG.SUBSCRIBERS _INBOX.n %d", len(body)), body)
		m, err := c.Next()
		okay(t, err)
		if string(m.Payload) != want {
			t.Errorf("%s has %s subscribers, want %s", body, m.Payload, want)
		}
		c.Do("UNSUB 9")
	}
	for user, who := range map[*wire.Client]string{app: "app APP", c: "sys SYS", as(t, s, "half"): "half SYS", as(t, s, "listed"): "listed APP"} {
		user.Say("SUB _INBOX.me 9", "PUB $SYS.REQ.USER.INFO _INBOX.me 0", "")
		m, err := user.Next()
		okay(t, err)
		var got struct {
			Server system.ServerInfo
			Data   struct{ User, Account string }
		}
		okay(t, json.Unmarshal(m.Payload, &got))
		if got.Data.User+" "+got.Data.Account != who || got.Server.Seq == 0 || got.Server.Time.IsZero() {
			t.Errorf("%s: got %s", who, m.Payload)
		}
	}
}

// TestAccountsWithoutClientsAreLeftOut asks for the numbers of accounts, of which one has no client.
func TestAccountsWithoutClientsAreLeftOut(t *testing.T) {
	t.Parallel()
	c := as(t, systemBroker(t, systemConfig, nil), "sys")
	for body, want := range map[string]int{"": 1, `{"accounts":["SYS","APP"]}`: 1, `{"include_unused":true}`: 2, `{"include_unused":true,"accounts":["APP"]}`: 1} {
		answer := askSystem(t, c, "$SYS.REQ.ACCOUNT.PING.STATZ", body, 1)[0]
		if got := answer["data"].(map[string]any)["account_statz"].([]any); len(got) != want {
			t.Errorf("%s: %d accounts, want %d", body, len(got), want)
		}
	}
	c.Say("SUB _INBOX.none 8", "PUB $SYS.REQ.ACCOUNT.APP.STATZ _INBOX.none 0", "")
	askSystem(t, c, "$SYS.REQ.SERVER.PING", "", 1) // comes after what would have been an answer
	if got := withSubject(messagesOf(t, c), "_INBOX.none"); len(got) > 0 {
		t.Errorf("an account without clients is answered for: %s", got[0].Payload)
	}
}

// TestAnswersMayBeCompressed asks for that, and for one that is too large.
func TestAnswersMayBeCompressed(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig+"\nmax_payload: 4096", nil)
	c := as(t, s, "sys")
	c.Say("SUB _INBOX.z 1", "HPUB $SYS.REQ.SERVER.PING.VARZ _INBOX.z 37 37", "NATS/1.0\r\nAccept-Encoding: snappy\r\n\r\n\r\n")
	m, err := c.Next()
	okay(t, err)
	if !strings.Contains(string(m.Headers), "Content-Encoding: snappy") {
		t.Fatalf("got headers %q", m.Headers)
	}
	text, err := io.ReadAll(s2.NewReader(bytes.NewReader(m.Payload)))
	okay(t, err)
	if !json.Valid(text) || !strings.Contains(string(text), s.ID()) {
		t.Errorf("got %.200s", text)
	}
	for range 20 {
		as(t, s, "app")
	}
	got := askSystem(t, c, "$SYS.REQ.SERVER.PING.CONNZ", "", 1)[0]
	if got["error"] == nil || !strings.Contains(fmt.Sprint(got["error"]), "max_payload") {
		t.Errorf("got %v, want that the answer is too large", got)
	}
	askSystem(t, c, "$SYS.REQ.SERVER.PING.CONNZ", `{"limit":1}`, 1)
}

// TestOperatorsAct kicks clients, sends them away and reloads, over a route too, and looks at the log
// of the server that acts.
func TestOperatorsAct(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 2)
	s, lines := mesh[1], newLineLog()
	s.SetLogger(lines, false, false)
	c := as(t, mesh[0], "sys")
	act := func(action, body string) string {
		t.Helper()
		subject := "$SYS.REQ.SERVER." + s.ID() + "." + action
		eventually(t, "interest", func() bool { return (&systemView{mesh[0]}).subscribers(subject) == 1 })
		answer := askSystem(t, c, subject, body, 1)[0]
		if e, failed := answer["error"].(map[string]any); failed {
			return fmt.Sprint(e["description"])
		}
		return ""
	}
	for _, by := range []string{"cid", "user", "name", "ip"} {
		app := openClient(t, s)
		app.Do(`CONNECT {"verbose":false,"protocol":1,"user":"app","pass":"a","name":"me"}`)
		host, port := s.clients.find(app.CID()).peer()
		body := map[string]string{"cid": fmt.Sprint(app.CID()), "user": `"app"`, "name": `"me"`, "ip": fmt.Sprintf(`"%s:%d"`, host, port)}[by]
		if why := act("LDM", fmt.Sprintf(`{%q:%s}`, by, body)); why != "" {
			t.Errorf("LDM by %s: %s", by, why)
		}
		for !strings.Contains(app.HearAfter("INFO "), `"ldm":true`) { // there may be others, about the mesh
		}
		if why := act("KICK", fmt.Sprintf(`{%q:%s}`, by, body)); why != "" {
			t.Errorf("KICK by %s: %s", by, why)
		}
		if err := app.Ended(); err != nil {
			t.Errorf("kicked by %s: %v", by, err)
		}
		if line := lines.wait(t, "kicked by"); !strings.Contains(line, `user "sys"`) || !strings.Contains(line, `of server "A"`) {
			t.Errorf("the log does not say who: %s", line)
		}
	}
	for action, bodies := range map[string]map[string]string{
		"KICK": {`{"cid":99999}`: "no such client", `{}`: "which clients", "": "which clients", `{"cid":"x"}`: "invalid"},
		"LDM":  {`{"cid":99999}`: "no such client", `{}`: "which clients"},
	} {
		for body, want := range bodies {
			if why := act(action, body); !strings.Contains(why, want) {
				t.Errorf("%s %s: got %q, want %q", action, body, why, want)
			}
		}
	}
	if why := act("RELOAD", ""); why != "" {
		t.Errorf("RELOAD: %s", why)
	}
	lines.wait(t, "Reload asked for by")
	okay(t, os.WriteFile(s.options().ConfigFile, []byte("port: x"), 0o600))
	if why := act("RELOAD", ""); !strings.Contains(why, "port") {
		t.Errorf("RELOAD of a broken file: got %q", why)
	}
	z, err := s.Varz(nil)
	okay(t, err)
	if want := (SystemStats{Kicks: 4}); *z.SystemStats != want {
		t.Errorf("got %+v, want %+v", *z.SystemStats, want)
	}
	half := as(t, mesh[0], "half")
	half.Say("PUB $SYS.REQ.SERVER."+s.ID()+".KICK 0", "")
	half.Want(fmt.Sprintf(`-ERR 'Permissions Violation for Publish to "$SYS.REQ.SERVER.%s.KICK"'`, s.ID()))
	// A request that a user sends as if the server had asked for it is taken from it just as well.
	c.Say("SUB x.> 6", "HPUB $SYS.REQ.SERVER."+s.ID()+".KICK x.y 35 48", "NATS/1.0\r\nGnatsd-Asked-By: user\r\n\r\n"+`{"cid":99999}`)
	if line := c.Hear("MSG x.y"); line == "" {
		t.Error("no answer")
	}
}

// eventOf returns the next event on a subject.
func eventOf(t *testing.T, c *wire.Client, subject string) map[string]any {
	t.Helper()
	for {
		m, err := c.Next()
		okay(t, err)
		if m != nil && m.Subject == subject {
			v := map[string]any{}
			okay(t, json.Unmarshal(m.Payload, &v))
			return v
		}
	}
}

// TestEvents subscribes on one server to what happens on the other.
func TestEvents(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 2)
	s := mesh[1]
	c := as(t, mesh[0], "sys")
	c.Do("SUB $SYS.ACCOUNT.> 1", "SUB $SYS.SERVER.> 2")
	eventually(t, "interest", func() bool {
		return (&systemView{s}).Wanted("$SYS.ACCOUNT.APP.CONNECT") && (&systemView{s}).Wanted("$SYS.SERVER.x.SHUTDOWN")
	})
	app := openClient(t, s)
	app.Do(`CONNECT {"verbose":false,"user":"app","pass":"a","name":"me","lang":"go","version":"7"}`, "SUB a 1", "PUB a 2", "xx", "PUB b 3", "yyy")
	client := eventOf(t, c, "$SYS.ACCOUNT.APP.CONNECT")["client"].(map[string]any)
	if client["name"] != "me" || client["acc"] != "APP" || client["id"] != float64(app.CID()) || client["lang"] != "go" || client["ver"] != "7" || client["user"] != "app" {
		t.Errorf("got %v", client)
	}
	for eventOf(t, c, "$SYS.ACCOUNT.APP.SERVER.CONNS")["conns"] != 1.0 { // server A says so, too
	}
	app.Close()
	got := eventOf(t, c, "$SYS.ACCOUNT.APP.DISCONNECT")
	sent, received := got["sent"].(map[string]any), got["received"].(map[string]any)
	if got["reason"] != "Client Closed" || sent["msgs"] != 2.0 || sent["bytes"] != 5.0 || received["msgs"] != 1.0 || received["bytes"] != 2.0 {
		t.Errorf("got %v", got)
	}
	wrong := openClient(t, s)
	wrong.Say(`CONNECT {"user":"app","pass":"wrong","name":"` + strings.Repeat("n", 1000) + `"}`)
	wrong.Want("-ERR 'Authorization Violation'")
	got = eventOf(t, c, "$SYS.SERVER."+s.ID()+".CLIENT.AUTH.ERR")
	if name := got["client"].(map[string]any)["name"].(string); got["reason"] != "Authentication Failure" || len(name) != 256 {
		t.Errorf("got %v", got)
	}
	s.Shutdown()
	var subjects []string
	for last := ""; last != "$SYS.SERVER."+s.ID()+".SHUTDOWN"; subjects = append(subjects, last) {
		m, err := c.Next()
		okay(t, err)
		last = m.Subject
	}
	if slices.Contains(subjects, "$SYS.ACCOUNT.$G.DISCONNECT") {
		t.Errorf("got %v: a client that was in no account has left one", subjects)
	}
}

// TestEventsAreMadeOnlyWhereTheyAreWanted floods a server with clients while there is no subscriber
// to events.
func TestEventsAreMadeOnlyWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	for range 20 {
		as(t, s, "app").Close()
	}
	c := as(t, s, "sys")
	c.Do("SUB $SYS.ACCOUNT.APP.CONNECT 1")
	as(t, s, "app")
	if seq := eventOf(t, c, "$SYS.ACCOUNT.APP.CONNECT")["server"].(map[string]any)["seq"]; seq != 1.0 {
		t.Errorf("the first event that is wanted is number %v", seq)
	}
}

// TestLameDuckIsAnEvent begins it over the system account.
func TestLameDuckIsAnEvent(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 2)
	s := mesh[1]
	c := as(t, mesh[0], "sys")
	c.Do("SUB $SYS.SERVER.*.LAMEDUCK 1")
	eventually(t, "interest", func() bool {
		return (&systemView{s}).Wanted("$SYS.SERVER.x.LAMEDUCK") && (&systemView{mesh[0]}).subscribers("$SYS.REQ.SERVER."+s.ID()+".LDM") == 1
	})
	c.Say("PUB $SYS.REQ.SERVER."+s.ID()+".LDM 15", `{"server":true}`)
	if got := eventOf(t, c, "$SYS.SERVER."+s.ID()+".LAMEDUCK"); got["id"] != s.ID() {
		t.Errorf("got %v", got)
	}
}

// TestRebalanceDisconnectsTheSurplus has nine clients on one of three servers, and lets them go where
// they like.
func TestRebalanceDisconnectsTheSurplus(t *testing.T) {
	t.Parallel()
	mesh := systemMesh(t, 3)
	c := as(t, mesh[1], "sys")
	subject := "$SYS.REQ.SERVER." + mesh[0].ID() + ".REBALANCE"
	eventually(t, "interest", func() bool { return (&systemView{mesh[1]}).subscribers(subject) == 1 })
	var apps []*wire.Client
	for range 9 {
		apps = append(apps, as(t, mesh[0], "app"))
	}
	for _, busy := range apps[:4] { // those that connected last are the idle ones
		busy.Do("PUB a 1", "x")
	}
	got := askSystem(t, c, subject, "", 1)[0]
	data, _ := got["data"].(map[string]any)
	if data["servers"] != 3.0 || data["connections"] != 10.0 || data["mean"] != 4.0 || data["surplus"] != 5.0 {
		t.Fatalf("got %v", got)
	}
	for _, idle := range apps[4:] {
		okay(t, idle.Ended())
	}
	for _, busy := range apps[:4] {
		busy.Sync()
	}
	eventually(t, "it has ended", func() bool { return !mesh[0].system.balancing.Load() })
	data = askSystem(t, c, subject, "", 1)[0]["data"].(map[string]any)
	if data["surplus"].(float64) != 2 { // of five clients, the mean being two
		t.Errorf("got %v", data)
	}
	alone := systemBroker(t, systemConfig, nil)
	if got := askSystem(t, as(t, alone, "sys"), "$SYS.REQ.SERVER."+alone.ID()+".REBALANCE", "", 1)[0]; got["error"] == nil {
		t.Errorf("got %v, want that there is no other server", got)
	}
}

// TestAnswersAboutOneAccount asks for each page of each account, of all, and of one that does not
// exist.
func TestAnswersAboutOneAccount(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	c, app := as(t, s, "sys"), as(t, s, "app")
	app.Do("SUB a.b 1", "SUB a.* q 2")
	ask := func(what, body string) string {
		t.Helper()
		answer := askSystem(t, c, "$SYS.REQ.ACCOUNT."+what, body, 1)[0]
		if e, failed := answer["error"].(map[string]any); failed {
			return fmt.Sprint(e["code"], " ", e["description"])
		}
		data, _ := answer["data"].(map[string]any)
		if data == nil {
			data = answer // CONNS
		}
		var cids, subjects []any
		for list, key := range map[*[]any]string{&cids: "connections", &subjects: "subscriptions_list"} {
			all, _ := data[key].([]any)
			for _, v := range all {
				row := v.(map[string]any)
				*list = append(*list, row[map[string]string{"connections": "cid", "subscriptions_list": "subject"}[key]])
			}
		}
		return strings.TrimSpace(fmt.Sprintln(data["total"], cids, subjects, data["account_name"], data["acc"], data["is_system"], data["client_connections"], data["conns"]))
	}
	for what, bodies := range map[string]map[string]string{
		"APP.CONNZ": {
			"": fmt.Sprintf("1 [%d] [] <nil> <nil> <nil> <nil> <nil>", app.CID()), `{"acc":"SYS"}`: "0 [] [] <nil> <nil> <nil> <nil> <nil>",
			fmt.Sprintf(`{"cid":%d}`, c.CID()): "1 [] [] <nil> <nil> <nil> <nil> <nil>", `{"filter_subject":"a.c"}`: fmt.Sprintf("1 [%d] [] <nil> <nil> <nil> <nil> <nil>", app.CID()),
		},
		"SYS.CONNZ":  {"": fmt.Sprintf("1 [%d] [] <nil> <nil> <nil> <nil> <nil>", c.CID()), fmt.Sprintf(`{"cid":%d}`, app.CID()): "1 [] [] <nil> <nil> <nil> <nil> <nil>"},
		"NONE.CONNZ": {"": "0 [] [] <nil> <nil> <nil> <nil> <nil>"},
		"PING.CONNZ": {"": fmt.Sprintf("2 [%d %d] [] <nil> <nil> <nil> <nil> <nil>", c.CID(), app.CID())},
		"APP.SUBSZ": {
			"": "0 [] [] <nil> <nil> <nil> <nil> <nil>", `{"subscriptions":true}`: "2 [] [a.b a.*] <nil> <nil> <nil> <nil> <nil>",
			`{"subscriptions":true,"test":"a.c"}`: "1 [] [a.*] <nil> <nil> <nil> <nil> <nil>",
		},
		"SYS.SUBSZ":  {`{"subscriptions":true}`: "1 [] [_INBOX.ask] <nil> <nil> <nil> <nil> <nil>", `{"subscriptions":true,"test":"a.b"}`: "0 [] [] <nil> <nil> <nil> <nil> <nil>"},
		"PING.SUBSZ": {`{"subscriptions":true}`: "3 [] [_INBOX.ask a.b a.*] <nil> <nil> <nil> <nil> <nil>"},
		"NONE.SUBSZ": {`{"subscriptions":true,"test":"a.b"}`: "0 [] [] <nil> <nil> <nil> <nil> <nil>"},
		"APP.INFO":   {"": "<nil> [] [] APP <nil> <nil> 1 <nil>"},
		"SYS.INFO":   {"": "<nil> [] [] SYS <nil> true 1 <nil>"},
		"PING.INFO":  {"": "500 Account PING does not exist"},
		"NONE.INFO":  {"": "500 Account NONE does not exist"},
		"APP.CONNS":  {"": "<nil> [] [] <nil> APP <nil> <nil> 1"},
		"NONE.CONNS": {"": "500 Account NONE does not exist"},
		"APP.JSZ":    {"": "501 JSZ is not available: this server does not have what it is about"},
		"PING.LEAFZ": {"": "501 LEAFZ is not available: this server does not have what it is about"},
		"APP.STATZ":  {"": "<nil> [] [] <nil> <nil> <nil> <nil> <nil>"},
	} {
		for body, want := range bodies {
			if got := ask(what, body); got != want {
				t.Errorf("%s %s: got %q, want %q", what, body, got, want)
			}
		}
	}
}

// TestTrafficOfSystemUsersIsNeverThatOfOthers asks after each of them has left.
func TestTrafficOfSystemUsersIsNeverThatOfOthers(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	stats := func() (own, users system.AccountStats) {
		all := (&systemView{s}).Accounts()
		return all[0], all[1]
	}
	for range 3 {
		c := as(t, s, "sys")
		askSystem(t, c, "$SYS.REQ.SERVER.PING.VARZ", "", 1)
		c.Close()
		eventually(t, "it is gone", func() bool { return len(s.system.connected()) == 0 })
		var own, users system.AccountStats
		eventually(t, "all is counted", func() bool { own, users = stats(); return users.Received.Msgs == 0 && users.Sent.Msgs == 0 })
		if users.Received.Bytes != 0 || users.Sent.Bytes != 0 || own.Received.Msgs == 0 || own.Sent.Msgs == 0 {
			t.Errorf("got %+v and %+v", own, users)
		}
	}
	app := as(t, s, "app")
	app.Do("SUB a 1", "PUB a 1", "x")
	eventually(t, "the message is counted", func() bool { _, users := stats(); return users.Received.Msgs == 1 && users.Sent.Msgs == 1 })
}

// TestConnzFindsInterestOfClientsOfEverySize has one with more subscriptions than are looked at under
// its lock, and one with a few.
func TestConnzFindsInterestOfClientsOfEverySize(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	c, large, small := as(t, s, "sys"), as(t, s, "app"), as(t, s, "app")
	var subs []string
	for i := range maxSubsCopy + 1 {
		subs = append(subs, fmt.Sprintf("SUB large.%d.x %d", i, i+1))
	}
	large.Do(subs...)
	small.Do("SUB small.* 1", "SUB both q 2")
	large.Do("SUB both q 999999")
	gone := as(t, s, "app")
	gone.Do("SUB gone.> 1")
	gone.Close()
	eventually(t, "its record", func() bool { return s.clients.len() == 3 })
	for body, want := range map[string][]uint64{
		`{"filter_subject":"large.2000.x"}`:         {large.CID()},
		`{"filter_subject":"large.*.x"}`:            {large.CID()},
		`{"filter_subject":"large.2001.x"}`:         nil,
		`{"filter_subject":"small.1"}`:              {small.CID()},
		`{"filter_subject":"both"}`:                 {large.CID(), small.CID()},
		`{"filter_subject":"both","user":"sys"}`:    nil,
		`{"filter_subject":"gone.1","state":1}`:     {gone.CID()},
		`{"filter_subject":"gone.*.x","state":2}`:   {gone.CID()},
		`{"filter_subject":"gone.1"}`:               nil,
		`{"filter_subject":"$SYS.REQ.SERVER.PING"}`: nil,
	} {
		data := askSystem(t, c, "$SYS.REQ.SERVER.PING.CONNZ", body, 1)[0]["data"].(map[string]any)
		var got []uint64
		for _, v := range data["connections"].([]any) {
			got = append(got, uint64(v.(map[string]any)["cid"].(float64)))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", body, got, want)
		}
	}
}

// TestAnActionOfAServerThatDoesNotExistHasNoResponders asks for each as a client that wants to
// know, and as one that does not.
func TestAnActionOfAServerThatDoesNotExistHasNoResponders(t *testing.T) {
	t.Parallel()
	s := systemBroker(t, systemConfig, nil)
	c := as(t, s, "sys")
	c.Do("SUB _INBOX.> 1")
	for i, action := range system.Actions {
		c.Say(fmt.Sprintf("PUB $SYS.REQ.SERVER.none.%s _INBOX.%d 2", action, i), "{}")
		m, err := c.Next()
		okay(t, err)
		if m.Subject != fmt.Sprintf("_INBOX.%d", i) || !strings.HasPrefix(string(m.Headers), "NATS/1.0 503") {
			t.Errorf("%s: got %q %q", action, m.Subject, m.Headers)
		}
	}
	plain := openClient(t, s)
	plain.Do(`CONNECT {"verbose":false,"user":"sys","pass":"s"}`, "SUB _INBOX.x 1", "PUB $SYS.REQ.SERVER.none.KICK _INBOX.x 2", "{}")
	if got := messagesOf(t, plain); len(got) > 0 {
		t.Errorf("got %q", got[0].Headers)
	}
}
