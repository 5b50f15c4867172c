package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/server/internal/admission"
)

// hashed returns a cheap bcrypt hash of password with the given version.
func hashed(t testing.TB, password, version string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return version + string(h[4:])
}

func mustPolicy(t testing.TB, s Settings) *Policy {
	t.Helper()
	p, _, err := NewPolicy(s, NewVerifier(admission.NewLimiter(2)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// loggedIn returns the name of the identity that p gives a peer, "-" if it is refused.
func loggedIn(t testing.TB, p *Policy, c *Credentials) string {
	t.Helper()
	id, err := p.Check(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return nameOf(id)
}

func nameOf(id *Identity) string {
	if id == nil {
		return "-"
	}
	return id.Name
}

func TestWhoMayConnect(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "s3cr3t", "$2a$")
	users := []User{
		{Name: "alice", Password: "foo"}, {Name: "bob", Password: hash},
		{Name: "b", Password: hashed(t, "s3cr3t", "$2b$")}, {Name: "y", Password: hashed(t, "s3cr3t", "$2y$")},
		{Name: "twice", Password: "first"}, {Name: "twice", Password: "last"},
		{Name: "broken", Password: "$2a$11$oops"}, {Name: "guest", Password: "gpw"},
	}
	list := Settings{Users: users}
	guests := Settings{Users: users, NoAuthUser: "guest"}
	tests := []struct {
		name string
		set  Settings
		cred Credentials
		want string // user, "-" = refused
	}{
		{"without configuration every peer", Settings{}, Credentials{User: "x", Password: "y"}, ""},
		{"a password without a user asks nothing", Settings{Password: "p"}, Credentials{}, ""},
		{"single user", Settings{Username: "u", Password: "p"}, Credentials{User: "u", Password: "p"}, "u"},
		{"single user, wrong password", Settings{Username: "u", Password: "p"}, Credentials{User: "u", Password: "P"}, "-"},
		{"single user, wrong name", Settings{Username: "u", Password: "p"}, Credentials{User: "U", Password: "p"}, "-"},
		{"single user, nothing shown", Settings{Username: "u", Password: "p"}, Credentials{}, "-"},
		{"single user without password", Settings{Username: "u"}, Credentials{User: "u"}, "u"},
		{"single user without password, some shown", Settings{Username: "u"}, Credentials{User: "u", Password: "x"}, "-"},
		{"single user, bcrypt", Settings{Username: "u", Password: hash}, Credentials{User: "u", Password: "s3cr3t"}, "u"},
		{"single user, bcrypt, wrong name", Settings{Username: "u", Password: hash}, Credentials{User: "v", Password: "s3cr3t"}, "-"},
		{"token", Settings{Token: "t"}, Credentials{Token: "t"}, ""},
		{"token, wrong", Settings{Token: "t"}, Credentials{Token: "T"}, "-"},
		{"token sent as user", Settings{Token: "t"}, Credentials{User: "t"}, "-"},
		{"token sent as password", Settings{Token: "t"}, Credentials{Password: "t"}, "-"},
		{"token, bcrypt", Settings{Token: hash}, Credentials{Token: "s3cr3t"}, ""},
		{"token before single user", Settings{Token: "t", Username: "u", Password: "p"}, Credentials{User: "u", Password: "p"}, "-"},
		{"list before token", Settings{Users: users, Token: "t"}, Credentials{Token: "t"}, "-"},
		{"list before single user", Settings{Users: users, Username: "u", Password: "p"}, Credentials{User: "u", Password: "p"}, "-"},
		{"an empty list admits no peer", Settings{Users: []User{}}, Credentials{}, "-"},
		{"a user without a name admits none", Settings{Users: []User{{}}}, Credentials{}, "-"},
		{"a hook is not decided here", Settings{Hook: true}, Credentials{}, "-"},
		{"list, plain", list, Credentials{User: "alice", Password: "foo"}, "alice"},
		{"list, plain, wrong", list, Credentials{User: "alice", Password: "bar"}, "-"},
		{"list, $2a$", list, Credentials{User: "bob", Password: "s3cr3t"}, "bob"},
		{"list, $2b$", list, Credentials{User: "b", Password: "s3cr3t"}, "b"},
		{"list, $2y$", list, Credentials{User: "y", Password: "s3cr3t"}, "y"},
		{"list, bcrypt, wrong", list, Credentials{User: "bob", Password: "wrong"}, "-"},
		{"the hash itself is no password", list, Credentials{User: "bob", Password: hash}, "-"},
		{"unknown user", list, Credentials{User: "eve", Password: "foo"}, "-"},
		{"of two entries the last counts", list, Credentials{User: "twice", Password: "last"}, "twice"},
		{"of two entries the first does not", list, Credentials{User: "twice", Password: "first"}, "-"},
		{"no password matches a malformed hash", list, Credentials{User: "broken", Password: "$2a$11$oops"}, "-"},
		{"nothing shown", list, Credentials{}, "-"},
		{"nothing shown, with a user for that", guests, Credentials{}, "guest"},
		{"something shown counts", guests, Credentials{User: "guest"}, "-"},
		{"a token shown counts", guests, Credentials{Token: "x"}, "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPolicy(t, tt.set)
			for range 2 { // computed, then remembered
				if got := loggedIn(t, p, &tt.cred); got != tt.want {
					t.Errorf("admitted as %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestLoginRequired(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  Settings
		want bool
	}{
		{"nothing", Settings{}, false},
		{"password alone", Settings{Password: "p"}, false},
		{"hook", Settings{Hook: true}, true},
		{"an empty list", Settings{Users: []User{}}, true},
		{"token", Settings{Token: "t"}, true},
		{"user", Settings{Username: "u"}, true},
	} {
		p := mustPolicy(t, tt.set)
		if got := p.Required(); got != tt.want {
			t.Errorf("%s: required = %v, want %v", tt.name, got, tt.want)
		}
		if got := p.Open() == nil; got != tt.want {
			t.Errorf("%s: everyone is the same user = %v", tt.name, !got)
		}
		if p.Hook() != tt.set.Hook || p.ListsUsers() != (tt.set.Users != nil) {
			t.Errorf("%s: a program decides = %v, a list = %v", tt.name, p.Hook(), p.ListsUsers())
		}
	}
}

func TestPeersWithoutCredentialsMayBeLetIn(t *testing.T) {
	t.Parallel()
	users := []User{{Name: "u", Password: "p"}}
	limits := &Limits{MaxConnections: 3}
	p := mustPolicy(t, Settings{Users: users, OpenToOthers: true, Limits: limits})
	id, err := p.Check(t.Context(), &Credentials{})
	if err != nil || id == nil || id.Name != "" || id.Limits != limits {
		t.Errorf("got %+v, %v, want no user, with limits", id, err)
	}
	if got := loggedIn(t, p, &Credentials{User: "u", Password: "x"}); got != "-" {
		t.Errorf("a wrong password is taken for none: %q", got)
	}
	if got := loggedIn(t, mustPolicy(t, Settings{Users: users, OpenToOthers: true, NoAuthUser: "u"}), &Credentials{}); got != "u" {
		t.Errorf("got %q, want no_auth_user", got)
	}
	if got := loggedIn(t, mustPolicy(t, Settings{Users: users, Limits: limits}), &Credentials{}); got != "-" {
		t.Errorf("got %q where none is let in", got)
	}
}

func TestUsersOfTheSameRulesSharePermissions(t *testing.T) {
	t.Parallel()
	rules := &Rules{Publish: list("a")}
	p := mustPolicy(t, Settings{Users: []User{{Name: "a", Rules: rules}, {Name: "b", Rules: rules}, {Name: "sys", Rules: rules, System: true}}})
	a, b, sys := p.listed("a").Permissions, p.listed("b").Permissions, p.listed("sys").Permissions
	if a != b || a == sys {
		t.Errorf("got %p, %p and %p of the system account, want one for the first two", a, b, sys)
	}
}

func TestWarningsShowTheirPlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		warning Warning
		want    string
	}{
		{Warning{"text", "f:1:2"}, "text (f:1:2)"},
		{Warning{"text", ""}, "text"},
		{Warning{plaintextWarning, "f:1:2"}, plaintextWarning},
	} {
		if got := tt.warning.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	_, warnings, err := NewPolicy(Settings{Users: []User{{Name: "a", Password: "p", At: "f:1:1"}, {Name: "b", Password: "p", At: "f:2:1"}}}, NewVerifier(nil))
	if want := []Warning{{plaintextWarning, "f:1:1"}}; err != nil || !slices.Equal(warnings, want) {
		t.Errorf("got %v, %v, want the place of the first", warnings, err)
	}
}

func TestSettingErrorsAndWarnings(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "x", "$2a$")
	for _, tt := range []struct {
		name string
		set  Settings
		err  string
		want []string // beginnings of warnings
	}{
		{name: "hashes need no warning", set: Settings{Users: []User{{Name: "a", Password: hash}}}},
		{name: "plain list", set: Settings{Users: []User{{Name: "a", Password: "p"}}}, want: []string{"Plaintext passwords"}},
		{name: "plain single", set: Settings{Username: "a", Password: "p"}, want: []string{"Plaintext passwords"}},
		{name: "plain token", set: Settings{Token: "t"}},
		{name: "no password", set: Settings{Username: "a"}, want: []string{`The password of user "a" is empty`, "Plaintext"}},
		{name: "password alone", set: Settings{Password: "p"}, want: []string{"A password without a user"}},
		{name: "malformed hash", set: Settings{Token: "$2b$99$x"}, want: []string{"The bcrypt hash of the token is malformed"}},
		{name: "duplicate", set: Settings{Users: []User{{Name: "a", Password: hash}, {Name: "a", Password: hash}}}, want: []string{`user "a" is listed more than once`}},
		{name: "no entries for a direction", set: Settings{Users: []User{{Name: "a", Password: hash, Rules: &Rules{Publish: list("x")}}}}, want: []string{`Permissions of user "a" have no subscribe`}},
		{name: "bad subject", set: Settings{Users: []User{{Name: "a", Password: hash, Rules: &Rules{Publish: list(" ")}}}}, err: `permissions of user "a": subject " " is not a valid subject`},
		{name: "unknown no_auth_user", set: Settings{Users: []User{}, NoAuthUser: "x"}, err: `no_auth_user "x" is not in the list of users`},
		{name: "no_auth_user of the system account", set: Settings{Users: []User{{Name: "s", Password: hash, System: true}}, NoAuthUser: "s"}, err: `no_auth_user "s" is a user of the system account, which needs credentials`},
		{name: "no password in a list", set: Settings{Users: []User{{Name: "a"}}}, want: []string{"Plaintext", `The password of user "a" is empty`}},
		{name: "no name in a list", set: Settings{Users: []User{{}}}, want: []string{"A user without a name has no effect"}},
		{name: "certificates need no password", set: Settings{Users: []User{{Name: "CN=a"}, {Name: "b", Password: "p"}}, MapCertificates: true}},
		{name: "map without list", set: Settings{Username: "a", MapCertificates: true}, err: "verify_and_map needs a list of users to map certificates to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := NewPolicy(tt.set, NewVerifier(admission.NewLimiter(1)))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || len(warnings) != len(tt.want) {
				t.Fatalf("warnings %q, error %v, want %q", warnings, err, tt.want)
			}
			for i, w := range tt.want {
				if !strings.HasPrefix(warnings[i].String(), w) {
					t.Errorf("warning %q, want %q…", warnings[i], w)
				}
			}
		})
	}
}

func TestCertificatesNameUsers(t *testing.T) {
	t.Parallel()
	p := mustPolicy(t, Settings{MapCertificates: true, Users: []User{
		{Name: "bob@example.com"}, {Name: "bob.example.com"},
		{Name: "CN=bob,O=Example"}, {Name: "plain", Password: "p"},
	}})
	subject := derName(t, [][]testAttribute{{{"2.5.4.10", "Example"}}, {{"2.5.4.3", "bob"}}})
	other := derName(t, [][]testAttribute{{{"2.5.4.3", "eve"}}})
	for _, tt := range []struct {
		name string
		cert *x509.Certificate
		want string
	}{
		{"none", nil, "-"},
		{"e-mail comes first", &x509.Certificate{EmailAddresses: []string{"x@y", "bob@example.com"}, DNSNames: []string{"bob.example.com"}, RawSubject: subject}, "bob@example.com"},
		{"then DNS", &x509.Certificate{EmailAddresses: []string{"x@y"}, DNSNames: []string{"bob.example.com"}, RawSubject: subject}, "bob.example.com"},
		{"then the subject", &x509.Certificate{DNSNames: []string{"x"}, RawSubject: subject}, "CN=bob,O=Example"},
		{"a subject that is not listed", &x509.Certificate{RawSubject: other}, "-"},
		{"an alternative name that looks like a subject", &x509.Certificate{DNSNames: []string{"CN=bob,O=Example"}, RawSubject: other}, "-"},
		{"letters count", &x509.Certificate{EmailAddresses: []string{"Bob@example.com"}, RawSubject: other}, "-"},
	} {
		if got := loggedIn(t, p, &Credentials{User: "plain", Password: "p", Certificate: tt.cert}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestEveryWayToLogInRefuses tries what fits none of them.
func TestEveryWayToLogInRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  Settings
	}{
		{"user", Settings{Username: "u", Password: "p"}},
		{"user with a hash", Settings{Username: "u", Password: hashed(t, "p", "$2a$")}},
		{"token", Settings{Token: "t"}},
		{"token with a hash", Settings{Token: hashed(t, "t", "$2b$")}},
		{"users", Settings{Users: []User{{Name: "u", Password: "p"}, {Name: "SYS", Password: hashed(t, "s", "$2y$")}}}},
		{"an empty list", Settings{Users: []User{}}},
		{"certificates", Settings{Users: []User{{Name: "CN=u"}}, MapCertificates: true}},
	} {
		p := mustPolicy(t, tt.set)
		for _, c := range []Credentials{{}, {User: "u"}, {User: "SYS"}, {User: "$SYS"}, {Token: "u"}, {User: "t", Password: "t"}, {User: "CN=u"}, {Password: "p"}, {User: "u", Password: tt.set.Password + "x"}} {
			if got := loggedIn(t, p, &c); got != "-" || !p.Required() {
				t.Errorf("%s: %+v is logged in as %q", tt.name, c, got)
			}
		}
	}
}

func TestRefusalsCostAsMuchForUnknownUsers(t *testing.T) {
	t.Parallel()
	limiter := admission.NewLimiter(1)
	p, _, err := NewPolicy(Settings{Users: []User{
		{Name: "bob", Password: hashed(t, "x", "$2a$")}, {Name: "plain", Password: "x"},
	}}, NewVerifier(limiter))
	if err != nil {
		t.Fatal(err)
	}
	occupy(t, limiter) // no check can begin
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []Credentials{{User: "bob", Password: "no"}, {User: "plain", Password: "no"}, {User: "eve", Password: "no"}, {}} {
		if id, err := p.Check(gone, &c); !errors.Is(err, context.Canceled) || id != nil {
			t.Errorf("%q is refused without a bcrypt check: %v, %v", c.User, id, err)
		}
	}
}

// TestRefusalsCheckAHashOfTheUsualCost looks which hash is compared for those that have none.
func TestRefusalsCheckAHashOfTheUsualCost(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "x", "$2a$")
	synctest.Test(t, func(t *testing.T) {
		limiter := admission.NewLimiter(1)
		v := NewVerifier(limiter)
		p, _, err := NewPolicy(Settings{Users: []User{{Name: "bob", Password: hash}, {Name: "plain", Password: "x"}, {Name: "bad", Password: "$2a$99$x"}}}, v)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.dummies) != 1 || p.dummies[0][:7] != hash[:7] || p.dummies[0] == dummyHash(p.users["bob"].secret.cost) {
			t.Errorf("got dummies %q, want one of the cost of the only hash, of random bits", p.dummies)
		}
		busy := occupy(t, limiter)
		for _, name := range []string{"plain", "bad", "eve"} {
			ctx, cancel := context.WithCancel(t.Context())
			go p.Check(ctx, &Credentials{User: name, Password: "no"})
			synctest.Wait()
			if v.calls[v.digest(name, p.dummyFor(name), "no")] == nil {
				t.Errorf("%s: not the hash of a password is checked", name)
			}
			cancel()
			synctest.Wait()
		}
		busy.Release()
	})
}

func TestPoliciesWithoutHashesCheckNone(t *testing.T) {
	t.Parallel()
	for _, s := range []Settings{{}, {Token: "t"}, {Username: "u", Password: "p"}, {Users: []User{{Name: "u", Password: "p"}}}} {
		if p := mustPolicy(t, s); len(p.dummies) > 0 {
			t.Errorf("%+v: got dummies %q", s, p.dummies)
		}
	}
}

// TestUnknownUsersCostTheSameAfterAReload compares the costs of two policies of the same users.
func TestUnknownUsersCostTheSameAfterAReload(t *testing.T) {
	t.Parallel()
	var users []User
	for cost := 4; cost < 12; cost++ {
		users = append(users, User{Name: fmt.Sprint("u", cost), Password: dummyHash(cost)})
	}
	v := NewVerifier(admission.NewLimiter(1))
	first, _, err := NewPolicy(Settings{Users: users}, v)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := NewPolicy(Settings{Users: users}, v)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		name := fmt.Sprint("eve", i)
		if a, b := first.dummyFor(name)[:7], second.dummyFor(name)[:7]; a != b {
			t.Errorf("%s: got the cost of %s and %s", name, a, b)
		}
	}
}

// TestRevalidateAgreesWithCheck lets every policy of a table follow every other.
func TestRevalidateAgreesWithCheck(t *testing.T) {
	t.Parallel()
	pair, public, _ := keyPair(t)
	const nonce = "EcHpg9NqvQ9yaFA"
	hash := hashed(t, "p", "$2a$")
	users := []User{{Name: "u", Password: "p"}, {Name: "h", Password: hash}, {Nkey: public}, {Name: "CN=bob"}}
	v := NewVerifier(admission.NewLimiter(2))
	var policies []*Policy
	for _, s := range []Settings{
		{}, {Token: "t"}, {Token: "t2"}, {Username: "u", Password: "p"}, {Username: "u", Password: hash}, {Username: "u2", Password: "p"},
		{Users: users}, {Users: users, NoAuthUser: "u"}, {Users: users, NoAuthUser: public}, {Users: users, MapCertificates: true},
		{Users: users[:1]}, {Users: []User{{Name: "h", Password: hash}, {Name: "u", Password: "p2"}}}, {Users: []User{}},
		{Users: []User{{Name: public, Password: "p"}}},
	} {
		p, _, err := NewPolicy(s, v)
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, p)
	}
	bob := &x509.Certificate{RawSubject: derName(t, [][]testAttribute{{{"2.5.4.3", "bob"}}})}
	certain := 0
	for _, c := range []Credentials{
		{}, {User: "u", Password: "p"}, {User: "h", Password: "p"}, {Token: "t"}, {User: "u2", Password: "p"}, {Certificate: bob},
		{Nkey: public, Signature: signature(t, pair, nonce), Nonce: nonce}, {User: "u", Password: "p", Nkey: public, Signature: "x", Nonce: nonce},
		{User: public, Password: "p", Nkey: public, Signature: "x", Nonce: nonce},
	} {
		for i, before := range policies {
			id, err := before.Check(t.Context(), &c)
			if err != nil {
				t.Fatal(err)
			}
			if id == nil {
				continue
			}
			for k, after := range policies {
				next, ok := after.Revalidate(id, &c)
				if !ok {
					if i == k {
						t.Errorf("policy %d is not certain of %+v, which it has admitted", i, c)
					}
					continue
				}
				certain++
				if got, want := nameOf(next), loggedIn(t, after, &c); got != want {
					t.Errorf("policy %d after %d, %+v: %q is certain, Check says %q", k, i, c, got, want)
				}
				if i == k && next != id {
					t.Errorf("policy %d refuses %+v, which it has admitted", i, c)
				}
			}
		}
	}
	if certain < 100 {
		t.Errorf("%d answers are certain, want more", certain)
	}
}
