//go:build unix

package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestLargeFilesAreJudgedInTime has files with 20 000 mistakes of a kind: each is judged in no
// time, not in the square of them, and not all are reported.
func TestLargeFilesAreJudgedInTime(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][3]string{ // before, each, after
		"keys that nothing uses":     {"", "a%d: 1\n", ""},
		"keys of a user":             {"authorization { users: [ {user: a, password: b\n", "a%d: 1\n", "} ] }"},
		"keys of a tls block":        {"tls {\n", "a%d: 1\n", "}"},
		"keys of permissions":        {"authorization { default_permissions {\n", "a%d: 1\n", "} }"},
		"subjects":                   {"authorization { default_permissions { publish: [\n", "\"a..%d\"\n", "] } }"},
		"users without a password":   {"authorization { users: [\n", "{user: u%d}\n", "] }"},
		"routes that lead nowhere":   {"cluster { port: 1, routes: [\n", "\"nats://h:x%d\"\n", "] }"},
		"pairs that do not parse":    {"", "a%d: 1 2\n", ""},
		"variables that are not set": {"", "a%d: $unset\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			text.WriteString(parts[0])
			for i := range 20_000 {
				fmt.Fprintf(&text, parts[1], i)
			}
			text.WriteString(parts[2])
			_, stderr, code := run(t, "-t", "-c", writeConfig(t, text.String())) // which kills it if it takes too long
			if errors := strings.Count(stderr, ".conf:"); code != 1 || errors < 50 || errors > 110 {
				t.Errorf("got exit %d, %d errors in %d bytes: %.300s", code, errors, len(stderr), stderr)
			}
		})
	}
}
