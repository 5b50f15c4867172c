package server

import (
	"flag"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/access"
)

// writeConfig writes a configuration file and returns its path.
func writeConfig(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// configured reads a command line, with a configuration file unless text is empty.
func configured(t testing.TB, text string, args ...string) (*Options, error) {
	t.Helper()
	if text != "" {
		args = append([]string{"-c", writeConfig(t, text)}, args...)
	}
	fs := flag.NewFlagSet("gnatsd", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	never := func() { t.Error("asked for information") }
	return ConfigureOptions(fs, args, never, never, never)
}

func mustConfigure(t testing.TB, text string, args ...string) *Options {
	t.Helper()
	o, err := configured(t, text, args...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestFileSetsOptions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       func(o *Options)
	}{
		{"listen as host and port", "listen: 1.2.3.4:5", func(o *Options) { o.Host, o.Port = "1.2.3.4", 5 }},
		{"listen as a port", "listen: 22k", func(o *Options) { o.Port = 22000 }},
		{"listen without host", "listen = :5", func(o *Options) { o.Port = 5 }},
		{"any case", "PORT: 5\nHost: x", func(o *Options) { o.Host, o.Port = "x", 5 }},
		{"aliases", "net: x, logfile: l, pidfile: p, monitor_port: 1, max_conn: 2, max_subs: 3, log_size_limit: 4", func(o *Options) {
			o.Host, o.LogFile, o.PidFile, o.HTTPPort, o.MaxConn, o.MaxSubs, o.LogSizeLimit = "x", "l", "p", 1, 2, 3, 4
		}},
		{"monitoring shares one host", "http: b:1, https: b:2", func(o *Options) { o.HTTPHost, o.HTTPPort, o.HTTPSPort = "b", 1, 2 }},
		{"logging", `debug: true, trace: on, logtime: no, log_file: l, syslog: yes, remote_syslog: "udp://h:1", log_format: JSON, logfile_max_num: 3, max_traced_msg_len: 9`,
			func(o *Options) {
				o.Debug, o.Trace, o.Logtime, o.LogFile, o.Syslog, o.RemoteSyslog = true, true, false, "l", true, "udp://h:1"
				o.LogFormat, o.LogMaxNum, o.MaxTracedMsgLen = "json", 3, 9
			}},
		{"limits", "max_connections: -1, max_subscriptions: 10, max_control_line: 512, max_payload: 64kb, max_pending: 1gb, max_pending_total: 2gb, max_closed_clients: 5", func(o *Options) {
			o.MaxConn, o.MaxSubs, o.MaxControlLine, o.MaxPayload, o.MaxPending, o.MaxPendingTotal, o.MaxClosedClients = -1, 10, 512, 64<<10, 1<<30, 2<<30, 5
		}},
		{"times", `ping_interval: "30s", ping_max: 5, write_deadline: 3s, lame_duck_duration: "2m", lame_duck_grace_period: 5`, func(o *Options) {
			o.PingInterval, o.MaxPingsOut, o.WriteDeadline = 30*time.Second, 5, 3*time.Second
			o.LameDuckDuration, o.LameDuckGracePeriod = 2*time.Minute, 5*time.Second
		}},
		{"times in seconds", `ping_interval: 30, write_deadline: 3`, func(o *Options) {
			o.PingInterval, o.WriteDeadline = 30*time.Second, 3*time.Second
		}},
		{"names and the rest", "server_name: s, client_advertise: \"a:1\", ports_file_dir: d, prof_port: 7, http_base_path: /x", func(o *Options) {
			o.ServerName, o.ClientAdvertise, o.PortsFileDir, o.ProfPort, o.HTTPBasePath = "s", "a:1", "d", 7, "/x"
		}},
		{"a single user", "authorization { user: u, password: p, timeout: 2.5 }", func(o *Options) { o.Username, o.Password, o.AuthTimeout = "u", "p", 2.5 }},
		{"a token", "authorization { token: t }", func(o *Options) { o.Authorization = "t" }},
		{"an empty authorization", "authorization {}", func(*Options) {}},
		{"an empty list of users", "authorization { users: [] }", func(o *Options) { o.Users = []*User{} }},
		{"a cluster", `cluster { listen: h:1, name: c, no_advertise: true, advertise: "a:1", connect_retries: 3, prefer_local: true
			authorization { user: u, pass: p, timeout: 0.5 }, routes: ["nats-route://u:p@h:2", "nats://h:3"] }`, func(o *Options) {
			o.Cluster = ClusterOpts{Host: "h", Port: 1, Name: "c", NoAdvertise: true, Advertise: "a:1", ConnectRetries: 3, PreferLocal: true,
				Username: "u", Password: "p", AuthTimeout: .5}
			o.Routes = []*url.URL{mustURL(t, "nats-route://u:p@h:2"), mustURL(t, "nats://h:3")}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := writeConfig(t, tc.text)
			got, err := ProcessConfigFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if w := got.loaded.warnings; len(w) != 0 && !strings.Contains(w[0], plainWriteDeadline) && !strings.Contains(w[0], "list of users is empty") {
				t.Errorf("warnings: %q", w)
			}
			got.loaded = nil
			want := &Options{ConfigFile: file}
			tc.want(want)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestValuesThatAreTakenForOthers(t *testing.T) {
	t.Parallel()
	o := mustConfigure(t, "max_payload: 1GB\nhttp_base_path: nats")
	o.fill()
	if o.MaxPayload != maxSize || o.HTTPBasePath != "/nats" {
		t.Errorf("got max_payload %d, http_base_path %s", o.MaxPayload, o.HTTPBasePath)
	}
	o = &Options{MaxPayload: 1 << 30}
	o.fill()
	if o.MaxPayload != maxSize {
		t.Errorf("got MaxPayload %d", o.MaxPayload)
	}
}

func TestClassicExampleLoads(t *testing.T) {
	t.Parallel()
	o, err := ProcessConfigFile("../conf/testdata/good/readme.conf")
	if err != nil {
		t.Fatal(err)
	}
	if o.Host != "localhost" || o.Port != 4242 || o.HTTPPort != 8222 || o.Cluster.Port != 4244 || len(o.Routes) != 2 ||
		o.MaxControlLine != 512 || !o.Trace || len(o.loaded.warnings) != 0 {
		t.Errorf("got %+v, warnings %q", o, o.loaded.warnings)
	}
}

func TestClassicPermissionsExampleLoads(t *testing.T) {
	t.Parallel()
	o := mustConfigure(t, "", "-c", "../conf/testdata/good/readme_permissions.conf", "-t")
	if len(o.Users) != 3 || o.Users[2].Password != "abcdefghijklmnopqrstuvwxwz0123456789" || o.Users[2].Permissions != o.defaultPermissions {
		t.Errorf("got %s", usersText(o, true))
	}
}

func TestReadmeExampleLoads(t *testing.T) {
	t.Setenv("BERTS_PASSWORD", "secret")
	content, err := os.ReadFile("../conf/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "```conf\n# gnatsd.conf\nlisten: ")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("conf/README.md has no example of a configuration")
	}
	o := mustConfigure(t, "listen: "+example, "-t")
	if _, err := NewServer(o); err != nil {
		t.Error(err)
	}
}

// allowed is a permission without the places of its entries.
func allowed(allow []string, deny ...string) *SubjectPermission {
	return &SubjectPermission{Allow: allow, Deny: deny}
}

// withoutPlaces drops the places of entries, which comparisons are not about.
func withoutPlaces(users []*User) []*User {
	for _, u := range users {
		if u.at, u.variable = "", ""; u.Permissions == nil {
			continue
		}
		u.Permissions.at = ""
		for _, s := range []*SubjectPermission{u.Permissions.Publish, u.Permissions.Subscribe} {
			if s != nil {
				s.allowAt, s.denyAt = nil, nil
			}
		}
	}
	return users
}

func TestUsersAndTheirPermissions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string // of the authorization block
		want       []*User
	}{
		{"all spellings", `users: [{user: a, pass: 1p, permission: {pub: x, sub: y}}, {username: b, password: 2p, authorization: {import: x, export: y}}]`, []*User{
			{Username: "a", Password: "1p", Permissions: &Permissions{Publish: allowed([]string{"x"}), Subscribe: allowed([]string{"y"})}},
			{Username: "b", Password: "2p", Permissions: &Permissions{Publish: allowed([]string{"x"}), Subscribe: allowed([]string{"y"})}}}},
		{"arrays, and maps of allow and deny", `users: [{user: a, password: p, permissions: {publish: [x, "y.>"], subscribe: {allow: "s.>", deny: [s.a, "s.b q"]}}}]`, []*User{
			{Username: "a", Password: "p", Permissions: &Permissions{Publish: allowed([]string{"x", "y.>"}), Subscribe: allowed([]string{"s.>"}, "s.a", "s.b q")}}}},
		{"a side left out", `users: [{user: a, password: p, permissions: {publish: x}}, {user: b, password: p, permissions: {}}]`, []*User{
			{Username: "a", Password: "p", Permissions: &Permissions{Publish: allowed([]string{"x"})}}, {Username: "b", Password: "p", Permissions: &Permissions{}}}},
		{"an empty list", `users: [{user: a, password: p, permissions: {publish: []}}]`, []*User{
			{Username: "a", Password: "p", Permissions: &Permissions{Publish: allowed(nil)}}}},
		{"defaults written last", `users: [{user: a, password: p}, {user: b, password: p, permissions: {sub: z}}], default_permissions: {publish: x}`, []*User{
			{Username: "a", Password: "p", Permissions: &Permissions{Publish: allowed([]string{"x"})}}, {Username: "b", Password: "p", Permissions: &Permissions{Subscribe: allowed([]string{"z"})}}}},
		{"defaults as permissions", `permissions: {publish: x}, users: [{user: a, password: p}]`, []*User{
			{Username: "a", Password: "p", Permissions: &Permissions{Publish: allowed([]string{"x"})}}}},
		{"an nkey beside a password", `users: [{nkey: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT, permissions: {pub: x}}, {user: a, password: p}]`, []*User{
			{Nkey: "UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT", Permissions: &Permissions{Publish: allowed([]string{"x"})}}, {Username: "a", Password: "p"}}},
		{"responses", `users: [{user: a, password: p, permissions: {allow_responses: true}}, {user: b, password: p, permissions: {allow_responses: {max: 3, expires: "1m"}}},
			{user: c, password: p, permissions: {allow_response: {max_msgs: -1, ttl: 60}}}, {user: d, password: p, permissions: {pub: x, sub: y, allow_responses: no}}]`, []*User{
			{Username: "a", Password: "p", Permissions: &Permissions{Response: &ResponsePermission{}}},
			{Username: "b", Password: "p", Permissions: &Permissions{Response: &ResponsePermission{3, time.Minute}}},
			{Username: "c", Password: "p", Permissions: &Permissions{Response: &ResponsePermission{-1, time.Minute}}},
			{Username: "d", Password: "p", Permissions: &Permissions{Publish: allowed([]string{"x"}), Subscribe: allowed([]string{"y"})}}}},
		{"variables", `ADMIN = {publish: ">"}, PASS: secret, users: [{user: a, password: $PASS, permissions: $ADMIN}]`, []*User{
			{Username: "a", Password: "secret", Permissions: &Permissions{Publish: allowed([]string{">"})}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := mustConfigure(t, "authorization {\n"+tc.text+"\n}")
			if w := o.loaded.warnings; len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
			if got := withoutPlaces(o.Users); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %s", usersText(o, true))
			}
		})
	}
}

func TestRoutePermissionsOfAFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"of the cluster", "permissions { import: a, export: [b, c] }", `{import: {allow: ["a"], deny: []}, export: {allow: ["b", "c"], deny: []}}`},
		{"of the authorization", "authorization { permissions { import: {deny: a} } }", `{import: {allow: [], deny: ["a"]}}`},
		{"of the cluster before those of the authorization", "permissions { pub: a }\nauthorization { permissions { import: b } }", `{import: {allow: ["a"], deny: []}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := mustConfigure(t, "cluster { listen: 1\n"+tc.text+"\n}")
			if got := routePermissionsText(o.Cluster.Permissions); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"a wrong kind", "debug: 1", "x.conf:1:8: debug: want a boolean (true or false), have integer 1"},
		{"all errors at once", "port: x\nhost: 5\na=1 2\n", "x.conf:1:7: port: want an integer from -1 to 65535, have string \"x\"\n" +
			"x.conf:2:7: host: want a string, have integer 5 (put it in quotes)\n" +
			"x.conf:3:5: a: Expected a top-level value to end with a new line, comment or EOF, but got '2' instead."},
		{"an address without port", "listen: localhost", `x.conf:1:9: listen: could not parse address string "localhost"`},
		{"an address with a bad port", `listen: "h:x"`, `x.conf:1:9: listen: could not parse port "x"`},
		{"a write_deadline that does not read", "write_deadline: soon", `x.conf:1:17: write_deadline: error parsing write_deadline: time: invalid duration "soon" (the units are h, m, s and ms, as in "1h30m")`},
		{"a lame_duck_duration that does not read", `lame_duck_duration: "x"`, `x.conf:1:21: lame_duck_duration: error parsing lame_duck_duration: time: invalid duration "x" (the units are h, m, s and ms, as in "1h30m")`},
		{"user and token", "authorization { user: a, token: b }", "x.conf:1:1: authorization: cannot have a user/pass and token"},
		{"users and user", "authorization { user: a, users: [] }", "x.conf:1:1: authorization: can not have a single user/pass and a users array"},
		{"users and token", "authorization { token: a, users: [] }", "x.conf:1:1: authorization: can not have a token and a users array"},
		{"users that are no array", "authorization { users: secret }", `x.conf:1:24: authorization.users: expected users field to be an array, got string`},
		{"a user that is no map", "authorization { users: [secret] }", `x.conf:1:25: authorization.users: expected user entry to be a map/struct, got string`},
		{"a user without password", "authorization { users: [{user: a}] }", `x.conf:1:25: authorization.users: user entry requires a user and a password`},
		{"a password that is a number", "authorization { users: [{user: a, pass: 1234}] }", `x.conf:1:41: authorization.users.pass: want a string, have integer (put it in quotes)`},
		{"a single password that is a number", "authorization { user: a, pass: 1234 }", `x.conf:1:32: authorization.pass: want a string, have integer (put it in quotes)`},
		{"an nkey that is none", "authorization { users: [{nkey: UXYZ}] }", `x.conf:1:32: authorization.users.nkey: ` + access.CheckNkey("UX").Error()},
		{"an nkey that is empty", `authorization { users: [{nkey: ""}] }`, `x.conf:1:32: authorization.users.nkey: ` + access.CheckNkey("UX").Error()},
		{"an nkey that is a number", "authorization { users: [{nkey: 5}] }", `x.conf:1:32: authorization.users.nkey: want a string, have integer (put it in quotes)`},
		{"the seed of an nkey", "authorization { users: [{nkey: SUAIOOCRKRAPYK5ZAYMB4C7W5VZYWGIBHRAK67NEQSQSP43QPEHXCLNYAA}] }", `x.conf:1:32: authorization.users.nkey: ` + access.CheckNkey("S").Error()},
		{"an nkey with a password", "authorization { users: [{nkey: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT, pass: x}] }", `x.conf:1:25: authorization.users: ` + access.ErrNkeyMixed.Error()},
		{"a timeout that is no number", "authorization { timeout: x }", `x.conf:1:26: authorization.timeout: want a number of seconds from 0s to 1000h, have string "x"`},
		{"default permissions that are no map", "authorization { default_permissions: x }", `x.conf:1:38: authorization.default_permissions: expected default permissions to be a map/struct, got string "x"`},
		{"user permissions that are no map", "authorization { users: [{user: a, pass: b, permissions: x}] }", `x.conf:1:57: authorization.users.permissions: expected user permissions to be a map/struct, got string "x"`},
		{"an unknown permission", "authorization { permissions { read: x } }", `x.conf:1:31: authorization.permissions.read: unknown field read parsing permissions (the keys are publish, subscribe and allow_responses)`},
		{"an unknown side of a permission", "authorization { permissions { pub { alow: x } } }",
			`x.conf:1:37: authorization.permissions.pub.alow: unknown field name "alow" parsing subject permissions, only 'allow' or 'deny' are permitted`},
		{"responses that are a number", "authorization { permissions { allow_responses: 5 } }",
			`x.conf:1:48: authorization.permissions.allow_responses: error parsing response permissions, expected a boolean or a map, got integer 5`},
		{"responses of another key", "authorization { permissions { allow_responses: {most: 5} } }",
			`x.conf:1:49: authorization.permissions.allow_responses.most: unknown field "most" parsing response permissions, only 'max' or 'expires' are permitted`},
		{"responses of a wrong kind", "authorization { permissions { allow_responses: {max: many, expires: never} } }",
			`x.conf:1:54: authorization.permissions.allow_responses.max: want a number of messages, or a negative one for any number, have string "many"` + "\n" +
				`x.conf:1:69: authorization.permissions.allow_responses.expires: want a duration such as "2m", or a negative one for no end, have string "never"`},
		{"responses of routes", "cluster { permissions { import: a, allow_responses: true } }", `x.conf:1:23: cluster.permissions: allow_responses is for users, not for routes`},
		{"subjects that are a number", "authorization { permissions { pub: 5 } }",
			`x.conf:1:36: authorization.permissions.pub: expected subject permissions to be a subject, or array of subjects, got integer 5`},
		{"a subject that is a number", "authorization { permissions { pub: [a, 5] } }",
			`x.conf:1:40: authorization.permissions.pub: subject in permissions array cannot be cast to string: have integer 5`},
		{"an invalid subject", `authorization { permissions { pub: [a, "b..c"], sub: { deny: " " } } }`,
			`x.conf:1:40: authorization.permissions.pub: subject "b..c" is not a valid subject` + "\n" +
				`x.conf:1:62: authorization.permissions.sub.deny: subject " " is not a valid subject`},
		{"a queue where none can be", `authorization { permissions { pub: "a q" } }`, `x.conf:1:36: authorization.permissions.pub: subject "a q" is not a valid subject`},
		{"a no_auth_user that is not listed", "no_auth_user: bob\nauthorization { users: [{user: a, pass: b}] }", `x.conf:1:1: no_auth_user: user "bob" is not in the list of users`},
		{"authorization given twice", "authorization { token: a }\nauthorization { timeout: 1 }", "x.conf:1:1: authorization: it is given twice, and would have no effect here (the other is at x.conf:2:1)"},
		{"a key of a user given twice", "authorization { users: [{user: a, pass: b, password: c}] }", `x.conf:1:44: authorization.users.password: "password" is given twice, first at x.conf:1:35`},
		{"a denial given twice", "authorization { users: [{user: a, pass: b, permissions: {publish: {deny: x, deny: y}}}] }", `x.conf:1:77: authorization.users.permissions.publish.deny: "deny" is given twice, first at x.conf:1:68`},
		{"permissions given twice", "cluster { permissions: {import: a, pub: b} }", `x.conf:1:36: cluster.permissions.pub: "pub" is given twice, first at x.conf:1:25`},
		{"a block that ends the file without a value", "port: 1\nauthorization\n", "x.conf:2:1: authorization: it has no value: it restricts access, and would have no effect"},
		{"a misspelled one", "port: 1\nauthorisation", "x.conf:2:1: authorisation: it has no value: it restricts access, and would have no effect"},
		{"tls that ends the file without a value", "tls", "x.conf:1:1: tls: it has no value: it restricts access, and would have no effect"},
		{"users for routes", "cluster { authorization { users: [] } }", `x.conf:1:34: cluster.authorization.users: cluster authorization does not allow multiple users`},
		{"route permissions that are no map", "cluster { permissions: x }", `x.conf:1:24: cluster.permissions: expected permissions to be a map/struct, got string "x"`},
		{"a route that does not parse", `cluster { routes: ["nats://u:secret@h:x"] }`, `x.conf:1:20: cluster.routes: error parsing route url ["nats://[REDACTED]@h:x"]: invalid port ":x" after host`},
		{"a route without port", `cluster { routes: ["nats://h"] }`, `x.conf:1:20: cluster.routes: error parsing route url ["nats://h"]: the port is missing`},
		{"an unknown key of tls", `tls { cert: x }`, `x.conf:1:7: tls.cert: error parsing tls config, unknown field ["cert"]`},
		{"a key of tls of 2.x that restricts logins", `tls { pinned_certs: [x] }`, `x.conf:1:7: tls.pinned_certs: error parsing tls config, unknown field ["pinned_certs"] (a feature of nats-server 2.x that this broker does not have: ` +
			`it admits certain certificates only: use verify, or verify_and_map and a list of users)`},
		{"a version of TLS that is too old", `tls { min_version: 1.1 }`, `x.conf:1:20: tls.min_version: want "1.2" or "1.3", have float 1.1`},
		{"a file name that is a number", `tls { cert_file: 5 }`, `x.conf:1:18: tls.cert_file: error parsing tls config, expected 'cert_file' to be filename: want a string, have integer 5 (put it in quotes)`},
		{"handshake_first that is no time", `tls { handshake_first: never }`, `x.conf:1:24: tls.handshake_first: want true, false, "auto" or a duration such as "300ms", have string "never"`},
		{"handshake_first of no time", `tls { handshake_first: 0s }`, `x.conf:1:24: tls.handshake_first: want true, false, "auto" or a duration such as "300ms", have string "0s"`},
		{"verify that is no boolean", `tls { verify: maybe }`, `x.conf:1:15: tls.verify: error parsing tls config, expected 'verify' to be a boolean: want a boolean (true or false), have string "maybe"`},
		{"no ciphers", `tls { cipher_suites: [] }`, `x.conf:1:22: tls.cipher_suites: error parsing tls config, 'cipher_suites' cannot be empty`},
		{"an unknown cipher", `tls { cipher_suites: [X] }`, `x.conf:1:23: tls.cipher_suites: unrecognized cipher X`},
		{"no curves", `tls { curve_preferences: [] }`, `x.conf:1:26: tls.curve_preferences: error parsing tls config, 'curve_preferences' cannot be empty`},
		{"an unknown curve", `tls { curve_preferences: [X] }`, `x.conf:1:27: tls.curve_preferences: unrecognized curve preference X`},
		{"a certificate that is not named", "port: 1\ntls { key_file: k }", `x.conf:2:1: tls: TLS Server certificate must be present and valid`},
		{"a key that is not named", "cluster { port: 1, tls { cert_file: c } }", `x.conf:1:20: cluster.tls: TLS Server private key must be present and valid`},
		{"a certificate that is missing", `tls { cert_file: "no/c", key_file: "no/k" }`, `x.conf:1:7: tls.cert_file: error parsing X509 certificate/key pair: open no/c: no such file or directory`},
		{"certificates that are missing, and other mistakes", "tls { cert_file: no1, key_file: k }\ncluster { port: 1, tls { cert_file: no2, key_file: k } }\nport: x",
			"x.conf:1:7: tls.cert_file: error parsing X509 certificate/key pair: open no1: no such file or directory\n" +
				"x.conf:2:26: cluster.tls.cert_file: error parsing X509 certificate/key pair: open no2: no such file or directory\n" +
				`x.conf:3:7: port: want an integer from -1 to 65535, have string "x"`},
		{"certificates that are missing for clients and routes", "tls { cert_file: no1, key_file: k }\ncluster { port: 1, tls { cert_file: no2, key_file: k } }",
			"x.conf:1:7: tls.cert_file: error parsing X509 certificate/key pair: open no1: no such file or directory\n" +
				"x.conf:2:26: cluster.tls.cert_file: error parsing X509 certificate/key pair: open no2: no such file or directory"},
		{"a port beyond all ports", "port: 65536", `x.conf:1:7: port: want an integer from -1 to 65535, have integer 65536`},
		{"a name with a blank", `server_name: "a b"`, `x.conf:1:14: server_name: a name cannot contain white space`},
		{"a base path with a blank", `http_base_path: "/a b"`, `x.conf:1:17: http_base_path: a base path holds no spaces, '?' or '#'`},
		{"an insecure cipher by its new name", `tls { cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256] }`,
			`x.conf:1:23: tls.cipher_suites: cipher TLS_RSA_WITH_AES_128_GCM_SHA256 is insecure and not supported: remove it from 'cipher_suites'`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := writeConfig(t, tc.text)
			_, err := ProcessConfigFile(file)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), file, "x.conf"); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

// TestOneMistakeIsOneMessage has mistakes because of which more seems to be wrong than is.
func TestOneMistakeIsOneMessage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"an unset variable as a password", "authorization { user: a, password: $NONE_SUCH }", "x.conf:1:36: authorization.password: variable reference for 'NONE_SUCH' on line 1 can not be found"},
		{"an unset variable as a user's password", "no_auth_user: a\nauthorization { users: [{user: a, password: $NONE_SUCH}, {user: b, password: c}] }",
			"x.conf:2:45: authorization.users.password: variable reference for 'NONE_SUCH' on line 2 can not be found"},
		{"an unset variable as a list", "no_auth_user: a\nauthorization { users: $NONE_SUCH }", "x.conf:2:24: authorization.users: variable reference for 'NONE_SUCH' on line 2 can not be found"},
		{"an unset variable in a list", "no_auth_user: a\nauthorization { users: [ $NONE_SUCH ] }", "x.conf:2:26: authorization.users: variable reference for 'NONE_SUCH' on line 2 can not be found"},
		{"an unset variable in a string", `cluster { port: 1, routes: ["nats://u:${NONE_SUCH}@h:1"] }`,
			`x.conf:1:39: cluster.routes: variable reference for 'NONE_SUCH' on line 1 can not be found (write \x24{ if no variable is meant)`},
		{"an unset variable whose name is a letter, in a password", "authorization { user: a, password: \"a${n}b\" }",
			`x.conf:1:38: authorization.password: variable reference for '[REDACTED]' on line 1 can not be found (write \x24{ if no variable is meant)`},
		{"an unset variable that may be the password itself", "authorization { token: $uper }", "x.conf:1:24: authorization.token: variable reference for '[REDACTED]' on line 1 can not be found (if it is meant as a string, put it in quotes)"},
		{"an IPv6 address without quotes", "cluster { listen: [::1]:4222, name: x }\nport: 1", `x.conf:1:19: cluster.listen: Expected a value but found an IPv6 address (put it in quotes, as in "[::1]:4222")`},
		{"an IPv6 address without brackets", "listen: fe80::1:4222", `x.conf:1:9: listen: could not parse address string "fe80::1:4222" (an IPv6 address is written as in "[::1]:4222")`},
		{"an IPv6 address as a host", "host: [::1]", `x.conf:1:7: host: want a string, have array (an IPv6 address needs quotes)`},
		{"a file that cannot be included", "no_auth_user: a\nauthorization { include none.conf, users: [{user: b, password: $NONE}] }\ninclude none.conf\nport: $PORT_OF_IT\nhttp_user: x",
			"x.conf:2:25: authorization: error parsing include file 'none.conf,', open none.conf,: no such file or directory\nx.conf:3:9: error parsing include file 'none.conf', open none.conf: no such file or directory"},
		{"a path of Windows", `log_file: "C:\gnatsd\x.log"`, `x.conf:1:14: log_file: Invalid escape character 'g'. Only the following escape characters are allowed: \xXX, \t, \n, \r, \", \\. (write \\ for a backslash, or use single quotes)`},
		{"a path of Windows that can be read", `log_file: "C:\temp.log"`, `x.conf:1:11: log_file: \t, \n and \r are a tab and line ends in double quotes (write \\ for a backslash, or use single quotes)`},
		{"UTF-16", "\xff\xfep\x00o\x00r\x00t\x00:\x001\x00", "x.conf: the file is encoded in UTF-16 (save it as UTF-8)"},
		{"UTF-16 without its mark", "\x00p\x00o\x00r\x00t\x00:\x001", "x.conf: the file is encoded in UTF-16 (save it as UTF-8)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := writeConfig(t, tc.text)
			_, err := ProcessConfigFile(file)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(strings.ReplaceAll(err.Error(), file, "x.conf"), filepath.Dir(file)+"/", ""); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestVariablesInStrings(t *testing.T) {
	t.Setenv("ROUTE_USER", "ruser")
	t.Setenv("ROUTE_PORT", "6222")
	t.Setenv("EMPTY_ONE", "")
	o := mustConfigure(t, `NAME: east
		server_name: "${NAME}-1", client_advertise: '${NAME}', log_file: "a${EMPTY_ONE}b$c${"
		cluster { listen: 127.0.0.1:1, routes: [ "nats://${ROUTE_USER}:x@h:${ROUTE_PORT}" ] }
		authorization { users: [{user: a, password: "\x24{NAME}"}, {user: b, password: "${NAME}$2"}] }`)
	got := []string{o.ServerName, o.ClientAdvertise, o.LogFile, o.Routes[0].String(), o.Users[0].Password, o.Users[1].Password}
	want := []string{"east-1", "${NAME}", "ab$c${", "nats://ruser:x@h:6222", "${NAME}", "east$2"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for text, want := range map[string]string{
		`authorization { token: "${EMPTY_ONE}" }`: `variable 'EMPTY_ONE' is empty`,
		`M { a: b }, server_name: "${M}"`:         `variable 'M' is no text but a map: it cannot stand in a string`,
	} {
		if _, err := configured(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestFilesThatAreWarnedAbout(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"a section that begins with a dot", ".cluster { name: x }", `x.conf:1:1: .cluster: unknown field ".cluster" (did you mean "cluster"?), it has no effect`},
		{"a path as a key", "cluster.name: x", `x.conf:1:1: cluster.name: unknown field "cluster.name" (it belongs in "cluster"), it has no effect`},
		{"a key that begins with a dot", "cluster { .name: x }", `x.conf:1:11: cluster..name: unknown field ".name" (did you mean "name"?), it has no effect`},
		{"an unknown key", "prot: 1", `x.conf:1:1: prot: unknown field "prot" (did you mean "port"?), it has no effect`},
		{"a number as deadline", "write_deadline: 5", `x.conf:1:17: write_deadline: write_deadline should be converted to a duration`},
		{"a key that ends the file without a value", "port: 1\ndebug", `x.conf:2:1: debug: it has no value, it has no effect`},
		{"a cluster without a port", "cluster { authorization { user: a, password: b } }", "x.conf:1:1: cluster: it has no effect: there is no cluster port (set listen, or port)"},
		{"a payload beyond nine digits", "max_pending: 1GB, max_payload: 1GB", `x.conf:1:32: max_payload: 1GB is more than the largest value, which is used: 999999999`},
		{"a payload of ten digits", "max_pending: 1GB, max_payload: 1000000000", `x.conf:1:32: max_payload: 1000000000 is more than the largest value, which is used: 999999999`},
		{"a key given twice", "port: 1\nPort: 2\nport: 3\nhost: a, net: b", "x.conf:1:1: port: it is given twice: x.conf:3:1 counts, this has no effect\n" +
			"x.conf:2:1: port: it is given twice: x.conf:3:1 counts, this has no effect\nx.conf:4:1: host: it is given twice: x.conf:4:10 counts, this has no effect"},
		{"a control line beyond what names may have", "max_control_line: 32MB", `x.conf:1:19: max_control_line: 32MB is more than the largest value, which is used: 16777215`},
		{"a zero that is none", "lame_duck_duration: 0\nmax_connections: 0, host: \"\"", `x.conf:1:21: lame_duck_duration: 0 means the default, "30s"` + "\n" +
			"x.conf:2:18: max_connections: 0 means the default, 65536\n" + `x.conf:2:27: host: "" means the default, "0.0.0.0"`},
		{"a message larger than what may be pending", "max_pending: 10", "x.conf:1:1: max_pending: max_payload (1048576) is more than max_pending (10): a message of more than 10 bytes disconnects its subscribers as slow consumers"},
		{"less for all than for one", "max_pending: 10MB\nmax_pending_total: 1MB", "x.conf:2:1: max_pending_total: max_pending (10485760) is more than max_pending_total (1048576): no connection can have so much pending"},
		{"no users", "authorization { users = [] }", "x.conf:1:17: authorization.users: the list of users is empty: no client can connect"},
		{"a key of 2.x that restricts nothing", "jetstream { }", `x.conf:1:1: jetstream: unknown field "jetstream" (a feature of nats-server 2.x that this broker does not have), it has no effect`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := writeConfig(t, tc.text)
			o, err := ProcessConfigFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.Join(o.loaded.warnings, "\n"), file, "x.conf"); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestRoutesFromStrTakesWhatParses(t *testing.T) {
	t.Parallel()
	var got []string
	for _, u := range RoutesFromStr(" nats://a:1 ,nats://b:2, ,%zz,nats://c:x") {
		got = append(got, u.Host)
	}
	if want := []string{"a:1", "b:2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProcessConfigFileWithoutName(t *testing.T) {
	t.Parallel()
	o, err := ProcessConfigFile("")
	if err != nil || !reflect.DeepEqual(o, &Options{}) {
		t.Errorf("got %+v %v, want empty options", o, err)
	}
}

func TestFileOverExistingOptions(t *testing.T) {
	t.Parallel()
	o := &Options{Host: "h", Port: 1, Username: "u", Users: []*User{{Username: "x", Password: "y"}}}
	if err := o.ProcessConfigFile(writeConfig(t, "port: 2\nauthorization { user: a, password: b }")); err != nil {
		t.Fatal(err)
	}
	if o.Host != "h" || o.Port != 2 || o.Username != "a" || o.Users != nil {
		t.Errorf("got %+v", o)
	}
}

func TestPrintedSettingsLoadAsTheSame(t *testing.T) {
	t.Parallel()
	o := mustConfigure(t, `listen: h:1, http: m:2, max_payload: 3000, write_deadline: "1m", logtime: false, log_file: "a \"b\""
		cluster { listen: c:3, routes: ["nats://h:1"], permissions { import: {deny: x} } }
		authorization { timeout: 3, users: [{nkey: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT, permissions: {pub: x, allow_responses: {max: -1, expires: 5m}}}] }`)
	printed := o.describe()
	again := mustConfigure(t, printed, "-t")
	o.fill()
	again.fill()
	if diff := optionTable().Compare(o, again); len(diff) != 0 {
		t.Errorf("%v differs in:\n%s", diff[0].Row.Key, printed)
	}
}

// TestPrintedLoginsSayWhereTheyComeFrom prints logins of flags, some of them in URLs, beside those of
// the file. What is printed can be read.
func TestPrintedLoginsSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	const file = "authorization { user: a, password: b }\ncluster { port: 1, authorization { user: c, password: d } }"
	for _, tc := range []struct {
		args       []string
		want, none string
	}{
		{[]string{"--user", "nats://q:r@h"}, `password: "${GNATSD_AUTHORIZATION_PASSWORD}" # flag --user`, "from"},
		{[]string{"--cluster", "nats://h:1"}, `user: "c"                            # FILE:2:36`, "none"},
		{[]string{"--auth", "t"}, `token: "${GNATSD_AUTHORIZATION_TOKEN}" # flag --auth`, `user: "a"`},
	} {
		o := mustConfigure(t, file, tc.args...)
		printed := strings.ReplaceAll(o.describe(), o.ConfigFile, "FILE")
		if !strings.Contains(printed, tc.want) || strings.Contains(printed, tc.none) {
			t.Errorf("%q: want %s, without %s, in\n%s", tc.args, tc.want, tc.none, printed)
		}
		if _, err := readPrinted(printed, secretsOf(o, printed)); err != nil {
			t.Errorf("%q: %v, of\n%s", tc.args, err, printed)
		}
	}
}

func TestPrintedSettingsHideSecrets(t *testing.T) {
	t.Parallel()
	printed := mustConfigure(t, `authorization { users: [{user: a, password: canary}] }
		cluster { port: 1, authorization { user: x, password: canary }, routes: ["nats://u:canary@h:1"] }`,
		"--auth", "canary", "--pass", "canary", "--routes", "nats://u:canary@h:1,nats://canary@h:2").describe()
	if strings.Contains(printed, "canary") {
		t.Errorf("a secret is shown:\n%s", printed)
	}
	if !strings.Contains(printed, "# flag --routes") || !strings.Contains(printed, "x.conf:1:17") {
		t.Errorf("origins are missing:\n%s", printed)
	}
}

func FuzzProcessConfig(f *testing.F) {
	for _, dir := range []string{"good", "broken"} {
		files, err := filepath.Glob("../conf/testdata/" + dir + "/*.conf")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Add(`authorization { users: [{user: a, pass: b, permissions: {pub: " ", sub: {allow: [a, "b c"], deny: []}}}], default_permissions {} }`)
	f.Add("listen: 1:2\nhttp: 1\ncluster { listen: x, routes: [a, \"nats://h:1\"], authorization { user: u } }\nping_interval: 2m\nmax_payload: 1mb")
	f.Fuzz(func(t *testing.T, text string) {
		source := conf.Source{
			Read: func(string, bool) ([]byte, error) { return nil, os.ErrNotExist },
			Env:  func(string) (string, bool) { return "", false },
		}
		root, err := source.Text("x.conf", text)
		o := &Options{}
		v := optionTable().Fill(o)
		v.ApplyFile(root)
		o.checkFile(v)
		if err != nil || len(v.Errors) > 0 {
			return
		}
		o.completeFile(v)
		before := o.Clone()
		if diff := optionTable().Compare(o, before); len(diff) > 0 {
			t.Fatalf("a clone differs in %s", diff[0].Row.Key)
		}
		for _, u := range o.Users {
			if _, err := access.Compile(u.Permissions.rules()); err != nil {
				t.Fatalf("permissions that do not compile: %v", err)
			}
		}
		filled := o.Clone()
		filled.fill()
		v.Target = filled
		source.Env = func(string) (string, bool) { return `"secret"`, true }
		if _, err := source.Text("print", v.Print("")); err != nil {
			t.Fatalf("printed settings do not read: %v\n%s", err, v.Print(""))
		}
	})
}
