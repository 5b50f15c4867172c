package access

import (
	"fmt"
	"slices"
	"strings"

	"gnatsd/sublist"
)

// rule is one entry of a permission list.
type rule struct {
	subject string // a pattern
	queue   string // a pattern; "" speaks of every subscription
	deny    bool
	order   int    // its place in the list
	at      string // its place in the configuration, "" if unknown
}

// String returns the entry as messages show it: deny "foo.*" (gnatsd.conf:3:7).
func (r *rule) String() string {
	kind, entry := "allow", r.subject
	if r.deny {
		kind = "deny"
	}
	if r.queue != "" {
		entry += " " + r.queue
	}
	if r.at != "" {
		return fmt.Sprintf("%s %q (%s)", kind, entry, r.at)
	}
	return fmt.Sprintf("%s %q", kind, entry)
}

// parseRules parses a list of entries. The error begins with the place of the entry that is wrong.
func parseRules(entries []Entry, deny, queues bool) ([]*rule, error) {
	rules := make([]*rule, 0, len(entries))
	for _, e := range entries {
		r, err := parseRule(e.Text, queues)
		if err != nil && e.At != "" {
			err = fmt.Errorf("%s: %w", e.At, err)
		}
		if err != nil {
			return nil, err
		}
		r.deny, r.order, r.at = deny, len(rules), e.At
		rules = append(rules, r)
	}
	return rules, nil
}

// CheckEntry returns what is wrong with the text of an [Entry], nil if nothing is. queues says
// whether it may name a queue group.
func CheckEntry(text string, queues bool) error {
	_, err := parseRule(text, queues)
	return err
}

// parseRule parses "subject" or, if queues may be named, "subject queue".
func parseRule(entry string, queues bool) (*rule, error) {
	parts := strings.FieldsFunc(entry, func(c rune) bool {
		return c == ' ' || c == '\t' || c == '\r' || c == '\n'
	})
	most := 1
	if queues {
		most = 2
	}
	if len(parts) == 0 || len(parts) > most {
		return nil, fmt.Errorf("subject %q is not a valid subject", entry)
	}
	for _, p := range parts {
		if !sublist.ValidSubject(p) {
			return nil, fmt.Errorf("subject %q is not a valid subject", entry)
		}
	}
	r := &rule{subject: parts[0]}
	if len(parts) == 2 {
		r.queue = parts[1]
	}
	return r, nil
}

// splitRules separates entries without a queue from those with one.
func splitRules(rules []*rule) (plain ruleSet, queued queueRules) {
	var p, q []*rule
	for _, r := range rules {
		if r.queue == "" {
			p = append(p, r)
		} else {
			q = append(q, r)
		}
	}
	return newRuleSet(p), newQueueRules(q)
}

// manyLiterals is the number of rules without wildcards from which on a map is faster than
// comparing them one by one.
const manyLiterals = 8

// ruleSet is a list of rules, indexed for finding those that match a subject. It does not change.
// Its zero value is empty.
type ruleSet struct {
	rules    []*rule          // all, in the order of the file
	literal  map[string]*rule // those without wildcards; nil when there are few
	literals *ruleTree        // the same
	others   *ruleTree        // those that are not in literal
	few      []scanned        // others.few: saves find a step
}

func newRuleSet(rules []*rule) ruleSet {
	var literals, others []*rule
	for _, r := range rules {
		if sublist.IsLiteral(r.subject) {
			literals = append(literals, r)
		} else {
			others = append(others, r)
		}
	}
	if len(literals) < manyLiterals {
		literals, others = nil, rules
	}
	s := ruleSet{rules: rules, literals: newRuleTree(literals), others: newRuleTree(others)}
	if s.others != nil {
		s.few = s.others.few
	}
	if literals != nil {
		s.literal = make(map[string]*rule, len(literals))
	}
	for _, r := range slices.Backward(literals) {
		s.literal[r.subject] = r // the first one stays
	}
	return s
}

func (s *ruleSet) empty() bool { return len(s.rules) == 0 }

// find returns a rule that matches subject, taken as literal text, or nil.
func (s *ruleSet) find(subject []byte) *rule {
	if s.literal != nil {
		if r := s.literal[string(subject)]; r != nil {
			return r
		}
	}
	if s.few != nil {
		return scan(s.few, subject)
	}
	return s.others.find(subject, nil)
}

// cover returns the first rule of which pattern is a subset, whatever its queue, or nil.
func (s *ruleSet) cover(pattern string) *rule {
	return s.others.cover(pattern, s.literal[pattern])
}

// overlaps reports whether some subject matches both pattern and a rule. For a pattern with "*" and
// very many rules it may report true where none does.
func (s *ruleSet) overlaps(pattern string) bool {
	steps := maxOverlapSteps
	return s.others.overlaps(pattern, &steps) || s.literals.overlaps(pattern, &steps)
}

// queueRules are the rules that speak of queue groups. They do not change. The zero value is empty.
type queueRules struct {
	all      ruleSet            // whatever their queue
	literal  map[string]ruleSet // by queue, those whose queue has no wildcard
	patterns []queuePattern
}

// queuePattern is a pattern of queues, and the rules that speak of those.
type queuePattern struct {
	queue string
	rules ruleSet
}

func newQueueRules(rules []*rule) queueRules {
	q := queueRules{all: newRuleSet(rules), literal: make(map[string]ruleSet)}
	byQueue := make(map[string][]*rule)
	for _, r := range rules {
		byQueue[r.queue] = append(byQueue[r.queue], r)
	}
	for queue, rules := range byQueue {
		if sublist.IsLiteral(queue) {
			q.literal[queue] = newRuleSet(rules)
		} else {
			q.patterns = append(q.patterns, queuePattern{queue, newRuleSet(rules)})
		}
	}
	return q
}

// of returns the rules that speak of a queue group. There is none for a plain subscription, of which
// the queue is "".
func (q *queueRules) of(queue string) (sets []ruleSet) {
	if s, ok := q.literal[queue]; ok {
		sets = append(sets, s)
	}
	for i := range q.patterns {
		if p := &q.patterns[i]; queue != "" && sublist.Matches(p.queue, queue) {
			sets = append(sets, p.rules)
		}
	}
	return sets
}

// cover returns the first rule that speaks of queue and of which pattern is a subset, or nil.
func (q *queueRules) cover(pattern, queue string) (r *rule) {
	for _, s := range q.of(queue) {
		r = first(r, s.cover(pattern))
	}
	return r
}

// overlapsOthers reports whether some subject matches both pattern and a rule that does not speak of
// queue.
func (q *queueRules) overlapsOthers(pattern, queue string) bool {
	if !q.all.overlaps(pattern) {
		return false
	}
	for of, s := range q.literal {
		if of != queue && s.overlaps(pattern) {
			return true
		}
	}
	return slices.ContainsFunc(q.patterns, func(p queuePattern) bool {
		return !sublist.Matches(p.queue, queue) && p.rules.overlaps(pattern)
	})
}
