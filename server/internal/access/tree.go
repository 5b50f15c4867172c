package access

import (
	"bytes"
	"strings"

	"gnatsd/sublist"
)

// This file is the index of rules. It is a tree of tokens, so that the time of a question depends on
// the tokens of the subject, not on the number of rules. Only patterns that differ in where their
// wildcards are, and match the same tokens, are still visited one by one.

const (
	// fewRules is the number of rules up to which it is faster to compare them one by one.
	fewRules = 8
	// maxOverlapSteps bounds how many rules and nodes are looked at to see whether a pattern overlaps
	// a rule: some 10 µs. A "*" in the pattern leads to all children of a node.
	maxOverlapSteps = 256
)

// ruleTree is a node of the tree: the rules whose patterns begin with the tokens that lead to it. It
// does not change. A nil one has no rules.
type ruleTree struct {
	order int       // the lowest of its rules
	end   *rule     // whose pattern ends here
	few   []scanned // whose patterns go on, if there are few; the fields below are empty then

	tail   *rule                // goes on with ">"
	star   *ruleTree            // go on with "*"
	tokens map[string]*ruleTree // go on with another token
}

// scanned is a rule that is compared. What precedes the first wildcard is compared first: it rules
// out most of a list at little cost.
type scanned struct {
	prefix string // of what is left of its pattern: whole tokens, with their dots
	rest   string // what follows them; "" if there is no wildcard
	rule   *rule
}

// unread is a rule, and what is left of its pattern behind the tokens that lead to a node.
type unread struct {
	pattern string
	rule    *rule
}

// newRuleTree returns a tree of rules, which are in the order of the file.
func newRuleTree(rules []*rule) *ruleTree {
	all := make([]unread, len(rules))
	for i, r := range rules {
		all[i] = unread{r.subject, r}
	}
	return newRuleNode(all)
}

func newRuleNode(all []unread) *ruleTree {
	if len(all) == 0 {
		return nil
	}
	n := &ruleTree{order: all[0].rule.order}
	var more []unread
	for _, u := range all {
		switch {
		case u.pattern != "":
			more = append(more, u)
		case n.end == nil:
			n.end = u.rule
		}
	}
	if len(more) > fewRules {
		n.split(more)
		return n
	}
	for _, u := range more {
		prefix := fixedPrefix(u.pattern)
		n.few = append(n.few, scanned{prefix, u.pattern[len(prefix):], u.rule})
	}
	return n
}

// split sorts rules by the next token of their patterns.
func (n *ruleTree) split(all []unread) {
	children := make(map[string][]unread)
	for _, u := range all {
		token, rest, more := strings.Cut(u.pattern, ".")
		switch {
		case token != ">" || more:
			children[token] = append(children[token], unread{rest, u.rule})
		case n.tail == nil:
			n.tail = u.rule
		}
	}
	n.star = newRuleNode(children["*"])
	delete(children, "*")
	n.tokens = make(map[string]*ruleTree, len(children))
	for token, rules := range children {
		n.tokens[token] = newRuleNode(rules)
	}
}

// fixedPrefix returns the whole tokens, with their dots, before the first wildcard of pattern; all
// of it if there is none.
func fixedPrefix(pattern string) string {
	start := 0
	for token := range strings.SplitSeq(pattern, ".") {
		if token == "*" || token == ">" {
			return pattern[:start]
		}
		start += len(token) + 1
	}
	return pattern
}

// pattern returns what is left of the pattern.
func (e *scanned) pattern() string {
	whole := e.rule.subject
	return whole[len(whole)-len(e.prefix)-len(e.rest):]
}

// scan returns the first rule that matches subject, or nil.
func scan(few []scanned, subject []byte) *rule {
	for i := range few {
		e := &few[i]
		if len(subject) < len(e.prefix) || string(subject[:len(e.prefix)]) != e.prefix {
			continue
		}
		rest := subject[len(e.prefix):]
		if e.rest == "" && len(rest) == 0 || e.rest != "" && sublist.Matches(e.rest, rest) {
			return e.rule
		}
	}
	return nil
}

// first returns the one of two rules that comes first in the file; either may be nil.
func first(a, b *rule) *rule {
	if a == nil || b != nil && b.order < a.order {
		return b
	}
	return a
}

// find returns the first of best, which may be nil, and the rules that match subject, taken as
// literal text.
func (n *ruleTree) find(subject []byte, best *rule) *rule {
	if n == nil || best != nil && best.order < n.order {
		return best
	}
	if n.few != nil {
		return first(best, scan(n.few, subject))
	}
	best = first(best, n.tail)
	i := bytes.IndexByte(subject, '.')
	if i < 0 {
		return first(n.star.ending(best), n.tokens[string(subject)].ending(best))
	}
	best = n.star.find(subject[i+1:], best)
	return n.tokens[string(subject[:i])].find(subject[i+1:], best)
}

// cover returns the first of best, which may be nil, and the rules of which pattern is a subset.
func (n *ruleTree) cover(pattern string, best *rule) *rule {
	if n == nil || best != nil && best.order < n.order {
		return best
	}
	for i := range n.few {
		if e := &n.few[i]; sublist.Subset(pattern, e.pattern()) {
			return first(best, e.rule)
		}
	}
	if n.few != nil {
		return best
	}
	best = first(best, n.tail)
	token, rest, more := strings.Cut(pattern, ".")
	switch {
	case more:
		best = n.star.cover(rest, best)
		return n.tokens[token].cover(rest, best)
	case token == ">":
		return best
	}
	return first(n.star.ending(best), n.tokens[token].ending(best))
}

// ending returns the first of best and the rule that ends here.
func (n *ruleTree) ending(best *rule) *rule {
	if n == nil {
		return best
	}
	return first(best, n.end)
}

// overlaps reports whether some subject matches both pattern and a rule. It reports true also if
// that is not known after so many steps.
func (n *ruleTree) overlaps(pattern string, steps *int) bool {
	if n == nil {
		return false
	}
	if *steps -= len(n.few) + 1; *steps < 0 {
		return true
	}
	for i := range n.few {
		if e := &n.few[i]; sublist.Overlap(pattern, e.pattern()) {
			return true
		}
	}
	if n.few != nil {
		return false
	}
	token, rest, more := strings.Cut(pattern, ".")
	switch {
	case n.tail != nil:
		return true
	case token == ">" && !more:
		return n.star != nil || len(n.tokens) > 0
	case n.star.overlapsBehind(rest, more, steps):
		return true
	case token != "*":
		return n.tokens[token].overlapsBehind(rest, more, steps)
	}
	for _, child := range n.tokens {
		if child.overlapsBehind(rest, more, steps) {
			return true
		}
	}
	return false
}

// overlapsBehind is overlaps for what is left of a pattern, if there is more of it.
func (n *ruleTree) overlapsBehind(rest string, more bool, steps *int) bool {
	if more || n == nil {
		return n.overlaps(rest, steps)
	}
	*steps--
	return n.end != nil || *steps < 0
}
