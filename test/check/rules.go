package check

import (
	"fmt"
	"slices"
	"strings"
)

// Rules are the permissions of a client.
type Rules struct {
	Publish, Subscribe Subjects
	Responses          bool // it may publish to the reply subject of what it received
}

// Subjects are allowed patterns, all where there are none, without those that are denied.
type Subjects struct{ Allow, Deny []string }

// String returns the rules as a report shows them.
func (r *Rules) String() string {
	if r == nil {
		return "all"
	}
	return fmt.Sprintf("publish%+v subscribe%+v responses=%v", r.Publish, r.Subscribe, r.Responses)
}

// permits reports whether messages on a subject are permitted.
func (s Subjects) permits(subject string) bool {
	in := func(pattern string) bool { return Matches(pattern, subject) }
	return (len(s.Allow) == 0 || slices.ContainsFunc(s.Allow, in)) && !slices.ContainsFunc(s.Deny, in)
}

// grants reports whether a subscription is accepted: all that it matches is allowed, and it does not
// lie within what is denied.
func (s Subjects) grants(pattern string) bool {
	in := func(wider string) bool { return covers(wider, pattern) }
	return (len(s.Allow) == 0 || slices.ContainsFunc(s.Allow, in)) && !slices.ContainsFunc(s.Deny, in)
}

// Matches reports whether a pattern matches a subject.
func Matches(pattern, subject string) bool { return covers(pattern, subject) }

// covers reports whether a pattern matches everything that another one, or a subject, does.
func covers(wider, narrower string) bool {
	w, n := strings.Split(wider, "."), strings.Split(narrower, ".")
	for i, token := range w {
		switch {
		case i >= len(n):
			return false
		case token == ">":
			return true
		case n[i] == ">" || token != "*" && token != n[i]:
			return false
		}
	}
	return len(w) == len(n)
}
