package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// accessKeys are all keys of nats-server 2.x that touch who may connect and what they may do: what
// becomes of each here, and a file that has it. KEY stands for the key.
var accessKeys = []struct{ verdict, file, keys string }{
	{"built", "KEY { user: a, password: b }", "authorization"},
	{"built", "authorization { KEY: a, password: b }", "user username"},
	{"built", "authorization { user: a, KEY: b }", "pass password"},
	{"built", "authorization { KEY: a }", "token"},
	{"built", "authorization { token: a, KEY: 1 }", "timeout"},
	{"built", "authorization { KEY: [] }", "users"},
	{"built", "authorization { users: [], KEY { publish: a } }", "default_permissions"},
	{"built", "authorization { users: [{KEY: a, password: b}] }", "user username"},
	{"built", "authorization { users: [{user: a, KEY: b}] }", "pass password"},
	{"built", "authorization { users: [{KEY: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT}] }", "nkey"},
	{"built", "authorization { users: [{user: a, password: b, KEY: {publish: x}}] }", "permissions permission authorization"},
	{"built", "authorization { users: [{user: a, password: b, permissions: {KEY: x}}] }", "publish pub import subscribe sub export"},
	{"built", "authorization { users: [{user: a, password: b, permissions: {publish: {KEY: x}}}] }", "allow deny"},
	{"built", "authorization { users: [{user: a, password: b, KEY: {max_connections: 1}}] }", "limits"},
	{"built", "accounts { A { users: [{user: a, password: b, KEY: {max_connections: 1}}] } }", "limits"},
	{"built", "authorization { users: [{user: a, password: b, limits: {KEY: 1}}] }", "max_connections max_conn max_subscriptions max_subs subs max_payload max_pay payload"},
	{"refused", "authorization { users: [{user: a, password: b, limits: {KEY: 1}}] }", "data max_leafnodes max_leafs"},
	{"built", "KEY: a\nauthorization { users: [{user: a, password: b}] }", "no_auth_user"},
	{"built", "KEY: localhost", "host net"},
	{"built", `KEY: "localhost:4222"`, "listen http"},
	{"built", "KEY: 5", "max_connections max_subscriptions max_payload max_control_line"},
	{"built", "cluster { KEY: a }", "name"},
	{"built", "cluster { KEY { user: a, password: b } }", "authorization"},
	{"built", "cluster { authorization { KEY: a, password: b } }", "user username"},
	{"built", "cluster { authorization { user: a, KEY: b } }", "pass password"},
	{"built", "cluster { KEY { import: a, export: b } }", "permissions"},
	{"built", "tls { CERTS KEY: true }", "verify verify_and_map"},
	{"built", "tls { CERTS KEY: \"CA\" }", "ca_file"},
	{"built", "tls { CERTS KEY: \"1.3\" }", "min_version"},
	{"built", "tls { CERTS KEY: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384] }", "cipher_suites"},
	{"built", "tls { CERTS KEY: [CurveP256] }", "curve_preferences"},
	{"built", "tls { CERTS KEY: auto }", "handshake_first"},
	{"built", "tls { CERTS }\nKEY: true", "allow_non_tls"},

	{"built", "KEY { A { users: [{user: a, password: b}] } }", "accounts"},
	{"refused", "accounts { A { users: [{user: a, password: b, KEY: true}] } }", "src times account allowed_connection_types connection_types clients proxy_required"},
	{"refused", "KEY: SYS", "system_account system"}, // there is no such account
	{"refused", "KEY: /etc/nats/operator.jwt", "operator operators roots root root_operators root_operator"},
	{"refused", "KEY: [UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT]", "trusted trusted_keys resolver_pinned_accounts"},
	{"refused", "KEY: MEMORY", "resolver account_resolver"},
	{"refused", "KEY { A: x }", "resolver_preload proxies"},
	{"refused", "authorization { token: a, KEY { issuer: A } }", "auth_callout"},
	{"refused", "authorization { users: [], KEY: [a] }", "auth_users"},
	{"refused", "authorization { users: [], KEY: A }", "account"},
	{"refused", "authorization { users: [], KEY: true }", "proxy_required"},
	{"refused", "authorization { users: [{user: a, password: b, KEY: [STANDARD]}] }", "allowed_connection_types connection_types clients"},
	{"refused", "authorization { users: [{user: a, password: b, KEY {subs: 1}}] }", "src times account"},
	{"refused", "authorization { users: [{user: a, password: b, KEY: true}] }", "proxy_required"},
	{"refused", "accounts { A { users: [{user: a, password: b, KEY: [STANDARD]}] } }", "allowed_connection_types connection_types clients src times account"},
	{"refused", "accounts { A { users: [{user: a, password: b, KEY: true}] } }", "proxy_required"},
	{"refused", "cluster { authorization { KEY: a } }", "token account"},
	{"refused", "cluster { authorization { KEY: [] } }", "users"},
	{"refused", "cluster { KEY: [A] }", "accounts"},
	{"refused", "tls { CERTS KEY: [x] }", "pinned_certs"},
	{"refused", "tls { CERTS KEY: true }", "verify_cert_and_check_known_urls ocsp_peer"},
	{"refused", "tls { CERTS KEY: x }", "certs cert_store cert_match cert_match_by cert_match_skip_invalid ca_certs_match"},
	{"refused", "cluster { tls { CERTS KEY: x } }", "pinned_certs verify_cert_and_check_known_urls ocsp_peer certs cert_store cert_match cert_match_by cert_match_skip_invalid ca_certs_match"},

	{"harmless", "KEY: true", "no_sys_acc no_system no_system_account"},
	{"harmless", "KEY: x", "default_sentinel resolver_tls max_sub_tokens"},
	{"harmless", "KEY { port: 5, authorization { user: a } }", "websocket mqtt leafnodes leaf gateway gateways jetstream"},
	{"harmless", "KEY { a: b }", "mapping mappings maps"},
	{"harmless", "KEY: true", "proxy_protocol ocsp ocsp_cache"},
	{"built", "KEY: false", "accounts"},
	{"harmless", "KEY: false", "operator proxies"}, // off
	{"harmless", "authorization { users: [{user: a, password: b, KEY: false}] }", "proxy_required"},
	{"harmless", "tls { CERTS KEY: true }", "insecure allow_insecure_cipher_suites connection_rate_limit"},
	{"harmless", "cluster { port: 1, tls { CERTS KEY: true } }", "insecure allow_insecure_cipher_suites connection_rate_limit handshake_first"},
	{"harmless", "cluster { KEY: x }", "connect_backoff ping_max"},
}

func TestEveryAccessKeyOfNATSServerIsBuiltRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	dir := certDir(t)
	pair := strings.NewReplacer("CERTS", `cert_file: "DIR/server-cert.pem", key_file: "DIR/server-key.pem",`, "CA", "DIR/ca.pem")
	seen := map[string]bool{}
	for _, row := range accessKeys {
		for key := range strings.FieldsSeq(row.keys) {
			text := strings.ReplaceAll(pair.Replace(strings.ReplaceAll(row.file, "KEY", key)), "DIR", dir)
			before, _, _ := strings.Cut(row.file, "KEY")
			place := ":" + lineAndColumn(strings.ReplaceAll(pair.Replace(before), "DIR", dir)) + ": "
			seen[key] = true
			t.Run(row.verdict+": "+strings.ReplaceAll(row.file, "KEY", key), func(t *testing.T) {
				t.Parallel()
				file := writeConfig(t, text)
				o, err := ProcessConfigFile(file)
				switch {
				case row.verdict == "refused" && err == nil:
					t.Fatal("the file is accepted")
				case row.verdict == "refused":
					if got := err.Error(); !strings.HasPrefix(got, file+place) && !strings.Contains(got, "authorization does not allow") ||
						!strings.Contains(got, key) || strings.Count(got, "\n") > 0 || !strings.ContainsAny(got, ":(") {
						t.Errorf("got %s, want one error at%s that names %s", got, place, key)
					}
				case err != nil:
					t.Fatal(err)
				case row.verdict == "built" && len(o.loaded.values.Unknown) > 0:
					t.Errorf("warnings: %q", o.loaded.warnings)
				case row.verdict == "harmless" && (len(o.loaded.warnings) != 1 || !strings.HasPrefix(o.loaded.warnings[0], file+place)):
					t.Errorf("got warnings %q, want one at%s", o.loaded.warnings, place)
				}
			})
		}
	}
	for _, f := range foreignKeys {
		for path := range strings.FieldsSeq(f.keys) {
			if key := path[strings.LastIndexByte(path, '.')+1:]; f.restricts && !seen[key] {
				t.Errorf("no row for %s", path)
			}
		}
	}
}

// lineAndColumn is where text ends.
func lineAndColumn(text string) string {
	line := strings.Count(text, "\n") + 1
	column := len(text) - strings.LastIndexByte(text, '\n')
	return strconv.Itoa(line) + ":" + strconv.Itoa(column)
}

// TestWhatWouldLeaveAccessOpenIsRefused has mistakes by which a restriction would not count.
func TestWhatWouldLeaveAccessOpenIsRefused(t *testing.T) {
	t.Setenv("EMPTY", "")
	for _, tc := range []struct {
		text string
		args []string
		want string
	}{
		{`include: "users.conf"`, nil, `x.conf:1:1: include: unknown field "include" (write include "file", without a separator)`},
		{`include = 'users.conf'`, nil, `x.conf:1:9: error parsing include file '=', open =: no such file or directory (write include "file", without a separator)`},
		{`{"include": "users.conf"}`, nil, `x.conf:1:2: include: unknown field "include" (write include "file", without a separator)`},
		{`authorization { include: "users.conf" }`, nil, `x.conf:1:17: authorization.include: unknown field "include" (write include "file", without a separator)`},
		{`authorization { users: [{user: a, password: b, include: "p.conf"}] }`, nil,
			`x.conf:1:48: authorization.users.include: unknown field "include" (write include "file", without a separator)`},
		{"authorization{user=a\npassword=b\n}", nil, `x.conf:1:1: authorization{user: unknown field "authorization{user" (write a blank before the brace)` + "\n" +
			`x.conf:2:1: password: unknown field "password" (it belongs in "authorization")`},
		{"autorization { user: a, password: b }", nil, `x.conf:1:1: autorization: unknown field "autorization" (did you mean "authorization"?)`},
		{"user: a\npass: b", nil, `x.conf:1:1: user: unknown field "user" (it belongs in "authorization")` + "\n" + `x.conf:2:1: pass: unknown field "pass" (it belongs in "authorization")`},
		{"authorization.token: x", nil, `x.conf:1:1: authorization.token: unknown field "authorization.token" (it belongs in "authorization")`},
		{"hots: localhost", nil, `x.conf:1:1: hots: unknown field "hots" (did you mean "host"?)`},
		{"cluster { user: a }", nil, `x.conf:1:11: cluster.user: unknown field "user" (it belongs in "cluster.authorization")`},
		{"authorization { usres: [] }", nil, `x.conf:1:17: authorization.usres: unknown field "usres" (did you mean "users"?)`},
		{"authorization { users: [{user: a, pass: b, permision: {}}] }", nil,
			`x.conf:1:44: authorization.users.permision: unknown field "permision" (did you mean "permission"?)`},
		{"verify: true", nil, `x.conf:1:1: verify: unknown field "verify" (it belongs in "tls")`},

		{`authorization { token: "" }`, nil, `x.conf:1:17: authorization.token: the token is empty: clients would need no credentials`},
		{`authorization { token: $EMPTY }`, nil, `x.conf:1:17: authorization.token: the token is empty: clients would need no credentials (from $EMPTY)`},
		{`authorization { user: $EMPTY, password: $EMPTY }`, nil, `x.conf:1:17: authorization.user: the user is empty: clients would need no credentials (from $EMPTY)`},
		{`authorization { user: a, password: $EMPTY }`, nil, `x.conf:1:26: authorization.password: the password is empty (from $EMPTY)`},
		{`authorization { user: a }`, nil, `x.conf:1:17: authorization.user: the user has no password: the name alone would be enough`},
		{`authorization { password: a }`, nil, `x.conf:1:17: authorization.password: a password without a user: clients would need no credentials`},
		{`authorization { users: [{user: a, password: $EMPTY}] }`, nil, `x.conf:1:25: authorization.users: user entry requires a user and a password`},
		{`authorization { user: a, password: b, permissions: {publish: x} }`, nil,
			`x.conf:1:39: authorization.default_permissions: permissions have an effect on a list of users only: list the user under users`},
		{"", []string{"--auth", ""}, `--auth: the token is empty: clients would need no credentials`},
		{"", []string{"--user", ""}, `--user: the user is empty: clients would need no credentials`},
		{"", []string{"--user", "a", "--pass", ""}, `--pass: the password is empty`},
		{"", []string{"--user", "a"}, `--user: the user has no password: the name alone would be enough`},
		{"", []string{"--user", "nats://a:@h"}, `--user: the user has no password: the name alone would be enough`},
		{"", []string{"--pass", "a"}, `--pass: a password without a user: clients would need no credentials`},
		{"authorization { user: a, password: b }", []string{"--pass", ""}, `--pass: the password is empty`},
		{"", []string{"--cluster", "nats://:b@h:1"}, `--cluster: the user is empty: other servers would need no credentials`},
		{"", []string{"--cluster", "nats://a:@h:1"}, `--cluster: the password is empty`},
		{`cluster { authorization { user: a } }`, nil, `x.conf:1:27: cluster.authorization.user: the user has no password: the name alone would be enough`},
		{`cluster { authorization { password: a } }`, nil, `x.conf:1:27: cluster.authorization.password: a password without a user: other servers would need no credentials`},
		{`cluster { authorization { user: a, password: "" } }`, nil, `x.conf:1:36: cluster.authorization.password: the password is empty`},
		{`cluster { authorization { token: a } }`, nil, `x.conf:1:34: cluster.authorization.token: cluster authorization does not allow a token: use user and password`},
		{"authorization { anna: {password: x} }", nil, `x.conf:1:1: authorization: no user, token or users: clients would need no credentials` + "\n" + `x.conf:1:17: authorization: an unknown key, which is not shown: it may be a user or a secret`},
		{"authorization { anna = pw, bert = pw }", nil, `x.conf:1:1: authorization: no user, token or users: clients would need no credentials` + "\n" +
			`x.conf:1:17: authorization: an unknown key, which is not shown: it may be a user or a secret` + "\n" + `x.conf:1:28: authorization: an unknown key, which is not shown: it may be a user or a secret`},
		{"authorization { enabled: true }", nil, `x.conf:1:1: authorization: no user, token or users: clients would need no credentials` + "\n" +
			`x.conf:1:17: authorization: an unknown key, which is not shown: it may be a user or a secret`},
		{"zzz: 1\ncluster { authorization { anna: pw } }", nil, `x.conf:2:11: cluster.authorization: no user and password: other servers would need no credentials` + "\n" + `x.conf:2:27: cluster.authorization: an unknown key, which is not shown: it may be a user or a secret`},
		{`authorization { nkey: UDSJ }`, nil, `x.conf:1:17: authorization.nkey: unknown field "nkey" (it belongs in the list of users: authorization { users: [ { nkey: U... } ] })`},
		{`authorization { limits: {subs: 1} }`, nil, `x.conf:1:17: authorization.limits: unknown field "limits" (did you mean "default_limits"?)`},
		{`authorization { publish: {deny: ">"} }`, nil, `x.conf:1:17: authorization.publish: unknown field "publish" (it belongs in "default_permissions", or in "permissions" of a user)`},
		{`cluster { auth { user: a, password: x } }`, nil, `x.conf:1:11: cluster.auth: unknown field "auth" (did you mean "authorization"?)`},
		{`cluster { nkey: U }`, nil, `x.conf:1:11: cluster.nkey: unknown field "nkey" (routes have a user and a password: they belong in "authorization")`},
		{`cluster { import: x }`, nil, `x.conf:1:11: cluster.import: unknown field "import" (it belongs in "permissions")`},
		{`cluster { operator: x }`, nil, `x.conf:1:11: cluster.operator: unknown field "operator" (` + unsupportedFeature + `: it requires signed users: list them under authorization, for instance by their nkeys)`},
		{`authorization { users: [{user: a, password: b, max_connections: 1}] }`, nil, `x.conf:1:48: authorization.users.max_connections: unknown field "max_connections" (it belongs in "limits")`},
		{`accounts { A { users: [{user: a, password: b, subs: 1}] } }`, nil, `x.conf:1:47: accounts.users.subs: unknown field "subs" (it belongs in "limits")`},
		{`allow_anonymous: false`, nil, `x.conf:1:1: allow_anonymous: unknown field "allow_anonymous" (clients need a login if "authorization" has one)`},
		{`http_token: x`, nil, `x.conf:1:1: http_token: unknown field "http_token" (a login of the monitoring pages is http_user and http_password)`},
		{`ssl { verify: true }`, nil, `x.conf:1:1: ssl: unknown field "ssl" (did you mean "tls"?)`},
		{`http_user: a`, nil, `x.conf:1:1: http_user: the user has no password: the name alone would be enough`},
		{`http_password: a`, nil, `x.conf:1:1: http_password: a password without a user: the monitoring pages would need no login`},
		{`http_user: a, http_pass: b`, nil, `x.conf:1:1: http_user: the user has no password: the name alone would be enough` + "\n" + `x.conf:1:15: http_pass: unknown field "http_pass" (did you mean "http_password"?)`},
		{`http_user: a, http_password: ""`, nil, `x.conf:1:15: http_password: the password is empty`},
		{"http_user: a\nport: x\nauthorization { token: 5 }", nil, `x.conf:1:1: http_user: the user has no password: the name alone would be enough` + "\n" +
			`x.conf:2:7: port: want an integer from -1 to 65535, have string "x"` + "\n" + `x.conf:3:24: authorization.token: want a string, have integer (put it in quotes)`},
	} {
		t.Run(tc.text+strings.Join(tc.args, " "), func(t *testing.T) {
			_, err := configured(t, tc.text, tc.args...)
			if err == nil {
				t.Fatal("no error")
			}
			got := err.Error()
			if i := strings.Index(got, "x.conf:"); i > 0 {
				got = strings.ReplaceAll(got, got[:i], "")
			}
			if got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestCompleteCredentialsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		args []string
	}{
		{"authorization { PASS: a, users: [{user: u, password: $PASS}] }", nil},
		{"authorization { user: a }", []string{"--pass", "b"}},
		{"authorization { users: [{user: u, password: p}] }", []string{"--user", ""}},
		{"authorization { users: [{user: u, password: p}] }", []string{"--auth", "", "--pass", ""}},
		{"authorization { password: a }", []string{"--user", "b"}},
		{`authorization { token: "" }`, []string{"--auth", "a"}},
		{"authorization { }", nil},
		{"authorization { timeout: 1 }", nil},
		{"authorization { enabled: true }", []string{"--user", "a", "--pass", "b"}},
		{"authorization { enabled: true }\naccounts { A { users: [{user: a, password: b}] } }", nil},
		{"authorization { user: a, password: b, zzz: 1 }", nil},
		{"authorization { users: [{NAME: u, user: $NAME, password: p}] }", nil},
		{"allow_anonymous: true", nil},
		{"PASSWORD: a\nauthorization { user: u, password: $PASSWORD }", nil},
		{"authorization { ADMIN = {publish: x}, users: [{user: a, password: b}] }", nil},
		{"", []string{"--user", "a", "--pass", "b", "--auth", "c"}},
		{"TRUSTED = [a]\nauthorization { users: [{user: a, password: b, permissions: {publish: $TRUSTED}}] }", nil},
	} {
		if _, err := configured(t, tc.text, tc.args...); err != nil {
			t.Errorf("%s %q: %v", tc.text, tc.args, err)
		}
	}
}

// TestEveryMisplacedKeyIsRefused has each key where the table has it, and those of the top level in a cluster
// block, too.
func TestEveryMisplacedKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, f := range append(slices.Concat(misplacedKeys, foreignKeys), limitsOfUsers()) {
		for path := range strings.FieldsSeq(f.keys) {
			section, name := path[:max(strings.LastIndexByte(path, '.'), 0)], path[strings.LastIndexByte(path, '.')+1:]
			texts := map[string][]string{
				"":                    {"%s: x", "cluster { %s: x }"},
				"authorization":       {"authorization { user: a, password: b, %s: x }"},
				"authorization.users": {"authorization { users: [{user: a, password: b, %s: x}] }", "accounts { A { users: [{user: a, password: b, %s: x}] } }"},
				"cluster":             {"cluster { port: -1, %s: x }"},
			}[section]
			for _, text := range texts {
				text = fmt.Sprintf(text, name)
				if _, err := configured(t, text); f.restricts && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q (", name))) {
					t.Errorf("%s: got %v, want an error about the key, with a hint", text, err)
				}
			}
		}
	}
}

// TestUnknownKeysAreFoundAmongMany has more unknown keys than are reported before one of a user, or of a
// block that lacks a login.
func TestUnknownKeysAreFoundAmongMany(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "zzz%dyyy: 1\n", i)
	}
	for _, tc := range []struct{ text, want string }{
		{"authorization { anna: x }", "no user, token or users"},
		{"cluster { authorization { anna: x } }", "no user and password"},
	} {
		if _, err := configured(t, text.String()+tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want an error", tc.text, err)
		}
	}
}

func TestProgramsMustSetBothHalvesOfTheMonitoringLogin(t *testing.T) {
	t.Parallel()
	for _, o := range []*Options{{HTTPUsername: "a"}, {HTTPPassword: "a"}} {
		if _, err := NewServer(o); err == nil {
			t.Errorf("%q and %q are accepted", o.HTTPUsername, o.HTTPPassword)
		}
	}
}

// TestRestrictionsAreFoundAmongManyUnknownKeys has more unknown keys than are reported.
func TestRestrictionsAreFoundAmongManyUnknownKeys(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "zzz%dyyy: 1\n", i)
	}
	if _, err := configured(t, text.String()+"accounts { A { limits: {} }, B { users: [] }, C { users: [] } }"); err == nil || !strings.Contains(err.Error(), "accounts") {
		t.Errorf("got %v, want an error about accounts", err)
	}
}
