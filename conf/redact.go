package conf

// This file redacts secrets in all that is shown: the values of secret keys, in a file and in JSON;
// the users and passwords of URLs; and the seeds of nkeys.

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// Redacted stands for a secret in everything that is shown.
const Redacted = "[REDACTED]"

// secretWords are parts of the keys whose values are secret, in any case. Rather a value too many
// than one too few: clients invent spellings.
const secretWords = `pass|pwd|token|jwt|sig|nkey|seed|secret|cred|private|auth`

var (
	// secretKey folds letters as encoding/json does, which takes "paſſ" for "pass".
	secretKey  = regexp.MustCompile(`(?i)` + secretWords)
	secretPair = regexp.MustCompile(`(?i)["']?([\w.$-]*(?:` + secretWords + `)[\w.-]*)["']?\s*[:=\s]\s*` +
		`("[^"]*"?|'[^']*'?|\[[^\]]*\]?|[^\s,;}]+)`)
	userInfo = regexp.MustCompile(`//([^\s,"']+)@`)
	nkeySeed = regexp.MustCompile(`\b([SP][A-Z2-7]{54,})`) // the secret half of a key pair
	urlWord  = regexp.MustCompile(`[^\s,]+`)
)

// isSecretKey reports whether the value of a key is secret. Of a path, the last part decides.
func isSecretKey(path string) bool {
	return secretKey.MatchString(lastPart(path))
}

// isSecret reports whether the value of a key is secret: as its row says or, if it is of none, by
// its words. A key without its path may be that of any row.
func (tb *Table[T]) isSecret(path string) bool {
	path = strings.ToLower(path)
	if r := tb.byKey[path]; r != nil {
		return r.Secret
	}
	known := false
	for spelling, r := range tb.byKey {
		if lastPart(spelling) == path {
			known = true
			if r.Secret {
				return true
			}
		}
	}
	return !known && isSecretKey(path)
}

// lastPart is the part of a path behind the last dot.
func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// redactLine hides what is secret in a line of a file: values whose key is secret, and if rest is
// set all from column col on. It returns the column that col has become.
func redactLine(line string, col int, rest bool, secret func(key string) bool) ([]rune, int) {
	at := len(line) // byte offset of col
	for i := range line {
		if col == 0 {
			at = i
			break
		}
		col--
	}
	hidden := make([]bool, len(line)+1)
	hide := func(from, to int) {
		for i := from; i < to; i++ {
			hidden[i] = true
		}
	}
	for from := 0; ; { // what looks like a value may be the next key
		m := secretPair.FindStringSubmatchIndex(line[from:])
		if m == nil {
			break
		}
		if secret(line[from+m[2] : from+m[3]]) {
			hide(from+m[4], from+m[5])
		}
		from += m[3]
	}
	for _, re := range []*regexp.Regexp{userInfo, nkeySeed} {
		for _, m := range re.FindAllStringSubmatchIndex(line, -1) {
			hide(m[2], m[3])
		}
	}
	if rest {
		hide(at, len(line))
	}
	return replaceHidden(line, hidden, at)
}

// replaceHidden replaces each hidden part of a line, and returns the column of an offset in what
// becomes of it.
func replaceHidden(line string, hidden []bool, at int) (out []rune, col int) {
	col = -1
	for i, r := range line {
		starts := hidden[i] && (i == 0 || !hidden[i-1])
		if i >= at && col < 0 {
			col = len(out)
			if hidden[i] && !starts {
				col -= len(Redacted)
			}
		}
		switch {
		case starts:
			out = append(out, []rune(Redacted)...)
		case !hidden[i]:
			out = append(out, visible(r))
		}
	}
	if col < 0 {
		col = len(out)
	}
	return out, col
}

// RedactURLs hides the user and password of URLs in a text, whether they parse or not: of each word
// all between the scheme and the last '@'.
func RedactURLs(text string) string {
	return urlWord.ReplaceAllStringFunc(text, func(word string) string {
		at := strings.LastIndexByte(word, '@')
		if at < 0 {
			return word
		}
		start := 0
		if i := strings.Index(word[:at], "://"); i >= 0 {
			start = i + len("://")
		}
		return word[:start] + Redacted + word[at:]
	})
}

// RedactURL returns u for messages that show whose it is: the password, or a user that stands alone
// and so may be a token, is replaced. Query and fragment are left out.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	plain := *u
	plain.User, plain.RawQuery, plain.Fragment, plain.RawFragment = nil, "", "", ""
	text := plain.String()
	if u.User == nil {
		return text
	}
	user := Redacted
	if _, ok := u.User.Password(); ok {
		user = url.User(u.User.Username()).String() + ":" + Redacted
	}
	if u.Host == "" && u.Opaque != "" {
		return u.Scheme + ":" + Redacted
	}
	return strings.Replace(text, "//", "//"+user+"@", 1)
}

// RedactJSON returns a JSON object with the values of secret keys replaced, however they are
// spelled, escaped, nested or typed. Of what is not JSON, or only a string, number or list, nothing
// but an opening brace is shown.
func RedactJSON(text []byte) []byte {
	if !json.Valid(text) || strings.IndexByte("{ntf", text[skipBlanks(text, 0)]) < 0 {
		return redactBroken(text)
	}
	out := make([]byte, 0, len(text)+len(Redacted))
	for i := 0; i < len(text); {
		if text[i] != '"' {
			out = append(out, text[i])
			i++
			continue
		}
		end := stringEnd(text, i)
		key := text[i:end]
		out = append(out, key...)
		i = end
		after := skipBlanks(text, i)
		if after == len(text) || text[after] != ':' || !isSecretJSON(key) {
			continue
		}
		value := skipBlanks(text, after+1)
		out = append(out, text[i:value]...)
		out = append(out, `"`+Redacted+`"`...)
		i = valueEnd(text, value)
	}
	return out
}

// redactBroken keeps the beginning of what should have been JSON, white space and opening braces:
// keys and values cannot be told apart in the rest.
func redactBroken(text []byte) []byte {
	n := 0
	for n < len(text) && strings.IndexByte(" \t{", text[n]) >= 0 {
		n++
	}
	if n == len(text) {
		return bytes.Clone(text)
	}
	return append(bytes.Clone(text[:n]), Redacted+" (malformed JSON)"...)
}

// isSecretJSON is isSecretKey for a quoted JSON string, in which a dot is nothing special.
func isSecretJSON(quoted []byte) bool {
	var key string
	if err := json.Unmarshal(quoted, &key); err != nil {
		return true
	}
	return secretKey.MatchString(key)
}

// stringEnd returns the index after the JSON string that starts at i. As all that follow, it relies
// on valid JSON.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// skipBlanks returns the index of the first byte from i on that is no white space.
func skipBlanks(text []byte, i int) int {
	for i < len(text) && strings.IndexByte(" \t\r\n", text[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd returns the index after the JSON value that starts at i.
func valueEnd(text []byte, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
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
	return len(text)
}
