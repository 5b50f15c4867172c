package access

import "testing"

func TestExplainedPermissions(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Rules{
		Publish:   List{Allow: []Entry{{Text: "foo.*"}}, Deny: []Entry{{"foo.no", "gnatsd.conf:12:5"}}},
		Subscribe: list("c.>", "c.x workers", "!c.no"),
	})
	for _, tt := range []struct{ name, got, want string }{
		{"an allowed PUB", p.ExplainPublish("foo.a"), `allowed: allow "foo.*"`},
		{"a denied PUB", p.ExplainPublish("foo.no"), `refused: deny "foo.no" (gnatsd.conf:12:5)`},
		{"a filtered SUB", p.ExplainSubscribe("c.*", ""), `allowed: allow "c.>"; messages are withheld that match deny "c.no"`},
		{"a filtered SUB of a queue", p.ExplainSubscribe("c.*", "q"), `allowed: allow "c.>"; messages are withheld that match deny "c.no", allow "c.x workers" of other queue groups`},
		{"an invalid SUB", p.ExplainSubscribe("c..x", ""), "refused: not a valid subject to subscribe to"},
		{"without permissions", (*Permissions)(nil).ExplainSubscribe(">", "q"), "allowed: nothing forbids it"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, tt.got, tt.want)
		}
	}
}
