package server

import (
	"context"
	"crypto/x509"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
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

func mustAuth(t testing.TB, s authSettings) *authSet {
	t.Helper()
	a, _, err := compileAuth(s, newVerifier(admission.NewLimiter(2)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhoMayConnect(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "s3cr3t", "$2a$")
	users := []*User{
		{Username: "alice", Password: "foo"}, {Username: "bob", Password: hash},
		{Username: "b", Password: hashed(t, "s3cr3t", "$2b$")}, {Username: "y", Password: hashed(t, "s3cr3t", "$2y$")},
		{Username: "twice", Password: "first"}, {Username: "twice", Password: "last"},
		{Username: "broken", Password: "$2a$11$oops"}, {Username: "guest", Password: "gpw"},
	}
	list := authSettings{users: users}
	guests := authSettings{users: users, noAuthUser: "guest"}
	tests := []struct {
		name string
		set  authSettings
		cred credentials
		want string // user, "-" = refused
	}{
		{"without configuration everybody", authSettings{}, credentials{user: "x", pass: "y"}, ""},
		{"a password without a user asks nothing", authSettings{pass: "p"}, credentials{}, ""},
		{"single user", authSettings{user: "u", pass: "p"}, credentials{user: "u", pass: "p"}, "u"},
		{"single user, wrong password", authSettings{user: "u", pass: "p"}, credentials{user: "u", pass: "P"}, "-"},
		{"single user, wrong name", authSettings{user: "u", pass: "p"}, credentials{user: "U", pass: "p"}, "-"},
		{"single user, nothing shown", authSettings{user: "u", pass: "p"}, credentials{}, "-"},
		{"single user without password", authSettings{user: "u"}, credentials{user: "u"}, "u"},
		{"single user without password, some shown", authSettings{user: "u"}, credentials{user: "u", pass: "x"}, "-"},
		{"single user, bcrypt", authSettings{user: "u", pass: hash}, credentials{user: "u", pass: "s3cr3t"}, "u"},
		{"single user, bcrypt, wrong name", authSettings{user: "u", pass: hash}, credentials{user: "v", pass: "s3cr3t"}, "-"},
		{"token", authSettings{token: "t"}, credentials{token: "t"}, ""},
		{"token, wrong", authSettings{token: "t"}, credentials{token: "T"}, "-"},
		{"token sent as user", authSettings{token: "t"}, credentials{user: "t"}, "-"},
		{"token sent as password", authSettings{token: "t"}, credentials{pass: "t"}, "-"},
		{"token, bcrypt", authSettings{token: hash}, credentials{token: "s3cr3t"}, ""},
		{"token before single user", authSettings{token: "t", user: "u", pass: "p"}, credentials{user: "u", pass: "p"}, "-"},
		{"list before token", authSettings{users: users, token: "t"}, credentials{token: "t"}, "-"},
		{"list before single user", authSettings{users: users, user: "u", pass: "p"}, credentials{user: "u", pass: "p"}, "-"},
		{"an empty list admits nobody", authSettings{users: []*User{}}, credentials{}, "-"},
		{"a hook is not decided here", authSettings{hook: true}, credentials{}, "-"},
		{"list, plain", list, credentials{user: "alice", pass: "foo"}, "alice"},
		{"list, plain, wrong", list, credentials{user: "alice", pass: "bar"}, "-"},
		{"list, $2a$", list, credentials{user: "bob", pass: "s3cr3t"}, "bob"},
		{"list, $2b$", list, credentials{user: "b", pass: "s3cr3t"}, "b"},
		{"list, $2y$", list, credentials{user: "y", pass: "s3cr3t"}, "y"},
		{"list, bcrypt, wrong", list, credentials{user: "bob", pass: "wrong"}, "-"},
		{"the hash itself is no password", list, credentials{user: "bob", pass: hash}, "-"},
		{"unknown user", list, credentials{user: "eve", pass: "foo"}, "-"},
		{"of two entries the last counts", list, credentials{user: "twice", pass: "last"}, "twice"},
		{"of two entries the first does not", list, credentials{user: "twice", pass: "first"}, "-"},
		{"a malformed hash fits nothing", list, credentials{user: "broken", pass: "$2a$11$oops"}, "-"},
		{"nothing shown", list, credentials{}, "-"},
		{"nothing shown, with a user for that", guests, credentials{}, "guest"},
		{"something shown counts", guests, credentials{user: "guest"}, "-"},
		{"a token shown counts", guests, credentials{token: "x"}, "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := mustAuth(t, tt.set)
			for range 2 { // computed, then remembered
				r := a.check(t.Context(), &tt.cred)
				if r.err != nil {
					t.Fatal(r.err)
				}
				got := "-"
				if r.account != nil {
					got = r.account.name
				}
				if got != tt.want {
					t.Errorf("admitted as %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestAuthRequired(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  authSettings
		want bool
	}{
		{"nothing", authSettings{}, false},
		{"password alone", authSettings{pass: "p"}, false},
		{"hook", authSettings{hook: true}, true},
		{"nobody", authSettings{users: []*User{}}, true},
		{"token", authSettings{token: "t"}, true},
		{"user", authSettings{user: "u"}, true},
	} {
		if got := mustAuth(t, tt.set).required(); got != tt.want {
			t.Errorf("%s: required = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRouteAuthIgnoresWhatClientsMay(t *testing.T) {
	t.Parallel()
	o := &Options{Users: []*User{{Username: "guest"}}, NoAuthUser: "guest", TLSMap: true, Authorization: "t"}
	o.Cluster.Username, o.Cluster.Password = "r", "rp"
	a := mustAuth(t, routeAuth(o))
	if r := a.check(t.Context(), &credentials{}); r.account != nil {
		t.Error("a route without credentials is admitted")
	}
	if r := a.check(t.Context(), &credentials{user: "r", pass: "rp"}); r.account == nil {
		t.Error("a route with credentials is refused")
	}
}

func TestAuthErrorsAndWarnings(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "x", "$2a$")
	for _, tt := range []struct {
		name string
		set  authSettings
		err  string
		want []string // beginnings of warnings
	}{
		{name: "hashes need no warning", set: authSettings{users: []*User{{Username: "a", Password: hash}}}},
		{name: "plain list", set: authSettings{users: []*User{{Username: "a", Password: "p"}}}, want: []string{"Plaintext passwords"}},
		{name: "plain single", set: authSettings{user: "a", pass: "p"}, want: []string{"Plaintext passwords"}},
		{name: "plain token", set: authSettings{token: "t"}},
		{name: "no password", set: authSettings{user: "a"}, want: []string{`The password of user "a" is empty`, "Plaintext"}},
		{name: "password alone", set: authSettings{pass: "p"}, want: []string{"A password without a user"}},
		{name: "malformed hash", set: authSettings{token: "$2b$99$x"}, want: []string{"The bcrypt hash of the token is malformed"}},
		{name: "duplicate", set: authSettings{users: []*User{{Username: "a", Password: hash}, {Username: "a", Password: hash}}}, want: []string{`user "a" is listed more than once`}},
		{name: "open side", set: authSettings{users: []*User{{Username: "a", Password: hash, Permissions: &Permissions{Publish: list("x")}}}}, want: []string{`Permissions of user "a" have no subscribe`}},
		{name: "bad subject", set: authSettings{users: []*User{{Username: "a", Password: hash, Permissions: &Permissions{Publish: list(" ")}}}}, err: `permissions of user "a": subject " " is not a valid subject`},
		{name: "unknown visitor", set: authSettings{users: []*User{}, noAuthUser: "x"}, err: `no_auth_user "x" is not in the list of users`},
		{name: "map without list", set: authSettings{user: "a", mapCert: true}, err: "verify_and_map needs a list of users to map certificates to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := compileAuth(tt.set, newVerifier(admission.NewLimiter(1)))
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
				if !strings.HasPrefix(warnings[i], w) {
					t.Errorf("warning %q, want %q…", warnings[i], w)
				}
			}
		})
	}
}

func TestStrangersCostAsMuchAsUsers(t *testing.T) {
	t.Parallel()
	v := newVerifier(admission.NewLimiter(1))
	a, _, err := compileAuth(authSettings{users: []*User{
		{Username: "bob", Password: hashed(t, "x", "$2a$")}, {Username: "plain", Password: "x"},
	}}, v)
	if err != nil {
		t.Fatal(err)
	}
	v.limiter.Acquire(t.Context()) // no check can begin
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []credentials{{user: "bob", pass: "no"}, {user: "plain", pass: "no"}, {user: "eve", pass: "no"}, {}} {
		if r := a.check(gone, &c); !errors.Is(r.err, context.Canceled) || r.account != nil {
			t.Errorf("%q is refused without a bcrypt check: %+v", c.user, r)
		}
	}
}

func TestDecoysAreHashesThatNothingFits(t *testing.T) {
	t.Parallel()
	for _, cost := range []int{4, 11, 31} {
		d := decoy(cost)
		if brokenBcrypt(d) {
			t.Errorf("%s is malformed", d)
		}
		if got, err := bcrypt.Cost([]byte(d)); err != nil || got != cost {
			t.Errorf("%s: cost %d, %v", d, got, err)
		}
	}
	if err := bcrypt.CompareHashAndPassword([]byte(decoy(4)), nil); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("compare: %v", err)
	}
}

func TestIdenticalChecksAreMadeOnce(t *testing.T) {
	t.Parallel()
	hash := hashed(t, "pw", "$2a$")
	synctest.Test(t, func(t *testing.T) {
		v := newVerifier(admission.NewLimiter(1))
		a, _, err := compileAuth(authSettings{user: "u", pass: hash}, v)
		if err != nil {
			t.Fatal(err)
		}
		v.limiter.Acquire(t.Context())
		var passed atomic.Int32
		first, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			}
			go func() {
				if r := a.check(ctx, &credentials{user: "u", pass: "pw"}); r.account != nil {
					passed.Add(1)
				}
			}()
			synctest.Wait()
		}
		if n := len(v.flying); n != 1 {
			t.Errorf("%d checks wait, want 1", n)
		}
		cancel() // the one who asks for all gives up: another takes over
		synctest.Wait()
		if n := len(v.flying); n != 1 {
			t.Errorf("%d checks wait after one gave up, want 1", n)
		}
		v.limiter.Release()
		synctest.Wait()
		if passed.Load() != 99 || len(v.flying) != 0 {
			t.Errorf("%d passed, %d in flight, want 99 and 0", passed.Load(), len(v.flying))
		}
		v.limiter.Acquire(t.Context())
		if r := a.check(t.Context(), &credentials{user: "u", pass: "pw"}); r.account == nil || r.waited != 0 {
			t.Errorf("not remembered: %+v", r)
		}
		changed, _, err := compileAuth(authSettings{user: "u", pass: hash[:len(hash)-1] + "z"}, v)
		if err != nil {
			t.Fatal(err)
		}
		first, cancel = context.WithCancel(t.Context())
		cancel()
		if r := changed.check(first, &credentials{user: "u", pass: "pw"}); r.account != nil || r.err == nil {
			t.Error("a changed hash is answered from memory")
		}
	})
}

func TestAStormOfReconnectsCostsOneCheckPerUser(t *testing.T) {
	t.Parallel()
	var users []*User
	for i := range 20 {
		name := "u" + strconv.Itoa(i)
		users = append(users, &User{Username: name, Password: hashed(t, name, "$2a$")})
	}
	synctest.Test(t, func(t *testing.T) {
		a := mustAuth(t, authSettings{users: users})
		for range 2 { // of mustAuth
			defer a.verify.limiter.Release()
			a.verify.limiter.Acquire(t.Context())
		}
		var passed atomic.Int32
		for i := range 2000 {
			go func() {
				name := users[i%len(users)].Username
				if r := a.check(t.Context(), &credentials{user: name, pass: name}); r.account != nil && r.account.name == name {
					passed.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := len(a.verify.flying); n != len(users) {
			t.Errorf("%d checks wait, want %d", n, len(users))
		}
		a.verify.limiter.Release()
		synctest.Wait()
		a.verify.limiter.Acquire(t.Context())
		if n := passed.Load(); n != 2000 {
			t.Errorf("%d passed, want 2000", n)
		}
	})
}

func TestMemoryOfChecksIsBounded(t *testing.T) {
	t.Parallel()
	g := generations{limit: 100}
	v := newVerifier(admission.NewLimiter(1))
	hot := v.digest("hot")
	g.add(hot)
	for i := range 10000 {
		g.add(v.digest(string(rune('a' + i))))
		if !g.has(hot) {
			t.Fatal("what is asked for is forgotten")
		}
		if len(g.young)+len(g.old) > g.limit {
			t.Fatalf("%d remembered", len(g.young)+len(g.old))
		}
	}
	if g.has(v.digest("a")) {
		t.Error("what nobody asked for is remembered")
	}
}

func TestDigestKeepsPartsApart(t *testing.T) {
	t.Parallel()
	v := newVerifier(admission.NewLimiter(1))
	if v.digest("ab", "c") == v.digest("a", "bc") || v.digest("a") == newVerifier(admission.NewLimiter(1)).digest("a") {
		t.Error("digests collide")
	}
}

func TestCertificatesNameUsers(t *testing.T) {
	t.Parallel()
	a := mustAuth(t, authSettings{mapCert: true, users: []*User{
		{Username: "bob@example.com"}, {Username: "bob.example.com"},
		{Username: "CN=bob,O=Example"}, {Username: "plain", Password: "p"},
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
		{"a subject of nobody", &x509.Certificate{RawSubject: other}, "-"},
		{"an alternative name that looks like a subject", &x509.Certificate{DNSNames: []string{"CN=bob,O=Example"}, RawSubject: other}, "-"},
		{"letters count", &x509.Certificate{EmailAddresses: []string{"Bob@example.com"}, RawSubject: other}, "-"},
	} {
		r := a.check(t.Context(), &credentials{user: "plain", pass: "p", certificate: tt.cert})
		got := "-"
		if r.account != nil {
			got = r.account.name
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
