package server

import (
	"fmt"
	"strings"
	"testing"
)

func TestSubszListsWhatASubjectReaches(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	speak(t, s, hello("a"), "SUB foo.* 1", "SUB > 2", "SUB bar 3", "UNSUB 3 5")
	speak(t, s, hello("b"), "SUB foo.x q 10", "SUB foo.y 9")
	for _, c := range []struct{ query, want string }{
		{"", "[]"},
		{"?test=foo.x", "[]"},
		{"?subs=1", "[1:1 1:2 1:3 2:9 2:10]"},
		{"?subs=true&test=foo.x", "[1:1 1:2 2:10]"},
		{"?subs=1&test=foo.x&offset=1&limit=1", "[1:2]"},
		{"?subs=1&test=bar", "[1:2 1:3]"},
		{"?subs=1&offset=2&limit=2", "[1:3 2:9]"},
		{"?subs=1&offset=3", "[2:9 2:10]"},
	} {
		z := decode[Subsz](t, s, "/subsz"+c.query)
		got := []string{}
		for _, d := range z.Subs {
			got = append(got, fmt.Sprintf("%d:%s", d.Cid, d.Sid))
		}
		if fmt.Sprint(got) != c.want || z.Total != len(got) {
			t.Errorf("%s: got %v (total %d), want %s", c.query, got, z.Total, c.want)
		}
	}
	const window = `"total": 0,
  "offset": 7,
  "limit": 9
`
	if body := ask(t, s, "/subsz?offset=7&limit=9").body; !strings.Contains(body, window) || strings.Contains(body, "subscriptions_list") {
		t.Errorf("got %s; want the window, and no list", body)
	}
}

func TestSubszAndConnzListConnectionsWithManySubscriptions(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{})
	many := maxSubsCopy + 500
	lines := []string{hello("many")}
	for i := range many {
		lines = append(lines, fmt.Sprintf("SUB foo.%d.* %d", i, i))
	}
	speak(t, s, lines...)
	speak(t, s, hello("few"), "SUB foo 1")
	z := decode[Connz](t, s, "/connz?subs=1")
	if len(z.Conns[0].Subs) != many || len(z.Conns[1].Subs) != 1 || z.Conns[0].Subs[7] != "foo.7.*" {
		t.Errorf("connz: got %d and %d", len(z.Conns[0].Subs), len(z.Conns[1].Subs))
	}
	sub := decode[Subsz](t, s, fmt.Sprintf("/subsz?subs=1&offset=%d&limit=100000", many-1))
	if len(sub.Subs) != 2 || sub.Subs[1].Subject != "foo" {
		t.Errorf("subsz: got %+v", sub.Subs)
	}
}
