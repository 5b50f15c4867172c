package conf

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
)

func TestRedactURLsHidesUsersAndPasswords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"plain text", "nothing here", "nothing here"},
		{"a URL in a sentence", `cannot parse "nats://bob:CANARY@h:1", sorry`, `cannot parse "nats://[REDACTED]@h:1", sorry`},
		{"several", "nats://a:CANARY@h,nats://CANARY@i", "nats://[REDACTED]@h,nats://[REDACTED]@i"},
		{"an @ in the password", "nats://a:CAN@ARY@h", "nats://[REDACTED]@h"},
		{"a slash in the password", "nats://a:CAN/ARY@h", "nats://[REDACTED]@h"},
		{"without a scheme", "bob:CANARY@h", "[REDACTED]@h"},
		{"a scheme behind the @", "bob:CANARY@h://x", "[REDACTED]@h://x"},
	} {
		if got := RedactURLs(tc.in); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestRedactJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"nothing secret is untouched", `{"verbose":false, "user":"bob","name":"pass"}`, `{"verbose":false, "user":"bob","name":"pass"}`},
		{"password", `{"user":"bob","pass":"CANARY","lang":"go"}`, `{"user":"bob","pass":"[REDACTED]","lang":"go"}`},
		{"upper case", `{"PASS":"CANARY"}`, `{"PASS":"[REDACTED]"}`},
		{"long s, as encoding/json folds", `{"paſſ":"CANARY"}`, `{"paſſ":"[REDACTED]"}`},
		{"Kelvin sign", `{"auth_to` + "\u212a" + `en":"CANARY"}`, `{"auth_to` + "\u212a" + `en":"[REDACTED]"}`},
		{"escaped key", `{"p\u0061ss":"CANARY"}`, `{"p\u0061ss":"[REDACTED]"}`},
		{"token", `{"auth_token" : "CANARY" }`, `{"auth_token" : "[REDACTED]" }`},
		{"jwt, sig, nkey", `{"jwt":"CANARY","sig":"CANARY","nkey":"CANARY"}`, `{"jwt":"[REDACTED]","sig":"[REDACTED]","nkey":"[REDACTED]"}`},
		{"quotes in the value", `{"pass":"a\"CANARY\\","x":1}`, `{"pass":"[REDACTED]","x":1}`},
		{"number", `{"pass":12345,"x":1}`, `{"pass":"[REDACTED]","x":1}`},
		{"number at the end", `{"pass":12345}`, `{"pass":"[REDACTED]"}`},
		{"object", `{"pass":{"a":["CANARY","}"]},"x":1}`, `{"pass":"[REDACTED]","x":1}`},
		{"array", `{"pass":[["CANARY]"],1] , "x":1}`, `{"pass":"[REDACTED]" , "x":1}`},
		{"nested key", `{"a":{"password":"CANARY"}}`, `{"a":{"password":"[REDACTED]"}}`},
		{"twice", `{"pass":"CANARY","pass":"CANARY"}`, `{"pass":"[REDACTED]","pass":"[REDACTED]"}`},
		{"empty", `{"pass":""}`, `{"pass":"[REDACTED]"}`},
		{"null document", `null`, `null`},
		{"nothing", ``, ``},
		{"a string alone", `"CANARY"`, `[REDACTED] (malformed JSON)`},
		{"a list alone", ` ["CANARY"]`, ` [REDACTED] (malformed JSON)`},
		{"cut short", `{"pass":"CANARY`, `{[REDACTED] (malformed JSON)`},
		{"unquoted", `{pass: CANARY}`, `{[REDACTED] (malformed JSON)`},
		{"single quotes", `{'pass':'CANARY'}`, `{[REDACTED] (malformed JSON)`},
		{"quote missing", `{"pass:"CANARY"}`, `{[REDACTED] (malformed JSON)`},
		{"text behind", `{"user":"bob"} CANARY`, `{[REDACTED] (malformed JSON)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(RedactJSON([]byte(tt.in))); got != tt.want {
				t.Errorf("RedactJSON(%s)\n got %s\nwant %s", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzRedactJSON(f *testing.F) {
	f.Add("pass", "s3cr3t", `{"user":"bob",`, `,"x":[1,2]}`)
	f.Add(`p\u0061ss`, `\"`, `{ "a":{`, `}}`)
	f.Fuzz(func(t *testing.T, key, value, before, after string) {
		const canary = "c4n4ry"
		if strings.Contains(before+after+key, canary) {
			return
		}
		quoted, err := json.Marshal(canary + value)
		if err != nil {
			t.Fatal(err)
		}
		in := before + `"` + key + `":` + string(quoted) + after
		out := RedactJSON([]byte(in))
		if !json.Valid([]byte(in)) || strings.TrimLeft(in, " \t\r\n")[0] != '{' {
			if strings.Contains(string(out), canary) {
				t.Errorf("%s shows a secret", out)
			}
			return
		}
		if !json.Valid(out) {
			t.Errorf("%s became %s", in, out)
		}
		var c struct { // as in CONNECT
			Password string `json:"pass"`
			Token    string `json:"auth_token"`
		}
		if json.Unmarshal([]byte(in), &c) == nil && strings.Contains(c.Password+c.Token, canary) && strings.Contains(string(out), canary) {
			t.Errorf("%s shows a secret: %s", in, out)
		}
	})
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"no credentials", "nats://h:4222", "nats://h:4222"},
		{"user and password", "nats-route://bob:CANARY@h:1/x", "nats-route://[REDACTED]@h:1/x"},
		{"a user alone may be a token", "nats://CANARY@h:1", "nats://[REDACTED]@h:1"},
		{"empty password", "nats://bob:@h", "nats://[REDACTED]@h"},
		{"query and fragment are dropped", "nats://h?pass=CANARY#CANARY", "nats://h"},
		{"odd user", "nats://b%40b:CANARY@h", "nats://[REDACTED]@h"},
	} {
		u, err := url.Parse(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := RedactURL(u); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := RedactURL(nil); got != "" {
		t.Errorf("nil URL is %q", got)
	}
}

func TestExplainHidesValuesOfSecretKeys(t *testing.T) {
	t.Parallel()
	text := Text(func(l *lamp) *string { return &l.Code })
	table := NewTable([]Row[lamp]{
		{Key: "authorization", Type: Section(SectionType[lamp]{})},
		{Key: "authorization.password", Aliases: []string{"pass"}, Secret: true, Type: text},
		{Key: "no_auth_user", Type: text},
	}, nil)
	for _, tc := range []struct{ name, line, key, want string }{
		{"a secret", "password: CANARY", "", "password: [REDACTED]"},
		{"by its alias, in quotes, without a separator", `"pass" "CANARY 1"`, "", `"pass" [REDACTED]`},
		{"a list", "password: [CANARY, CANARY]", "", "password: [REDACTED]"},
		{"what is not known, by its words", "my_token = CANARY", "", "my_token = [REDACTED]"},
		{"in another case", "MyPWD=CANARY, x", "", "MyPWD=[REDACTED]"},
		{"what is known and public", "no_auth_user: bob", "no_auth_user", "no_auth_user: bob"},
		{"a section shows its public keys", "authorization { user: bob, password: CANARY }", "authorization",
			"authorization { user: bob, password: [REDACTED] }"},
		{"a secret in the place of a value", "authorization: password: CANARY", "", "authorization: [REDACTED]"},
		{"secrets in the place of a map", "authorization: [CANARY, CANARY], port: x", "port", "authorization: [REDACTED]"},
		{"spellings of passwords", `pw: "CANARY", psw: "CANARY", pswd: "CANARY", BERTS_PW: "CANARY", pw2: "CANARY"`, "",
			`pw: [REDACTED], psw: [REDACTED], pswd: [REDACTED], BERTS_PW: [REDACTED], pw2: [REDACTED]`},
		{"in other languages", `kennwort: "CANARY", mdp: "CANARY", clave: "CANARY", contraseña: "CANARY"`, "",
			`kennwort: [REDACTED], mdp: [REDACTED], clave: [REDACTED], contraseña: [REDACTED]`},
		{"hashes and numbers", `hash: "CANARY", bcrypt: "CANARY", otp: "CANARY", PIN: "CANARY"`, "",
			`hash: [REDACTED], bcrypt: [REDACTED], otp: [REDACTED], PIN: [REDACTED]`},
		{"keys of other systems", `api_key: "CANARY", apikey: "CANARY", bearer: "CANARY", parole: "CANARY"`, "",
			`api_key: [REDACTED], apikey: [REDACTED], bearer: [REDACTED], parole: [REDACTED]`},
		{"words that have such words in them", "{ pinned: 1, hashes: 2, cryptic: 3 }", "", "{ pinned: 1, hashes: 2, cryptic: 3 }"},
		{"a stray bracket behind a key", "{ user: bert, password): CANARY }", "x", "{ user: bert, password): [REDACTED] }"},
		{"a stray # behind a key", "{ user: bert, password#: CANARY }", "x", "{ user: bert, password#: [REDACTED] }"},
		{"stray quotes behind a key", `{ "password"": "CANARY" }`, "x", `{ "password"": [REDACTED] }`},
		{"a stray bracket in a key", "{ to[ken: CANARY }", "x", "{ to[ken: [REDACTED] }"},
		{"a stray dollar sign in a key", "{ pa$sword: CANARY }", "x", "{ pa$sword: [REDACTED] }"},
		{"a stray quote in a key", "{ pass'word: CANARY }", "x", "{ pass'word: [REDACTED] }"},
		{"two stray characters in a key", `{ "pas]}sword": "CANARY" }`, "x", `{ "pas]}sword": [REDACTED] }`},
		{"all behind the place of a secret", "x { CANARY, y: CANARY", "authorization.password", "[REDACTED]"},
		{"a URL", "routes: nats://bob:CANARY@h", "", "routes: nats://[REDACTED]@h"},
		{"URLs of a list in one line", "routes: [nats-route://u:CANARY@h:1, nats-route://u:CANARY@h:x]", "routes", "routes: [nats-route://[REDACTED]@h:1, nats-route://[REDACTED]@h:x]"},
		{"URLs in quotes", `{"routes": ["nats-route://u:CANARY@h:1" "nats-route://CANARY@h:2"]}`, "", `{"routes": ["nats-route://[REDACTED]@h:1" "nats-route://[REDACTED]@h:2"]}`},
		{"URLs of a key that is not known", "rotues: [nats-route://u:CANARY@h:1, u:CANARY@h:2]", "rotues",
			"rotues: [nats-route://[REDACTED]@h:1, [REDACTED]@h:2]"},
		{"URLs of two keys", "cluster { listen: nats://a:CANARY@h:1, routes: [nats-route://u:CANARY@h:1] }", "cluster.port",
			"cluster { listen: nats://[REDACTED]@h:1, routes: [nats-route://[REDACTED]@h:1] }"},
		{"another key behind a URL", `cluster { routes: [nats-route://CANARY@h], listen: "127.0.0.1:x" }`, "listen",
			`cluster { routes: [nats-route://[REDACTED]@h], listen: "127.0.0.1:x" }`},
		{"another key before a URL", `cluster { listen: "127.0.0.1:x", routes: [CANARY@h:1, CANARY@h:2] }`, "listen",
			`cluster { listen: "127.0.0.1:x", routes: [[REDACTED]@h:1, [REDACTED]@h:2] }`},
		{"a key of URLs in a password", "routes: [nats://u:CANARY route CANARY@h]", "", "routes: [nats://[REDACTED]@h]"},
		{"an @ in a password with a blank", "routes: [nats://u:CANARY@CANARY CANARY@h]", "", "routes: [nats://[REDACTED]@[REDACTED]@h]"},
		{"a scheme that is none", `x = ["nats-]oute://u:CANARY@h:1", nats://u:CANARY@h]`, "", `x = ["[REDACTED]@h:1", nats://[REDACTED]@h]`},
		{"what may be a token of a URL, of a key that is not known", "cluster { rotues: [CANARY@h:1] }", "cluster.rotues", "cluster { rotues: [[REDACTED]@h:1] }"},
		{"a seed", "x: SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", "", "x: [REDACTED]"},
	} {
		err := &Error{Pos: Pos{Line: 1, Col: 1, src: &source{text: tc.line}}, Key: tc.key, Msg: "broken"}
		got := strings.Split(table.Explain(err), "\n")
		if len(got) != 3 || got[1] != "    "+tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestFilesThatHoldSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
	const key = "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"
	const pem = "this is a key or a certificate in PEM format, not a configuration"
	const hidden = "a key without a value is unknown, and not shown: it may be a secret"
	const login = "authorization: want a map, have "
	text := Text(func(l *lamp) *string { return &l.Code })
	table := NewTable([]Row[lamp]{
		{Key: "authorization", Type: Section(SectionType[lamp]{})},
		{Key: "authorization.password", Aliases: []string{"pass"}, Secret: true, Type: text},
	}, nil)
	for _, tc := range []struct{ name, file, want string }{
		{"a key", key, "x.conf:1:1: " + pem},
		{"a key behind other text", "Bag Attributes\n    localKeyID: 54 69\n" + key, pem},
		{"an included key", "authorization { include 'y' }\n", "y:1:1: authorization: error parsing include file 'y', " + pem},
		{"a seed", seed, "x.conf:1:1: " + hidden},
		{"a seed as a key", seed + ": x", `x.conf:1:1: [REDACTED]: unknown field "[REDACTED]"`},
		{"a seed as a value", "authorization { password: [" + seed + "] }", "x.conf:1:27: authorization.password: want a string, have array"},
		{"a seed in a long value", "include 'some_directory/" + seed + "'", "some_directory/[REDACTED]"},
		{"a password", "CANARY\n", "x.conf:1:1: " + hidden},
		{"users and passwords", "anna:CANARY\nbert:CANARY\n", "x.conf:1:1: anna: unknown field \"anna\"\nx.conf:2:1: bert: unknown field \"bert\""},
		{"a login in the place of a map", `authorization: "a:CANARY"`, "x.conf:1:16: " + login + "string (write authorization { password: ... })"},
		{"a list in the place of a map", "authorization: [a, CANARY]", "x.conf:1:16: " + login + "array (write authorization { password: ... })"},
		{"a variable in the place of a map", "X = CANARY\nauthorization: $X", "x.conf:2:16: " + login + "string from $X (write authorization { password: ... })"},
	} {
		root, err := Source{Read: func(path string, included bool) ([]byte, error) {
			switch {
			case !included:
				return []byte(tc.file), nil
			case path == "y":
				return []byte(key), nil
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
		}}.File("x.conf")
		v := table.Fill(&lamp{})
		v.ApplyFile(root)
		var all Errors
		errors.As(err, &all)
		shown := table.Explain(append(append(append(all, v.Errors...), v.Warnings...), v.Unknown...))
		if !strings.Contains(shown, tc.want) || strings.Contains(shown, "CANARY") || strings.Contains(strings.ToUpper(shown), seed[:20]) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, shown, tc.want)
		}
	}
}

func TestWhatIsWrongBehindASecretIsSaid(t *testing.T) {
	t.Parallel()
	const (
		quoted = `the text behind the secret cannot be read (a comma or a line end is missing behind the quotes, or write \" for a quote in the secret)`
		bare   = "the text behind the secret cannot be read (the secret ends here: put a comma before what follows, or quotes around the secret if this belongs to it)"
	)
	text := Text(func(l *lamp) *string { return &l.Code })
	table := NewTable([]Row[lamp]{
		{Key: "http_socket", Type: text},
		{Key: "authorization", Type: Section(SectionType[lamp]{})},
		{Key: "authorization.password", Secret: true, Type: text},
		{Key: "authorization.users", Type: text},
	}, nil)
	for _, tc := range []struct{ name, file, want string }{
		{"no comma behind quotes", `authorization { password: "CANARY" timeout: 5 }`, "x.conf:1:36: authorization.password: " + quoted},
		{"no comma behind single quotes", `authorization { password: 'CANARY' timeout: 5 }`, "x.conf:1:36: authorization.password: " + quoted},
		{"text directly behind quotes", `authorization { password: "S3c"CANARY }`, "x.conf:1:32: authorization.password: " + quoted},
		{"a quote in a secret in quotes", `authorization { password: "S3c", CANARY: x CANARY", y: z }`, "x.conf:1:44: authorization.password: " + quoted},
		{"a secret in a key in quotes", `authorization { users: [{"password: CANARY, y: "a b"}] }`, "x.conf:1:51: authorization.users: " + bare},
		{"no comma without quotes", "authorization { users: [{password: x} {password: CANARY}] }", "x.conf:1:39: authorization.users.password: " + bare},
		{"a mistake behind a secret in quotes", `authorization { users: [{password: "CANARY", permissions: {publish: ["x" y]}}] }`,
			`x.conf:1:74: authorization.users.permissions.publish: Expected an array value terminator "," or an array terminator "]", but got 'y' instead.`},
		{"a variable behind a secret in quotes", `authorization { users: [{password: "CANARY", permissions: $READER}] }`,
			"x.conf:1:59: authorization.users.permissions: variable reference for 'READER' on line 1 can not be found"},
		{"a setting with a word like that of a secret", "http_socket: /tmp/my dir/x.sock", "x.conf:1:22: http_socket: Expected a top-level value to end with a new line, comment or EOF, but got 'd' instead."},
	} {
		source := Source{
			Env:  func(string) (string, bool) { return "", false },
			Read: func(string, bool) ([]byte, error) { return []byte(tc.file), nil },
		}
		_, err := table.Fill(&lamp{}).Read(source, "x.conf")
		if err == nil {
			t.Errorf("%s: no error", tc.name)
			continue
		}
		if shown := table.Explain(err); !strings.HasPrefix(shown, tc.want) || strings.Contains(shown, "CANARY") {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, shown, tc.want)
		}
	}
}
