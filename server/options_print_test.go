package server

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gnatsd/conf"
)

// secretsOf returns what the variables stand for that --print-config shows for o.
func secretsOf(o *Options, printed string) map[string]string {
	secrets := map[string]string{
		"AUTHORIZATION_PASSWORD": o.Password, "AUTHORIZATION_TOKEN": o.Authorization,
		"CLUSTER_AUTHORIZATION_PASSWORD": o.Cluster.Password, "HTTP_PASSWORD": o.HTTPPassword,
	}
	for i, u := range o.Users {
		secrets[fmt.Sprintf("AUTHORIZATION_USERS_%d_PASSWORD", i+1)] = u.Password
	}
	for i, a := range o.accounts {
		for j, u := range a.users {
			secrets[fmt.Sprintf("ACCOUNTS_%d_USERS_%d_PASSWORD", i+1, j+1)] = u.Password
		}
	}
	for i, u := range o.Routes {
		secrets[fmt.Sprintf("CLUSTER_ROUTES_%d", i+1)] = u.User.String()
	}
	env := map[string]string{}
	for name, text := range secrets {
		if strings.Contains(printed, "GNATSD_"+name) {
			env["GNATSD_"+name] = conf.Quote(text)
		}
	}
	return env
}

// readPrinted reads what --print-config prints, with the environment that it asks for.
func readPrinted(text string, env map[string]string) (*Options, error) {
	o := &Options{Logtime: true}
	source := conf.Source{
		Read: func(string, bool) ([]byte, error) { return []byte(text), nil },
		Env:  func(name string) (string, bool) { value, ok := env[name]; return value, ok },
	}
	return o, loadFrom(o, "printed.conf", nil, source)
}

// configurationsOfTheTree returns the text of all configurations of the tree that are valid, by a
// name: those in files, and those on the pages.
func configurationsOfTheTree(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	example := regexp.MustCompile("(?s)```conf\n(.*?)```")
	okay(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".conf":
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		case ".md":
			text, err := os.ReadFile(path)
			for i, m := range example.FindAllStringSubmatch(string(text), -1) {
				all[fmt.Sprintf("%s, example %d", path, i+1)] = m[1]
			}
			return err
		}
		return nil
	}))
	for i, text := range []string{
		`authorization { users: [{user: a, password: "12"}, {user: "b\"}", password: "x y#${z}", permissions: {pub: "a ${b}", sub: {deny: x, allow: ["c q"]}}}], default_permissions: {pub: d} }`,
		`authorization { timeout: 7 }`,
		`authorization { user: a, password: "$2a$04$ABCDEFGHIJKLMNOPQRSTUu" }`,
		`authorization { token: "\n \t\"\\ ${x} $y # // ;" }`,
		`accounts { SYS { users: [{user: s, password: p}] }, "A B" { users: [{user: a, password: p, permissions: {allow_responses: true}}, {nkey: UDSJ5AKBZONQTERU2DDC7CUUVLXJ3SZEL7C6IBRKFM2RCE6BZRZRS2AT}] } }, system_account: SYS`,
		`cluster { port: 6222, name: "x ${y}", routes: ["nats-route://u:p%40%2F@h:1", "nats://h:2", "nats://u@[::1]:3"], authorization { user: u, password: "p", timeout: 0.7, permissions { import: a } } }`,
		`cluster { listen: ["127.0.0.1:6222", "[::1]:6222"], permissions { export: {deny: [b]} }, compression: { mode: s2_auto, rtt_thresholds: [10ms, 50ms, 100ms] }, pool_size: 3 }`,
		`listen: ["127.0.0.1:4222", "[::1]:4222"], http: 8222, http_user: a, http_password: 1234x, http_hosts: [a, b], http_same_origin: true`,
		`write_deadline: "1500ms", ping_interval: "3m", ping_max: 9, max_connections: -1, max_payload: 1MB, max_pending: 3MB, log_size_limit: 1GB, lame_duck_duration: "31s", authorization { users: [] }`,
		`remote_syslog: "udp://h:1", syslog: true, log_format: json, logtime: false, debug: true, trace: true, max_traced_msg_len: 5`,
	} {
		all[fmt.Sprintf("sample %d", i+1)] = text
	}
	return all
}

// TestPrintedConfigurationsReadBackAsTheSame prints every configuration of the tree, reads that with
// the variables that it asks for, and compares the settings.
func TestPrintedConfigurationsReadBackAsTheSame(t *testing.T) {
	t.Parallel()
	n := 0
	for name, text := range configurationsOfTheTree(t) {
		o := &Options{Logtime: true}
		source := conf.Source{
			Read: func(path string, included bool) ([]byte, error) {
				if included {
					return os.ReadFile(path)
				}
				return []byte(text), nil
			},
			Env: func(string) (string, bool) { return `"variable"`, true },
		}
		if err := loadFrom(o, filepath.Join(filepath.Dir(strings.Split(name, ",")[0]), "x.conf"), nil, source); err != nil {
			continue // it is broken on purpose, or its certificates are elsewhere
		}
		n++
		printed := o.describe()
		env := secretsOf(o, printed)
		for _, written := range regexp.MustCompile(`: \$([A-Z0-9_]+)`).FindAllStringSubmatch(printed, -1) {
			env[written[1]] = `"variable"`
		}
		for _, u := range o.Users {
			if u.variable != "" {
				env[u.variable] = conf.Quote(u.Password)
			}
		}
		again, err := readPrinted(printed, env)
		if err != nil {
			t.Errorf("%s\n%s\ncannot be read: %v", name, printed, err)
			continue
		}
		if len(again.loaded.values.Unknown) > 0 {
			t.Errorf("%s: %v in\n%s", name, again.loaded.values.Unknown, printed)
		}
		o.fill()
		again.fill()
		for _, c := range optionTable().Compare(o, again) {
			t.Errorf("%s: %s was %s, is %s, of\n%s", name, c.Row.Key, c.Row.Text(o), c.Row.Text(again), printed)
		}
		if twice := again.describe(); withoutOrigins(twice) != withoutOrigins(printed) {
			t.Errorf("%s: printed again it is\n%s\nand was\n%s", name, twice, printed)
		}
		for variable, secret := range env {
			if text := strings.Trim(secret, `"`); text != "" && strings.Contains(printed, `password: "`+text) {
				t.Errorf("%s: the secret of %s is shown", name, variable)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d configurations were tried", n)
	}
}

// withoutOrigins cuts the comments off.
func withoutOrigins(printed string) string {
	return regexp.MustCompile(`(?m) +# .*$`).ReplaceAllString(printed, "")
}

// TestPrintedUsersAreOneALine has users with variables, and without.
func TestPrintedUsersAreOneALine(t *testing.T) {
	t.Setenv("ANNAS", "secret1")
	t.Setenv("ROUTE", "secret3")
	o := mustConfigure(t, `BERTS = "secret2"
authorization { users: [{user: anna, password: $ANNAS}, {user: bert, password: $BERTS}, {user: carl, password: secret4}] }
cluster { port: 6222, routes: ["nats://u:${ROUTE}@h:1"] }
http_user: a, http_password: $ANNAS`)
	printed := o.describe()
	for _, want := range []string{
		"# Variables stand for secrets. To read this file set ANNAS, BERTS, GNATSD_AUTHORIZATION_USERS_3_PASSWORD, GNATSD_CLUSTER_ROUTES_1\n",
		"\n    {user: \"anna\", password: $ANNAS}\n    {user: \"bert\", password: $BERTS}\n    {user: \"carl\", password: \"${GNATSD_AUTHORIZATION_USERS_3_PASSWORD}\"}\n  ]\n",
		"\n  routes: [\"nats://${GNATSD_CLUSTER_ROUTES_1}@h:1\"]", "\nhttp_password: $ANNAS ",
	} {
		if !strings.Contains(strings.Replace(printed, "http_password: $ANNAS", "http_password: $ANNAS ", 1), want) && !strings.HasPrefix(printed, want) {
			t.Errorf("got\n%s\nwant in it\n%s", printed, want)
		}
	}
	if strings.Contains(printed, "secret") && regexp.MustCompile(`secret\d`).MatchString(printed) {
		t.Errorf("a secret is shown:\n%s", printed)
	}
	again, err := readPrinted(printed, map[string]string{"ANNAS": "x1", "BERTS": "x2", "GNATSD_AUTHORIZATION_USERS_3_PASSWORD": "x3", "GNATSD_CLUSTER_ROUTES_1": "a:b"})
	okay(t, err)
	var got []string
	for _, u := range again.Users {
		got = append(got, u.Username+" "+u.Password)
	}
	if !slices.Equal(got, []string{"anna x1", "bert x2", "carl x3"}) || again.Routes[0].User.String() != url.UserPassword("a", "b").String() {
		t.Errorf("got %q and %v", got, again.Routes)
	}
	if _, err := readPrinted(printed, nil); err == nil || !strings.Contains(err.Error(), "variable reference for 'ANNAS' on line") {
		t.Errorf("without the variables: %v", err)
	}
}
