package conf

// This file holds what reading the values of a file reports.

import (
	"fmt"
	"slices"
	"strings"
)

// Check collects reports about one setting of a file.
type Check struct {
	report    *Report
	path      string
	secret    bool
	url       bool   // the value may be a URL with a password
	typeError string // begins errors about a value of the wrong type
	foreign   foreignKeys
}

// Report is what was found while reading a file.
type Report struct {
	// Errors make the file unusable.
	Errors Errors
	// Warnings are about values that work but should be changed.
	Warnings Errors
	// Unknown are about keys that nothing uses.
	Unknown Errors
}

// Err returns the errors of the report, nil if there are none.
func (r *Report) Err() error { return r.Errors.err() }

// In returns the check for a key in the map that is the setting.
func (c *Check) In(key string) *Check {
	sub := *c
	sub.path += "." + key
	sub.typeError = ""
	return &sub
}

// Errorf reports an error about a value.
func (c *Check) Errorf(at Pos, format string, args ...any) {
	c.add(&Error{Pos: at, Key: c.path, Msg: fmt.Sprintf(format, args...)})
}

// ErrorHint reports an error about a value, and what to do.
func (c *Check) ErrorHint(at Pos, err error, hint string) {
	c.add(&Error{Pos: at, Key: c.path, Msg: err.Error(), Hint: hint})
}

// add reports an error about a value. Of a URL that ends before its '@', as an unquoted one does at
// a blank, the message may show the beginning of a password.
func (c *Check) add(e *Error) {
	if c.url && !strings.Contains(e.Msg, "@") && e.Pos.cutURL() {
		e.Msg, e.Hint = errCutURL.Error(), ""
	}
	if e.Pos.cut {
		e = e.masked()
	}
	c.report.Errors.add(e)
}

// HiddenErrorf reports an error that is shown without its line of the file, which may have a secret
// in a place where nothing says so.
func (c *Check) HiddenErrorf(at Pos, format string, args ...any) {
	at.src = nil
	c.Errorf(at, format, args...)
}

// Warnf reports a warning about a value that works.
func (c *Check) Warnf(at Pos, format string, args ...any) {
	c.report.Warnings.add(&Error{Pos: at, Key: c.path, Msg: fmt.Sprintf(format, args...)})
}

// Want reports a value of the wrong type: "want …, have …".
func (c *Check) Want(n *Node, want string) {
	e := &Error{Pos: n.Pos, Key: c.path, Msg: fmt.Sprintf("want %s, have %s", want, c.Have(n))}
	if c.typeError != "" {
		e.Msg = c.typeError + ": " + e.Msg
	}
	switch {
	case n.Kind == Array && len(n.Elems) == 1 && strings.Contains(n.Elems[0].Str, "::"):
		e.Hint = "an IPv6 address needs quotes"
	case n.Raw == "" || n.Kind == String || !strings.HasPrefix(want, "a string"):
	case n.Var != "":
		e.Hint = "put it in quotes where the variable is set"
	default:
		e.Hint = "put it in quotes"
	}
	c.add(e)
}

// Have describes a value for an error, without the text of a secret.
func (c *Check) Have(n *Node) string {
	s := n.describe()
	if c.secret {
		s = n.Kind.String()
	}
	if n.Var != "" {
		s += " from $" + shorten(n.Var)
	}
	return s
}

// Repeated reports keys that a map has more than once, by the name that spelling returns for each:
// what the earlier ones say would be lost. Definitions of variables may be repeated.
func (c *Check) Repeated(m *Node, spelling func(key string) string) {
	seen := make(map[string]*Pair, len(m.Pairs))
	for _, p := range m.Pairs {
		key := spelling(p.Key)
		if first := seen[key]; first != nil && !p.Used {
			c.In(p.Key).Errorf(p.Pos, "%s is given twice, first at %s", quote(p.Key), first.Pos)
		}
		seen[key] = p
	}
}

// Unknown reports a key that nothing uses, unless it was used as a variable. known are the keys
// that could have been meant, restricting those of them that restrict access. See
// [Row.Restricts] and [Foreign].
func (c *Check) Unknown(p *Pair, known, restricting []string) {
	if p.Used || c.report.Errors.full() {
		return
	}
	hint, refused, ok := c.foreign.find(p, c.path+"."+strings.ToLower(p.Key))
	if best := ""; !ok && !c.report.Unknown.full() { // hints for many would take long
		if best = nearest(p.Key, known); best != "" {
			hint, refused = fmt.Sprintf("did you mean %q?", best), slices.Contains(restricting, best)
		}
	}
	c.report.addUnknown(unknownKey(p, c.path+"."+p.Key, hint), refused)
}

// String returns the string that a value is, or reports that it is none.
func (c *Check) String(n *Node) (string, bool) {
	if n.Kind != String {
		c.Want(n, "a string")
		return "", false
	}
	return n.Str, true
}

// Out returns the check for the map that the setting is in.
func (c *Check) Out() *Check {
	sub := *c
	sub.path = c.path[:max(0, strings.LastIndexByte(c.path, '.'))]
	return &sub
}

// Secret returns the check for a value that must not be shown.
func (c *Check) Secret() *Check {
	sub := *c
	sub.secret = true
	return &sub
}
