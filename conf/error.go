package conf

// This file holds positions in files, the errors that have them, and how both are shown.

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pos is a position in a file. Line and Col count from 1, columns in characters. The zero Pos is
// unknown.
type Pos struct {
	File      string
	Line, Col int

	src    *source
	behind string // key of a secret whose rest it may be; empty if it is none
	cut    bool   // that secret seems to be cut off
	quoted bool   // that secret is in quotes
}

// source is the text a Pos points into.
type source struct {
	name string
	text string

	hidden map[int]int // lines of which nothing is shown from a column on
}

// String returns file:line:col, or line:col for text without a name.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	s := strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col)
	if p.File == "" {
		return s
	}
	return p.File + ":" + s
}

// IsZero reports whether p is unknown.
func (p Pos) IsZero() bool {
	return p.Line == 0 && p.File == ""
}

// sourceLine is the line p is on, without its end; ok is false if the text is not known.
func (p Pos) sourceLine() (line string, ok bool) {
	if p.src == nil || p.Line == 0 {
		return "", false
	}
	text := p.src.text
	for range p.Line - 1 {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			return "", false
		}
		text = text[i+1:]
	}
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(text, "\r"), true
}

// cutURL reports whether the value at p may be the beginning of a URL whose '@' follows behind its
// end.
func (p Pos) cutURL() bool {
	line, ok := p.sourceLine()
	if !ok {
		return false
	}
	value := []rune(line)
	return beginsURL(string(value[min(p.Col-1, len(value)):]))
}

// beginsURL reports whether a text has an '@' in it, and begins with the URL that it belongs to.
func beginsURL(text string) bool {
	before, _, found := strings.Cut(text, "@")
	return found && strings.Count(before, "://") < 2
}

// errCutURL replaces an error about the beginning of a URL, which may show that of a password.
var errCutURL = errors.New("a URL with blanks, commas or quotes in it must be in quotes, and these be escaped")

// Error is one error in a file or on a command line.
type Error struct {
	Pos Pos
	// Key is the path of the setting, as in "cluster.port"; empty if the error is not about
	// one.
	Key string
	Msg string
	// Hint says what to do. It follows the message in parentheses.
	Hint string

	shows     string // the text of a value that Msg has in quotes, and may be secret
	variable  bool   // about a variable, and complete without the text around the reference
	valueless bool   // a key at the end of a file has no value
	last      bool   // nothing can be read after it
}

// Error returns "file:line:col: key: message (hint)", without what is not known.
func (e *Error) Error() string {
	var b strings.Builder
	if !e.Pos.IsZero() {
		b.WriteString(Printable(e.Pos.String()) + ": ")
	}
	if e.Key != "" {
		b.WriteString(shortenTo(RedactURLText(e.Key), maxShownKey) + ": ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return RedactSeeds(b.String())
}

// frame is Error followed by the line of the file and a caret under the position. of says which keys
// of the file are secret.
func (e *Error) frame(of func(key string) sensitivity) string {
	line, col, ok := e.Pos.shownLine()
	if !ok {
		return e.Error()
	}
	line, col = near(line, col)
	about := of(e.Key)
	if e.Pos.behind != "" {
		about = allSecret
	}
	shown, col := window(redactLine(line, col, about, of))
	return e.Error() + "\n    " + shown + "\n    " + strings.Repeat(" ", col) + "^"
}

// Errors are all errors of one file, in the order in which they were found. It is never empty when
// it is returned as an error.
type Errors []*Error

// Error returns one error per line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// add appends an error, but not more than maxErrors.
func (es *Errors) add(e *Error) {
	switch {
	case len(*es) < maxErrors:
		*es = append(*es, e)
	case !es.full():
		*es = append(*es, errorAt(e.Pos, "too many of them, the rest is not shown"))
	}
}

// full reports whether add appends nothing more.
func (es *Errors) full() bool { return len(*es) > maxErrors }

// Sorted returns the errors by file, in the order in which files occur, and by position; not more
// than maxErrors.
func (es Errors) Sorted() Errors {
	files := make(map[string]int)
	for _, e := range es {
		if _, known := files[e.Pos.File]; !known {
			files[e.Pos.File] = len(files)
		}
	}
	sorted := slices.Clone(es)
	slices.SortStableFunc(sorted, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(files[a.Pos.File], files[b.Pos.File]),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	if len(sorted) > maxErrors {
		last := sorted[maxErrors]
		sorted = append(sorted[:maxErrors], errorAt(last.Pos, "too many errors, the rest is not shown"))
	}
	return sorted
}

// Unwrap lets errors.As and errors.Is see each error.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// err is es as an error, nil if there are none.
func (es Errors) err() error {
	if len(es) == 0 {
		return nil
	}
	return es
}

// Explain returns the text of err for a terminal: every [Error] in it is followed by its line of
// the file, with a caret under the position. Values of secret keys are redacted.
func (tb *Table[T]) Explain(err error) string {
	var es Errors
	if errors.As(err, &es) {
		frames := make([]string, len(es))
		for i, e := range es {
			frames[i] = e.frame(tb.sensitivity)
		}
		return strings.Join(frames, "\n")
	}
	var e *Error
	if errors.As(err, &e) {
		return e.frame(tb.sensitivity)
	}
	return err.Error()
}

// visible is what a terminal shows for a character, in one column: the caret must stay under it.
func visible(r rune) rune {
	switch {
	case r == '\t' || unicode.IsSpace(r):
		return ' '
	case !unicode.IsPrint(r):
		return '?'
	}
	return r
}

// near shortens a very long line to what the search for secrets needs.
func near(line string, col int) (string, int) {
	const before, behind = 4096, 512
	if col > before {
		for range col - before {
			_, size := utf8.DecodeRuneInString(line)
			line = line[size:]
		}
		col = before
	}
	if len(line) > utf8.UTFMax*(col+behind) {
		line = line[:utf8.UTFMax*(col+behind)]
	}
	return line, col
}

// window shortens a long line to the part around col.
func window(line []rune, col int) (string, int) {
	const before, width = 60, 100
	prefix := ""
	if col > before {
		prefix = "..."
		line = line[col-before:]
		col = before + len(prefix)
	}
	suffix := ""
	if len(line) > width {
		line, suffix = line[:width], "..."
	}
	return prefix + string(line) + suffix, col
}

// Bytes of a file that a message shows at most.
const (
	maxShownText = 60
	maxShownKey  = 150 // with the sections it lies in
)

// shorten shortens text from a file for a message, and makes it printable. It may be a URL with a
// password, wherever it stands.
func shorten(s string) string {
	if s = RedactURLText(s); strings.Contains(s, "://") {
		s = redactPort(s)
	}
	return shortenTo(s, maxShownText)
}

// shortenTo is shorten with a limit in bytes. Of a seed not even a part is shown.
func shortenTo(s string, most int) string {
	const longest = 4 * maxShownKey // that is searched
	if s = RedactSeeds(s[:min(len(s), longest)]); len(s) > most {
		end := most
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "..."
	}
	return Printable(s)
}

// quote is shorten in quotes.
func quote(s string) string {
	return `"` + shorten(s) + `"`
}

// Printable escapes what would disturb a terminal or a log: control characters, line ends, and
// bytes that are not UTF-8. Text from outside is shown through it.
func Printable(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`), `\\`, `\`)
}

// char is a character as a message shows it.
func char(r rune) string {
	if r == endOfText {
		return "EOF"
	}
	if r == '\'' {
		return "'"
	}
	return Printable(string(r))
}

// showing records which text of a value the message contains.
func (e *Error) showing(text string) *Error {
	e.shows = text
	return e
}

// errorAt is an error without a key.
func errorAt(at Pos, format string, args ...any) *Error {
	return &Error{Pos: at, Msg: fmt.Sprintf(format, args...)}
}
