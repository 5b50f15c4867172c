package access

import (
	"encoding/base64"
	"fmt"
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
	users := []User{{Nkey: public}, {Name: "alice", Password: "foo"}, {Name: otherPublic, Password: "named like a key"}}
	both := Settings{Users: users}
	const nonce = "EcHpg9NqvQ9yaFA"
	raw, err := pair.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	sig := signature(t, pair, nonce)
	tests := []struct {
		name string
		set  Settings
		cred Credentials
		want string // user, "-" = refused
	}{
		{"signed", both, Credentials{Nkey: public, Signature: sig, Nonce: nonce}, public},
		{"signed, in standard base64 with padding", both, Credentials{Nkey: public, Signature: base64.StdEncoding.EncodeToString(raw), Nonce: nonce}, public},
		{"signed, in URL base64 with padding", both, Credentials{Nkey: public, Signature: base64.URLEncoding.EncodeToString(raw), Nonce: nonce}, public},
		{"a user with a password, beside it", both, Credentials{User: "alice", Password: "foo", Nonce: nonce}, "alice"},
		{"the key counts, not the user", both, Credentials{User: "alice", Password: "foo", Nkey: public, Signature: "AAAA", Nonce: nonce}, "-"},
		{"the key counts, not the wrong password", both, Credentials{User: "alice", Password: "x", Nkey: public, Signature: sig, Nonce: nonce}, public},
		{"not signed", both, Credentials{Nkey: public, Nonce: nonce}, "-"},
		{"signed for another connection", both, Credentials{Nkey: public, Signature: sig, Nonce: "anotheranother1"}, "-"},
		{"signed without a challenge", both, Credentials{Nkey: public, Signature: signature(t, pair, "")}, "-"},
		{"signed by another user", both, Credentials{Nkey: public, Signature: signature(t, other, nonce), Nonce: nonce}, "-"},
		{"a key that is not listed", both, Credentials{Nkey: otherPublic, Signature: signature(t, other, nonce), Nonce: nonce}, "-"},
		{"a signature that is no base64", both, Credentials{Nkey: public, Signature: "!!", Nonce: nonce}, "-"},
		{"a key that is none", both, Credentials{Nkey: "UX", Signature: sig, Nonce: nonce}, "-"},
		{"the public key as a name", both, Credentials{User: public, Nonce: nonce}, "-"},
		{"where no user has an nkey it is ignored", Settings{Users: users[1:2]}, Credentials{User: "alice", Password: "foo", Nkey: public, Signature: sig}, "alice"},
		{"nothing shown, with a user for that", Settings{Users: users, NoAuthUser: public}, Credentials{Nonce: nonce}, public},
		{"a key shown counts", Settings{Users: users, NoAuthUser: public}, Credentials{Nkey: public, Nonce: nonce}, "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := loggedIn(t, mustPolicy(t, tt.set), &tt.cred); got != tt.want {
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
		set  Settings
		err  string
		want []string // warnings
	}{
		{name: "an nkey needs no warning", set: Settings{Users: []User{{Nkey: public}}}},
		{name: "twice", set: Settings{Users: []User{{Nkey: public}, {Nkey: public}}},
			want: []string{fmt.Sprintf("user %q is listed more than once: the last entry counts", public)}},
		{name: "beside certificates", set: Settings{MapCertificates: true, Users: []User{{Nkey: public}}},
			want: []string{"The nkey " + public + " has no effect: verify_and_map lets certificates name the users"}},
		{name: "with a name", set: Settings{Users: []User{{Nkey: public, Name: "a"}}}, err: `user "a": ` + ErrNkeyMixed.Error()},
		{name: "the seed", set: Settings{Users: []User{{Nkey: seed}}}, err: "nkey of a user: " + errNkeySeed.Error()},
		{name: "nothing like it", set: Settings{Users: []User{{Nkey: "UX"}}}, err: "nkey of a user: " + errNkeyUser.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := NewPolicy(tt.set, NewVerifier(admission.NewLimiter(1)))
			if got := fmt.Sprint(err); tt.err != "" && got != tt.err || tt.err == "" && err != nil {
				t.Errorf("got error %s, want %s", got, tt.err)
			}
			if fmt.Sprint(warnings) != fmt.Sprint(tt.want) {
				t.Errorf("got warnings %q, want %q", warnings, tt.want)
			}
		})
	}
}

func TestNoncesDiffer(t *testing.T) {
	t.Parallel()
	if a, b := NewNonce(), NewNonce(); a == b || len(a) != 15 {
		t.Errorf("got %q and %q, want two of 15 characters", a, b)
	}
}

func FuzzNkey(f *testing.F) {
	_, public, seed := keyPair(f)
	f.Add(public, "EcHpg9NqvQ9yaFA", "AAAA")
	f.Add(seed, "", "")
	f.Add("U", "n", "=+/_-")
	f.Fuzz(func(t *testing.T, key, nonce, sig string) {
		v, err := newNkeyVerifier(key)
		if (err == nil) != (CheckNkey(key) == nil) {
			t.Fatalf("%q: compiled with %v, checked with %v", key, err, CheckNkey(key))
		}
		if err == nil && v.signed(nonce, sig) {
			t.Fatalf("%q is taken as a signature of %q", sig, nonce)
		}
	})
}
