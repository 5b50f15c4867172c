package server

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"
	"testing"

	"gnatsd/conf"
)

// secretPart stands before and behind the odd character of the passwords in the tests below.
const secretPart = "CANARY"

// oddPasswords have every character in them that a URL, the language of the file or a shell treats
// as special.
func oddPasswords() (list []string) {
	for _, c := range []string{"", "/", "#", "?", " ", "@", ":", ",", ";", "%", "%zz", `\`, "'", `"`, "]", "[", "}", "{", "$", "=", "&", "//", "://", "\t", "é"} {
		list = append(list, secretPart+c+secretPart, secretPart+c, c+secretPart)
	}
	return append(list, "7"+secretPart, "123", "12/"+secretPart, "$"+strings.ToLower(secretPart))
}

// shownBy returns everything that is shown of a command line.
func shownBy(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	for _, more := range [][]string{{}, {"-t"}, {"--print-config"}, {"--explain", "user=a", "pub=x"}, {"-t", "--diff=" + writeConfig(t, "port: 1")}} {
		opts, _ := CommandLine(append(more[:len(more):len(more)], args...), &out, &errs)
		if opts == nil {
			continue
		}
		for _, w := range opts.loaded.warnings {
			fmt.Fprintln(&out, w)
		}
		for _, c := range optionTable().Compare(&Options{}, opts) {
			fmt.Fprintln(&out, c.Row.Plain(opts), c.New)
		}
		for _, u := range opts.Routes {
			fmt.Fprintln(&out, conf.RedactURL(u))
		}
	}
	return out.String() + errs.String()
}

// sample thins out the combinations that the tests below walk: it is true for one of n, always the
// same ones. All of them take minutes.
func sample(text string, n uint32) bool {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()%n == 0
}

// leaks reports whether a text shows a part of a secret.
func leaks(text string) bool {
	return strings.Contains(strings.ToUpper(text), secretPart)
}

func TestNoPartOfAURLBeforeTheAtSignIsShown(t *testing.T) {
	t.Parallel()
	for _, password := range oddPasswords() {
		for _, form := range []string{"nats://u:%s@h:1", "nats://u:%s@h:x", "nats://u:%s@h", "u:%s@h:1", "nats-route://%s@h:1", "%s@h:1", "nats://u:%s@:0", "tls://u:%s@[::1"} {
			if !strings.Contains(form, "u:") && strings.Contains(password, ":") {
				continue // what precedes the colon is a name
			}
			text := fmt.Sprintf(form, password)
			for _, value := range []string{text, conf.Quote(text), "'" + text + "'", url.PathEscape(text)} {
				for _, file := range []string{
					"cluster { listen: 127.0.0.1:-1, routes: [%s] }",
					"cluster { listen: 127.0.0.1:-1, routes: [ \"nats://a:b@h:1\", %s\n%[1]s ] }",
					"cluster {\nlisten: 127.0.0.1:-1\nroutes = %s }",
					"cluster {\nlisten: 127.0.0.1:-1\nroutes = [\n  %s\n  5\n]\n}",
					"cluster { listen: %s }", "cluster { host: %s, port: x }", "cluster { port: 1, advertise: %s }",
					"cluster: %s", "cluster { port: %s }", "cluster { rotues: [%s] }",
					"listen: %s", "host: %s", "net = %s\nport = x", "http: %s", "https: %s", "http_host: %s", "client_advertise: %s", "remote_syslog: %s", "port: %s",
					"# %s\nport: x # %[1]s", "X = %s, port: x", "routes: %s", "URL = %s\ncluster { port: 1, routes: [$URL, 5] }",
				} {
					if value == text && (strings.Contains(password, "\n") || strings.ContainsAny(password, ",;}") && !strings.Contains(file, "routes: [")) {
						continue // the value ends there
					}
					if inAnyKey := strings.Contains(file, "port: %s") || strings.HasPrefix(file, "#") || strings.HasPrefix(file, "URL") || strings.Contains(file, "= %s, port"); inAnyKey && (!strings.Contains(form, "://") || value == text) {
						continue // nothing says that it is a URL
					}
					config := fmt.Sprintf(file, value)
					if !sample(config, 300) {
						continue
					}
					if shown := shownBy(t, "-c", writeConfig(t, config)); leaks(shown) {
						t.Fatalf("a file with\n%s\nshows\n%s", config, shown)
					}
				}
			}
			for _, args := range [][]string{
				{"--cluster", "nats://127.0.0.1:1", "--routes", text}, {"--cluster", "nats://127.0.0.1:1", "--routes", "nats://h:1, " + text + ",nats://h:2"},
				{"--cluster", text}, {"--cluster_listen=" + text}, {"--user", text}, {"--user", text, "--pass", secretPart},
				{"-a", text}, {"--net", text}, {"--client_advertise", text}, {"--cluster", "nats://127.0.0.1:1", "--cluster_advertise", text}, {"-r", text},
			} {
				if args[0] == "--user" && (len(args) > 2 || !isUserURL(text)) && !strings.Contains(form, "u:") {
					continue // a name, which may be shown
				}
				if !sample(strings.Join(args, " "), 20) {
					continue
				}
				if shown := shownBy(t, args...); leaks(shown) {
					t.Fatalf("%q shows\n%s", args, shown)
				}
			}
		}
	}
}

func TestNoValueOfASecretKeyIsShown(t *testing.T) {
	t.Parallel()
	for _, password := range oddPasswords() {
		for _, value := range []string{password, conf.Quote(password), "'" + password + "'"} {
			if value == password && (strings.Contains(password, "\n") || strings.HasPrefix(password, "$C")) || value[0] == '\'' && strings.Contains(password, "'") {
				continue // the string ends there, or it is a variable
			}
			for _, file := range []string{
				"authorization { user: a, password: %s }", "authorization { user: a, pass = %s\nport: x }", "authorization { token %s }", "authorization { user: a, password: %s %[1]s }",
				"authorization { users: [ { user: a, password: %s, x: [ } ] }", "authorization { users: [ {user: a, pass: %s} {user: b} ] }",
				"authorization { user: a, pasword: %s }", "authorization { user: a, passwrod: %s }", "authorization { user: a, pas: %s }", "authorization { toekn: %s }", "authorization { tokn: [ %s ] }",
				"paswords: %s, port: x", "db-pasword = %s\nport: x", "sceret: %s, port: x", "http_pasword: %s", "http_user: a, http_password: %s, port: x", "http_password: [%s]",
				"cluster { port: 1, authorization { user: a, pasword: %s } }", "cluster { authorization { user: a, password: %s }, port: x }", "cluster { authorization { token: %s } }",
				"authorization {\nuser: a\npassword: %s\n}", "http_user: a\nhttp_password: %s\nport: 1", "http_user: a\nhttp_password: %s", "authorization: {user: a, password: %s}",
				"authorization { users: [\n{user: a, password: %s}\n{user: b, password: c}\n] }", "accounts { A: { users: [ {user: a,password:%s},{user: b,password:c} ] } }",
				"http_password =\n%s x", "http_password\n%s x", "authorization {\npassword:\n %s\n}", "authorization {\npassword:\n %s} b\n}", "authorization { users: { a: %s } }",
				"authorization { users: {\na: %s\nb: %[1]s } }", "authorization { users: [ { nkey: %s } ] }", "cluster { port: 1, authorization { user: a\npassword: %s\n} }",
				"authorization { users: [ { user: a, paswrd: %s } ] }", "authorization { users: [ { user: a, pasword: %s } ] }",
			} {
				config := fmt.Sprintf(file, value)
				if !sample(config, 300) {
					continue
				}
				if shown := shownBy(t, "-c", writeConfig(t, config)); leaks(shown) {
					t.Fatalf("a file with\n%s\nshows\n%s", config, shown)
				}
			}
		}
		for _, args := range [][]string{
			{"--pass", password}, {"--user", "a", "--pass", secretPart, password}, {"--auth", secretPart, password}, {"--user", "a", "--pass=" + secretPart, password},
			{"--user", "nats://a:" + secretPart, password + "@h"}, {"--cluster", "nats://a:" + secretPart, password + "@h:1"},
		} {
			if shown := shownBy(t, args...); leaks(shown) {
				t.Fatalf("%q shows\n%s", args, shown)
			}
		}
	}
}

// TestTheRestOfASecretIsAnErrorAndNotShown has secrets that end too early for want of quotes, in files
// and in the environment, and such that stand on another line than their key.
func TestTheRestOfASecretIsAnErrorAndNotShown(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"authorization {\n user: a\n password: S3c,CANARY9\n}", ":3:16: authorization.password: the text behind the secret cannot be read (the secret ends here: put a comma before what follows"},
		{"authorization { user: a, password: S3c,CANARY: 9 }", ":1:40: authorization.password: the text behind"},
		{"authorization { user: a, password: S3c,CANARY { b: 9 } }", ":1:40: authorization.password: the text behind"},
		{"authorization { user: a, password: S3c, CANARY }", ":1:41: authorization.password: the text behind"},
		{"authorization { user: a, password: S3c; CANARY # x\n}", ":1:41: authorization.password: the text behind"},
		{"authorization: {user: a, password: S3c}CANARY7}", ":1:40: authorization.password: the text behind"},
		{"authorization { users: [\n{user: a, password: S3c,CANARY}\n{user: b, password: c}\n] }", ":2:25: authorization.users.password: the text behind"},
		{"authorization { users: [ {user: a, password: S3c},CANARY ] }", ":1:51: authorization.users.password: the text behind"},
		{"authorization { token: S3c,CANARY\n}", ":1:28: authorization.token: the text behind"},
		{`authorization { token: "S3c",CANARY"` + "\n}", ":1:30: authorization.token: the text behind"},
		{"authorization { token: [S3c,CAN CANARY] }", ":1:33: authorization.token: the text behind"},
		{"http_user: a\nhttp_password: S3c,CANARY", ":2:20: http_password: the text behind"},
		{"http_user: a\nhttp_password: S3c, CANARY", ":2:21: http_password: the text behind"},
		{"http_user: a\nhttp_password: S3c;CANARY: x", ":2:20: http_password: the text behind"},
		{"cluster { port: 1, authorization { user: a, password: S3c,CANARY\n} }", ":1:59: cluster.authorization.password: the text behind"},
		{"accounts { A { users: [{user: a, password: S3c}CANARY] } }", ":1:48: accounts.A.users.password: the text behind"},
		{"authorization: $CANARY_AUTH", ":1:16: authorization.password: the text behind"},
		{"http_password =\n CANARY7 x", ":1:16: http_password: Expected value but found new line"},
		{"http_password\nCANARY7 x", ":2:9: http_password: the text behind"},
		{"authorization {\npassword:\n \"CANARY7\\q CANARY\nCANARY\"\n}", ":3:10: authorization.password: Invalid escape character '[REDACTED]'"},
		{"authorization {\npassword:\n CANARY7} b\n}", ":3:11: authorization.password: the text behind"},
		{"authorization { users: { a: CANARY7 } }", ":1:24: authorization.users: expected users field to be an array, got map"},
		{"authorization { users: {\na: CANARY7 CANARY8\n} }", ":2:12: authorization.users.a: the text behind"},
		{"authorization { password: \"CANARY\nCANARY x\ny: z }", ":1:27: authorization.password: Unexpected EOF."},
	} {
		t.Setenv("CANARY_AUTH", "{user: a, password: S3c,CANARY: 5}")
		file := writeConfig(t, tc.text)
		shown := shownBy(t, "-c", file)
		if !strings.Contains(shown, file+tc.want) || leaks(strings.ReplaceAll(shown, "CANARY_AUTH", "")) {
			t.Errorf("a file with\n%s\nshows\n%s\nwant %s", tc.text, shown, tc.want)
		}
	}
}

// TestWhatFollowsASecretMayBeASetting has settings behind secrets without quotes, in the same line.
func TestWhatFollowsASecretMayBeASetting(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"authorization { users: [{user: a,password: b,permissions: {publish: x}},{user: c,password: d}] }",
		"authorization { users: [{user: a,password: b,permissions:\n {publish: x}}] }",
		"cluster { port: 1, authorization {user: a,password: b},routes:\n [\"nats-route://127.0.0.1:1\"] }",
		"http_password: b,http_user: a,cluster\n{ port: 1 }",
		`{"http_user":"a","http_password":"b","server_name":"bob's","port":1}`,
		"http_user: a, http_password: b, server_name: x",
	} {
		mustConfigure(t, text)
	}
	o := mustConfigure(t, "authorization {user: a,password: b},write_deadline: 2")
	if w := o.loaded.warnings; len(w) == 0 || !strings.Contains(w[0], plainWriteDeadline) {
		t.Errorf("a warning about a setting behind a secret: got %q", w)
	}
}

// TestAnUnknownKeyBehindASecretIsNotShown has text behind secrets, and a blank, that is read as a key
// with a value. The start warns of it, and -t refuses it.
func TestAnUnknownKeyBehindASecretIsNotShown(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"http_user: a, http_password: My, CANARY blah",
		"http_user: a, http_password: My; CANARY = 4",
		"authorization { user: a, password: My, CANARY blah, timeout: 2 }",
		"authorization { users: [{user: a, password: My, CANARY blah}] }",
	} {
		file := writeConfig(t, text)
		if shown := shownBy(t, "-c", file); !strings.Contains(shown, "a key behind the secret is unknown") || leaks(shown) {
			t.Errorf("a file with\n%s\nshows\n%s", text, shown)
		}
	}
	for _, text := range []string{
		"authorization { user: a, password: My, CANARY, timeout: 2 }",
		`authorization { user: a, password: "My", CANARY", timeout: 2 }`,
		"authorization { user: a,password: b,CANARY: 1 }",
	} {
		file := writeConfig(t, text)
		if shown := shownBy(t, "-c", file); !strings.Contains(shown, "the text behind the secret cannot be read") || leaks(shown) {
			t.Errorf("a file with\n%s\nshows\n%s", text, shown)
		}
		if _, err := ProcessConfigFile(file); err == nil {
			t.Errorf("a start accepts\n%s", text)
		}
	}
	o := mustConfigure(t, "http_user: a, http_password: My, CANARY blah")
	if w := strings.Join(o.loaded.warnings, "\n"); !strings.Contains(w, "a key behind the secret is unknown") || leaks(w) {
		t.Errorf("at the start: %q", w)
	}
}

// TestMessagesAboutURLsStillSayWhatIsWrong has the host shown, and the mistake.
func TestMessagesAboutURLsStillSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ url, want string }{
		{"nats://u:p@h:x", `error parsing route url ["nats://[REDACTED]@h:x"]: invalid port ":x" after host`},
		{"nats://u:p@h", `error parsing route url ["nats://[REDACTED]@h"]: the port is missing`},
		{"nats://u:p/q@h:1", `error parsing route url ["nats://[REDACTED]@h:1"]: special characters of the user and the password must be escaped: %40 for @, %2F for /, `},
		{"u:p@h:1", `error parsing route url ["[REDACTED]@h:1"]: the scheme is missing, as in nats://host`},
		{"nats://h:1x", `error parsing route url ["nats://h:[REDACTED]"]: the port is not a number`},
		{"nats://h:70000", `error parsing route url ["nats://h:70000"]: the port is not between 1 and 65535`},
	} {
		_, err := configured(t, "cluster { port: 1, routes: ["+conf.Quote(tc.url)+"] }")
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", tc.url, err, tc.want)
		}
	}
}

// TestLoginsOfTheWrongFormAreNotShown has users, accounts and blocks that are not what they should be: the values
// may be passwords.
func TestLoginsOfTheWrongFormAreNotShown(t *testing.T) {
	t.Setenv("LOGIN", "anna:"+secretPart)
	for _, text := range []string{
		`authorization { users: "anna:SECRET" }`, `authorization { users: $LOGIN }`, `authorization { users: [{anna: SECRET}] }`,
		`authorization { users: [anna, SECRET] }`, `authorization { anna = SECRET }`, `authorization { anna: {password: SECRET} }`,
		`authorization { SECRET: anna }`, `authorization: SECRET`, `cluster { authorization: SECRET }`, `cluster { authorization { anna: SECRET } }`,
		`accounts { SYS: SECRET }`, `accounts: [SECRET]`, `accounts: SECRET`, `accounts { A { users: "anna:SECRET" } }`,
		`accounts { A { users: [{anna: SECRET}] } }`, `accounts { A { users: [], anna: SECRET } }`,
	} {
		text = strings.ReplaceAll(text, "SECRET", secretPart)
		if got := shownBy(t, "-c", writeConfig(t, text)); leaks(got) || !strings.Contains(got, "x.conf:1:") {
			t.Errorf("%s\n%s", text, got)
		}
	}
}
