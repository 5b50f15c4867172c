package conf

// This file resolves variables, $NAME as a value and ${NAME} in a quoted string: to a pair earlier in
// the file, in the maps that are open from the innermost one outward, or else to an environment
// variable.

import (
	"fmt"
	"slices"
	"strings"
)

// variable returns the value of $name.
func (p *parser) variable(name string, at Pos) (*Node, *Error) {
	n, err := p.lookup(name, at)
	if err != nil {
		return nil, err
	}
	switch {
	case n == nil && p.partial:
		return newMissing(at), nil
	case n == nil:
		return nil, notFound(name, at)
	}
	if p.depth+n.height > maxDepth {
		return nil, aboutVariable(at, "maps and arrays are nested more than %d deep by variable '%s'", maxDepth, shorten(name))
	}
	if err := p.charge(n.weight, at); err != nil {
		return nil, err
	}
	return n.referenced(name, at), nil
}

// variableText returns the text of a variable for a quoted string. It reports an error, and marks the
// string as broken.
func (p *parser) variableText(name string, at Pos) string {
	n, err := p.variable(name, at)
	switch {
	case err != nil:
	case n.Kind == Map || n.Kind == Array || n.Kind == Time:
		err = aboutVariable(at, "variable '%s' is no text but %s: it cannot stand in a string", shorten(name), article(n.Kind.String()))
	case n.Kind != String:
		return n.Raw
	case n.Str == "" && p.isSecretKey(strings.Join(p.path, ".")):
		err = aboutVariable(at, "variable '%s' is empty", shorten(name))
	default:
		return n.Str
	}
	if err.Hint == "" {
		err.Hint = `write \x24{ if no variable is meant`
	}
	p.report(err)
	p.brokenString = true
	return ""
}

// charge charges the size of a variable's value to the limit of all.
func (p *parser) charge(weight int, at Pos) *Error {
	p.expanded += weight
	if p.expanded <= maxExpansion {
		return nil
	}
	err := errorAt(at, "variables expand to more than %d values", maxExpansion)
	err.last = true
	return err
}

// notFound is the error about a variable that is not defined.
func notFound(name string, at Pos) *Error {
	err := aboutVariable(at, "variable reference for '%s' on line %d can not be found", shorten(name), at.Line)
	if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		err = err.showing(shorten(name)) // a password may begin with a dollar sign
	}
	return err
}

// aboutVariable is an error that is complete without the text around the reference.
func aboutVariable(at Pos, format string, args ...any) *Error {
	err := errorAt(at, format, args...)
	err.variable = true
	return err
}

// lookup searches the open maps, then the environment, then the open maps once more without regard
// to case. It returns nil if there is no such variable.
func (p *parser) lookup(name string, at Pos) (*Node, *Error) {
	for _, m := range slices.Backward(p.scopes) {
		if pair := m.index[name]; pair != nil {
			pair.Used = true
			return pair.Value, nil
		}
	}
	if text, ok := p.source.Env(name); ok {
		return p.environment(name, text, at)
	}
	folded := strings.ToLower(name)
	for _, m := range slices.Backward(p.scopes) {
		if pair := m.folded[folded]; pair != nil {
			pair.Used = true
			return pair.Value, nil
		}
	}
	return nil, nil
}

// environment parses the text of an environment variable as a value of a file. If that fails the
// variable counts as not found; the message does not show the text, which may be a secret.
func (p *parser) environment(name, text string, at Pos) (*Node, *Error) {
	if slices.Contains(p.envStack, name) {
		return nil, aboutVariable(at, "variable reference for '%s' refers to itself through the environment", shorten(name))
	}
	if len(p.envStack) == maxNesting {
		return nil, aboutVariable(at, "environment variables refer to one another more than %d deep", maxNesting)
	}
	if strings.TrimSpace(text) == "" {
		return newString("", "", at), nil
	}
	if err := p.charge(len(text), at); err != nil {
		return nil, err
	}
	p.envStack = append(p.envStack, name)
	inner := parser{lexer: newLexer("", text), session: &session{
		source: p.source, envStack: p.envStack, expanded: p.expanded, firstOnly: true,
	}, depth: p.depth, path: p.path, hiddenFrom: p.hiddenFrom, inUsers: p.inUsers}
	inner.fixed = &at
	inner.expand = inner.variableText
	inner.skipBlanks()
	n, err := inner.value(inFile)
	end := inner.off
	if err == nil {
		err = inner.terminator(inFile)
	}
	if err == nil {
		err = p.checkRest(name, &inner, end, at)
	}
	p.envStack = p.envStack[:len(p.envStack)-1]
	p.expanded = inner.expanded
	if err == nil && len(inner.errs) > 0 {
		err = inner.errs[0]
	}
	if err == nil {
		return n, nil
	}
	if err.variable || err.last {
		return nil, err
	}
	err = notFound(name, at)
	err.Hint = "its text in the environment is not a valid value: put quotes inside the quotes"
	return nil, err
}

// checkRest looks at what follows the first value in the text of an environment variable, from end
// on: as in 1.x it has no effect, and is a warning. In the value of a secret it is an error: the
// beginning of a password is not the password.
func (p *parser) checkRest(name string, text *parser, end int, at Pos) *Error {
	p.warnings = append(p.warnings, text.warnings...)
	key := p.shownKey()
	if p.isSecretKey(key) && strings.TrimSpace(text.text[end:]) != "" {
		err := aboutVariable(at, "variable '%s' has more in the environment than a single value", shorten(name))
		err.Hint = "put quotes inside the quotes"
		return err
	}
	if text.skipToToken(); text.peek() != endOfText {
		p.warnings.add(&Error{Pos: at, Key: key, Msg: fmt.Sprintf(
			"variable '%s' has more in the environment than a single value: what follows the first has no effect", shorten(name))})
	}
	return nil
}
