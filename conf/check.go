package conf

// This file holds what reading a file reports.

import (
	"fmt"
	"strings"
)

// Check takes reports about one setting of a file.
type Check struct {
	report *Report
	path   string
	secret bool
	wrong  string // begins errors about the wrong kind
}

// Report is what reading a file found.
type Report struct {
	// Errors forbid to use the file.
	Errors Errors
	// Warnings are about values that work but should be changed.
	Warnings Errors
	// Unknown are keys that nothing uses.
	Unknown Errors
}

// Err is the errors of the report, nil if there are none.
func (r *Report) Err() error { return r.Errors.err() }

// In is the check for a key below the setting.
func (c *Check) In(key string) *Check {
	sub := *c
	sub.path += "." + key
	return &sub
}

// Errorf reports what is wrong with a value.
func (c *Check) Errorf(at Pos, format string, args ...any) {
	c.report.Errors.add(&Error{Pos: at, Key: c.path, Msg: fmt.Sprintf(format, args...)})
}

// Warnf reports what should be changed about a value that works.
func (c *Check) Warnf(at Pos, format string, args ...any) {
	c.report.Warnings.add(&Error{Pos: at, Key: c.path, Msg: fmt.Sprintf(format, args...)})
}

// Want reports a value of the wrong kind: "want …, have …".
func (c *Check) Want(n *Node, want string) {
	e := &Error{Pos: n.Pos, Key: c.path, Msg: fmt.Sprintf("want %s, have %s", want, c.Have(n))}
	if c.wrong != "" {
		e.Msg = c.wrong + ": " + e.Msg
	}
	switch {
	case n.Raw == "" || n.Kind == String || !strings.HasPrefix(want, "a string"):
	case n.Var != "":
		e.Hint = "put it in quotes where the variable is set"
	default:
		e.Hint = "put it in quotes"
	}
	c.report.Errors.add(e)
}

// Have describes a value, but not the text of a secret.
func (c *Check) Have(n *Node) string {
	s := n.Describe()
	if c.secret {
		s = n.Kind.String()
	}
	if n.Var != "" {
		s += " from $" + cut(n.Var)
	}
	return s
}

// Unknown reports a key that nothing uses, unless it was used as a variable.
// known are those that could have been meant.
func (c *Check) Unknown(p *Pair, known []string) {
	if p.Used || c.report.Unknown.full() {
		return
	}
	hint := ""
	if best := nearest(p.Key, known); best != "" {
		hint = fmt.Sprintf("did you mean %q?", best)
	}
	c.report.Unknown.add(unknownKey(p, c.path+"."+p.Key, hint))
}

// String reads a string, or reports that there is none.
func (c *Check) String(n *Node) (string, bool) {
	if n.Kind != String {
		c.Want(n, "a string")
		return "", false
	}
	return n.Str, true
}

// Out is the check for what c lies in.
func (c *Check) Out() *Check {
	sub := *c
	sub.path = c.path[:max(0, strings.LastIndexByte(c.path, '.'))]
	return &sub
}

// Hush is the check for a value that must not be shown.
func (c *Check) Hush() *Check {
	sub := *c
	sub.secret = true
	return &sub
}
