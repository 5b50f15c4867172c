package conf

// This file keeps secrets out of what is shown: the values of keys that look
// like one, the users and passwords of URLs, and the seeds of nkeys.

import (
	"regexp"
	"strings"
)

// redacted stands for a secret.
const redacted = "[REDACTED]"

// secretWords make a key's value unfit for printing.
const secretWords = `pass|pwd|token|secret`

var (
	secretKey  = regexp.MustCompile(`(?i)` + secretWords)
	secretPair = regexp.MustCompile(`(?i)["']?[\w.$-]*(?:` + secretWords + `)[\w.-]*["']?\s*[:=\s]\s*("[^"]*"?|'[^']*'?|[^\s,;}]+)`)
	userInfo   = regexp.MustCompile(`//([^\s,"']+)@`)
	nkeySeed   = regexp.MustCompile(`\b([SP][A-Z2-7]{54,})`) // the secret half of a key pair, wherever it stands
	urlWord    = regexp.MustCompile(`[^\s,]+`)
)

// isSecretKey says whether the last part of a path names a secret.
func isSecretKey(path string) bool {
	return secretKey.MatchString(path[strings.LastIndexByte(path, '.')+1:])
}

// mask blanks out what looks secret in a line, everything from col
// on if the place itself is secret. It returns the column that col has become.
func mask(line string, col int, all bool) ([]rune, int) {
	at := len(line) // byte offset of col
	for i := range line {
		if col == 0 {
			at = i
			break
		}
		col--
	}
	hidden := make([]bool, len(line)+1)
	for _, re := range []*regexp.Regexp{secretPair, userInfo, nkeySeed} {
		for _, m := range re.FindAllStringSubmatchIndex(line, -1) {
			for i := m[2]; i < m[3]; i++ {
				hidden[i] = true
			}
		}
	}
	for i := at; all && i < len(line); i++ {
		hidden[i] = true
	}
	var out []rune
	caret := -1
	for i, r := range line {
		starts := hidden[i] && (i == 0 || !hidden[i-1])
		if i >= at && caret < 0 {
			caret = len(out)
			if hidden[i] && !starts {
				caret -= len(redacted)
			}
		}
		switch {
		case starts:
			out = append(out, []rune(redacted)...)
		case !hidden[i]:
			out = append(out, visible(r))
		}
	}
	if caret < 0 {
		caret = len(out)
	}
	return out, caret
}

// Mask hides the user and password of URLs in a text, whether they parse or
// not: of each word all between the scheme and the last '@'.
func Mask(s string) string {
	return urlWord.ReplaceAllStringFunc(s, func(word string) string {
		at := strings.LastIndexByte(word, '@')
		if at < 0 {
			return word
		}
		start := 0
		if i := strings.Index(word[:at], "://"); i >= 0 {
			start = i + len("://")
		}
		return word[:start] + redacted + word[at:]
	})
}
