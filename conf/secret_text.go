package conf

// This file keeps the rest of a secret out of messages: text that a secret without quotes would have
// gone on with, and lines that have one without its key.

import (
	"strings"
	"unicode"
)

// behindSecret is the error about text that follows a secret and may be its rest, of which nothing is
// shown.
func behindSecret(at Pos, key string, quoted bool) *Error {
	e := &Error{Pos: at, Key: key, Msg: "the text behind the secret cannot be read",
		Hint: "the secret ends here: put a comma before what follows, or quotes around the secret if this belongs to it"}
	if quoted {
		e.Hint = `a comma or a line end is missing behind the quotes, or write \" for a quote in the secret`
	}
	return e
}

// masked is e, or the error that shows nothing if e is about what may be the rest of a secret.
func (e *Error) masked() *Error {
	if e.Pos.behind == "" {
		return e
	}
	return behindSecret(e.Pos, e.Pos.behind, e.Pos.quoted)
}

// addUnknown adds the error about a key that is in no row: as an error if it is refused, or seems to be
// the rest of a secret. One that may be that is not shown, unless a known key is meant.
func (r *Report) addUnknown(e *Error, refused bool) {
	behind := e.Pos.behind != "" && e.Hint == ""
	switch {
	case behind && (e.Pos.cut || refused):
		r.Errors.add(e.masked())
	case behind:
		e.Msg, e.Key = "a key behind the secret is unknown, and not shown: it may be the rest of the secret, if that has no quotes", e.Pos.behind
		r.Unknown.add(e)
	case refused:
		r.Errors.add(e)
	default:
		r.Unknown.add(e)
	}
}

// isRestOfSecret reports whether the text behind a secret, up to the end of the line, may be its rest.
// A secret without quotes may go on with anything. Behind quotes, text that follows at once is.
func isRestOfSecret(text string, quoted bool) bool {
	if !quoted {
		return strings.Trim(text, " \t\r,;}]'") != ""
	}
	return text != "" && strings.IndexByte(" \t\r\n,;}]#", text[0]) < 0 && !strings.HasPrefix(text, "//")
}

// isCutSecret reports whether a secret without quotes seems to be cut off by the text behind it, which
// follows without a blank.
func isCutSecret(text string) bool {
	rest := strings.TrimLeft(text, ",;}]'")
	return rest != "" && strings.IndexByte(" \t\r", rest[0]) < 0
}

// lineEnd is the offset of the end of the line that off is in. It is remembered for others in the same
// line, which may be long.
func (l *lexer) lineEnd(off int) int {
	if off >= l.lineFrom && off <= l.lineTo && l.lineTo > 0 {
		return l.lineTo
	}
	l.lineFrom, l.lineTo = off, len(l.text)
	if i := strings.IndexAny(l.text[off:], "\r\n"); i >= 0 {
		l.lineTo = off + i
	}
	return l.lineTo
}

// inSecretTail reports whether an offset is in what may be the rest of the last secret.
func (l *lexer) inSecretTail(off int) bool {
	return l.tailFrom < l.tailTo && off >= l.tailFrom && off < l.tailTo
}

// hideTail marks text as what may be the rest of the secret with this key.
func (l *lexer) hideTail(from, to int, key string, quoted, cut bool) {
	if !l.inSecretTail(from) {
		l.tailFrom, l.tailTo, l.tailKey, l.tailQuoted, l.tailCut = from, to, key, quoted, false
	}
	l.tailCut = l.tailCut || cut
}

// isSecretValue reports whether the value n of the pair that is being read is secret; n is nil if it
// could not be read. A map of users is a mistake, in which the values are passwords.
func (p *parser) isSecretValue(n *Node) bool {
	key := p.path[len(p.path)-1]
	switch {
	case p.inUsers:
		return true
	case !isSecretName(key) || p.isPublic(strings.Join(p.path, ".")):
		return false
	}
	container := n != nil && (n.Kind == Map || n.Kind == Array)
	return !container || !strings.HasPrefix(strings.ToLower(key), "auth")
}

// isPublic reports whether a key is that of a setting whose value is not secret, whatever its words.
func (s *session) isPublic(path string) bool {
	return s.source.public != nil && s.source.public(strings.ToLower(path))
}

// isSecretKey is the function of that name, for keys that may be those of settings.
func (s *session) isSecretKey(path string) bool { return isSecretKey(path) && !s.isPublic(path) }

// shownKey is the key of the pair that is being read, as far as it may be shown.
func (p *parser) shownKey() string { return strings.Join(withoutSecrets(p.shownPath()), ".") }

// shownPath is the path of that pair as far as it is no rest of a secret.
func (p *parser) shownPath() []string {
	if p.hiddenFrom > 0 {
		return p.path[:p.hiddenFrom-1]
	}
	return p.path
}

// secretKey is the key of the last secret value, as far as it may be shown.
func (p *parser) secretKey() string { return strings.Join(withoutSecrets(p.secretPath), ".") }

// hideSecret records where the secret value is that was read, or could not be. key and value are where
// they begin; at is the position of the value.
func (p *parser) hideSecret(key int, at Pos, value int, n *Node, err *Error) {
	if !p.isSecretValue(n) {
		return
	}
	if err != nil {
		p.skipSecret(value, err)
	}
	end := p.lineEnd(p.off)
	p.secretEnd, p.secretLine, p.secretPath = p.off, end, append(p.secretPath[:0], p.shownPath()...)
	quoted := p.off > value && strings.IndexByte(`"'`, p.text[value]) >= 0
	p.secretQuoted = quoted
	if err != nil || isRestOfSecret(p.text[p.off:end], quoted) {
		p.hideTail(p.off, end, p.secretKey(), quoted, err != nil || quoted || isCutSecret(p.text[p.off:end]))
	}
	if p.fixed != nil {
		return
	}
	if p.inUsers || err != nil || strings.Contains(p.text[key:value], "\n") {
		p.src.hide(at.Line, at.Col)
	}
	for i := range strings.Count(p.text[value:p.off], "\n") {
		p.src.hide(at.Line+1+i, 1)
	}
}

// skipSecret skips the rest of a secret that begins at value and could not be read. If its end is not
// known, nothing more is read: it would be the secret.
func (p *parser) skipSecret(value int, err *Error) {
	switch {
	case value >= len(p.text):
	case p.text[value] == '\n' || p.text[value] == '\r': // it may be in the next line
		from := len(p.text) - len(strings.TrimLeftFunc(p.text[value:], unicode.IsSpace))
		p.hideTail(value, p.lineEnd(from), p.shownKey(), false, true)
		if p.fixed == nil {
			at := p.posAt(from)
			p.src.hide(at.Line, at.Col)
		}
	case strings.HasPrefix(err.Msg, "Unexpected EOF"):
		err.last = true
	case p.text[value] == '"':
		end := quotedString().FindString(p.text[value:])
		if end == "" {
			err.last = true
		}
		p.off = max(p.off, value+len(end))
	}
}

// quotedString matches a string in double quotes at the beginning of a text.
var quotedString = pattern(`^"(?:[^"\\]|\\(?s:.))*"`)

// followsSecret reports whether a secret ends before an offset in the same line.
func (p *parser) followsSecret(off int) bool {
	return p.secretEnd > 0 && p.secretEnd <= off && off <= p.secretLine
}

// checkBehindSecret refuses what is no key with a value behind a secret: it is the rest of that. start
// is where the key begins; it has been read.
func (p *parser) checkBehindSecret(start int, at Pos, quoted bool) *Error {
	if !p.followsSecret(start) {
		return nil
	}
	word := quoted || keyWord().MatchString(p.path[len(p.path)-1])
	rest := strings.TrimLeft(p.text[p.off:], " \t")
	if strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, ":") {
		rest = strings.TrimLeft(rest[1:], " \t")
	}
	if word && rest != "" && strings.IndexByte("\r\n,;}]#", rest[0]) < 0 && !strings.HasPrefix(rest, "//") {
		if behind := p.text[p.secretEnd:p.secretLine]; p.secretQuoted && !isRestOfSecret(behind, true) && strings.Count(behind, `"`)%2 == 0 && strings.Count(behind, "'")%2 == 0 {
			p.secretEnd = 0 // a setting follows: the secret was complete
		}
		return nil
	}
	if next := strings.TrimLeftFunc(rest, unicode.IsSpace); word && len(next) < len(rest) && next != "" {
		if strings.IndexByte("{[", next[0]) >= 0 { // of a block, in the next line
			return nil
		}
	}
	p.hideTail(start, p.lineEnd(start), p.secretKey(), p.secretQuoted, true)
	return behindSecret(at, p.secretKey(), p.secretQuoted)
}

// keyWord matches what the key of a setting looks like.
var keyWord = pattern(`^[\w.$-]+$`)

// unexpected is an error about the next character, unless it may be one of a secret.
func (p *parser) unexpected(format string) *Error {
	switch {
	case p.followsSecret(p.off):
		return behindSecret(p.pos(), p.secretKey(), p.secretQuoted)
	case len(p.path) > 0 && p.isSecretValue(nil) && p.arrays > 0:
		return behindSecret(p.pos(), p.shownKey(), false)
	}
	return errorAt(p.pos(), format, char(p.peek()))
}

// hide marks a line as not to be shown from a column on.
func (s *source) hide(line, col int) {
	if s.hidden == nil {
		s.hidden = map[int]int{}
	}
	if from, ok := s.hidden[line]; !ok || col < from {
		s.hidden[line] = col
	}
}

// shownLine is the line that p is on as far as it may be shown, and the column in it.
func (p Pos) shownLine() (line string, col int, ok bool) {
	line, ok = p.sourceLine()
	col = p.Col - 1
	if !ok {
		return "", 0, false
	}
	if from, hidden := p.src.hidden[p.Line]; hidden {
		if runes := []rune(line); from-1 < len(runes) {
			line = string(runes[:from-1]) + Redacted
		}
		col = min(col, from-1)
	}
	return line, col, true
}
