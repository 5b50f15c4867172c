package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checked is what -t and a start say of a configuration file: the errors, "" for none. Of a start
// they are those before it opens a port. unknown reports that there are keys that nothing uses.
func checked(t *testing.T, file string) (check, start string, unknown bool) {
	t.Helper()
	var out strings.Builder
	if _, status := CommandLine([]string{"-t", "-c", file}, io.Discard, &out); status != 0 {
		check = errorLines(out.String())
	}
	out.Reset()
	o, _ := CommandLine([]string{"-c", file}, io.Discard, &out)
	if o == nil {
		return check, errorLines(out.String()), false
	}
	for _, err := range o.startProblems() {
		start += err.Error() + "\n"
	}
	if _, err := NewServer(o); err != nil {
		start += err.Error() + "\n"
	}
	return check, start, len(o.loaded.values.Unknown) > 0
}

// errorLines leaves out warnings, and lines of the file with their marks.
func errorLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    ") && !strings.HasPrefix(line, "warning: ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// wantAgreement fails if -t and a start say different things of a configuration, or an error has no
// place. Unknown keys are errors of -t only.
func wantAgreement(t *testing.T, file, text string) (refused bool) {
	t.Helper()
	okay(t, os.WriteFile(file, []byte(text), 0o600))
	check, start, unknown := checked(t, file)
	switch {
	case unknown && check == "":
		t.Errorf("-t accepts a key that nothing uses:\n%s", text)
	case !unknown && check != start:
		t.Errorf("they differ about\n%s\n-t:    %s\nstart: %s", text, check, start)
	case start != "" && !strings.HasPrefix(start, file+":"):
		t.Errorf("no place in the error about\n%s\n%s", text, start)
	}
	return start != ""
}

// TestCheckSaysWhatAStartSays tries every row with values that fit and values that do not.
func TestCheckSaysWhatAStartSays(t *testing.T) {
	t.Parallel()
	values := []string{"{ a: 1 }", `"x y"`, "-7"}
	file := filepath.Join(t.TempDir(), "x.conf")
	for _, r := range optionTable().Rows() {
		if r.Key == "" {
			continue
		}
		path := strings.Split(r.Key, ".")
		slices.Reverse(path)
		refused := 0
		for _, value := range values {
			text := path[0] + ": " + value
			for _, section := range path[1:] {
				text = section + " { " + text + " }"
			}
			if wantAgreement(t, file, text) {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("%s accepts everything", r.Key)
		}
	}
}

// TestContradictionsAreSaidTheSameWay has settings that are right by themselves, and not together.
func TestContradictionsAreSaidTheSameWay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.conf")
	for _, text := range []string{
		"no_auth_user: x", "no_auth_user: x\nauthorization { user: a, password: b }", "no_auth_user: x\nauthorization { token: abc }",
		"no_auth_user: x\nauthorization { users: [{user: a, password: b}] }", "allow_non_tls: true", "http: 8222\nhttp_verify: true",
		"https: 8222", "http: 1\nhttps: 2", "cluster { routes: [\"nats://h:1\"] }", "port: 5\nprof_port: 5", "port: 5\ncluster { port: 5 }",
		"client_advertise: \"a:b:c\"", "cluster { port: 1, advertise: \"a:b:c\" }", "remote_syslog: \"foo://x\"", "system_account: X",
		"http_user: a", "http_password: a", "authorization { user: a }", "authorization { password: b }", "cluster { port: 1, authorization { user: a } }",
		"authorization { user: a, password: b, token: c }", "authorization { default_permissions { publish: x } }", "tls { verify_and_map: true }",
		"accounts { A { users: [] }, B { users: [] } }", "authorization { token: abc }\naccounts { A { users: [] } }",
		"authorization { users: [{user: a, password: b}] }\naccounts { A { users: [{user: c, password: d}] } }",
		"listen: [\"h:1\", \"h:1\"]", "also_listen: [\"0.0.0.0:4222\"]",
	} {
		if !wantAgreement(t, file, text) {
			t.Errorf("%s is accepted", text)
		}
	}
}

// TestKeysThatRestrictNothingStopTheStart has keys that were meant to restrict who may connect, or
// what they may do.
func TestKeysThatRestrictNothingStopTheStart(t *testing.T) {
	t.Parallel()
	user := func(more string) string {
		return fmt.Sprintf("authorization { users: [{user: a, password: b, %s}] }", more)
	}
	file := filepath.Join(t.TempDir(), "x.conf")
	for _, text := range []string{
		"auth { user: a, password: b }", "acl { a: b }", "security { user: a }", "basic_auth { a: b }", "login { user: a, password: b }",
		user("publish: x"), user("subscribe: [x]"), user("pub: x"), user("deny: x"), user("allow: x"), user("allow_responses: true"),
		user(`expires: "1h"`), user(`valid_until: "2030-01-01"`), user(`allowed_cidrs: ["10.0.0.0/8"]`), user(`ip: "10.0.0.1"`), user("roles: [x]"),
		`authorization { allowed_cidrs: ["10.0.0.0/8"], users: [{user: a, password: b}] }`,
		"accounts { A { users: [{user: a, password: b, publish: x}] } }",
	} {
		if !wantAgreement(t, file, text) {
			t.Errorf("%s is accepted", text)
		}
	}
}

// TestCheckKnowsWhatMayNotBeWritten has a user that may write to some places only.
func TestCheckKnowsWhatMayNotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	okay(t, os.WriteFile(old, nil, 0o600))
	for _, tt := range []struct{ path, allowed, want string }{
		{filepath.Join(dir, "new"), dir, ""},
		{filepath.Join(dir, "new"), "", "this user may not write there: " + dir},
		{old, old, ""},
		{old, dir, "this user may not write there: " + old},
		{dir, "", dir + " is a folder"},
	} {
		got := notWritable(tt.path, func(path string) error {
			if path != tt.allowed {
				return errors.New(path)
			}
			return nil
		})
		if got != tt.want {
			t.Errorf("%s, where %q is allowed: got %q, want %q", tt.path, tt.allowed, got, tt.want)
		}
	}
}

// TestCheckWarnsOfWhatDependsOnTheMachine has files that are checked elsewhere than they are used.
func TestCheckWarnsOfWhatDependsOnTheMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert := certOpts(certDir(t), "server")
	pair := fmt.Sprintf("cert_file: %q, key_file: %q", cert.CertFile, cert.KeyFile)
	for _, tt := range []struct{ text, want string }{
		{"tls { " + pair + ", verify: true }", "tls.verify: there is no ca_file: a certificate of any authority that this system trusts is accepted"},
		{"tls { " + pair + " }", ""},
		{"tls { " + pair + fmt.Sprintf(", verify: true, ca_file: %q }", cert.CaFile), ""},
		{fmt.Sprintf("pid_file: %q", filepath.Join(dir, "missing", "pid")), ":1:1: pid_file: a start fails here, the folder is missing: "},
		{fmt.Sprintf("pid_file: %q", dir), ":1:1: pid_file: a start fails here, " + dir + " is a folder"},
		{fmt.Sprintf("log_file: %q", filepath.Join(dir, "missing", "log")), ":1:1: log_file: a start fails here, the folder is missing: "},
		{fmt.Sprintf("log_file: %q", filepath.Join(dir, "log")), ""},
		{fmt.Sprintf("ports_file_dir: %q", filepath.Join(dir, "missing")), ":1:1: ports_file_dir: no ports file can be written here, the folder is missing: "},
		{fmt.Sprintf("ports_file_dir: %q", cert.CertFile), ":1:1: ports_file_dir: no ports file can be written here, " + cert.CertFile + " is not a folder"},
		{fmt.Sprintf("ports_file_dir: %q", dir), ""},
	} {
		var out strings.Builder
		if _, status := CommandLine([]string{"-t", "-c", writeConfig(t, tt.text)}, io.Discard, &out); status != 0 {
			t.Errorf("%s: status %d: %s", tt.text, status, out.String())
		}
		if got := out.String(); !strings.Contains(got, tt.want) || tt.want == "" && strings.Contains(got, "warning") {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}
