package sublist

import "strings"

// The grammar of subjects. Tokens are split on '.'. A pattern is what is
// subscribed to: in it a token that is exactly "*" stands for one token and a
// last token that is exactly ">" for one or more. Anything longer, such as
// "foo*" or ">>", is plain text, and so is a ">" that is not last (such a
// pattern is not valid, but matching it is still well defined). What is
// published is always plain text: its "*" and ">" stand for themselves, and
// its tokens may be empty.

const (
	separator = '.'
	oneToken  = "*" // matches exactly one token
	tailToken = ">" // as the last token, matches one or more
)

// ValidSubject reports whether s may be subscribed to: no token is empty and
// nothing follows a ">" token.
func ValidSubject(s string) bool {
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

// ValidLiteral reports whether s may be published in pedantic mode: no token is
// empty, exactly "*" or exactly ">".
func ValidLiteral(s string) bool {
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

// Matches reports whether a message published to subject, taken as plain text,
// is for a subscription to pattern.
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

// Subset reports whether every subject that pattern a matches is also matched
// by pattern b.
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

// Overlap reports whether some subject is matched by both patterns.
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

// cut returns the first token of s, what follows its separator, and whether
// there was a separator.
func cut[S string | []byte](s S) (token, rest S, more bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == separator {
			return s[:i], s[i+1:], true
		}
	}
	return s, s[len(s):], false
}
