package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
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

func TestSubszSortsFoldsAndCountsOtherServers(t *testing.T) {
	t.Parallel()
	s := monitored(t, Options{Cluster: ClusterOpts{Host: "127.0.0.1", Port: RandomPort}})
	speak(t, s, hello("busy"), "SUB _INBOX.b.1 1", "SUB foo 2", "SUB _INBOX.b.2 3")
	speak(t, s, hello("idle"), "SUB bar 1", "SUB _INBOX.i.1 2")
	pub := speak(t, s, hello("publisher"))
	pub.Do("PUB foo 1\r\nx", "PUB _INBOX.b.1 1\r\nx", "PUB _INBOX.b.2 1\r\nx")
	for _, c := range []struct{ query, want string }{
		{"?subs=1&fold=1", "[busy foo 1 0 busy _INBOX.> 2 2 idle bar 0 0 idle _INBOX.> 0 1]"},
		{"?subs=1&sort=delivered&fold=1&limit=2", "[busy _INBOX.> 2 2 busy foo 1 0]"},
		{"?subs=1&sort=delivered&offset=3&limit=1", "[idle bar 0 0]"},
		{"?subs=1&test=foo&sort=delivered", "[busy foo 1 0]"},
		{"?subs=1&test=_INBOX.b.2&fold=1", "[busy _INBOX.> 1 1]"},
	} {
		var got []string
		for _, d := range decode[Subsz](t, s, "/subsz"+c.query).Subs {
			got = append(got, fmt.Sprintf("%s %s %d %d", d.Client, d.Subject, d.Msgs, d.Folded))
		}
		slices.Sort(got)
		want := strings.Fields(strings.Trim(c.want, "[]"))
		if fmt.Sprint(got) != sortedFours(want) {
			t.Errorf("%s: got %v, want %v", c.query, got, sortedFours(want))
		}
	}
	if r := ask(t, s, "/subsz?subs=1&sort=x"); r.status != 400 || r.body != "invalid sorting option: x\n" {
		t.Errorf("got %d %q", r.status, r.body)
	}
	if all := decode[Subsz](t, s, "/subsz?subs=1&test=none"); len(all.Remotes) != 0 {
		t.Errorf("alone: got %+v", all.Remotes)
	}
}

// sortedFours joins every four words, and sorts.
func sortedFours(words []string) string {
	var list []string
	for four := range slices.Chunk(words, 4) {
		list = append(list, strings.Join(four, " "))
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

func TestSubszChoosesTheSameAsSortingAll(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	conns := make([]conn, 50)
	for i := range conns {
		conns[i].id = uint64(i)
	}
	for range 50 {
		var all []subEntry
		n := r.IntN(5000)
		o := &SubszOptions{Sort: sortDelivered}
		offset, limit := r.IntN(n+10), 1+r.IntN(200)
		choice := newSubChoice(o, offset, limit, r.IntN(2*n+1))
		for i := range n {
			sub := newSubscription(&conns[r.IntN(len(conns))], []byte("s"), nil, fmt.Append(nil, i))
			sub.delivered.Store(int64(r.IntN(20)))
			all = append(all, newSubEntry(sub))
			choice.offer(sub)
		}
		slices.SortFunc(all, func(a, b subEntry) int { return choice.order(&a, &b) })
		if got, want := choice.window(offset, limit), windowOf(all, offset, limit); !slices.Equal(got, want) {
			t.Fatalf("%d of %d at %d: got %d entries, want %d", limit, n, offset, len(got), len(want))
		}
	}
}
