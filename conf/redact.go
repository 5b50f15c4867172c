package conf

// This file redacts secrets in all that is shown: the values of secret keys, in a file and in JSON;
// the users and passwords of URLs; and the seeds of nkeys.

import (
	"bytes"
	"encoding/json"
	"math/bits"
	"net/url"
	"slices"
	"strings"
)

// Redacted stands for a secret in everything that is shown.
const Redacted = "[REDACTED]"

// secretWords are parts of the keys whose values are secret, in any case, and such that are so as whole
// words only. Rather a value too many than one too few: clients invent spellings.
const secretWords = `pass|pwd|token|jwt|sig|nkey|seed|secret|cred|private|auth|api[^\pL\pN]?key|kennwort|parole|contrase|` +
	`(?:^|[^\pL])(?:pw|psw|pswd|hash|b?crypt|bearer|pin|otp|mdp|clave)(?:[^\pL]|$)`

// misspelled are words of which a key that is not known may be a misspelling.
var misspelled = []string{"pass", "password", "passwords", "passwd", "passphrase", "token", "tokens", "nkey", "seed", "secret", "secrets", "credentials"}

var (
	// secretKey folds letters as encoding/json does, which takes "paſſ" for "pass".
	secretKey = pattern(`(?i)` + secretWords)
	// keyAndValue matches a word and what may be its value. There may be stray characters in the word
	// and behind it. Strings end at their quotes, which may be escaped.
	keyAndValue = pattern(`([\pL\pN_.$-]+(?:[^\pL\pN_.$\s:=,;-]{1,3}[\pL\pN_.$-]+)*)[^\pL\pN\s:=]{0,3}\s*[:=\s]\s*` +
		`("(?:[^"\\]|\\.)*"?|'[^']*'?|\[[^\]]*\]?|[^\s,;}]+)`)
	keyWords     = pattern(`[\pL\pN]+`)
	strayInKey   = pattern(`[^\pL\pN_.\s-]+`)
	urlKey       = pattern(`(?i)ur[il]|route|listen|dsn`)
	nkeySeed     = pattern(`(?i)\b([SP][A-Z2-7]{54,})`) // the secret half of a key pair; keys are shown in lower case
	openingQuote = pattern(`(?:^|[\s,\[{])["']`)        // rather than one in a word
	urlWord      = pattern(`[^\s,]+`)
	mapStart     = pattern(`^\{\s*["']?[\w.-]+["']?[:=\s{]`) // rather than a URL in braces
)

// sensitivity says what of the value of a key must not be shown.
type sensitivity uint8

const (
	public       sensitivity = iota
	holdsURL                 // what precedes an '@'
	secretScalar             // everything, unless it is a map
	allSecret                // everything
)

// isSecretKey reports whether the value of a key that is in no table is secret. Of a path, the last
// part decides.
func isSecretKey(path string) bool { return isSecretName(lastPart(path)) }

// isSecretName reports whether a name has a word of those that secrets have in it, perhaps
// misspelled, or with a stray character in it.
func isSecretName(name string) bool {
	if len(name) > maxShownKey {
		return true // not worth a search
	}
	if secretKey().MatchString(name) || slices.ContainsFunc(keyWords().FindAllString(name, -1), isMisspelled) {
		return true
	}
	plain := strayInKey().ReplaceAllString(name, "")
	return plain != name && isSecretName(plain)
}

// isMisspelled reports whether a word is a misspelling of a secret one. It is [nearest] without what
// takes long there: a file may have very many keys. Most words lack more letters than there may be
// mistakes.
func isMisspelled(word string) bool {
	if len(word) < 3 || len(word) > 64 {
		return false
	}
	word = strings.ToLower(word)
	have, mistakes := letters(word), max(1, len(word)/3)
	return slices.ContainsFunc(misspelled, func(name string) bool {
		return len(word) >= minPrefix && strings.HasPrefix(name, word) ||
			bits.OnesCount32(letters(name)&^have) <= mistakes && distance(word, name) <= mistakes
	})
}

// letters is the set of the letters from a to z in a word, in any case.
func letters(word string) (set uint32) {
	for _, c := range []byte(word) {
		if c |= 'a' - 'A'; c >= 'a' && c <= 'z' {
			set |= 1 << (c - 'a')
		}
	}
	return set
}

// sensitivity returns that of a key: as its row says or, if it is of none, by its words. A key
// without its path may be that of any row.
func (tb *Table[T]) sensitivity(path string) (s sensitivity) {
	path = strings.ToLower(path)
	if r := tb.byKey[path]; r != nil {
		return tb.rowSensitivity(r)
	}
	known := false
	for spelling, r := range tb.byKey {
		if lastPart(spelling) == path {
			known, s = true, max(s, tb.rowSensitivity(r))
		}
	}
	switch {
	case known:
		return s
	case isSecretKey(path):
		return allSecret
	case urlKey().MatchString(lastPart(path)):
		return holdsURL
	}
	return public
}

// rowSensitivity returns what of the value of a row must not be shown.
func (tb *Table[T]) rowSensitivity(r *Row[T]) sensitivity {
	switch {
	case r.Secret:
		return allSecret
	case tb.secretIn(r) != nil:
		return secretScalar
	case r.HoldsURL:
		return holdsURL
	}
	return public
}

// lastPart is the part of a path behind the last dot.
func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// redactLine hides what is secret in a line of a file: values of secret keys, what precedes an '@' in
// URLs, and what an error at column col is about, by the sensitivity of its key. It returns the
// column that col has become.
func redactLine(line string, col int, about sensitivity, of func(key string) sensitivity) ([]rune, int) {
	at := len(line) // byte offset of col
	for i := range line {
		if col == 0 {
			at = i
			break
		}
		col--
	}
	h := hiding{line: line, hidden: make([]bool, len(line)+1)}
	if about == holdsURL {
		h.urls = append(h.urls, 0)
	}
	for from := 0; ; { // what looks like a value may be the next key
		m := keyAndValue().FindStringSubmatchIndex(line[from:])
		if m == nil {
			break
		}
		s := of(line[from+m[2] : from+m[3]])
		if s == secretScalar && line[from+m[4]] != '{' {
			s = allSecret
		}
		switch s {
		case allSecret:
			h.hide(from+m[4], from+m[5])
			h.hide(afterValue(line, from+m[5], line[from+m[4]]), len(line))
		case holdsURL:
			if key, value := line[from+m[3]:], line[from+m[4]:]; !strings.HasPrefix(key, "://") && !mapStart().MatchString(value) {
				h.urls = append(h.urls, from+m[4])
			}
		}
		from += m[3]
	}
	h.hideURLs()
	for _, m := range nkeySeed().FindAllStringSubmatchIndex(line, -1) {
		h.hide(m[2], m[3])
	}
	if about == allSecret {
		h.hide(at, len(line))
	}
	return replaceHidden(line, h.hidden, at)
}

// afterValue returns where the rest of a secret begins in a line behind what seems to be its end: at
// what cannot follow a value, or follows without a blank, or may be a comment, or else at the end of the
// line. If the value begins with quotes, one more of them may be a part of the secret.
func afterValue(line string, at int, first byte) int {
	quoted := first == '"' || first == '\''
	if isRestOfSecret(line[at:], quoted) || quoted && strings.Count(line[at:], string(first))%2 == 1 {
		return at
	}
	rest := strings.TrimLeft(line[at:], " \t")
	if rest != "" && strings.IndexByte(",;}", rest[0]) >= 0 {
		return len(line)
	}
	return len(line) - len(rest)
}

// hiding is a line of which parts are hidden.
type hiding struct {
	line   string
	hidden []bool
	urls   []int // where URLs may begin, also such without a scheme: the values of keys that hold them
}

func (h *hiding) hide(from, to int) {
	for i := from; i < to; i++ {
		h.hidden[i] = true
	}
}

// hideURLs hides the users and passwords of URLs: what is between a scheme, or the place where a URL
// must begin, and an '@'. Passwords may have any character in them.
func (h *hiding) hideURLs() {
	from := 0
	for {
		n := strings.IndexByte(h.line[from:], '@')
		if n < 0 {
			break
		}
		at := from + n
		if start := h.userInfo(from, at); start < at {
			h.hide(start, at)
		}
		from = at + 1
	}
	open := strings.Count(h.line, `"`)%2 == 1 || strings.Count(h.line, "'")%2 == 1
	i, start := strings.Index(h.line[from:], "://"), h.urlStart(from, len(h.line))
	switch {
	case !open: // else the string goes on in the next line
	case i >= 0:
		h.hide(from+i+len("://"), len(h.line))
	case start >= 0 && openingQuote().MatchString(h.line[start:]):
		h.hide(start, len(h.line))
	}
}

// betweenURLs are the characters before a URL.
const betweenURLs = "\"' \t,[{"

// urlStart returns where the first URL begins in a part of the line, at its scheme or as the value of a
// key; -1 if there is none. A value gives way to a later one if there is no scheme before that.
func (h *hiding) urlStart(from, to int) int {
	start := -1
	for _, value := range h.urls {
		if value >= from && value < to && (start < 0 || !strings.Contains(h.line[start:value], "://")) {
			start = value
		}
	}
	if i := strings.Index(h.line[from:to], "://"); i >= 0 {
		scheme := from + strings.LastIndexAny(h.line[from:from+i], betweenURLs+":=") + 1
		if start < 0 || scheme < start {
			start = scheme
		}
	}
	return start
}

// userInfo returns where the user or password begins that ends at an '@'. from is behind the '@'
// before.
func (h *hiding) userInfo(from, at int) int {
	part := h.line[from:at]
	follows := from > 1 && h.hidden[from-2] // a URL
	start := h.urlStart(from, at)
	switch {
	case start >= 0:
	case follows && !strings.ContainsAny(part, "\"',"):
		return from // an '@' in a password
	case follows || len(h.urls) > 0 && h.urls[0] < from:
		start = from + max(strings.IndexAny(part, betweenURLs), 0)
	default:
		return from + strings.LastIndexAny(part, betweenURLs) + 1
	}
	for start < at && strings.IndexByte(betweenURLs, h.line[start]) >= 0 {
		start++
	}
	return start + schemeLength(h.line[start:at])
}

// urlScheme matches the scheme of a URL.
var urlScheme = pattern(`^[a-zA-Z][a-zA-Z0-9+.-]*://`)

// schemeLength returns the length of the scheme that a URL begins with, 0 if it has none.
func schemeLength(text string) int { return len(urlScheme().FindString(text)) }

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

// RedactURLText hides the user and password in the text of one URL, whether it parses or not and
// whatever the password is: all between the scheme, if there is one, and the last '@'.
func RedactURLText(text string) string {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	start := 0
	for start < at && strings.IndexByte("\"'[(", text[start]) >= 0 {
		start++
	}
	start += schemeLength(text[start:at])
	return text[:start] + Redacted + text[at:]
}

// RedactURLs hides the user and password of URLs in a text, whether they parse or not: of each word
// all between the scheme and the last '@'.
func RedactURLs(text string) string {
	return urlWord().ReplaceAllStringFunc(text, RedactURLText)
}

// RedactSeeds hides the seeds of nkeys in a text.
func RedactSeeds(text string) string { return nkeySeed().ReplaceAllString(text, Redacted) }

// RedactURL returns u for messages, with the user and the password replaced: a user that stands alone
// may be a token. Query and fragment are left out.
func RedactURL(u *url.URL) string {
	if u == nil {
		return ""
	}
	plain := *u
	plain.User, plain.RawQuery, plain.Fragment, plain.RawFragment = nil, "", "", ""
	text := RedactURLText(plain.String())
	switch {
	case u.User == nil:
		return text
	case u.Host == "" && u.Opaque != "":
		return u.Scheme + ":" + Redacted
	}
	return strings.Replace(text, "//", "//"+Redacted+"@", 1)
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
	return isSecretName(key)
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
