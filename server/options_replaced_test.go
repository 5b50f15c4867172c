package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoRestrictionIsReplacedWithoutAWord gives settings that restrict access again, in one file or by
// an include. The first file includes the others; DIR is where they are.
func TestNoRestrictionIsReplacedWithoutAWord(t *testing.T) {
	t.Parallel()
	const auth = "authorization { user: a, password: aa }"
	lost := func(at, key, section, by string) string {
		return "DIR/" + at + ": " + key + ": it restricts access, and would have no effect here (" + section + " is given again at DIR/" + by + ")"
	}
	twice := func(at, key, other string) string {
		return "DIR/" + at + ": " + key + ": it is given twice, and would have no effect here (the other is at DIR/" + other + ")"
	}
	for _, tc := range []struct {
		name, main string
		more       []string // name, text
		want       string   // "" if it is accepted
	}{
		{"a block of an include", "include a.conf\nauthorization { timeout: 2 }", []string{"a.conf", auth}, lost("a.conf:1:17", "authorization.user", "authorization", "x.conf:2:1")},
		{"by another include", "include a.conf\ninclude b.conf", []string{"a.conf", auth, "b.conf", "authorization {}"}, lost("a.conf:1:17", "authorization.user", "authorization", "b.conf:1:1")},
		{"by one in another directory", "include d/1.conf\ninclude d/2.conf", []string{"d/1.conf", "authorization { users: [] }", "d/2.conf", "authorization { timeout: 1 }"},
			lost("d/1.conf:1:17", "authorization.users", "authorization", "d/2.conf:1:1")},
		{"by a nested one", auth + "\ninclude d/1.conf", []string{"d/1.conf", "include '2.conf'", "d/2.conf", "authorization { timeout: 1 }"}, lost("x.conf:1:17", "authorization.user", "authorization", "d/2.conf:1:1")},
		{"by a user without a password", auth + "\ninclude a.conf", []string{"a.conf", "authorization { user: b }"}, lost("x.conf:1:26", "authorization.password", "authorization", "a.conf:1:1")},
		{"in another case", "include a.conf\nAUTHORIZATION { timeout: 2 }", []string{"a.conf", auth}, lost("a.conf:1:17", "authorization.user", "authorization", "x.conf:2:1")},
		{"verify of tls", "tls { verify: true, cert_file: c }\ninclude a.conf", []string{"a.conf", "tls { cert_file: d }"}, lost("x.conf:1:7", "tls.verify", "tls", "a.conf:1:1")},
		{"authorization of routes", "cluster { port: 1, authorization { user: a, password: b } }\ncluster { listen: 5 }", nil, lost("x.conf:1:36", "cluster.authorization.user", "cluster", "x.conf:2:1")},
		{"a token that routes cannot have", "cluster { authorization { token: a } }\ncluster { listen: 5 }", nil, lost("x.conf:1:27", "cluster.authorization.token", "cluster", "x.conf:2:1")},
		{"tls of routes", "cluster { tls { } }\ncluster { listen: 5 }", nil, lost("x.conf:1:11", "cluster.tls", "cluster", "x.conf:2:1")},
		{"permissions of routes", "cluster { permissions { import: a } }\nCluster { listen: 5 }", nil, lost("x.conf:1:11", "cluster.permissions", "cluster", "x.conf:2:1")},
		{"the login of monitoring", "include a.conf\nhttp_user: \"\", http_password: \"\"", []string{"a.conf", "http_user: a, http_password: b"},
			lost("a.conf:1:1", "http_user", "http_user", "x.conf:2:1") + "\n" + lost("a.conf:1:15", "http_password", "http_password", "x.conf:2:16")},
		{"a limit", "max_connections_per_address: 5\nmax_connections_per_address: 0", nil, lost("x.conf:1:1", "max_connections_per_address", "max_connections_per_address", "x.conf:2:1")},
		{"permissions", "cluster { permissions { import: a }, permissions { import: b } }", nil, lost("x.conf:1:11", "cluster.permissions", "cluster.permissions", "x.conf:1:38")},
		{"default permissions, by an alias", "authorization { users: [], default_permissions { publish: a }, permissions { } }", nil,
			lost("x.conf:1:28", "authorization.default_permissions", "authorization.default_permissions", "x.conf:1:64")},
		{"users", "authorization { users: [{user: a, password: b}], users: [] }", nil, lost("x.conf:1:17", "authorization.users", "authorization.users", "x.conf:1:50")},
		{"verify", "tls { verify: true, verify: false }", nil, lost("x.conf:1:7", "tls.verify", "tls.verify", "x.conf:1:21")},
		{"a block in two cases", "Authorization { user: a, password: x }\nauthorization { user: c, password: y }", nil, twice("x.conf:1:1", "authorization", "x.conf:2:1")},
		{"tls in two cases", "TLS {}\ntls {}", nil, twice("x.conf:1:1", "tls", "x.conf:2:1")},
		{"a limit of responses by two names", "authorization { users: [], permissions { allow_responses: { max: 1, max_msgs: 5 } } }", nil,
			`DIR/x.conf:1:69: authorization.permissions.allow_responses.max_msgs: "max_msgs" is given twice, first at DIR/x.conf:1:61`},

		{"what is the same", "include a.conf\n" + auth, []string{"a.conf", auth}, ""},
		{"another user in one file", "authorization { user: a, password: b, user: c }", nil, ""},
		{"another user by an include", auth + "\ninclude a.conf", []string{"a.conf", "authorization { user: b, password: aa }"}, ""},
		{"a token by an include", auth + "\ninclude a.conf", []string{"a.conf", "authorization { token: b }"}, ""},
		{"users by an include", "authorization { token: b }\ninclude a.conf", []string{"a.conf", "authorization { users: [{user: a, password: b}] }"}, ""},
		{"another way to verify", "tls { verify: true, cert_file: c, key_file: k, ca_file: a }\ninclude a.conf",
			[]string{"a.conf", "tls { verify_and_map: true, cert_file: c, key_file: k, ca_file: a }"}, "DIR/a.conf:1:29: tls.cert_file: error parsing X509"},
		{"another user inside a block", "authorization { include a.conf\n user: a }", []string{"a.conf", "user: b, password: c"}, ""},
		{"what restricts nothing", "include a.conf\n" + auth, []string{"a.conf", "authorization { timeout: 5 }, http_verify: false, max_connections_per_address: 5"}, ""},
		{"what only an include overrides", "include a.conf\nlisten: 127.0.0.1:-1, max_connections_per_address: 9", []string{"a.conf", "listen: 127.0.0.2:-1, max_connections_per_address: 5"}, ""},
		{"a definition of a variable", "authorization { PERMISSIONS = { publish: a }\n users: [{user: a, password: b, permissions: $PERMISSIONS}]\n permissions { publish: b } }", nil, ""},
		{"a file that is included twice", "include a.conf\ninclude a.conf", []string{"a.conf", auth}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			okay(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
			put(t, dir, "x.conf", tc.main)
			for i := 0; i < len(tc.more); i += 2 {
				put(t, dir, tc.more[i], tc.more[i+1])
			}
			_, err := ProcessConfigFile(filepath.Join(dir, "x.conf"))
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			if tc.want == "" && got != "" || !strings.HasPrefix(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestReloadKeepsARestrictionThatItsFileLoses replaces a file by one that would open the server.
func TestReloadKeepsARestrictionThatItsFileLoses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "auth.conf", "authorization { user: a, password: aa }")
	put(t, dir, "x.conf", "listen: \"127.0.0.1:-1\"\ninclude auth.conf")
	o, err := ProcessConfigFile(filepath.Join(dir, "x.conf"))
	okay(t, err)
	o.NoSigs = true
	s, err := NewServer(o)
	okay(t, err)
	put(t, dir, "x.conf", "listen: \"127.0.0.1:-1\"\ninclude auth.conf\nauthorization { timeout: 2 }")
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "auth.conf:1:17: authorization.user: it restricts access") || s.options().Username != "a" {
		t.Errorf("got %v, user %q", err, s.options().Username)
	}
}
