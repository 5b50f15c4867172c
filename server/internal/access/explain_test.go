package access

import (
	"strings"
	"testing"
)

func TestExplainedPermissions(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Rules{
		Publish:   List{Allow: []Entry{{Text: "foo.*"}}, Deny: []Entry{{"foo.no", "gnatsd.conf:12:5"}}},
		Subscribe: list("c.>", "c.x workers", "!c.no"),
	})
	queues := mustCompile(t, &Rules{Subscribe: list("c.>", "c.x b", "!c.no a")})
	for _, tt := range []struct{ name, got, want string }{
		{"an allowed PUB", p.explainPublish("foo.a", true), `allowed: allow "foo.*"`},
		{"a denied PUB", p.explainPublish("foo.no", true), `refused: deny "foo.no" (gnatsd.conf:12:5)`},
		{"a filtered SUB", p.explainSubscribe("c.*", ""), `allowed: allow "c.>"; messages are withheld that match deny "c.no"`},
		{"a SUB of a queue that has entries", queues.explainSubscribe("c.*", "a"), `allowed: allow "c.>"; messages are withheld that match deny "c.no a", allow "c.x b" of other queue groups`},
		{"a plain SUB beside entries for every queue", mustCompile(t, &Rules{Subscribe: list("!c.no *")}).explainSubscribe("c.*", ""), "allowed: nothing forbids it"},
		{"a SUB of another queue", queues.explainSubscribe("c.*", "b"), `allowed: allow "c.>"`},
		{"a SUB of a queue elsewhere", queues.explainSubscribe("c.y.*", "a"), `allowed: allow "c.>"`},
		{"a filtered SUB of a queue", p.explainSubscribe("c.*", "q"), `allowed: allow "c.>"; messages are withheld that match deny "c.no", allow "c.x workers" of other queue groups`},
		{"an invalid SUB", p.explainSubscribe("c..x", ""), "refused: not a valid subject to subscribe to"},
		{"without permissions", (*Permissions)(nil).explainSubscribe(">", "q"), "allowed: nothing forbids it"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestExplainWithoutAList(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		set  Settings
		args []string
		want string
	}{
		{"no login is required", Settings{}, []string{"pub=x"}, `a client without credentials, publish to "x": allowed: nothing forbids it`},
		{"a single user", Settings{Username: "bob", Password: "x"}, []string{"user=bob", "sub=>"}, `user "bob", subscribe to ">": allowed: nothing forbids it`},
		{"another than the single user", Settings{Username: "bob", Password: "x"}, []string{"user=eve", "sub=>"}, `explain: the only user is "bob"`},
		{"a program decides", Settings{Hook: true}, []string{"user=eve", "sub=>"}, "explain: a program decides about users, not the configuration"},
	} {
		got, _, err := Explain(tc.set, tc.args)
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestExplainOfTheSystemAccount(t *testing.T) {
	t.Parallel()
	s := Settings{Users: []User{
		{Name: "app", Password: "a"},
		{Name: "listed", Password: "l", Rules: &Rules{Publish: List{Allow: []Entry{{Text: "x"}}}}},
		{Name: "mute", Password: "m", Rules: &Rules{Publish: List{Deny: []Entry{{Text: ">"}}}}},
		{Name: "sys", Password: "s", System: true, Rules: &Rules{Publish: List{Deny: []Entry{{Text: "$SYS.REQ.SERVER.*.KICK"}}}}},
	}}
	for args, want := range map[string]bool{
		"user=app pub=$SYS.REQ.SERVER.PING":   false,
		"user=app sub=$SYS.>":                 false,
		"user=app sub=>":                      true,
		"user=sys pub=$SYS.REQ.SERVER.PING":   true,
		"user=sys sub=$SYS.>":                 true,
		"user=sys pub=$SYS.REQ.SERVER.a.LDM":  true,
		"user=sys pub=$SYS.REQ.SERVER.a.KICK": false,
		"user=sys pub=$SYS.REQ.USER.INFO":     true,
		"user=sys pub=$SYS._INBOX.a":          false,
		"user=app pub=$SYS.REQ.USER.INFO":     true,
		"user=listed pub=$SYS.REQ.USER.INFO":  true,
		"user=mute pub=$SYS.REQ.USER.INFO":    false,
	} {
		if text, got, err := Explain(s, strings.Fields(args)); err != nil || got != want {
			t.Errorf("%s: got %s, %v", args, text, err)
		}
	}
}

func TestExplainOfAServerWithoutASystemAccount(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{UserInfo, "$SYS.REQ.SERVER.a.KICK", "$SYS._INBOX.a"} {
		text, allowed, err := Explain(Settings{Users: []User{{Name: "app", Password: "a"}}}, []string{"user=app", "pub=" + subject})
		if err != nil || allowed {
			t.Errorf("%s: got %s, %v", subject, text, err)
		}
	}
}

func TestExplainAnswersQuestionsAboutAList(t *testing.T) {
	t.Parallel()
	users := []User{
		{Name: "bob", Password: "b", Limits: &Limits{MaxPayload: 5}, Rules: &Rules{Subscribe: list("c.>", "c.x workers")}},
		{Name: "guest", Password: "g", Rules: &Rules{Response: &Response{}}},
		{Name: "rita", Password: "r", Rules: &Rules{Publish: list("x"), Response: &Response{}}},
	}
	open := Settings{Users: users, NoAuthUser: "guest"}
	for _, tt := range []struct {
		set      Settings
		question string // its words are separated by |
		want     string
	}{
		{open, "user=bob|pub=a", `user "bob", publish to "a": allowed: nothing forbids it; limits: max_payload 5`},
		{open, "user=bob|pub=a..b", `user "bob", publish to "a..b": refused: not a valid subject to publish to; limits: max_payload 5`},
		{open, "user=bob|pub=a b", `user "bob", publish to "a b": refused: not a valid subject to publish to; limits: max_payload 5`},
		{open, "user=bob|sub=c.x|queue=workers", `user "bob", subscribe to "c.x" in queue "workers": allowed: allow "c.x workers"; limits: max_payload 5`},
		{open, "user=bob|sub=c.*|queue=q", `user "bob", subscribe to "c.*" in queue "q": allowed: allow "c.>"; messages are withheld that match allow "c.x workers" of other queue groups; limits: max_payload 5`},
		{open, "user=bob|sub=c.x|queue=a b", `user "bob", subscribe to "c.x" in queue "a b": refused: not a valid queue; limits: max_payload 5`},
		{open, "user=guest|sub=a", `user "guest", subscribe to "a": allowed: nothing forbids it`},
		{open, "user=rita|pub=x", `user "rita", publish to "x": allowed: allow "x"`},
		{open, "pub=a", `a client without credentials, publish to "a": refused: no allow entry covers it, except as the reply subject of a message that was received (allow_responses)`},
		{open, "user=eve|pub=a", `explain: no user "eve" in the list of users`},
		{Settings{Users: users}, "pub=a", `explain: no user "" in the list of users`},
		{open, "user=bob", "explain: " + explainUsage},
		{open, "user=bob|pub=a|sub=b", "explain: " + explainUsage},
		{open, "user=bob|pub=a|queue=q", "explain: " + explainUsage},
		{open, "pud=a", `explain: cannot use "pud=a": ` + explainUsage},
		{open, "pub=", `explain: cannot use "pub=": ` + explainUsage},
		{open, "pub=a|pub=b", `explain: cannot use "pub=b": ` + explainUsage},
		{Settings{Users: []User{{Name: "a", Rules: &Rules{Publish: list(" ")}}}}, "user=a|pub=a", `permissions of user "a": subject " " is not a valid subject`},
	} {
		got, allowed, err := Explain(tt.set, strings.Split(tt.question, "|"))
		if err != nil {
			got += err.Error()
		}
		if got != tt.want || allowed != strings.Contains(tt.want, ": allowed: ") {
			t.Errorf("%s:\n got %s, %v\nwant %s", tt.question, got, allowed, tt.want)
		}
	}
}
