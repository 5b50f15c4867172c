package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gnatsd/sublist"
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

func mustCompile(t testing.TB, p *Permissions) *permits {
	t.Helper()
	c, err := compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPublishVerdicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rules   *SubjectPermission
		subject string
		want    bool
	}{
		{"no side allows everything", nil, "foo", true},
		{"empty lists allow everything", list(), "foo", true},
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
		{"a reserved subject is refused without rules", nil, "_SYS.", false},
		{"only the whole first token is reserved", list(">"), "_SYSx.a", true},
		{"the bare token is not reserved", list(">"), "_SYS", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustCompile(t, &Permissions{Publish: tt.rules})
			for range 3 { // computed, then from the cache
				if got := p.canPublish([]byte(tt.subject)).allowed(); got != tt.want {
					t.Errorf("canPublish(%q) = %v, want %v", tt.subject, got, tt.want)
				}
			}
		})
	}
}

func TestWithoutPermissionsOnlyReservedSubjectsAreRefused(t *testing.T) {
	t.Parallel()
	var p *permits
	if v := p.canPublish([]byte("_SYS.x")); v.allowed() {
		t.Error("_SYS.x may be published")
	}
	if !p.canPublish([]byte("foo")).allowed() || !p.canSubscribe(">", "q").allowed() || p.filter(">", "") != nil {
		t.Error("nil permits forbid something")
	}
}

func TestSubscribeVerdicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		rules   *SubjectPermission
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
			p := mustCompile(t, &Permissions{Subscribe: tt.rules})
			if got := p.canSubscribe(tt.subject, tt.queue).allowed(); got != tt.want {
				t.Errorf("canSubscribe(%q, %q) = %v, want %v", tt.subject, tt.queue, got, tt.want)
			}
		})
	}
}

func TestDeliveryFilter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		rules          *SubjectPermission
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
			p := mustCompile(t, &Permissions{Subscribe: tt.rules})
			if v := p.canSubscribe(tt.subject, tt.queue); !v.allowed() {
				t.Fatalf("refused: %s", v)
			}
			f := p.filter(tt.subject, tt.queue)
			if (f != nil) != (tt.blocked != "") {
				t.Fatalf("filter = %v, want one: %v", f, tt.blocked != "")
			}
			if f == nil {
				return
			}
			if !f.blocks([]byte(tt.blocked)) {
				t.Errorf("%s is delivered", tt.blocked)
			}
			if f.blocks([]byte(tt.passed)) {
				t.Errorf("%s is withheld", tt.passed)
			}
		})
	}
}

func TestBadPermissionEntriesAreErrors(t *testing.T) {
	t.Parallel()
	bad := []string{"", " ", "\t", " \r\n", "foo.", ".foo", "foo..bar", ">.foo", "foo.>.bar", "a b c", "foo q.", "foo .q", "foo >.q"}
	for _, entry := range bad {
		for _, p := range []*SubjectPermission{{Allow: []string{entry}}, {Deny: []string{entry}}} {
			_, err := compile(&Permissions{Subscribe: p})
			want := fmt.Sprintf("subject %q is not a valid subject", entry)
			if err == nil || err.Error() != want {
				t.Errorf("compile(%q): error %v, want %s", entry, err, want)
			}
		}
	}
	if _, err := compile(&Permissions{Publish: list("foo q")}); err == nil {
		t.Error("a queue is accepted in a publish list")
	}
	p := list("foo", "a..b")
	p.allowAt = []position{{"f.conf", 1, 2}, {"f.conf", 3, 4}}
	_, err := compile(&Permissions{Publish: p})
	if want := `f.conf:3:4: subject "a..b" is not a valid subject`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Permissions{
		Publish: &SubjectPermission{Allow: []string{"foo.*"}, Deny: []string{"foo.no"},
			denyAt: []position{{"gnatsd.conf", 12, 5}}},
		Subscribe: list("a", "b q", "c.>", "!c.no"),
	})
	pub := func(s string) verdict { return p.canPublish([]byte(s)) }
	tests := []struct{ name, got, want string }{
		{"-ERR for PUB", publishRefusal("a\x00'b"), `Permissions Violation for Publish to "a\x00'b"`},
		{"-ERR for SUB", subscribeRefusal("x", "", p.canSubscribe("x", "")), `Permissions Violation for Subscription to "x"`},
		{"-ERR for queue SUB that no entry covers", subscribeRefusal("x", "q", p.canSubscribe("x", "q")), `Permissions Violation for Subscription to "x"`},
		{"-ERR for queue SUB refused by a queue entry", subscribeRefusal("b", "z", p.canSubscribe("b", "z")), `Permissions Violation for Subscription to "b" using queue "z"`},
		{"log of a denied PUB", publishViolation("bob", "foo.no", pub("foo.no")), `Publish Violation - User "bob", Subject "foo.no": deny "foo.no" (gnatsd.conf:12:5)`},
		{"log of an unlisted PUB", publishViolation("bob", "x", pub("x")), `Publish Violation - User "bob", Subject "x": no allow entry covers it`},
		{"log of a reserved PUB", publishViolation("", "_SYS.x", pub("_SYS.x")), `Publish Violation - User "", Subject "_SYS.x": subjects that begin with _SYS. are reserved`},
		{"log of a SUB", subscribeViolation("bob", "b", "z", "7", p.canSubscribe("b", "z")), `Subscription Violation - User "bob", Subject "b", SID 7, Queue "z": allow "b q" admits other queue groups only`},
		{"explain an allowed PUB", explain(p, actionPublish, "foo.a", ""), `allowed: allow "foo.*"`},
		{"explain a denied PUB", explain(p, actionPublish, "foo.no", ""), `refused: deny "foo.no" (gnatsd.conf:12:5)`},
		{"explain a filtered SUB", explain(p, actionSubscribe, "c.*", ""), `allowed: allow "c.>"; messages are withheld that match deny "c.no"`},
		{"explain an invalid SUB", explain(p, actionSubscribe, "c..x", ""), `refused: not a valid subject to subscribe to`},
		{"explain without permissions", explain(nil, actionSubscribe, ">", "q"), `allowed: nothing forbids it`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, tt.got, tt.want)
		}
	}
}

func TestOpenSidesAreWarnedOf(t *testing.T) {
	t.Parallel()
	got := openSides(`user "bob"`, &Permissions{Publish: list("a"), Subscribe: list()})
	want := `Permissions of user "bob" have no subscribe entries: it may subscribe to every subject`
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := openSides("x", &Permissions{}); len(got) != 2 {
		t.Errorf("empty block: %q", got)
	}
	if got := openSides("x", nil); got != nil {
		t.Errorf("no block: %q", got)
	}
}

func TestRoutePermissions(t *testing.T) {
	t.Parallel()
	p, err := compileRoute(&RoutePermissions{Import: list("imp.>", "!imp.no"), Export: list("exp.>", "!exp.no")})
	if err != nil {
		t.Fatal(err)
	}
	var open *routePermits
	tests := []struct {
		name      string
		got, want bool
	}{
		{"listed interest is announced", p.canImport("imp.*").allowed(), true},
		{"wider interest is not", p.canImport(">").allowed(), false},
		{"denied interest is not", p.canImport("imp.no").allowed(), false},
		{"reserved interest is not", p.canImport("_SYS.>").allowed(), false},
		{"a denied message is not taken in", p.canImportMessage([]byte("imp.no")).allowed(), false},
		{"another message is", p.canImportMessage([]byte("imp.yes")).allowed(), true},
		{"listed interest of a peer is accepted", p.canExport("exp.*", "q").allowed(), true},
		{"and filtered", p.exportFilter("exp.*", "q").blocks([]byte("exp.no")), true},
		{"wider interest of a peer is refused", p.canExport(">", "").allowed(), false},
		{"without permissions all interest crosses", open.canImport(">").allowed() && open.canExport(">", "q").allowed(), true},
		{"unfiltered", open.exportFilter(">", "") == nil && open.canImportMessage([]byte("a")).allowed(), true},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	for _, bad := range []*RoutePermissions{{Import: list("a b")}, {Export: list("a..b")}} {
		if _, err := compileRoute(bad); err == nil {
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
	p := mustCompile(t, &Permissions{Publish: list(entries...)})
	for _, e := range entries {
		if s := strings.Replace(e, "*", "x", 1); !p.canPublish([]byte(s)).allowed() {
			t.Errorf("%s refused", s)
		}
		if !p.publish.allow.find([]byte(strings.Replace(e, "*", "x", 1))).matchesText(e) {
			t.Errorf("%s: wrong rule", e)
		}
	}
	if p.canPublish([]byte("s.999")).allowed() || p.canPublish([]byte("w.1.x.y")).allowed() {
		t.Error("an unlisted subject is allowed")
	}
}

func (r *rule) matchesText(entry string) bool { return r != nil && r.subject == entry }

// TestEngineAgreesWithOracle compares half a million random cases with the
// obvious reading of the rules.
func TestEngineAgreesWithOracle(t *testing.T) {
	t.Parallel()
	users, perUser := 25000, 20
	if raceEnabled { // one goroutine: nothing to find but time
		users = 2500
	}
	rnd := rand.New(rand.NewPCG(1, rand.Uint64()))
	o := newOracle()
	for range users {
		rules, publish := o.randomRules(rnd, true), o.randomRules(rnd, false)
		p := mustCompile(t, &Permissions{Publish: publish, Subscribe: rules})
		for range perUser {
			subject, queue := o.randomPattern(rnd), o.randomQueue(rnd)
			message := o.literals[rnd.IntN(len(o.literals))]
			describe := func() string {
				return fmt.Sprintf("subscribe %q, publish %q, SUB %q queue %q, PUB %q", *rules, *publish, subject, queue, message)
			}
			accepted := p.canSubscribe(subject, queue)
			if want := o.accepts(rules, subject, queue); accepted.allowed() != want {
				t.Fatalf("%s: SUB allowed = %v (%s), want %v", describe(), accepted.allowed(), accepted, want)
			}
			if got, want := p.canPublish([]byte(message)).allowed(), o.accepts(publish, message, ""); got != want {
				t.Fatalf("%s: PUB allowed = %v, want %v", describe(), got, want)
			}
			if !accepted.allowed() || !sublist.Matches(subject, message) {
				continue
			}
			f := p.filter(subject, queue)
			delivered := f == nil || !f.blocks([]byte(message))
			if want := o.accepts(rules, message, queue); delivered != want {
				t.Fatalf("%s: delivered = %v, want %v", describe(), delivered, want)
			}
		}
	}
}

// oracle judges by enumeration: a pattern is the set of the literal subjects it
// matches, among all up to a depth that no pattern under test reaches and with
// one token that none names.
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

// accepts reads the rules for a subscription as a whole. A literal subject
// stands for one message, so the same reading says what may be published and
// what may be delivered.
func (o *oracle) accepts(rules *SubjectPermission, subject, queue string) bool {
	for _, entry := range rules.Deny {
		pattern, group, named := strings.Cut(entry, " ")
		if o.inside(subject, pattern) && (!named || queue != "" && sublist.Matches(group, queue)) {
			return false
		}
	}
	plain, own, other := len(rules.Allow) == 0, false, false
	for _, entry := range rules.Allow {
		pattern, group, named := strings.Cut(entry, " ")
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

func (o *oracle) randomRules(rnd *rand.Rand, queues bool) *SubjectPermission {
	p := &SubjectPermission{}
	for range rnd.IntN(5) {
		entry := o.randomPattern(rnd)
		if queues && rnd.IntN(3) == 0 {
			entry += " " + []string{"q", "q.*", "*", ">", "p"}[rnd.IntN(5)]
		}
		if rnd.IntN(2) == 0 {
			p.Allow = append(p.Allow, entry)
		} else {
			p.Deny = append(p.Deny, entry)
		}
	}
	return p
}

func FuzzPermissions(f *testing.F) {
	f.Add("foo.*", "foo.bar q", "foo.>", "q")
	f.Add(" ", "\t", ">", "")
	f.Add("foo..bar", ">.x", "a..b", "..")
	f.Add("\xff\x00", "*.*", "*", ">")
	f.Fuzz(func(t *testing.T, allow, deny, subject, queue string) {
		for _, s := range []*SubjectPermission{list(allow), {Deny: []string{deny}}, {Allow: []string{allow}, Deny: []string{deny}}} {
			p, err := compile(&Permissions{Publish: s, Subscribe: s})
			if err != nil {
				p, err = compile(&Permissions{Subscribe: s})
			}
			if err != nil {
				continue
			}
			if p.canSubscribe(subject, queue).allowed() {
				if f := p.filter(subject, queue); f != nil {
					f.blocks([]byte(subject))
				}
			}
			first, second := p.canPublish([]byte(subject)), p.canPublish([]byte(subject))
			if first != second {
				t.Errorf("verdict changed from %v to %v", first, second)
			}
			explain(p, actionSubscribe, subject, queue)
		}
	})
}
