package conf

// This file reads pairs, maps and arrays.

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Bounds that keep any input from exhausting the process. A file written by hand is far below each
// of them.
const (
	maxDepth     = 200      // levels of maps and arrays, variables and includes expanded
	maxErrors    = 50       // reported for one configuration; then reading stops
	maxSize      = 16 << 20 // bytes of all files
	maxValues    = 500_000  // written in all files
	maxIncludes  = 1000     // files included in all
	maxNesting   = 20       // files that include one another
	maxExpansion = 4 << 20  // values and bytes reached through variables
)

// context is what a pair or value is in, which decides what may separate and end it.
type context uint8

const (
	inFile context = iota
	inMap
	inArray
)

// session is the state that the texts of one configuration share.
type session struct {
	source   Source
	files    []string // being read, outermost first
	included int      // files
	size     int      // bytes
	values   int
	expanded int      // weight of the values of variables
	envStack []string // environment variables being read
	errs     Errors
	warnings Errors
	matched  map[string]bool // files that were included because a pattern matches them
	full     bool            // too many errors: stop
	partial  bool            // a file could not be included: variables may be missing because of it

	firstOnly bool // stop at the first error
}

// parser reads one text.
type parser struct {
	lexer
	*session
	scopes []*Node  // open maps, outermost first
	path   []string // keys of the open maps, and of the pair
	arrays int      // open arrays since the innermost map
	depth  int      // open maps and arrays
	braces int      // braces around the whole file still open
	brace  Pos      // of the outermost of them
	prefix string   // of every error, in an included file

	inUsers    bool     // the innermost map is that of a key "users"
	hiddenFrom int      // index of the first key of the path that is not shown, plus 1; 0 if all are
	secretEnd  int      // where the last secret value ends; 0 if there was none
	secretLine int      // where the line ends that it ends in
	secretPath []string // of its key

	secretQuoted bool // it is in quotes

	brokenString bool // a variable in the last quoted string could not be read
	ended        bool // the text ended too early: no more errors
}

// report records an error.
func (p *parser) report(err *Error) {
	if p.full || p.ended {
		return
	}
	if err.Key == "" {
		err.Key = p.shownKey()
	}
	if err.Pos.behind != "" {
		last := err.last
		err = err.masked()
		err.last = last
	}
	if err.shows != "" && (p.inUsers || p.isSecretKey(err.Key)) {
		err.Msg = strings.ReplaceAll(err.Msg, "'"+err.shows+"'", "'"+Redacted+"'")
		if err.variable && err.Hint == "" {
			err.Hint = "if it is meant as a string, put it in quotes"
		}
	}
	err.Msg = p.prefix + err.Msg
	p.errs = append(p.errs, err)
	p.full = err.last || p.firstOnly
	if len(p.errs) == maxErrors {
		p.errs = append(p.errs, errorAt(err.Pos, "too many errors, the rest was not read"))
		p.full = true
	}
}

// withoutSecrets returns the keys of a path up to one that is secret: what stands in the place of a
// map there may be a password that begins with a brace. A key that is no word may hold the secret itself.
func withoutSecrets(path []string) []string {
	i := slices.IndexFunc(path, func(key string) bool {
		return isSecretName(key) && !strings.HasPrefix(strings.ToLower(key), "auth")
	})
	if i < 0 {
		return path
	}
	if !keyWord().MatchString(path[i]) {
		return path[:i]
	}
	return path[:i+1]
}

// file reads a whole text.
func (p *parser) file() *Node {
	p.expand = p.variableText
	root := newContainer(Map, p.pos())
	if isUTF16(p.text) {
		err := errorAt(Pos{File: p.src.name}, "the file is encoded in UTF-16")
		err.Hint = "save it as UTF-8"
		p.report(err)
		return root
	}
	p.pairs(root, inFile)
	return root
}

// pairs reads pairs into m up to the brace that closes it or the end of the text.
func (p *parser) pairs(m *Node, in context) {
	arrays, inUsers := p.arrays, p.inUsers
	p.inUsers = in == inFile && inUsers || in == inMap && arrays == 0 && len(p.path) > 0 && strings.EqualFold(p.path[len(p.path)-1], "users")
	p.scopes, p.arrays = append(p.scopes, m), 0
	for !p.full && !p.ended {
		p.skipToToken()
		r := p.peek()
		switch {
		case r == endOfText && in == inMap:
			p.report(unclosedMap(m.Pos))
			p.ended = true
		case r == endOfText:
			p.unclosedBrace()
			p.ended = true
		case r == '}' && in == inMap:
			p.next()
			p.scopes, p.arrays, p.inUsers = p.scopes[:len(p.scopes)-1], arrays, inUsers
			return
		case (r == '{' || r == '}') && in == inFile:
			p.outerBrace(r)
		default:
			p.onePair(m, in)
		}
	}
}

// onePair reads a pair and, if that fails, skips to the next.
func (p *parser) onePair(m *Node, in context) {
	depth, levels, hiddenFrom := len(p.path), p.depth, p.hiddenFrom
	if err := p.pair(m, in); err != nil {
		p.report(err)
		m.Broken = true
		p.skipPair(in)
	}
	p.path, p.depth, p.arrays, p.hiddenFrom = p.path[:depth], levels, 0, hiddenFrom
}

// unclosedMap is the error about a map without its closing brace.
func unclosedMap(opened Pos) *Error {
	err := errorAt(opened, `Expected a map value terminator "," or a map terminator "}", but got 'EOF' instead.`)
	err.Hint = "the map opened here is never closed"
	return err
}

// outerBrace skips a brace around the whole file, as JSON has it. One that was never opened is
// accepted at the very end only: in the middle, all that follows would be misread.
func (p *parser) outerBrace(r rune) {
	at := p.pos()
	p.next()
	if r == '{' {
		if p.braces == 0 {
			p.brace = at
		}
		p.braces++
		return
	}
	p.skipToToken()
	if p.braces == 0 && p.peek() != endOfText {
		err := errorAt(at, "Unexpected '}'.")
		err.Hint = "it closes no map"
		p.report(err)
	}
	p.braces = max(0, p.braces-1)
}

// unclosedBrace warns of a brace around the file that is still open at its end, which 1.x accepts.
func (p *parser) unclosedBrace() {
	if p.braces > 0 {
		p.warnings.add(&Error{Pos: p.brace, Msg: "the brace around the file is never closed: the file may be cut off"})
	}
}

// pair reads one key, its value, and what ends them.
func (p *parser) pair(m *Node, in context) *Error {
	at, start := p.pos(), p.off
	if err := p.checkKeyStart(in); err != nil {
		return err
	}
	key, quoted, err := p.key()
	if err != nil {
		return err
	}
	p.path = append(p.path, key)
	if p.hiddenFrom == 0 && at.behind != "" {
		p.hiddenFrom = len(p.path)
	}
	if err := p.checkBehindSecret(start, at, quoted); err != nil {
		return err
	}
	if !quoted && strings.EqualFold(key, "include") && unicode.IsSpace(p.peek()) {
		return p.include(m, in)
	}
	separated := p.separator(in)
	if !separated && p.peek() == endOfText && in == inFile {
		if !valuelessKey().MatchString(key) {
			p.src.hide(at.Line, 1)
			p.path = p.path[:len(p.path)-1]
			return errorAt(at, "Expected a key and a value but found text with characters that keys do not have")
		}
		// No error, as in 1.x; a file that was cut off may end so.
		p.warnings.add(&Error{Pos: at, Key: p.shownKey(), Msg: "it has no value", valueless: true})
		return nil
	}
	valueAt, from := p.pos(), p.off
	value, err := p.value(in)
	p.hideSecret(start, valueAt, from, value, err)
	if err != nil {
		return err
	}
	m.set(&Pair{Key: key, Pos: at, Value: value})
	return p.terminator(in)
}

// valuelessKey matches what may stand at the end of a file without a value: a word, or separators.
var valuelessKey = pattern(`^(?:[\pL\pN_.$-]+|[,;]+)$`)

// checkKeyStart refuses what cannot start a key.
func (p *parser) checkKeyStart(in context) *Error {
	switch r := p.peek(); {
	case r == '=' || r == ':':
		end := ""
		if in == inMap {
			end = "."
		}
		return errorAt(p.pos(), "Unexpected key separator '%s'%s", char(r), end)
	case strings.HasPrefix(p.text[p.off:], "-----BEGIN "):
		at := p.pos()
		p.src.hide(at.Line, 1)
		err := errorAt(at, "this is a key or a certificate in PEM format, not a configuration")
		err.last = true
		return err
	case r == '/' && in == inFile:
		err := errorAt(p.pos(), "Unexpected EOF.")
		err.Hint = "a comment starts with '//' or '#'"
		return err
	}
	return nil
}

// separator skips what is between a key and its value: one separator, or white space. It reports
// whether there was a separator.
func (p *parser) separator(in context) bool {
	p.skipSpace()
	if r := p.peek(); r != '=' && r != ':' {
		return false
	}
	p.next()
	if in == inMap {
		p.skipSpace()
	} else {
		p.skipBlanks()
	}
	return true
}

// value reads a value of any kind.
func (p *parser) value(in context) (*Node, *Error) {
	r := p.peek()
	if err := p.checkValueStart(r, in); err != nil {
		return nil, err
	}
	if p.values++; p.values > maxValues {
		err := errorAt(p.pos(), "more than %d values", maxValues)
		err.last = true
		return nil, err
	}
	switch {
	case r == '[' && ipv6Address().MatchString(p.text[p.off:]):
		err := errorAt(p.pos(), "Expected a value but found an IPv6 address")
		err.Hint = `put it in quotes, as in "[::1]:4222"`
		return nil, err
	case r == '[':
		return p.nested(Array)
	case r == '{':
		return p.nested(Map)
	case r == '\'':
		return p.raw()
	case r == '"':
		p.brokenString = false
		n, err := p.quoted()
		if err == nil && p.brokenString {
			return newMissing(n.Pos), nil
		}
		return n, err
	case r == '(':
		return p.block()
	case r == '-' || isDigit(r):
		return p.number()
	}
	if m := stringVariable().FindStringSubmatch(p.text[p.off:]); m != nil {
		err := notFound(m[1], p.pos())
		err.Hint = `write $NAME, or "${NAME}" with the quotes`
		p.off += len(m[0])
		p.report(err)
		return newMissing(err.Pos), nil
	}
	n, escaped, err := p.bare()
	if err == nil && strayQuotes().MatchString(n.Str) {
		p.warnings.add(&Error{Pos: n.Pos, Key: p.shownKey(), Msg: "typographic quotes, or a blank that does not break lines, are a part of the value"})
	}
	switch {
	case err != nil:
		return nil, err
	case escaped:
		return n, nil
	case strings.HasPrefix(n.Str, "$") && !isHash(n.Str):
		v, err := p.variable(n.Str[1:], n.Pos)
		if err != nil && !err.last { // the rest of the pair can be read
			p.report(err)
			return newMissing(n.Pos), nil
		}
		return v, err
	}
	return boolean(n), nil
}

// ipv6Address matches an address with a port, without quotes, at the beginning of a text.
var ipv6Address = pattern(`^\[[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*(?:%\w+)?\]:`)

// strayQuotes matches a value with what word processors make of quotes and blanks.
var strayQuotes = pattern(`^[“”„‟‘’‚‛«»]|[“”„‟‘’‚‛«»]$|\x{a0}`)

// isHash reports whether a string is a bcrypt hash, which looks like a variable.
func isHash(s string) bool {
	return len(s) > 4 && s[:2] == "$2" && strings.IndexByte("aby", s[2]) >= 0 && s[3] == '$'
}

// checkValueStart refuses what cannot start a value.
func (p *parser) checkValueStart(r rune, in context) *Error {
	switch {
	case r == endOfText:
		err := errorAt(p.pos(), "Unexpected EOF.")
		err.Hint = "a value is missing"
		return err
	case isNewline(r):
		return errorAt(p.pos(), "Expected value but found new line")
	case r == '.':
		err := errorAt(p.pos(), "Floats must start with a digit")
		err.Hint = "a string that begins with a dot must be in quotes"
		return err
	case r == ',' && in == inArray:
		return errorAt(p.pos(), "Unexpected array value terminator ','.")
	case (r == ',' || r == '}' || r == ';') && in == inMap:
		return errorAt(p.pos(), `Unexpected map value terminator "%c".`, r)
	case strings.ContainsRune(bareEnd, r) && r != '\'':
		return errorAt(p.pos(), "Expected value but found '%s'", char(r))
	}
	return nil
}

// nested reads a map or an array, unless it is nested too deep.
func (p *parser) nested(k Kind) (*Node, *Error) {
	n := newContainer(k, p.pos())
	if p.depth == maxDepth {
		return nil, errorAt(n.Pos, "maps and arrays are nested more than %d deep", maxDepth)
	}
	p.depth++
	p.next()
	var err *Error
	if k == Array {
		p.arrays++
		err = p.elements(n)
		if err == nil {
			p.arrays--
		}
	} else {
		p.pairs(n, inMap)
	}
	p.depth--
	return n, err
}

// elements reads the elements of an array and the bracket that closes it.
func (p *parser) elements(n *Node) *Error {
	for !p.full && !p.ended {
		p.skipToToken()
		switch p.peek() {
		case ']':
			p.next()
			return nil
		case endOfText:
			p.unclosedArray(n)
			return nil
		}
		elem, err := p.value(inArray)
		if err != nil {
			return err.inArray(n)
		}
		if !elem.missing {
			n.Elems = append(n.Elems, elem)
		}
		n.grow(elem)
		if err := p.elementEnd(n); err != nil {
			return err.inArray(n)
		}
	}
	return nil
}

// inArray says of an error where the array was opened that it is in, if that is in another line: the
// bracket that closes it may be missing.
func (e *Error) inArray(n *Node) *Error {
	if e.Hint == "" && n.Pos.Line < e.Pos.Line {
		e.Hint = fmt.Sprintf("in the array that was opened at %d:%d", n.Pos.Line, n.Pos.Col)
	}
	return e
}

// elementEnd reads what separates two elements. The closing bracket is not consumed.
func (p *parser) elementEnd(n *Node) *Error {
	p.skipBlanks()
	switch r := p.peek(); {
	case p.full || p.ended || r == ']' || isNewline(r) || p.atComment():
		return nil
	case r == ',':
		p.next()
		return nil
	case r == endOfText:
		p.unclosedArray(n)
		return nil
	default:
		return p.unexpected(`Expected an array value terminator "," or an array terminator "]", but got '%s' instead.`)
	}
}

// unclosedArray reports an array without its closing bracket.
func (p *parser) unclosedArray(n *Node) {
	err := errorAt(n.Pos, `Expected an array value terminator "," or an array terminator "]", but got 'EOF' instead.`)
	err.Hint = "the array opened here is never closed"
	p.report(err)
	p.ended = true
}

// terminator reads what ends a pair. The brace that closes a map, comments and line ends are not
// consumed.
func (p *parser) terminator(in context) *Error {
	p.skipBlanks()
	r := p.peek()
	switch {
	case r == ',' || r == ';':
		p.next()
		return nil
	case isNewline(r) || p.atComment() || p.ended || p.full:
		return nil
	case in == inMap && (r == '}' || r == endOfText):
		return nil
	case in == inFile && r == endOfText:
		return nil
	case in == inFile && r == '}':
		p.next()
		p.braces = max(0, p.braces-1)
		return nil
	case in == inMap:
		return p.unexpected(`Expected a map value terminator "," or a map terminator "}", but got '%s' instead.`)
	}
	return p.unexpected("Expected a top-level value to end with a new line, comment or EOF, but got '%s' instead.")
}
