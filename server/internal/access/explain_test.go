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
	for _, tt := range []struct{ name, got, want string }{
		{"an allowed PUB", p.explainPublish("foo.a"), `allowed: allow "foo.*"`},
		{"a denied PUB", p.explainPublish("foo.no"), `refused: deny "foo.no" (gnatsd.conf:12:5)`},
		{"a filtered SUB", p.explainSubscribe("c.*", ""), `allowed: allow "c.>"; messages are withheld that match deny "c.no"`},
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
	} {
		if text, got, err := Explain(s, strings.Fields(args)); err != nil || got != want {
			t.Errorf("%s: got %s, %v", args, text, err)
		}
	}
}
