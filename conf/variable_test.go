package conf

import (
	"strings"
	"testing"
)

// TestTextOfAVariableIsNotCutSilently has texts in the environment of which a file uses only the
// first value: a warning, and an error where that would be a part of a password.
func TestTextOfAVariableIsNotCutSilently(t *testing.T) {
	t.Parallel()
	const (
		cut     = "variable 'V' has more in the environment than a single value: what follows the first has no effect"
		refused = "variable 'V' has more in the environment than a single value (put quotes inside the quotes)"
	)
	for _, tc := range []struct{ env, file, warning, err string }{
		{"abc", "password: $V", "", ""},
		{" abc\n", "password: $V", "", ""},
		{`"a;b,c}d"`, "password: $V", "", ""},
		{"a;b", "password: $V", "", refused},
		{"a,b", "authorization { user: u, password: $V }", "", refused},
		{"a}b", "token: $V", "", refused},
		{"abc;", "pass: $V", "", refused},
		{"abc #d", "password: $V", "", refused},
		{"a\nb", `password: "x${V}"`, "", refused},
		{"a;b", "PW = $V\npassword: $PW", "", refused},
		{"a;b", "X = $V\npassword: $X", cut, ""},
		{"a;b", "server_name: $V", cut, ""},
		{"1,2", "port: $V", cut, ""},
		{"5 # the number\n", "port: $V", "", ""},
		{"abc;\n", "server_name: $V", "", ""},
	} {
		source := Source{Env: func(name string) (string, bool) { return tc.env, name == "V" }, Read: func(string, bool) ([]byte, error) {
			return []byte(tc.file), nil
		}}
		root, err := source.File("f")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if tc.err == "" && err != nil || !strings.Contains(got, tc.err) || strings.Contains(got, "abc") {
			t.Errorf("%q in %q: got the error %q, want %q", tc.env, tc.file, got, tc.err)
		}
		if root == nil {
			continue
		}
		if got := root.Warnings.Error(); tc.warning == "" && got != "" || !strings.Contains(got, tc.warning) {
			t.Errorf("%q in %q: got the warning %q, want %q", tc.env, tc.file, got, tc.warning)
		}
	}
}
