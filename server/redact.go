package server

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"unicode"
)

// Nothing secret reaches a log: the values that traces and messages blank out.

// redacted stands where a secret stood.
const redacted = "[REDACTED]"

// secretWords are parts of the keys whose values are secret. Rather a value too
// many than one too few: clients invent spellings.
var secretWords = []string{
	"pass", "pwd", "token", "jwt", "sig", "nkey", "seed", "secret", "cred", "private", "auth",
}

// isSecretKey reports whether the value of a JSON key, escapes resolved, is
// secret. It folds letters as encoding/json does, which takes "paſſ" for "pass".
func isSecretKey(key string) bool {
	folded := strings.Map(func(r rune) rune {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			if f < unicode.MaxASCII && unicode.IsLower(f) {
				return f
			}
		}
		return unicode.ToLower(r)
	}, key)
	for _, word := range secretWords {
		if strings.Contains(folded, word) {
			return true
		}
	}
	return false
}

// redactConnect returns the arguments of a CONNECT for a trace, with the values
// of secret keys replaced, however they are spelled, escaped, nested or typed.
// Of what is not JSON, or only a string, number or list, nothing but an opening
// brace is shown.
func redactConnect(arg []byte) []byte {
	if !json.Valid(arg) || strings.IndexByte("{ntf", arg[skipBlanks(arg, 0)]) < 0 {
		return redactBroken(arg)
	}
	out := make([]byte, 0, len(arg)+len(redacted))
	for i := 0; i < len(arg); {
		if arg[i] != '"' {
			out = append(out, arg[i])
			i++
			continue
		}
		end := stringEnd(arg, i)
		key := arg[i:end]
		out = append(out, key...)
		i = end
		after := skipBlanks(arg, i)
		if after == len(arg) || arg[after] != ':' || !isSecretJSON(key) {
			continue
		}
		value := skipBlanks(arg, after+1)
		out = append(out, arg[i:value]...)
		out = append(out, `"`+redacted+`"`...)
		i = valueEnd(arg, value)
	}
	return out
}

// redactBroken keeps the beginning of what should have been JSON: a blank, an
// opening brace and no more, for nobody can tell keys from values in the rest.
func redactBroken(arg []byte) []byte {
	n := 0
	for n < len(arg) && strings.IndexByte(" \t{", arg[n]) >= 0 {
		n++
	}
	if n == len(arg) {
		return bytes.Clone(arg)
	}
	return append(bytes.Clone(arg[:n]), redacted+" (malformed JSON)"...)
}

// isSecretJSON is isSecretKey for a quoted JSON string.
func isSecretJSON(quoted []byte) bool {
	var key string
	if err := json.Unmarshal(quoted, &key); err != nil {
		return true
	}
	return isSecretKey(key)
}

// stringEnd returns the index after the JSON string that starts at i. As all
// that follow, it relies on valid JSON.
func stringEnd(arg []byte, i int) int {
	for i++; i < len(arg); i++ {
		switch arg[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(arg)
}

func skipBlanks(arg []byte, i int) int {
	for i < len(arg) && strings.IndexByte(" \t\r\n", arg[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd returns the index after the JSON value that starts at i.
func valueEnd(arg []byte, i int) int {
	depth := 0
	for i < len(arg) {
		switch arg[i] {
		case '"':
			i = stringEnd(arg, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(arg)
}

// redactURL returns u for messages: the password, or a user that stands alone
// and so may be a token, is replaced.
func redactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	plain := *u
	plain.User, plain.RawQuery, plain.Fragment, plain.RawFragment = nil, "", "", ""
	text := plain.String()
	if u.User == nil {
		return text
	}
	who := redacted
	if _, ok := u.User.Password(); ok {
		who = url.User(u.User.Username()).String() + ":" + redacted
	}
	if u.Host == "" && u.Opaque != "" {
		return u.Scheme + ":" + redacted
	}
	return strings.Replace(text, "//", "//"+who+"@", 1)
}
