package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"gnatsd/server/internal/admission"
)

// keyPair returns a new nkey: its two halves, and the seed.
func keyPair(t testing.TB) (pair nkeys.KeyPair, public, seed string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	secret, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public, string(secret)
}

// signature is the base64 of what pair makes of nonce.
func signature(t testing.TB, pair nkeys.KeyPair, nonce string) string {
	t.Helper()
	raw, err := pair.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestWhoMayConnectWithAnNkey(t *testing.T) {
	t.Parallel()
	pair, public, _ := keyPair(t)
	other, otherPublic, _ := keyPair(t)
	users := []*User{{Nkey: public}, {Username: "alice", Password: "foo"}, {Username: otherPublic, Password: "named like a key"}}
	both := authSettings{users: users}
	const nonce = "EcHpg9NqvQ9yaFA"
	raw, err := pair.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	sig := signature(t, pair, nonce)
	tests := []struct {
		name string
		set  authSettings
		cred credentials
		want string // user, "-" = refused
	}{
		{"signed", both, credentials{nkey: public, signature: sig, nonce: nonce}, public},
		{"signed, in standard base64 with padding", both, credentials{nkey: public, signature: base64.StdEncoding.EncodeToString(raw), nonce: nonce}, public},
		{"signed, in URL base64 with padding", both, credentials{nkey: public, signature: base64.URLEncoding.EncodeToString(raw), nonce: nonce}, public},
		{"a user with a password, beside it", both, credentials{user: "alice", pass: "foo", nonce: nonce}, "alice"},
		{"the key counts, not the user", both, credentials{user: "alice", pass: "foo", nkey: public, signature: "AAAA", nonce: nonce}, "-"},
		{"the key counts, not the wrong password", both, credentials{user: "alice", pass: "x", nkey: public, signature: sig, nonce: nonce}, public},
		{"not signed", both, credentials{nkey: public, nonce: nonce}, "-"},
		{"signed for another connection", both, credentials{nkey: public, signature: sig, nonce: "anotheranother1"}, "-"},
		{"signed without a challenge", both, credentials{nkey: public, signature: signature(t, pair, "")}, "-"},
		{"signed by somebody else", both, credentials{nkey: public, signature: signature(t, other, nonce), nonce: nonce}, "-"},
		{"a key that is not listed", both, credentials{nkey: otherPublic, signature: signature(t, other, nonce), nonce: nonce}, "-"},
		{"a signature that is no base64", both, credentials{nkey: public, signature: "!!", nonce: nonce}, "-"},
		{"a key that is none", both, credentials{nkey: "UX", signature: sig, nonce: nonce}, "-"},
		{"the public key as a name", both, credentials{user: public, nonce: nonce}, "-"},
		{"where nobody has an nkey it is no matter", authSettings{users: users[1:2]}, credentials{user: "alice", pass: "foo", nkey: public, signature: sig}, "alice"},
		{"nothing shown, with a user for that", authSettings{users: users, noAuthUser: public}, credentials{nonce: nonce}, public},
		{"a key shown counts", authSettings{users: users, noAuthUser: public}, credentials{nkey: public, nonce: nonce}, "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "-"
			if r := mustAuth(t, tt.set).check(t.Context(), &tt.cred); r.account != nil {
				got = r.account.name
			}
			if got != tt.want {
				t.Errorf("admitted as %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNkeyWarningsAndErrors(t *testing.T) {
	t.Parallel()
	_, public, seed := keyPair(t)
	for _, tt := range []struct {
		name string
		set  authSettings
		err  string
		want []string // warnings
	}{
		{name: "an nkey needs no warning", set: authSettings{users: []*User{{Nkey: public}}}},
		{name: "twice", set: authSettings{users: []*User{{Nkey: public}, {Nkey: public}}},
			want: []string{fmt.Sprintf("user %q is listed more than once: the last entry counts", public)}},
		{name: "beside certificates", set: authSettings{mapCert: true, users: []*User{{Nkey: public}}},
			want: []string{"The nkey " + public + " has no effect: verify_and_map lets certificates name the users"}},
		{name: "with a name", set: authSettings{users: []*User{{Nkey: public, Username: "a"}}}, err: `user "a": ` + errNkeyMixed.Error()},
		{name: "the seed", set: authSettings{users: []*User{{Nkey: seed}}}, err: "nkey of a user: " + errNkeySeed.Error()},
		{name: "nothing like it", set: authSettings{users: []*User{{Nkey: "UX"}}}, err: "nkey of a user: " + errNkeyUser.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := compileAuth(tt.set, newVerifier(admission.NewLimiter(1)))
			if got := fmt.Sprint(err); tt.err != "" && got != tt.err || tt.err == "" && err != nil {
				t.Errorf("got error %s, want %s", got, tt.err)
			}
			if fmt.Sprint(warnings) != fmt.Sprint(tt.want) {
				t.Errorf("got warnings %q, want %q", warnings, tt.want)
			}
		})
	}
}

// challenged connects and returns what INFO says.
func challenged(t *testing.T, s *Server) (*talker, *Info) {
	t.Helper()
	c := talk(t, s.Addr())
	info := new(Info)
	if err := json.Unmarshal([]byte(strings.TrimPrefix(c.want("INFO "), "INFO ")), info); err != nil {
		t.Fatal(err)
	}
	return c, info
}

func TestNkeyOnTheWire(t *testing.T) {
	t.Parallel()
	pair, public, _ := keyPair(t)
	s := broker(t, func(o *Options) {
		o.Users = []*User{
			{Nkey: public, Permissions: &Permissions{Publish: &SubjectPermission{Allow: []string{"mine.>"}}}},
			{Username: "alice", Password: "foo"},
		}
	})
	heard := new(notices)
	s.SetLogger(heard, false, false)
	c, info := challenged(t, s)
	if len(info.Nonce) != 15 || !info.AuthRequired {
		t.Fatalf("got nonce %q, auth_required %v", info.Nonce, info.AuthRequired)
	}
	connect := fmt.Sprintf("CONNECT {\"nkey\":%q,\"sig\":%q,\"pedantic\":false}\r\n", public, signature(t, pair, info.Nonce))
	c.send(connect + "PUB mine.a 0\r\n\r\nPUB yours 0\r\n\r\n")
	c.wantText("+OK\r\n+OK\r\n-ERR 'Permissions Violation for Publish to \"yours\"'\r\n")
	c.send("CONNECT {\"verbose\":false}\r\n") // whose it is need not be shown again
	c.sync()
	conns, err := s.Connz(&ConnzOptions{Username: true})
	if err != nil || len(conns.Conns) != 1 || conns.Conns[0].AuthorizedUser != public {
		t.Errorf("got %+v, %v; want the public key as user", conns.Conns, err)
	}
	second, again := challenged(t, s)
	if again.Nonce == info.Nonce {
		t.Error("two connections got the same nonce")
	}
	second.send(connect) // recorded from the first
	second.want("-ERR 'Authorization Violation'\r\n")
	third, _ := challenged(t, s)
	third.send("CONNECT {\"verbose\":false,\"user\":\"alice\",\"pass\":\"foo\"}\r\n")
	third.sync()
	if got := heard.with(fmt.Sprintf("authorization error - User \"%s\"", public)); len(got) != 1 {
		t.Errorf("got %q, want one line that names the key", got)
	}
}

func TestNkeyAcrossChangesOfTheRules(t *testing.T) {
	t.Parallel()
	pair, public, _ := keyPair(t)
	s := broker(t, func(o *Options) {
		o.Users = []*User{{Nkey: public}, {Username: "alice", Password: "foo"}}
	})
	change := func(users ...*User) {
		t.Helper()
		o := *s.options()
		o.Users = users
		g, err := s.newGuard(&o)
		if err != nil {
			t.Fatal(err)
		}
		s.setGuard(g)
	}
	c, info := challenged(t, s)
	c.send(fmt.Sprintf("CONNECT {\"verbose\":false,\"nkey\":%q,\"sig\":%q}\r\n", public, signature(t, pair, info.Nonce)))
	c.sync()
	change(&User{Username: "alice", Password: "foo"}, &User{Nkey: public, Permissions: &Permissions{Publish: &SubjectPermission{Deny: []string{"x"}}}})
	c.send("PUB x 0\r\n\r\n")
	c.want("-ERR 'Permissions Violation for Publish")
	c.sync()
	change(&User{Username: "alice", Password: "foo"})
	c.want("-ERR 'Authorization Violation'")
	plain, info := challenged(t, s)
	if info.Nonce != "" {
		t.Errorf("got nonce %q where nobody has an nkey", info.Nonce)
	}
	plain.send(fmt.Sprintf("CONNECT {\"verbose\":false,\"user\":\"alice\",\"pass\":\"foo\",\"nkey\":%q,\"sig\":\"x\"}\r\n", public))
	plain.sync()
	change(&User{Username: "alice", Password: "foo"}, &User{Nkey: public})
	plain.want("-ERR 'Authorization Violation'") // it claims the key, and never proved it
}

func FuzzNkey(f *testing.F) {
	_, public, seed := keyPair(f)
	f.Add(public, "EcHpg9NqvQ9yaFA", "AAAA")
	f.Add(seed, "", "")
	f.Add("U", "n", "=+/_-")
	f.Fuzz(func(t *testing.T, key, nonce, sig string) {
		v, err := newNkeyVerifier(key)
		if (err == nil) != (checkNkey(key) == nil) {
			t.Fatalf("%q: compiled with %v, checked with %v", key, err, checkNkey(key))
		}
		if err == nil && v.signed(nonce, sig) {
			t.Fatalf("%q is taken as a signature of %q", sig, nonce)
		}
	})
}
