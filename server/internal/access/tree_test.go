package access

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gnatsd/sublist"
)

// randomRuleList returns up to 40 rules, of few tokens.
func randomRuleList(t *testing.T, rnd *rand.Rand) []*rule {
	t.Helper()
	var entries []Entry
	for range rnd.IntN(1 + rnd.IntN(40)) {
		entry := randomTokens(rnd, "a", "b", "c", "*", "*")
		switch {
		case rnd.IntN(3) == 0:
			entry += ".>"
		case rnd.IntN(50) == 0:
			entry = ">"
		}
		if rnd.IntN(2) == 0 {
			entry += " " + randomTokens(rnd, "q", "p", "*")
		}
		entries = append(entries, Entry{Text: entry})
	}
	rules, err := parseRules(entries, true, true)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func randomTokens(rnd *rand.Rand, tokens ...string) string {
	s := tokens[rnd.IntN(len(tokens))]
	for range rnd.IntN(5) {
		s += "." + tokens[rnd.IntN(len(tokens))]
	}
	return s
}

// firstOf returns the first rule for which ok reports true, or nil.
func firstOf(rules []*rule, ok func(*rule) bool) *rule {
	if i := slices.IndexFunc(rules, ok); i >= 0 {
		return rules[i]
	}
	return nil
}

// TestRulesAreFoundAsByAScan asks random sets of rules about random subjects, and looks at one rule
// after the other for the answer.
func TestRulesAreFoundAsByAScan(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, rand.Uint64()))
	for range 5000 {
		rules := randomRuleList(t, rnd)
		s, q := newRuleSet(rules), newQueueRules(slices.DeleteFunc(slices.Clone(rules), func(r *rule) bool { return r.queue == "" }))
		literals := len(slices.DeleteFunc(slices.Clone(rules), func(r *rule) bool { return !sublist.IsLiteral(r.subject) }))
		for range 40 {
			subject := randomTokens(rnd, "a", "b", "c", "a", "b", "*", ">", "")
			queue := randomTokens(rnd, "q", "p", "")
			matches := func(r *rule) bool { return sublist.Matches(r.subject, subject) }
			found := firstOf(rules, func(r *rule) bool { return matches(r) && literals >= manyLiterals && sublist.IsLiteral(r.subject) })
			if found == nil {
				found = firstOf(rules, matches)
			}
			for _, tt := range []struct {
				name      string
				got, want any
			}{
				{"matches", s.find([]byte(subject)), found},
				{"covers", s.cover(subject), firstOf(rules, func(r *rule) bool { return sublist.Subset(subject, r.subject) })},
				{"overlaps", s.overlaps(subject), slices.ContainsFunc(rules, func(r *rule) bool { return sublist.Overlap(subject, r.subject) })},
				{"covers for queue " + queue, q.cover(subject, queue), firstOf(rules, func(r *rule) bool {
					return queue != "" && r.queue != "" && sublist.Matches(r.queue, queue) && sublist.Subset(subject, r.subject)
				})},
				{"overlaps for queues other than " + queue, q.overlapsOthers(subject, queue), slices.ContainsFunc(rules, func(r *rule) bool {
					return r.queue != "" && !sublist.Matches(r.queue, queue) && sublist.Overlap(subject, r.subject)
				})},
			} {
				if tt.got != tt.want {
					t.Fatalf("%s %q: got %v, want %v of %v", tt.name, subject, tt.got, tt.want, rules)
				}
			}
		}
	}
}

// trap makes find and cover return other in all nodes of a tree but those that the subject leads to.
func trap(n *ruleTree, tokens []string, other *rule) {
	if n == nil || len(tokens) == 0 {
		return
	}
	trap(n.star, tokens[1:], other)
	for token, child := range n.tokens {
		if token == tokens[0] {
			trap(child, tokens[1:], other)
		} else {
			n.tokens[token] = &ruleTree{order: -1, end: other, tail: other, few: []scanned{{"", ">", other}}}
		}
	}
}

// mostScanned returns how many rules a node compares one by one at most.
func mostScanned(n *ruleTree) (most int) {
	if n == nil {
		return 0
	}
	most = max(len(n.few), mostScanned(n.star))
	for _, child := range n.tokens {
		most = max(most, mostScanned(child))
	}
	return most
}

// TestOfManyRulesFewAreLookedAt has 1 000 rules with wildcards at several places.
func TestOfManyRulesFewAreLookedAt(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"*.s%d.*", "s%d.>", "*.*.s%d", "a.*.s%d.*.b", "a.b.s%d.*", "*.s%d.a.>", "*"} {
		var entries []Entry
		for i := range 1000 {
			entries = append(entries, Entry{Text: strings.Replace(form, "%d", fmt.Sprint(i), 1)})
		}
		rules, err := parseRules(entries, true, false)
		if err != nil {
			t.Fatal(err)
		}
		pattern := strings.ReplaceAll(form, "%d", "777")
		subject := strings.NewReplacer("*", "a", ">", "a.b").Replace(pattern)
		want, other := rules[777], &rule{subject: ">", order: -1}
		if form == "*" { // equal ones
			want = rules[0]
		}
		for _, asked := range []string{subject, pattern} {
			s := newRuleSet(rules)
			trap(s.others, strings.Split(asked, "."), other)
			if asked == subject {
				if got := s.find([]byte(asked)); got != want {
					t.Errorf("%s: found %v for %s, want %v", form, got, asked, want)
				}
			}
			if got := s.cover(asked); got != want {
				t.Errorf("%s: %v covers %s, want %v", form, got, asked, want)
			}
		}
		s := newRuleSet(rules)
		if most := mostScanned(s.others); most > fewRules {
			t.Errorf("%s: %d rules are compared one by one, want %d at most", form, most, fewRules)
		}
		steps := maxOverlapSteps
		if !s.others.overlaps(subject, &steps) || steps < maxOverlapSteps-30 {
			t.Errorf("%s: whether it overlaps %s takes %d steps", form, subject, maxOverlapSteps-steps)
		}
	}
}

// TestTheSearchForOverlapsEnds has patterns that lead to many of 1 000 rules and overlap none: not to
// know it costs less than to find out.
func TestTheSearchForOverlapsEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		form, pattern string
		want          bool // overlaps, or is not known
	}{
		{"s%d.a.x", "*.z.x", true},
		{"s%d.a.x", "*", true},
		{"s%d.a.*.x", "*.a.y", true},
		{"b.s%d.a", "b.*", true},
		{"b.s%d.a", ">", true},
		{"b.s%d.a", "b.>", true},
		{"b.s%d.a", "*.x", false},
		{"b.s%d.*", "*.*", true},
		{"s%d.a.x", "s1.*", false},
		{"s%d.a.x", "s1.*.x", true},
		{"s%d", "s1.>", false},
		{"*.s%d", ">", true},
	} {
		var entries []string
		for i := range 1000 {
			entries = append(entries, "!"+fmt.Sprintf(tt.form, i))
		}
		p := mustCompile(t, &Rules{Subscribe: list(entries...)})
		deny := &p.subscribe.deny
		if got := deny.overlaps(tt.pattern); got != tt.want {
			t.Errorf("%s: %s overlaps: %v, want %v", tt.form, tt.pattern, got, tt.want)
		}
		for _, tree := range []*ruleTree{deny.others, deny.literals} {
			steps := maxOverlapSteps
			if tree.overlaps(tt.pattern, &steps); steps < -fewRules {
				t.Errorf("%s: %s takes %d steps, want some %d", tt.form, tt.pattern, maxOverlapSteps-steps, maxOverlapSteps)
			}
		}
		if f := p.Filter(tt.pattern, ""); f != nil && f.Blocks([]byte("s1.z.x")) {
			t.Errorf("%s: a message that no entry matches is withheld", tt.form)
		}
		overlaps := sublist.Overlap(tt.pattern, fmt.Sprintf(tt.form, 1))
		if got := p.explainSubscribe(tt.pattern, ""); strings.Contains(got, "withheld") != overlaps {
			t.Errorf("%s: %s", tt.form, got)
		}
	}
}

// manyQueueRules returns 1 000 entries of several kinds.
func manyQueueRules() Rules {
	entries := []string{">"}
	for i := range 1000 {
		entries = append(entries, fmt.Sprintf("!*.s%d.*", i), fmt.Sprintf("!*.t%d.* workers", i), fmt.Sprintf("a.t%d.* others", i))
	}
	return Rules{Subscribe: list(entries...)}
}

// TestSubscriptionsShareFilters has the subscriptions of a user ask the same filter.
func TestSubscriptionsShareFilters(t *testing.T) {
	t.Parallel()
	rules := manyQueueRules()
	plain := mustCompile(t, &rules)
	rules.Response = &Response{}
	noting := mustCompile(t, &rules)
	for _, p := range []*Permissions{plain, noting, noting.systemRules()} {
		if a, b := p.Filter(">", ""), p.Filter("a.>", ""); a != b || a == nil || (a.Response() != nil) != (p != plain) {
			t.Errorf("two plain subscriptions have the filters %p and %p", a, b)
		}
		if a, b := p.Filter("x.>", "q"), p.Filter("y.*.z", "q"); a != b || a == nil {
			t.Errorf("two that no entry with a queue is about have the filters %p and %p", a, b)
		}
		f := p.Filter("a.>", "workers")
		for subject, want := range map[string]bool{"a.s7.b": true, "a.t7.b": true, "a.u7.b": false} {
			if got := f.Blocks([]byte(subject)); got != want {
				t.Errorf("%s is withheld from the group: %v, want %v", subject, got, want)
			}
		}
	}
}

// TestAllocationsOfFiltersDoNotGrow has the filter of a queue group take no more memory where there
// are many rules.
func TestAllocationsOfFiltersDoNotGrow(t *testing.T) { // not parallel: it counts allocations
	rules := manyQueueRules()
	p := mustCompile(t, &rules)
	if n := testing.AllocsPerRun(10, func() { p.Filter("a.>", "workers") }); n > 8 {
		t.Errorf("the filter of a queue group takes %v allocations", n)
	}
}

func BenchmarkRules(b *testing.B) {
	for _, n := range []int{2, 8, 20, 100, 1000} {
		var denied, prefixed []string
		for i := range n {
			denied = append(denied, fmt.Sprintf("!*.secret%d.*", i))
			prefixed = append(prefixed, fmt.Sprintf("orders.secret%d.>", i))
		}
		run := func(name string, ask func()) {
			b.Run(fmt.Sprintf("%s/rules=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ask()
				}
			})
		}
		p := mustCompile(b, &Rules{Subscribe: list(denied...), Publish: list(prefixed...)})
		f, subject := p.Filter(">", ""), []byte("orders.eu.created")
		run("filter", func() { f.Blocks(subject) })
		subject2 := []byte("orders.secret1.created")
		run("publish", func() { p.CanPublish(subject2) })
		run("subscribe", func() { p.CanSubscribe("orders.*.created", ""); p.Filter("orders.*.created", "") })
	}
}
