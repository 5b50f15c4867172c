package conf

// This file reads the tokens of the language: keys, strings and blocks; numbers are in number.go.
// What a token is depends on its context, so there is no stream of tokens: the parser calls the
// function for the one it expects.

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// endOfText is what peek returns behind the last character.
const endOfText rune = -1

// lexer is a cursor in a text.
type lexer struct {
	src  *source
	text string
	off  int // of the next character

	// expand returns the text of a variable in a quoted string.
	expand func(name string, at Pos) string

	// fixed, if set, is the position of everything: the text of an environment variable has no
	// lines in a file.
	fixed *Pos

	lineFrom, lineTo int    // of the last line whose end was looked for
	tailFrom, tailTo int    // what may be the rest of a secret
	tailKey          string // of that secret
	tailCut          bool   // that secret seems to be cut off
	tailQuoted       bool   // that secret is in quotes

	known      int // an offset whose line and column are known
	knownLine  int
	knownChars int // characters of that line before it
}

func newLexer(name, text string) lexer {
	l := lexer{src: &source{name: name, text: text}, text: text, knownLine: 1}
	if strings.HasPrefix(text, "\ufeff") { // a byte order mark is no part of the first key
		l.off = len("\ufeff")
		l.known = l.off
	}
	return l
}

// pos is the position of the next character.
func (l *lexer) pos() Pos {
	return l.posAt(l.off)
}

// posAt is the position of an offset. It counts from the offset of the last call, so that calls in
// ascending order take one pass over the text.
func (l *lexer) posAt(off int) Pos {
	behind := ""
	if l.inSecretTail(off) {
		behind = l.tailKey
	}
	if l.fixed != nil {
		at := *l.fixed
		if at.behind == "" {
			at.behind, at.cut, at.quoted = behind, behind != "" && l.tailCut, l.tailQuoted
		}
		return at
	}
	if off < l.known {
		l.known, l.knownLine, l.knownChars = 0, 1, 0
	}
	for l.known < off {
		r, size := utf8.DecodeRuneInString(l.text[l.known:])
		l.known += size
		l.knownChars++
		if r == '\n' {
			l.knownLine++
			l.knownChars = 0
		}
	}
	return Pos{File: l.src.name, Line: l.knownLine, Col: l.knownChars + 1, src: l.src, behind: behind, cut: behind != "" && l.tailCut, quoted: l.tailQuoted}
}

// peek returns the next character, or endOfText.
func (l *lexer) peek() rune {
	if l.off >= len(l.text) {
		return endOfText
	}
	r, _ := utf8.DecodeRuneInString(l.text[l.off:])
	return r
}

// next consumes the next character and returns it, or endOfText.
func (l *lexer) next() rune {
	if l.off >= len(l.text) {
		return endOfText
	}
	r, size := utf8.DecodeRuneInString(l.text[l.off:])
	l.off += size
	return r
}

// charAt is the character at an offset as a message shows it.
func (l *lexer) charAt(off int) string {
	if off >= len(l.text) {
		return char(endOfText)
	}
	r, _ := utf8.DecodeRuneInString(l.text[off:])
	return char(r)
}

// isUTF16 reports whether a text is encoded in UTF-16, as it is by some editors of Windows.
func isUTF16(text string) bool {
	return strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") ||
		len(text) > 3 && (text[0] == 0) != (text[1] == 0) && (text[2] == 0) != (text[3] == 0)
}

func isNewline(r rune) bool { return r == '\n' || r == '\r' }
func isDigit(r rune) bool   { return r >= '0' && r <= '9' }

// atComment reports whether a comment starts here.
func (l *lexer) atComment() bool {
	rest := l.text[l.off:]
	return strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "//")
}

// skipComment skips to the end of the line, which is not consumed.
func (l *lexer) skipComment() {
	i := strings.IndexAny(l.text[l.off:], "\r\n")
	if i < 0 {
		i = len(l.text) - l.off
	}
	l.off += i
}

// skipBlanks skips white space in a line.
func (l *lexer) skipBlanks() {
	for r := l.peek(); unicode.IsSpace(r) && !isNewline(r); r = l.peek() {
		l.next()
	}
}

// skipSpace skips white space and line ends.
func (l *lexer) skipSpace() {
	for unicode.IsSpace(l.peek()) {
		l.next()
	}
}

// skipToToken skips white space, line ends and comments.
func (l *lexer) skipToToken() {
	for {
		l.skipSpace()
		if !l.atComment() {
			return
		}
		l.skipComment()
	}
}

// key reads a key. quoted reports that it was in quotes.
func (l *lexer) key() (key string, quoted bool, err *Error) {
	start := l.off
	if r := l.peek(); r == '"' || r == '\'' {
		at := l.pos()
		l.next()
		i := strings.IndexByte(l.text[l.off:], byte(r))
		if i < 0 {
			err := errorAt(at, "Unexpected EOF.")
			err.Hint = "the quotes opened here are never closed"
			return "", true, err
		}
		key = l.text[l.off : l.off+i]
		l.off += i + 1
		return key, true, nil
	}
	for r := l.peek(); r != endOfText && r != '=' && r != ':' && !unicode.IsSpace(r); r = l.peek() {
		l.next()
	}
	return l.text[start:l.off], false, nil
}

// raw reads '…': no escapes, may span lines.
func (l *lexer) raw() (*Node, *Error) {
	at := l.pos()
	l.next()
	i := strings.IndexByte(l.text[l.off:], '\'')
	if i < 0 {
		return nil, unclosed(at, "quote")
	}
	s := l.text[l.off : l.off+i]
	l.off += i + 1
	return newString(s, "", at), nil
}

// quoted reads "…": escapes, variables as ${NAME}, may span lines.
func (l *lexer) quoted() (*Node, *Error) {
	at := l.pos()
	l.next()
	start := l.off
	var b strings.Builder
	for {
		i := strings.IndexAny(l.text[l.off:], `"\$`)
		if i < 0 {
			l.off = start
			return nil, unclosed(at, "quote")
		}
		b.WriteString(l.text[l.off : l.off+i])
		l.off += i
		switch l.text[l.off] {
		case '"':
			l.off++
			return newString(b.String(), "", at), nil
		case '$':
			b.WriteString(l.variableInString())
		default:
			c, err := l.escape()
			if err != nil {
				if windowsStart().MatchString(l.text[start:]) {
					err.Hint = backslashHint
				}
				return nil, err
			}
			b.WriteByte(c)
		}
	}
}

// windowsStart matches a path with backslashes at the beginning of a text.
var windowsStart = pattern(`^(?:[A-Za-z]:\\|\\\\)`)

const backslashHint = `write \\ for a backslash, or use single quotes`

// variableInString reads a dollar sign in a quoted string, and the variable that it begins if a name
// in braces follows. It returns what stands for them.
func (l *lexer) variableInString() string {
	m := stringVariable().FindStringSubmatch(l.text[l.off:])
	if m == nil || l.expand == nil {
		l.off++
		return "$"
	}
	at := l.pos()
	l.off += len(m[0])
	return l.expand(m[1], at)
}

// stringVariable matches a variable at the beginning of a text.
var stringVariable = pattern(`^\$\{([A-Za-z_][\w.-]*)\}`)

// block reads ( … ), which ends at a line that is a closing parenthesis and nothing else. The value
// keeps both line ends; where the parenthesis is the last byte of the text, it is part of the value
// too, as in 1.x.
func (l *lexer) block() (*Node, *Error) {
	at := l.pos()
	l.next()
	rest := l.text[l.off:]
	if i := strings.Index(rest, "\n)\n"); i >= 0 {
		l.off += i + len("\n)")
		return newString(rest[:i+1], "", at), nil
	}
	if strings.HasSuffix(rest, "\n)") {
		l.off = len(l.text)
		return newString(rest, "", at), nil
	}
	err := unclosed(at, "block")
	err.Hint = "a block ends at a line that holds ')' and nothing else"
	if strings.Contains(rest, "\n)\r") {
		err.Hint += "; behind this ')' is a carriage return, of line ends of Windows"
	}
	return nil, err
}

func unclosed(at Pos, what string) *Error {
	err := errorAt(at, "Unexpected EOF.")
	err.Hint = "the " + what + " opened here is never closed"
	return err
}

// escape reads one escape sequence, beginning with the backslash.
func (l *lexer) escape() (byte, *Error) {
	at := l.pos()
	l.next()
	r := l.next()
	switch r {
	case 't':
		return '\t', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case '"', '\\':
		return byte(r), nil
	case 'x':
		return l.hexByte(at)
	}
	return 0, errorAt(at, `Invalid escape character '%s'. Only the following escape characters are allowed: \xXX, \t, \n, \r, \", \\.`, char(r)).showing(char(r))
}

func (l *lexer) hexByte(at Pos) (byte, *Error) {
	digits := l.text[l.off:min(l.off+2, len(l.text))]
	if len(digits) < 2 || strings.ContainsAny(digits, "\r\n") {
		return 0, errorAt(at, `Expected two hexadecimal digits after '\x', but hit end of line`)
	}
	n, err := strconv.ParseUint(digits, 16, 8)
	if err != nil || digits[0] == '+' {
		return 0, errorAt(at, `Expected two hexadecimal digits after '\x', but got '%s'`, Printable(digits)).showing(Printable(digits))
	}
	l.off += 2
	return byte(n), nil
}

// bareEnd are the characters that end a string without quotes.
const bareEnd = " \t\r\n\x00;,]}'"

// bareToken is the text up to the end of a string without quotes. It is not consumed.
func (l *lexer) bareToken() string {
	rest := l.text[l.off:]
	if i := strings.IndexAny(rest, bareEnd); i >= 0 {
		return rest[:i]
	}
	return rest
}

// bare reads a string without quotes; escaped reports that it had escapes. A single quote behind it
// is skipped, as in 1.x.
func (l *lexer) bare() (n *Node, escaped bool, err *Error) {
	at := l.pos()
	tok := l.bareToken()
	end := l.off + len(tok)
	s := tok
	if strings.IndexByte(tok, '\\') >= 0 {
		escaped = true
		var b strings.Builder
		for l.off < end {
			if l.text[l.off] != '\\' {
				b.WriteByte(l.text[l.off])
				l.off++
				continue
			}
			c, err := l.escape()
			if err != nil {
				return nil, true, err
			}
			b.WriteByte(c)
		}
		s = b.String()
	}
	l.off = max(l.off, end)
	if l.peek() == '\'' {
		l.off++
	}
	return newString(s, tok, at), escaped, nil
}

// boolean turns a string without quotes into a boolean if it spells one.
func boolean(n *Node) *Node {
	switch strings.ToLower(n.Str) {
	case "true", "yes", "on":
		n.Kind, n.Bool = Boolean, true
	case "false", "no", "off":
		n.Kind = Boolean
	default:
		return n
	}
	n.Str = ""
	return n
}
