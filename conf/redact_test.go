package conf

import (
	"encoding/json"
	"net/url"
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
		{"a secret in the place of a value", "authorization: password: CANARY", "", "authorization: password: [REDACTED]"},
		{"all behind the place of a secret", "x { CANARY, y: CANARY", "authorization.password", "[REDACTED]"},
		{"a URL", "routes: nats://bob:CANARY@h", "", "routes: nats://[REDACTED]@h"},
		{"URLs of a list in one line", "routes: [nats-route://u:CANARY@h:1, nats-route://u:CANARY@h:x]", "routes",
			"routes: [nats-route://[REDACTED]@h:1, nats-route://[REDACTED]@h:x]"},
		{"URLs in quotes", `{"routes": ["nats-route://u:CANARY@h:1" "nats-route://CANARY@h:2"]}`, "",
			`{"routes": ["nats-route://[REDACTED]@h:1" "nats-route://[REDACTED]@h:2"]}`},
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
