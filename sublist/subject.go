package sublist

import (
	"bytes"
	"strings"
)

// This file is the grammar of subjects. A subject consists of tokens, separated by '.'. A pattern
// is a subject of a subscription: in it the token "*" matches any token, and ">" as the last token
// matches one or more. Longer tokens, such as "foo*" or ">>", are plain text, and so is a ">" that
// is not last (such a pattern is invalid, but matching it is well defined). A published subject is
// always plain text: its "*" and ">" have no special meaning, and its tokens may be empty. Blanks
// and control bytes are in no subject.

const (
	separator = '.'
	oneToken  = "*" // matches exactly one token
	tailToken = ">" // as the last token, matches one or more
)

// ValidSubject reports whether s may be subscribed to: no token is empty, nothing follows a ">"
// token, and there are no blanks or control bytes.
func ValidSubject(s string) bool {
	if !ValidText(s) {
		return false
	}
	for {
		token, rest, more := cut(s)
		if token == "" || more && token == tailToken {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// ValidText reports whether s can be an argument on the wire, such as a subject or a queue: it has
// no blanks and no control bytes.
func ValidText(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// ValidLiteral reports whether s may be published in pedantic mode: no token is empty, exactly "*"
// or exactly ">", and there are no blanks or control bytes.
func ValidLiteral(s string) bool {
	if !ValidText(s) {
		return false
	}
	for {
		token, rest, more := cut(s)
		if token == "" || token == oneToken || token == tailToken {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// IsLiteral reports whether no token of s is exactly "*" or exactly ">".
func IsLiteral(s string) bool {
	if !strings.ContainsAny(s, "*>") {
		return true
	}
	for {
		token, rest, more := cut(s)
		if token == oneToken || token == tailToken {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// Matches reports whether pattern matches subject, which is taken as plain text.
func Matches[S string | []byte](pattern string, subject S) bool {
	for {
		p, patternRest, patternMore := cut(pattern)
		if p == tailToken && !patternMore {
			return true
		}
		s, subjectRest, subjectMore := cut(subject)
		if p != oneToken && p != string(s) || patternMore != subjectMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, subject = patternRest, subjectRest
	}
}

// Subset reports whether every subject that pattern a matches is also matched by pattern b.
func Subset(a, b string) bool {
	for {
		y, bRest, bMore := cut(b)
		if y == tailToken && !bMore {
			return true
		}
		x, aRest, aMore := cut(a)
		if x == tailToken && !aMore || y != oneToken && x != y || aMore != bMore {
			return false
		}
		if !aMore {
			return true
		}
		a, b = aRest, bRest
	}
}

// Overlap reports whether there is a subject that both patterns match.
func Overlap(a, b string) bool {
	for {
		x, aRest, aMore := cut(a)
		y, bRest, bMore := cut(b)
		if x == tailToken && !aMore || y == tailToken && !bMore {
			return true
		}
		if x != y && x != oneToken && y != oneToken || aMore != bMore {
			return false
		}
		if !aMore {
			return true
		}
		a, b = aRest, bRest
	}
}

// cutBytes is cut for the subjects of messages, of which the search is fast.
func cutBytes(s []byte) (token, rest []byte, more bool) {
	if i := bytes.IndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, nil, false
}

// cut returns the first token of s, the rest behind its separator, and whether there is a
// separator.
func cut[S string | []byte](s S) (token, rest S, more bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == separator {
			return s[:i], s[i+1:], true
		}
	}
	return s, s[len(s):], false
}
