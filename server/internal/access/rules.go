package access

import (
	"fmt"
	"strings"

	"gnatsd/sublist"
)

// rule is one entry of a permission list.
type rule struct {
	subject string // a pattern
	queue   string // a pattern; "" speaks of every subscription
	deny    bool
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
		r.deny, r.at = deny, e.At
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
func splitRules(rules []*rule) (plain, queued ruleSet) {
	var p, q []*rule
	for _, r := range rules {
		if r.queue == "" {
			p = append(p, r)
		} else {
			q = append(q, r)
		}
	}
	return newRuleSet(p), newRuleSet(q)
}

// manyLiterals is the number of rules without wildcards from which on a map is faster than
// comparing them one by one.
const manyLiterals = 8

// ruleSet is a list of rules, indexed for finding the one that matches a literal subject. It does
// not change. Its zero value is empty.
type ruleSet struct {
	rules   []*rule // all, in the order of the file
	scan    []scanned
	literal map[string]*rule // nil when there are few
}

// scanned is a rule that find visits. What precedes the first wildcard is compared first: it rules
// out most of a long list at little cost.
type scanned struct {
	prefix string // whole tokens, with their dots
	rest   string // of the pattern; "" if it has no wildcard
	rule   *rule
}

func newRuleSet(rules []*rule) ruleSet {
	s := ruleSet{rules: rules}
	literals := 0
	for _, r := range rules {
		if sublist.IsLiteral(r.subject) {
			literals++
		}
	}
	if literals >= manyLiterals {
		s.literal = make(map[string]*rule, literals)
	}
	for _, r := range rules {
		literal := sublist.IsLiteral(r.subject)
		if literal && s.literal != nil {
			if s.literal[r.subject] == nil {
				s.literal[r.subject] = r
			}
			continue
		}
		prefix := fixedPrefix(r.subject)
		s.scan = append(s.scan, scanned{prefix, r.subject[len(prefix):], r})
	}
	return s
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

func (s *ruleSet) empty() bool { return len(s.rules) == 0 }

// find returns a rule that matches subject, taken as literal text, or nil.
func (s *ruleSet) find(subject []byte) *rule {
	if s.literal != nil {
		if r := s.literal[string(subject)]; r != nil {
			return r
		}
	}
	for i := range s.scan {
		e := &s.scan[i]
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

// cover returns a rule of which pattern is a subset, whatever its queue, or nil.
func (s *ruleSet) cover(pattern string) *rule {
	for _, r := range s.rules {
		if sublist.Subset(pattern, r.subject) {
			return r
		}
	}
	return nil
}

// coverQueue is cover among the rules that speak of queue. There is none for a plain subscription.
func (s *ruleSet) coverQueue(pattern, queue string) *rule {
	if queue == "" {
		return nil
	}
	for _, r := range s.rules {
		if sublist.Matches(r.queue, queue) && sublist.Subset(pattern, r.subject) {
			return r
		}
	}
	return nil
}

// overlaps reports whether some subject matches both pattern and a rule.
func (s *ruleSet) overlaps(pattern string) bool {
	for _, r := range s.rules {
		if sublist.Overlap(pattern, r.subject) {
			return true
		}
	}
	return false
}
