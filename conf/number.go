package conf

// This file reads what starts with a digit or a minus sign: integers with their suffixes, floats,
// dates, and strings that begin like one of them.

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// number reads a token that starts with a digit or a minus sign: an integer, a float, a date, or if
// it is none a string such as 127.0.0.1 or 2s.
func (l *lexer) number() (*Node, *Error) {
	at := l.pos()
	tok := l.bareToken()
	head := tok
	if i := strings.IndexByte(head, '#'); i >= 0 {
		head = head[:i]
	}
	if i := strings.Index(head, "//"); i >= 0 {
		head = head[:i]
	}
	n, err := classify(head, l, at)
	if err != nil {
		if err.Hint == "" {
			err.Hint = "if it is meant as a string, put it in quotes"
		}
		return nil, err
	}
	if n == nil {
		n, _, err = l.bare()
		return n, err
	}
	n.Pos, n.Raw = at, head
	n.weight = 1 + len(n.Str)
	l.off += len(head)
	return n, nil
}

// classify decides what a token is that starts like a number. It returns nil if that is a string,
// which may have escapes.
func classify(tok string, l *lexer, at Pos) (*Node, *Error) {
	digits := strings.TrimPrefix(tok, "-")
	i := 0
	for i < len(digits) && isDigit(rune(digits[i])) {
		i++
	}
	rest := digits[i:]
	after := func(n int) string { return l.charAt(l.off + len(tok) - len(digits) + n) }
	switch {
	case i == 0 && strings.HasPrefix(rest, "."):
		return nil, errorAt(at, "Floats must start with a digit, not '.'.")
	case i == 0:
		return nil, errorAt(at, "Expected a digit but got '%s'.", after(0)).showing(after(0))
	case rest == "":
		return integer(tok, tok, 1, at)
	case rest[0] == '-':
		return date(tok, l, at)
	case rest[0] == '.':
		j := 1
		for j < len(rest) && isDigit(rune(rest[j])) {
			j++
		}
		if j == 1 {
			return nil, errorAt(at, "Floats must have a digit after the '.', but got '%s' instead.", after(i+1)).showing(after(i + 1))
		}
		if j == len(rest) {
			return float(tok, at)
		}
		return nil, nil
	}
	unit, ok := units[strings.ToLower(rest)]
	if ok {
		return integer(tok, tok[:len(tok)-len(rest)], unit, at)
	}
	if _, ok := units[strings.TrimRight(strings.ToLower(rest), "b")]; ok {
		return nil, errorAt(at, "unknown suffix '%s' of an integer", shorten(rest)).showing(shorten(rest))
	}
	return nil, nil
}

// units are the suffixes of integers, in lower case. One letter is a power of 1000, more letters
// are a power of 1024. Later brokers have p and e too: no setting needs them, and a password may
// look like one.
var units = map[string]int64{
	"k": 1e3, "kb": 1 << 10, "ki": 1 << 10, "kib": 1 << 10,
	"m": 1e6, "mb": 1 << 20, "mi": 1 << 20, "mib": 1 << 20,
	"g": 1e9, "gb": 1 << 30, "gi": 1 << 30, "gib": 1 << 30,
	"t": 1e12, "tb": 1 << 40, "ti": 1 << 40, "tib": 1 << 40,
}

// integer reads digits that count in units. tok is the token for an error.
func integer(tok, digits string, unit int64, at Pos) (*Node, *Error) {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return nil, errorAt(at, "integer '%s' is out of the range", shorten(tok)).showing(shorten(tok))
	}
	return &Node{Kind: Integer, Int: n * unit}, nil
}

// float reads a number with a decimal point.
func float(tok string, at Pos) (*Node, *Error) {
	f, err := strconv.ParseFloat(tok, 64)
	if err != nil {
		return nil, errorAt(at, "float '%s' is out of the range", shorten(tok)).showing(shorten(tok))
	}
	return &Node{Kind: Float, Float: f}, nil
}

// date reads YYYY-MM-DDThh:mm:ssZ. There is no other form.
func date(tok string, l *lexer, at Pos) (*Node, *Error) {
	const form = "0000-00-00T00:00:00Z"
	if len(tok) < 5 || tok[4] != '-' {
		return nil, errorAt(at, "All ISO8601 dates must be in full Zulu form.")
	}
	for i := range len(form) {
		where := func() Pos { return l.posAt(l.off + i) }
		got := "EOF"
		if l.off+i < len(l.text) {
			got = l.charAt(l.off + i)
		}
		switch {
		case form[i] == '0' && (i >= len(tok) || !isDigit(rune(tok[i]))):
			return nil, errorAt(where(), "Expected digit in ISO8601 datetime, but found '%s' instead.", got).showing(got)
		case form[i] != '0' && (i >= len(tok) || tok[i] != form[i]):
			return nil, errorAt(where(), "Expected '%c' in ISO8601 datetime, but found '%s' instead.", form[i], got).showing(got)
		}
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", tok)
	if err != nil {
		return nil, errorAt(at, "expected Zulu formatted DateTime, but got '%s'", shorten(tok)).showing(shorten(tok))
	}
	return &Node{Kind: Time, Time: t}, nil
}
