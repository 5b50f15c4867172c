package server

import (
	"strings"
	"testing"

	"gnatsd/server/internal/access"
)

// list makes a SubjectPermission: entries after "!" are denied.
func list(entries ...string) *SubjectPermission {
	p := &SubjectPermission{}
	for _, e := range entries {
		if d, ok := strings.CutPrefix(e, "!"); ok {
			p.Deny = append(p.Deny, d)
		} else {
			p.Allow = append(p.Allow, e)
		}
	}
	return p
}

func mustCompile(t testing.TB, p *Permissions) *access.Permissions {
	t.Helper()
	c, err := access.Compile(p.rules())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTextsOfRefusals(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Permissions{
		Publish:   &SubjectPermission{Allow: []string{"foo.*"}, Deny: []string{"foo.no"}, denyAt: []string{"gnatsd.conf:12:5"}},
		Subscribe: list("a", "b q"),
	})
	pub := func(s string) access.Decision { return p.CanPublish([]byte(s)) }
	tests := []struct{ name, got, want string }{
		{"-ERR for PUB", publishRefusal("a\x00'b"), `Permissions Violation for Publish to "a\x00'b"`},
		{"-ERR for SUB", subscribeRefusal("x", "", p.CanSubscribe("x", "")), `Permissions Violation for Subscription to "x"`},
		{"-ERR for queue SUB that no entry covers", subscribeRefusal("x", "q", p.CanSubscribe("x", "q")), `Permissions Violation for Subscription to "x"`},
		{"-ERR for queue SUB refused by a queue entry", subscribeRefusal("b", "z", p.CanSubscribe("b", "z")), `Permissions Violation for Subscription to "b" using queue "z"`},
		{"log of a denied PUB", publishViolation("bob", "foo.no", pub("foo.no")), `Publish Violation - User "bob", Subject "foo.no": deny "foo.no" (gnatsd.conf:12:5)`},
		{"log of an unlisted PUB", publishViolation("bob", "x", pub("x")), `Publish Violation - User "bob", Subject "x": no allow entry covers it`},
		{"log of a denied PUB, cut", publishViolation("bob", strings.Repeat("\xff", 4000), pub("x")),
			`Publish Violation - User "bob", Subject "` + strings.Repeat(`\xff`, 128) + `"...: no allow entry covers it`},
		{"log of a reserved PUB", publishViolation("", "_SYS.x", pub("_SYS.x")), `Publish Violation - User "", Subject "_SYS.x": subjects that begin with _SYS. are reserved`},
		{"log of a SUB", subscribeViolation("bob", "b", "z", "7", p.CanSubscribe("b", "z")), `Subscription Violation - User "bob", Subject "b", SID 7, Queue "z": allow "b q" admits other queue groups only`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, tt.got, tt.want)
		}
	}
}
