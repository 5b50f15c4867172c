package server

import (
	"strings"
	"testing"
)

// explainUsage ends the errors of --explain.
const explainUsage = "want user=NAME and pub=SUBJECT or sub=SUBJECT, the latter also with queue=NAME"

const explainedFile = `authorization {
  default_permissions = { publish = "SANDBOX.*", subscribe = "_INBOX.>" }
  users = [
    {user: bob, password: bar, permissions: {
      publish: { allow: ["req.foo", "req.bar"],
                 deny: "req.bar" }
      subscribe: { allow: ["_INBOX.>", "q.* workers", "q.a"], deny: "_INBOX.secret" }
    }}
    {user: susan, password: baz}
    {nkey: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT, permissions: { publish: "keyed.>" }}
    {user: rita, password: r, permissions: { allow_responses: true }}
    {user: guest, password: g, permissions: { publish: "hello" }}
  ]
}
no_auth_user: guest
`

func TestExplainNamesTheRuleThatDecides(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, explainedFile)
	for _, tc := range []struct{ question, want string }{
		{"user=bob pub=req.foo", `user "bob", publish to "req.foo": allowed: allow "req.foo" (F:5:26)`},
		{"user=bob pub=req.bar", `user "bob", publish to "req.bar": refused: deny "req.bar" (F:6:24)`},
		{"user=bob pub=other", `user "bob", publish to "other": refused: no allow entry covers it`},
		{"user=bob sub=_INBOX.>", `user "bob", subscribe to "_INBOX.>": allowed: allow "_INBOX.>" (F:7:28); messages are withheld that match deny "_INBOX.secret" (F:7:69)`},
		{"user=bob sub=q.a queue=workers", `user "bob", subscribe to "q.a" in queue "workers": allowed: allow "q.* workers" (F:7:40)`},
		{"user=bob sub=q.a queue=others", `user "bob", subscribe to "q.a" in queue "others": refused: allow "q.* workers" (F:7:40) admits other queue groups only`},
		{"user=bob sub=q.b", `user "bob", subscribe to "q.b": refused: no allow entry covers it`},
		{"user=bob sub=a..b", `user "bob", subscribe to "a..b": refused: not a valid subject to subscribe to`},
		{"user=susan pub=SANDBOX..x", `user "susan", publish to "SANDBOX..x": refused: not a valid subject to publish to`},
		{"user=susan pub=SANDBOX.x", `user "susan", publish to "SANDBOX.x": allowed: allow "SANDBOX.*" (F:2:37)`},
		{"pub=hello", `a client without credentials, publish to "hello": allowed: allow "hello" (F:12:56)`},
		{"user=UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT pub=keyed.x", `user "UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT", publish to "keyed.x": allowed: allow "keyed.>" (F:10:94)`},
		{"user=rita pub=x", `user "rita", publish to "x": refused: no allow entry covers it, except as the reply subject of a message that was received (allow_responses)`},
		{"user=rita sub=x.*", `user "rita", subscribe to "x.*": allowed: nothing forbids it`},
		{"user=susan pub=_SYS.x", `user "susan", publish to "_SYS.x": refused: subjects that begin with _SYS. are reserved`},
		{"user=zed pub=x", `explain: no user "zed" in the list of users`},
		{"user=bob", "explain: " + explainUsage},
		{"user=bob pub=x sub=y", "explain: " + explainUsage},
		{"user=bob pub=x queue=y", "explain: " + explainUsage},
		{"user=bob pub=x pub=y", `explain: cannot use "pub=y": ` + explainUsage},
		{"user=bob pud=x", `explain: cannot use "pud=x": ` + explainUsage},
		{"user=bob pub=x -", `explain: cannot use "-": ` + explainUsage},
	} {
		words := strings.Fields(tc.question)
		for name, args := range map[string][]string{
			"file first": append([]string{"-c", file, "--explain"}, words...),
			"file last":  append(append([]string{"--explain"}, words...), "-c", file),
		} {
			stdout, stderr, status := runLine(t, args...)
			got := strings.ReplaceAll(strings.TrimSuffix(stdout+stderr, "\n"), file, "F")
			if got != tc.want || (status == 0) != strings.Contains(tc.want, ": allowed: ") || (stdout == "") == (stderr == "") {
				t.Errorf("%s, %s: status %d\n got %s\nwant %s", tc.question, name, status, got, tc.want)
			}
		}
	}
}
