package access

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gnatsd/sublist"
)

// list makes a List: entries after "!" are denied.
func list(entries ...string) (l List) {
	for _, e := range entries {
		if d, ok := strings.CutPrefix(e, "!"); ok {
			l.Deny = append(l.Deny, Entry{Text: d})
		} else {
			l.Allow = append(l.Allow, Entry{Text: e})
		}
	}
	return l
}

func mustCompile(t testing.TB, r *Rules) *Permissions {
	t.Helper()
	p, err := Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPublishing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rules   List
		subject string
		want    bool
	}{
		{"no list allows everything", List{}, "foo", true},
		{"an allow entry admits what it matches", list("foo.*"), "foo.bar", true},
		{"an allow entry refuses the rest", list("foo.*"), "bar", false},
		{"a deny entry overrides an allow entry", list("foo.*", "!foo.bar"), "foo.bar", false},
		{"deny alone allows the rest", list("!foo.bar"), "foo.baz", true},
		{"a tail wildcard needs one token", list("foo.>"), "foo", false},
		{"a tail wildcard admits deep subjects", list("foo.>"), "foo.a.b", true},
		{"wildcards in a published subject are text", list("foo.bar"), "foo.*", false},
		{"wildcard text fits a wildcard entry", list("foo.*"), "foo.>", true},
		{"an empty token fits a wildcard entry", list("foo.*"), "foo.", true},
		{"a reserved subject is refused though allowed", list(">"), "_SYS.a", false},
		{"a reserved subject is refused without rules", List{}, "_SYS.", false},
		{"only the whole first token is reserved", list(">"), "_SYSx.a", true},
		{"the bare token is not reserved", list(">"), "_SYS", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustCompile(t, &Rules{Publish: tt.rules})
			if got := p.CanPublish([]byte(tt.subject)).Allowed(); got != tt.want {
				t.Errorf("CanPublish(%q) = %v, want %v", tt.subject, got, tt.want)
			}
		})
	}
}

func TestWithoutPermissionsOnlyReservedSubjectsAreRefused(t *testing.T) {
	t.Parallel()
	var p *Permissions
	if v := p.CanPublish([]byte("_SYS.x")); v.Allowed() {
		t.Error("_SYS.x may be published")
	}
	if !p.CanPublish([]byte("foo")).Allowed() || !p.CanSubscribe(">", "q").Allowed() || p.Filter(">", "") != nil {
		t.Error("nil permissions forbid something")
	}
}

func TestSubscribing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rules   List
		subject string
		queue   string
		want    bool
	}{
		{"allow foo.* admits itself", list("foo.*"), "foo.*", "", true},
		{"allow foo.* does not admit foo.>", list("foo.*"), "foo.>", "", false},
		{"allow * does not admit >", list("*"), ">", "", false},
		{"allow foo.> admits foo.*.baz", list("foo.>"), "foo.*.baz", "", true},
		{"allow foo.> refuses *.bar", list("foo.>"), "*.bar", "", false},
		{"a literal entry never admits a wider pattern", list("foo.bar"), "foo.*", "", false},
		{"two entries do not add up", list("foo.a", "foo.b"), "foo.*", "", false},
		{"deny refuses what lies inside", list("!foo.*"), "foo.*", "", false},
		{"deny accepts what overlaps", list("!foo.bar"), "foo.*", "", true},
		{"deny > refuses all", list("!>"), "foo", "", false},
		{"a plain entry admits queue groups", list("foo"), "foo", "q", true},
		{"a plain deny refuses queue groups", list("!foo"), "foo", "q", false},
		{"a queue entry refuses plain subscriptions", list("foo q"), "foo", "", false},
		{"a queue entry admits its group", list("foo q"), "foo", "q", true},
		{"a queue entry refuses another group", list("foo q"), "foo", "p", false},
		{"queue entries may hold wildcards", list("foo v1.>"), "foo", "v1.a.b", true},
		{"queue entries narrow a plain entry", list("foo", "foo v1"), "foo", "v2", false},
		{"queue entries leave plain subscriptions alone", list("foo", "foo v1"), "foo", "", true},
		{"a queue deny leaves plain subscriptions alone", list("!foo q"), "foo", "", true},
		{"a queue deny refuses its group", list("!> *.prod"), "foo", "a.prod", false},
		{"a queue allow does not override a plain deny", list("foo q", "!foo"), "foo", "q", false},
		{"a queue allow does not override a wider plain deny", list("foo q", "!>"), "foo", "q", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustCompile(t, &Rules{Subscribe: tt.rules})
			if got := p.CanSubscribe(tt.subject, tt.queue).Allowed(); got != tt.want {
				t.Errorf("CanSubscribe(%q, %q) = %v, want %v", tt.subject, tt.queue, got, tt.want)
			}
		})
	}
}

func TestDeliveryFilter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		rules          List
		subject, queue string
		blocked        string // subjects; none = no filter at all
		passed         string
	}{
		{"nothing denied, nothing asked", list("foo.>"), "foo.*", "", "", ""},
		{"a deny elsewhere costs nothing", list("!bar.>"), "foo.*", "", "", ""},
		{"a literal subscription has no filter", list("!foo.secret"), "foo.open", "", "", ""},
		{"a denied literal is withheld", list("!foo.secret"), "foo.*", "", "foo.secret", "foo.open"},
		{"overlapping wildcards are withheld", list("!*.secret"), "foo.*", "", "foo.secret", "foo.open"},
		{"queue groups are filtered alike", list("!foo.secret"), ">", "q", "foo.secret", "foo.open"},
		{"a queue deny filters its group", list("!foo.secret q"), "foo.*", "q", "foo.secret", "foo.open"},
		{"a queue deny leaves others alone", list("!foo.secret q"), "foo.*", "p", "", ""},
		{"what is kept for another group is withheld", list(">", "foo.a v1"), "foo.*", "v2", "foo.a", "foo.b"},
		{"what is kept for this group is not", list(">", "foo.a v1"), "foo.*", "v1", "", ""},
		{"of two groups both get it", list(">", "foo.a v1", "foo.a v2", "foo.b v1"), "foo.*", "v2", "foo.b", "foo.a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustCompile(t, &Rules{Subscribe: tt.rules})
			if v := p.CanSubscribe(tt.subject, tt.queue); !v.Allowed() {
				t.Fatalf("refused: %s", v)
			}
			f := p.Filter(tt.subject, tt.queue)
			if (f != nil) != (tt.blocked != "") {
				t.Fatalf("filter = %v, want one: %v", f, tt.blocked != "")
			}
			if f == nil {
				return
			}
			if !f.Blocks([]byte(tt.blocked)) {
				t.Errorf("%s is delivered", tt.blocked)
			}
			if f.Blocks([]byte(tt.passed)) {
				t.Errorf("%s is withheld", tt.passed)
			}
		})
	}
}

func TestBadEntriesAreErrors(t *testing.T) {
	t.Parallel()
	bad := []string{"", " ", "\t", " \r\n", "foo.", ".foo", "foo..bar", ">.foo", "foo.>.bar", "a b c", "foo q.", "foo .q", "foo >.q"}
	for _, text := range bad {
		want := fmt.Sprintf("subject %q is not a valid subject", text)
		for _, l := range []List{{Allow: []Entry{{Text: text}}}, {Deny: []Entry{{Text: text}}}} {
			if _, err := Compile(&Rules{Subscribe: l}); err == nil || err.Error() != want {
				t.Errorf("Compile(%q): error %v, want %s", text, err, want)
			}
		}
		if err := CheckEntry(text, true); err == nil || err.Error() != want {
			t.Errorf("CheckEntry(%q): error %v, want %s", text, err, want)
		}
	}
	if _, err := Compile(&Rules{Publish: list("foo q")}); err == nil {
		t.Error("a queue is accepted in a publish list")
	}
	_, err := Compile(&Rules{Publish: List{Allow: []Entry{{"foo", "f.conf:1:2"}, {"a..b", "f.conf:3:4"}}}})
	if want := `f.conf:3:4: subject "a..b" is not a valid subject`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestDecisionsNameTheRule(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Rules{
		Publish:   List{Allow: []Entry{{Text: "foo.*"}}, Deny: []Entry{{"foo.no", "gnatsd.conf:12:5"}}},
		Subscribe: list("a", "b q", "c.>", "!c.no"),
	})
	pub := func(s string) Decision { return p.CanPublish([]byte(s)) }
	for _, tt := range []struct {
		name  string
		got   Decision
		want  string
		queue bool // a rule that speaks of queue groups decided
	}{
		{"an allowed PUB", pub("foo.a"), `allow "foo.*"`, false},
		{"a denied PUB", pub("foo.no"), `deny "foo.no" (gnatsd.conf:12:5)`, false},
		{"an unlisted PUB", pub("x"), "no allow entry covers it", false},
		{"a reserved PUB", pub("_SYS.x"), "subjects that begin with _SYS. are reserved", false},
		{"an unlisted SUB of a queue", p.CanSubscribe("x", "q"), "no allow entry covers it", false},
		{"a SUB of a queue", p.CanSubscribe("b", "q"), `allow "b q"`, true},
		{"a SUB of another queue", p.CanSubscribe("b", "z"), `allow "b q" admits other queue groups only`, true},
		{"without permissions", (*Permissions)(nil).CanSubscribe(">", "q"), "nothing forbids it", false},
	} {
		if got := tt.got.String(); got != tt.want || tt.got.NamesQueue() != tt.queue {
			t.Errorf("%s:\n got %s, of a queue: %v\nwant %s, of a queue: %v", tt.name, got, tt.got.NamesQueue(), tt.want, tt.queue)
		}
	}
}

func TestUnlimitedDirectionsAreWarnedOf(t *testing.T) {
	t.Parallel()
	got := unlimited(`user "bob"`, &Rules{Publish: list("a"), Subscribe: list()})
	want := `Permissions of user "bob" have no subscribe entries: it may subscribe to every subject`
	if len(got) != 1 || got[0].Text != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := unlimited("x", &Rules{}); len(got) != 2 {
		t.Errorf("empty block: %q", got)
	}
	if got := unlimited("x", &Rules{Publish: list("a", "!b"), Subscribe: list("a", "!b")}); got != nil {
		t.Errorf("as many entries of each kind: %q", got)
	}
	if got := unlimited("x", nil); got != nil {
		t.Errorf("no block: %q", got)
	}
}

func TestEntriesAreSeparatedByAnyBlank(t *testing.T) {
	t.Parallel()
	for _, blank := range []string{" ", "\t", "\r", "\n", " \t\r\n "} {
		r, err := parseRule(blank+"a"+blank+"q"+blank, true)
		if err != nil || r.subject != "a" || r.queue != "q" {
			t.Errorf("%q: got %v, %v", blank, r, err)
		}
	}
	if r, err := parseRule("a\vq", true); err == nil {
		t.Errorf("a vertical tab: got %v", r)
	}
}

func TestRoutePermissions(t *testing.T) {
	t.Parallel()
	p, err := CompileRoutes(list("imp.>", "!imp.no"), list("exp.>", "!exp.no", "queued workers"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := CompileRoutes(list(">"), list(">"))
	if err != nil {
		t.Fatal(err)
	}
	var open *RoutePermissions
	var cache Cache
	tests := []struct {
		name      string
		got, want bool
	}{
		{"listed interest is announced", p.CanImport("imp.*").Allowed(), true},
		{"wider interest is not", p.CanImport(">").Allowed(), false},
		{"denied interest is not", p.CanImport("imp.no").Allowed(), false},
		{"reserved interest is not", p.CanImport("_SYS.>").Allowed(), false},
		{"nor where all other is", all.CanImport(">").Allowed() && !all.CanImport("_SYS.>").Allowed() && !open.CanImport("_SYS.>").Allowed(), true},
		{"interest of a queue group that is listed is accepted", p.CanExport("queued", "workers").Allowed(), true},
		{"that of another is not", p.CanExport("queued", "others").Allowed(), false},
		{"messages of the system account are as listed", p.CanImportSystem([]byte("imp.yes")).Allowed(), true},
		{"or not", p.CanImportSystem([]byte("imp.no")).Allowed() || p.CanImportSystem([]byte("$SYS.x")).Allowed(), false},
		{"all of them without a list", open.CanImportSystem([]byte("$SYS.x")).Allowed() && all.CanImportSystem([]byte("$SYS.x")).Allowed(), true},
		{"a denied message is not taken in", cache.CanImport(p, []byte("imp.no")).Allowed(), false},
		{"another message is", cache.CanImport(p, []byte("imp.yes")).Allowed(), true},
		{"listed interest of a peer is accepted", p.CanExport("exp.*", "q").Allowed(), true},
		{"and filtered", p.ExportFilter("exp.*", "q").Blocks([]byte("exp.no")), true},
		{"a reserved message is not", cache.CanImport(p, []byte("_SYS.a")).Allowed(), false},
		{"wider interest of a peer is refused", p.CanExport(">", "").Allowed(), false},
		{"without permissions all interest crosses", open.CanImport(">").Allowed() && open.CanExport(">", "q").Allowed(), true},
		{"unfiltered", open.ExportFilter(">", "") == nil && cache.CanImport(open, []byte("_SYS.a")).Allowed(), true},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	for _, bad := range [][2]List{{list("a b"), {}}, {{}, list("a..b")}} {
		if _, err := CompileRoutes(bad[0], bad[1]); err == nil {
			t.Errorf("%+v compiles", bad)
		}
	}
}

func TestLongListsAgreeWithShortOnes(t *testing.T) {
	t.Parallel()
	var entries []string
	for i := range 3 * manyLiterals {
		entries = append(entries, fmt.Sprintf("s.%d", i), fmt.Sprintf("w.%d.*", i))
	}
	p := mustCompile(t, &Rules{Publish: list(entries...)})
	for _, e := range entries {
		if s := strings.Replace(e, "*", "x", 1); !p.CanPublish([]byte(s)).Allowed() {
			t.Errorf("%s refused", s)
		}
		if r := p.publish.allow.find([]byte(strings.Replace(e, "*", "x", 1))); r == nil || r.subject != e {
			t.Errorf("%s: found %v", e, r)
		}
	}
	if p.CanPublish([]byte("s.999")).Allowed() || p.CanPublish([]byte("w.1.x.y")).Allowed() {
		t.Error("an unlisted subject is allowed")
	}
}

// TestEngineAgreesWithOracle compares half a million random cases with the obvious reading of the
// rules.
func TestEngineAgreesWithOracle(t *testing.T) {
	t.Parallel()
	users, perUser := 25000, 20
	rnd := rand.New(rand.NewPCG(1, rand.Uint64()))
	o := newOracle()
	for range users {
		rules, publish := o.randomRules(rnd, true), o.randomRules(rnd, false)
		p := mustCompile(t, &Rules{Publish: publish, Subscribe: rules})
		for range perUser {
			subject, queue := o.randomPattern(rnd), o.randomQueue(rnd)
			message := o.literals[rnd.IntN(len(o.literals))]
			describe := func() string {
				return fmt.Sprintf("subscribe %v, publish %v, SUB %q queue %q, PUB %q", rules, publish, subject, queue, message)
			}
			accepted := p.CanSubscribe(subject, queue)
			if want := o.accepts(rules, subject, queue); accepted.Allowed() != want {
				t.Fatalf("%s: SUB allowed = %v (%s), want %v", describe(), accepted.Allowed(), accepted, want)
			}
			if got, want := p.CanPublish([]byte(message)).Allowed(), o.accepts(publish, message, ""); got != want {
				t.Fatalf("%s: PUB allowed = %v, want %v", describe(), got, want)
			}
			if !accepted.Allowed() || !sublist.Matches(subject, message) {
				continue
			}
			f := p.Filter(subject, queue)
			delivered := f == nil || !f.Blocks([]byte(message))
			if want := o.accepts(rules, message, queue); delivered != want {
				t.Fatalf("%s: delivered = %v, want %v", describe(), delivered, want)
			}
		}
	}
}

// oracle judges by enumeration: a pattern is the set of the literal subjects it matches, among all
// up to a depth that no pattern under test reaches and with one token that none names.
type oracle struct {
	literals []string
	sets     map[string][]bool
}

func newOracle() *oracle {
	o := &oracle{sets: map[string][]bool{}}
	level := []string{""}
	for depth := range 4 {
		var next []string
		for _, prefix := range level {
			for _, token := range []string{"a", "b", "new"} {
				next = append(next, strings.TrimPrefix(prefix+"."+token, "."))
			}
		}
		level = next
		_ = depth
		o.literals = append(o.literals, level...)
	}
	return o
}

// accepts reads the rules for a subscription as a whole. A literal subject stands for one message,
// so the same reading says what may be published and what may be delivered.
func (o *oracle) accepts(rules List, subject, queue string) bool {
	for _, e := range rules.Deny {
		pattern, group, named := strings.Cut(e.Text, " ")
		if o.inside(subject, pattern) && (!named || queue != "" && sublist.Matches(group, queue)) {
			return false
		}
	}
	plain, own, other := len(rules.Allow) == 0, false, false
	for _, e := range rules.Allow {
		pattern, group, named := strings.Cut(e.Text, " ")
		switch {
		case !o.inside(subject, pattern):
		case !named:
			plain = true
		case queue == "":
		case sublist.Matches(group, queue):
			own = true
		default:
			other = true
		}
	}
	return own || plain && !other
}

// inside reports whether all that a matches is matched by b.
func (o *oracle) inside(a, b string) bool {
	bs := o.set(b)
	for i, in := range o.set(a) {
		if in && !bs[i] {
			return false
		}
	}
	return true
}

func (o *oracle) set(pattern string) []bool {
	s := o.sets[pattern]
	if s == nil {
		for _, l := range o.literals {
			s = append(s, sublist.Matches(pattern, l))
		}
		o.sets[pattern] = s
	}
	return s
}

func (o *oracle) randomPattern(rnd *rand.Rand) string {
	var tokens []string
	for range 1 + rnd.IntN(3) {
		tokens = append(tokens, []string{"a", "b", "*", "a", "*"}[rnd.IntN(5)])
	}
	if rnd.IntN(3) == 0 {
		tokens[len(tokens)-1] = ">"
	}
	return strings.Join(tokens, ".")
}

func (o *oracle) randomQueue(rnd *rand.Rand) string {
	return []string{"", "", "q", "q.x", "p"}[rnd.IntN(5)]
}

func (o *oracle) randomRules(rnd *rand.Rand, queues bool) (l List) {
	n := rnd.IntN(5)
	if rnd.IntN(4) == 0 { // more than are compared one by one
		n = rnd.IntN(4 * fewRules)
	}
	for range n {
		entry := o.randomPattern(rnd)
		if queues && rnd.IntN(3) == 0 {
			entry += " " + []string{"q", "q.*", "*", ">", "p"}[rnd.IntN(5)]
		}
		if rnd.IntN(2) == 0 {
			l.Allow = append(l.Allow, Entry{Text: entry})
		} else {
			l.Deny = append(l.Deny, Entry{Text: entry})
		}
	}
	return l
}

func FuzzPermissions(f *testing.F) {
	f.Add("foo.*", "foo.bar q", "foo.>", "q")
	f.Add(" ", "\t", ">", "")
	f.Add("foo..bar", ">.x", "a..b", "..")
	f.Add("\xff\x00", "*.*", "*", ">")
	f.Fuzz(func(t *testing.T, allow, deny, subject, queue string) {
		allowed, denied := []Entry{{Text: allow}}, []Entry{{Text: deny}}
		for _, s := range []List{{Allow: allowed}, {Deny: denied}, {Allow: allowed, Deny: denied}} {
			p, err := Compile(&Rules{Publish: s, Subscribe: s})
			if err != nil {
				p, err = Compile(&Rules{Subscribe: s})
			}
			if err != nil {
				continue
			}
			if p.CanSubscribe(subject, queue).Allowed() {
				if f := p.Filter(subject, queue); f != nil {
					f.Blocks([]byte(subject))
				}
			}
			var cache Cache
			want := p.CanPublish([]byte(subject))
			for range 2 { // computed, then from the cache
				if got := cache.CanPublish(p, []byte(subject)); got != want {
					t.Errorf("CanPublish(%q) of the cache: %v, want %v", subject, got, want)
				}
			}
		}
	})
}

func TestSubjectsOfTheSystemAccount(t *testing.T) {
	t.Parallel()
	rules := &Rules{Publish: List{Deny: []Entry{{Text: "$SYS.REQ.SERVER.*.KICK"}}}}
	ordinary, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		subject                       string
		none, user, system, all       bool // who may publish: without permissions, with rules; of the system account with rules, without
		subscribe, asks, asksOfSystem bool // without permissions; with rules; of the system account with rules
	}{
		{"a.b", true, true, true, true, true, false, false},
		{"$SYS", true, true, true, true, true, false, false},
		{"$SYSTEM.x", true, true, true, true, true, false, false},
		{"_SYS.x", false, false, false, false, true, false, false},
		{"$SYS.x", false, false, true, true, false, false, false},
		{"$SYS.REQ.SERVER.PING", false, false, true, true, false, false, false},
		{"$SYS.REQ.USER.INFO", false, false, false, false, false, true, true},
		{"$SYS._INBOX.a", false, false, false, false, false, false, false},
		{"$SYS.REQ.SERVER.a.KICK", false, false, false, false, false, false, false},
		{"$SYS.REQ.SERVER.a.RELOAD", false, false, false, false, false, false, true},
		{"$SYS.REQ.SERVER.a.b.RELOAD", false, false, true, true, false, false, false},
	} {
		var none *Permissions
		may := func(p *Permissions) bool { return p.CanPublish([]byte(c.subject)).Allowed() }
		got := []bool{may(none), may(ordinary), may(ordinary.systemRules()), may(none.systemRules()), none.CanSubscribe(c.subject, "").Allowed(),
			ordinary.CanAsk([]byte(c.subject)).Allowed(), ordinary.systemRules().CanAsk([]byte(c.subject)).Allowed()}
		want := []bool{c.none, c.user, c.system, c.all, c.subscribe, c.asks, c.asksOfSystem}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", c.subject, got, want)
		}
		if got, want := OfSystem([]byte(c.subject)), strings.HasPrefix(c.subject, "$SYS."); got != want {
			t.Errorf("%s: of the system account = %v, want %v", c.subject, got, want)
		}
		if got, want := none.CanAsk([]byte(c.subject)).Allowed(), c.asks; got != want {
			t.Errorf("%s: may be asked without permissions = %v, want %v", c.subject, got, want)
		}
	}
}
