package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gnatsd/server/internal/access"

	"golang.org/x/crypto/bcrypt"
)

// Who may connect. Exactly one mode is active; the first configured wins: the
// embedder's hook, the list of users, the token, the single user.

// authMode is how peers are let in.
type authMode uint8

const (
	authNone authMode = iota
	authHook
	authUsers
	authToken
	authSingle
)

// authSettings are the options that decide who may connect to one listener.
type authSettings struct {
	hook       bool    // an embedder decides
	users      []*User // nil = no list; empty = a list of nobody
	user, pass string
	token      string
	noAuthUser string // who peers without credentials are; "" = nobody
	mapCert    bool   // the certificate names the user
}

// clientAuth returns the settings for the client listener.
func clientAuth(o *Options) authSettings {
	return authSettings{
		hook:       o.CustomClientAuthentication != nil,
		users:      o.Users,
		user:       o.Username,
		pass:       o.Password,
		token:      o.Authorization,
		noAuthUser: o.NoAuthUser,
		mapCert:    o.TLSMap,
	}
}

// routeAuth returns the settings for the route listener. What clients may do
// without credentials never applies to it.
func routeAuth(o *Options) authSettings {
	return authSettings{
		hook: o.CustomRouterAuthentication != nil,
		user: o.Cluster.Username,
		pass: o.Cluster.Password,
	}
}

// account is somebody who may connect. It does not change, and is shared by
// all his connections.
type account struct {
	name        string
	user        *User               // nil if not from the list
	permissions *access.Permissions // nil without permissions
	secret      secret
	nkey        nkeyVerifier // in the place of the secret, of those in authSet.keys
}

// authSet is [authSettings] compiled, once per snapshot of the options. It does
// not change and is safe for concurrent use.
type authSet struct {
	mode     authMode
	accounts map[string]*account // by name; authUsers only
	keys     map[string]*account // those with an nkey, by its public key; never among the others
	subjects map[string]*account // those named by a distinguished name, by its canonical form
	one      *account            // of authNone, authToken and authSingle
	name     digest              // of the single user's name
	visitor  *account            // who peers without credentials are, or nil
	mapCert  bool
	decoys   []string // bcrypt hashes that nothing fits, costs as among the accounts
	verify   *verifier
}

// compileAuth checks and compiles s. The warnings are for the log at start.
func compileAuth(s authSettings, v *verifier) (set *authSet, warnings []string, err error) {
	set = &authSet{verify: v, mapCert: s.mapCert, one: &account{}}
	switch {
	case s.hook:
		set.mode = authHook
	case s.users != nil:
		set.mode = authUsers
		warnings, err = set.addUsers(s.users)
	case s.token != "":
		set.mode = authToken
		set.one.secret = v.secret(s.token)
		warnings = secretWarnings("the token", s.token)
	case s.user != "":
		set.mode = authSingle
		set.name = v.digest(s.user)
		set.one = &account{name: s.user, secret: v.secret(s.pass)}
		warnings = secretWarnings(fmt.Sprintf("user %q", s.user), s.pass)
		if !isBcrypt(s.pass) {
			warnings = append(warnings, plaintextWarning)
		}
	case s.pass != "":
		warnings = append(warnings, "A password without a user has no effect: nobody is asked for credentials")
	}
	if err != nil {
		return nil, nil, err
	}
	set.addDecoys()
	if err := set.admitVisitors(s.noAuthUser); err != nil {
		return nil, nil, err
	}
	if s.mapCert && set.mode != authUsers {
		return nil, nil, &settingError{"tls.verify_and_map", errors.New("verify_and_map needs a list of users to map certificates to")}
	}
	return set, warnings, nil
}

// plaintextWarning is what 1.4 logs when a configured password is no hash.
const plaintextWarning = "Plaintext passwords detected. Use Nkeys or Bcrypt passwords in config files."

// addUsers fills the accounts; of two with one name the last counts.
func (a *authSet) addUsers(users []*User) (warnings []string, err error) {
	a.accounts = make(map[string]*account, len(users))
	a.keys = map[string]*account{}
	a.subjects = map[string]*account{}
	compiled := map[*Permissions]*access.Permissions{} // defaults are shared
	plaintext := false
	for _, u := range users {
		who := fmt.Sprintf("user %q", u.id())
		p, ok := compiled[u.Permissions]
		if !ok {
			if p, err = access.Compile(u.Permissions.rules()); err != nil {
				return nil, fmt.Errorf("permissions of %s: %w", who, err)
			}
			compiled[u.Permissions] = p
		}
		if a.accounts[u.id()] != nil || a.keys[u.id()] != nil {
			warnings = append(warnings, fmt.Sprintf("%s is listed more than once: the last entry counts", who))
		}
		warnings = append(warnings, access.Unlimited(who, u.Permissions.rules())...)
		acc := &account{name: u.id(), user: u, permissions: p}
		if u.Nkey != "" {
			own, err := a.addSigner(acc)
			if err != nil {
				return nil, err
			}
			warnings = append(warnings, own...)
			continue
		}
		warnings = append(warnings, a.addNamed(acc)...)
		plaintext = plaintext || !a.mapCert && !isBcrypt(u.Password)
	}
	if plaintext {
		warnings = append([]string{plaintextWarning}, warnings...)
	}
	return warnings, nil
}

// addNamed adds a user with a name, and mostly a password.
func (a *authSet) addNamed(acc *account) (warnings []string) {
	acc.secret = a.verify.secret(acc.user.Password)
	a.accounts[acc.name] = acc
	if subject, ok := canonicalDN(acc.name); ok {
		a.subjects[subject] = acc
	}
	if a.mapCert {
		return nil
	}
	return secretWarnings(fmt.Sprintf("user %q", acc.name), acc.user.Password)
}

// addSigner adds a user with an nkey.
func (a *authSet) addSigner(acc *account) (warnings []string, err error) {
	if acc.user.Username != "" || acc.user.Password != "" {
		return nil, fmt.Errorf("user %q: %w", acc.user.Username, errNkeyMixed)
	}
	if acc.nkey, err = newNkeyVerifier(acc.user.Nkey); err != nil {
		return nil, fmt.Errorf("nkey of a user: %w", err)
	}
	a.keys[acc.name] = acc
	if a.mapCert {
		warnings = []string{fmt.Sprintf("The nkey %s has no effect: verify_and_map lets certificates name the users", acc.name)}
	}
	return warnings, nil
}

// listed returns the account of a name or a public key in the list of users, nil
// if there is none.
func (a *authSet) listed(id string) *account { return cmp.Or(a.accounts[id], a.keys[id]) }

// secretWarnings tells what is wrong with a configured secret, without it.
func secretWarnings(whose, configured string) []string {
	switch {
	case configured == "":
		return []string{fmt.Sprintf("The password of %s is empty: anybody who knows the name can log in", whose)}
	case isBcrypt(configured) && brokenBcrypt(configured):
		return []string{fmt.Sprintf("The bcrypt hash of %s is malformed: nobody can log in with it", whose)}
	}
	return nil
}

// addDecoys prepares hashes to be compared for strangers.
func (a *authSet) addDecoys() {
	costs := map[int]bool{}
	add := func(acc *account) {
		if acc.secret.hash != "" && !acc.secret.broken {
			cost, _ := bcrypt.Cost([]byte(acc.secret.hash))
			costs[cost] = true
		}
	}
	for _, acc := range a.accounts {
		add(acc)
	}
	add(a.one)
	for cost := range costs {
		a.decoys = append(a.decoys, decoy(cost))
	}
	slices.Sort(a.decoys)
}

// admitVisitors resolves no_auth_user.
func (a *authSet) admitVisitors(name string) error {
	if name == "" || a.mode == authHook {
		return nil
	}
	if a.visitor = a.listed(name); a.visitor == nil {
		return &settingError{"no_auth_user", fmt.Errorf("no_auth_user %q is not in the list of users", name)}
	}
	return nil
}

// required reports whether peers must show credentials, as INFO announces it.
// It stays true with a no_auth_user: CONNECT must still come first.
func (a *authSet) required() bool { return a.mode != authNone }

// challenges reports whether INFO must give peers a nonce to sign.
func (a *authSet) challenges() bool { return len(a.keys) > 0 && !a.mapCert }

// signs reports whether a peer is to be judged by its signature.
func (a *authSet) signs(c *credentials) bool { return c.nkey != "" && a.challenges() }

// authResult is the answer to credentials.
type authResult struct {
	account *account      // nil = refused
	waited  time.Duration // for others; does not count against the peer's time
	err     error         // the check was given up: that of the context
}

// check decides on c. It blocks while bcrypt runs or waits for its turn; ctx
// ends the wait, for instance when the peer is gone. It is not for authHook,
// where the caller asks the embedder. Every refusal takes the same time,
// whether the name is known or not.
func (a *authSet) check(ctx context.Context, c *credentials) authResult {
	switch a.mode {
	case authNone:
		return authResult{account: a.one}
	case authToken:
		return a.prove(ctx, a.one, true, c.token)
	case authSingle:
		return a.prove(ctx, a.one, a.verify.plainEqual(a.name, c.user), c.pass)
	case authUsers:
		return a.checkUser(ctx, c)
	}
	return authResult{}
}

// checkUser decides on c by the list of users.
func (a *authSet) checkUser(ctx context.Context, c *credentials) authResult {
	if a.mapCert {
		return authResult{account: a.mapped(c)}
	}
	if a.visitor != nil && c.none() {
		return authResult{account: a.visitor}
	}
	if a.signs(c) {
		acc := a.keys[c.nkey]
		if acc == nil || !acc.nkey.signed(c.nonce, c.signature) {
			return authResult{}
		}
		return authResult{account: acc}
	}
	acc := a.accounts[c.user]
	if acc == nil {
		return a.prove(ctx, &account{name: c.user}, false, c.pass)
	}
	return a.prove(ctx, acc, true, c.pass)
}

// mapped returns the user that a certificate names: by an e-mail address, a DNS
// name, or its subject, in this order.
func (a *authSet) mapped(c *credentials) *account {
	if c.certificate == nil {
		return nil
	}
	for _, name := range slices.Concat(c.certificate.EmailAddresses, c.certificate.DNSNames) {
		acc := a.accounts[name]
		if acc == nil {
			continue
		}
		if _, isDN := canonicalDN(name); !isDN { // only a subject may claim to be one
			return acc
		}
	}
	subject, ok := subjectDN(c.certificate.RawSubject)
	if !ok {
		return nil
	}
	return a.subjects[subject]
}

// renewed returns who a peer that an earlier set admitted as acc is in this one,
// nil if nobody. It is not sure, and check must decide, if the secret was changed:
// the peer may have shown a password that fits both.
func (a *authSet) renewed(acc *account, c *credentials) (next *account, sure bool) {
	switch a.mode {
	case authNone:
		return a.one, true
	case authToken:
		next = a.one
	case authSingle:
		if a.verify.plainEqual(a.name, c.user) {
			next = a.one
		}
	case authUsers:
		if a.mapCert {
			return a.mapped(c), true
		}
		if a.visitor != nil && c.none() {
			return a.visitor, true
		}
		if a.signs(c) {
			next = a.keys[c.nkey]
			return next, next == nil || acc.user != nil && acc.user.Nkey == c.nkey
		}
		next = a.accounts[c.user]
	}
	return next, next == nil || next.name == acc.name && next.secret == acc.secret
}

// prove compares given with the secret of acc; known is false for a name that
// is not configured. Where some secret is a bcrypt hash, every refusal costs
// one bcrypt check.
func (a *authSet) prove(ctx context.Context, acc *account, known bool, given string) (r authResult) {
	hash := acc.secret.hash
	if hash == "" && a.verify.plainEqual(acc.secret.plain, given) && known {
		return authResult{account: acc}
	}
	real := known && hash != "" && !acc.secret.broken
	if !real {
		if len(a.decoys) == 0 {
			return authResult{}
		}
		hash = a.decoyFor(acc.name)
	}
	ok, waited, err := a.verify.bcrypt(ctx, acc.name, hash, given)
	r.waited, r.err = waited, err
	if ok && real && err == nil {
		r.account = acc
	}
	return r
}

// decoyFor returns always the same hash for the same name.
func (a *authSet) decoyFor(name string) string {
	d := a.verify.digest("decoy", name)
	return a.decoys[int(d[0])%len(a.decoys)]
}
