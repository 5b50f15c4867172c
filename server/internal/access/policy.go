package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gnatsd/server/internal/admission"
)

// Settings say who may connect to one listener. Of the ways to log in, the first that is set
// counts: Hook, Users, Token, Username.
type Settings struct {
	Hook               bool   // the embedding program decides
	Users              []User // nil: there is no list; empty: no user exists
	Token              string
	Username, Password string
	At                 string // file:line:col of the token or the password, "" if unknown

	NoAuthUser      string  // name or nkey of the user that peers without credentials are; "" for none
	Limits          *Limits // of peers that are no user of the list; nil for none
	OpenToOthers    bool    // peers without credentials are no user of the list, and may connect
	MapCertificates bool    // the certificate of a peer names its user
}

// User is an entry of the list of users.
type User struct {
	Name     string
	Password string  // plain, or a bcrypt hash
	Nkey     string  // public key, instead of a name and a password
	Rules    *Rules  // nil: everything is allowed
	Limits   *Limits // nil for none
	System   bool    // it is of the system account
	At       string  // file:line:col, "" if a program made it
}

// Warning is about settings that work, but not as they should. It shows no secret.
type Warning struct {
	Text string
	At   string // file:line:col, "" if unknown
}

// String returns the text for the log, with the place. The text of gnatsd 1.x stays as it is.
func (w Warning) String() string {
	if w.At == "" || w.Text == plaintextWarning {
		return w.Text
	}
	return w.Text + " (" + w.At + ")"
}

// id is the name of the user's [Identity].
func (u *User) id() string { return cmp.Or(u.Nkey, u.Name) }

// SettingError is what is wrong with one setting.
type SettingError struct {
	Setting string // its key in a configuration file
	Err     error
}

// Error returns the text of Err.
func (e *SettingError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *SettingError) Unwrap() error { return e.Err }

// Identity is what a peer is logged in as. It does not change, and all connections of a user share
// it.
type Identity struct {
	Name        string       // of the user, or its nkey; "" if users have no names here
	Permissions *Permissions // nil without permissions
	Limits      *Limits      // nil without limits
	System      bool         // of the system account; its permissions are not nil

	secret secret
	nkey   nkeyVerifier // instead of the secret, of a user with an nkey
}

// mode is the way in which peers log in.
type mode uint8

const (
	modeOpen mode = iota // nothing is asked for
	modeHook
	modeUsers
	modeToken
	modeSingle
)

// Policy decides who may connect to one listener: [Settings], compiled. It does not change and is
// safe for concurrent use.
type Policy struct {
	mode     mode
	users    map[string]*Identity // by name; modeUsers only
	nkeys    map[string]*Identity // those with an nkey, by its public key; none of them is in users
	subjects map[string]*Identity // of users, those named by a distinguished name, by its canonical form
	single   *Identity            // of modeOpen, modeToken and modeSingle
	name     digest               // of the single user's name

	noAuthUser      *Identity // that peers without credentials are; nil for none
	mapCertificates bool
	dummies         []string // dummy hashes, of the costs of the configured hashes
	verifier        *Verifier
}

// NewPolicy checks and compiles s.
func NewPolicy(s Settings, v *Verifier) (p *Policy, warnings []Warning, err error) {
	p = &Policy{verifier: v, mapCertificates: s.MapCertificates, single: &Identity{Limits: s.Limits.some()}}
	switch {
	case s.Hook:
		p.mode = modeHook
	case s.Users != nil:
		p.mode = modeUsers
		warnings, err = p.addUsers(s.Users)
	case s.Token != "":
		p.mode = modeToken
		p.single.secret = v.secret(s.Token)
		warnings = secretWarnings("the token", s.Token, s.At)
	case s.Username != "":
		p.mode = modeSingle
		p.name = v.digest(s.Username)
		p.single = &Identity{Name: s.Username, Limits: s.Limits.some(), secret: v.secret(s.Password)}
		warnings = secretWarnings(fmt.Sprintf("user %q", s.Username), s.Password, s.At)
		if p.single.secret.hash == "" {
			warnings = append(warnings, Warning{plaintextWarning, s.At})
		}
	case s.Password != "":
		warnings = append(warnings, Warning{"A password without a user has no effect: clients need no credentials", s.At})
	}
	if err != nil {
		return nil, nil, err
	}
	p.addDummies()
	if err := p.setNoAuthUser(s.NoAuthUser); err != nil {
		return nil, nil, err
	}
	if s.OpenToOthers && p.noAuthUser == nil {
		p.noAuthUser = &Identity{Limits: s.Limits.some()}
	}
	if s.MapCertificates && p.mode != modeUsers {
		return nil, nil, &SettingError{"tls.verify_and_map", errors.New("verify_and_map needs a list of users to map certificates to")}
	}
	return p, warnings, nil
}

// plaintextWarning is what 1.4 logs when a configured password is no hash.
const plaintextWarning = "Plaintext passwords detected. Use Nkeys or Bcrypt passwords in config files."

// addUsers compiles a list of users; of two with one name the last counts.
func (p *Policy) addUsers(users []User) (warnings []Warning, err error) {
	p.users = make(map[string]*Identity, len(users))
	p.nkeys = map[string]*Identity{}
	p.subjects = map[string]*Identity{}
	type key struct {
		rules  *Rules
		system bool
	}
	compiled := map[key]*Permissions{} // defaults are shared
	var plaintext *User                // the first
	for _, u := range users {
		who := fmt.Sprintf("user %q", u.id())
		permissions, ok := compiled[key{u.Rules, u.System}]
		if !ok {
			if permissions, err = Compile(u.Rules); err != nil {
				return nil, fmt.Errorf("permissions of %s: %w", who, err)
			}
			if u.System {
				permissions = permissions.systemRules()
			}
			compiled[key{u.Rules, u.System}] = permissions
		}
		if p.listed(u.id()) != nil {
			warnings = append(warnings, Warning{who + " is listed more than once: the last entry counts", u.At})
		}
		warnings = append(warnings, unlimited(who, u.Rules)...)
		id := &Identity{Name: u.id(), Permissions: permissions, Limits: u.Limits.some(), System: u.System}
		if u.Nkey != "" {
			more, err := p.addNkey(id, u)
			if err != nil {
				return nil, err
			}
			warnings = append(warnings, more...)
			continue
		}
		warnings = append(warnings, p.addNamed(id, u)...)
		if plaintext == nil && !p.mapCertificates && id.secret.hash == "" && id.Name != "" {
			plaintext = &u
		}
	}
	if plaintext != nil {
		warnings = append([]Warning{{plaintextWarning, plaintext.At}}, warnings...)
	}
	return warnings, nil
}

// addNamed adds a user with a name, and mostly a password.
func (p *Policy) addNamed(id *Identity, u User) (warnings []Warning) {
	if id.Name == "" { // else all would be that user who give no name
		return []Warning{{"A user without a name has no effect: no client can log in as it", u.At}}
	}
	id.secret = p.verifier.secret(u.Password)
	p.users[id.Name] = id
	if subject, ok := canonicalDN(id.Name); ok {
		p.subjects[subject] = id
	}
	if p.mapCertificates {
		return nil
	}
	return secretWarnings(fmt.Sprintf("user %q", id.Name), u.Password, u.At)
}

// addNkey adds a user with an nkey.
func (p *Policy) addNkey(id *Identity, u User) (warnings []Warning, err error) {
	if u.Name != "" || u.Password != "" {
		return nil, fmt.Errorf("user %q: %w", u.Name, ErrNkeyMixed)
	}
	if id.nkey, err = newNkeyVerifier(u.Nkey); err != nil {
		return nil, fmt.Errorf("nkey of a user: %w", err)
	}
	p.nkeys[id.Name] = id
	if p.mapCertificates {
		warnings = []Warning{{fmt.Sprintf("The nkey %s has no effect: verify_and_map lets certificates name the users", id.Name), u.At}}
	}
	return warnings, nil
}

// listed returns the user with a name or a public key, nil if there is none.
func (p *Policy) listed(id string) *Identity { return cmp.Or(p.users[id], p.nkeys[id]) }

// addDummies makes the hashes that are compared for unknown users.
func (p *Policy) addDummies() {
	costs := map[int]struct{}{p.single.secret.cost: {}}
	for _, id := range p.users {
		costs[id.secret.cost] = struct{}{}
	}
	delete(costs, 0) // plain secrets and malformed hashes
	for cost := range costs {
		p.dummies = append(p.dummies, dummyHash(cost))
	}
	slices.Sort(p.dummies)
}

// setNoAuthUser finds the user that peers without credentials are.
func (p *Policy) setNoAuthUser(name string) error {
	if name == "" || p.mode == modeHook {
		return nil
	}
	if p.noAuthUser = p.listed(name); p.noAuthUser == nil {
		return &SettingError{"no_auth_user", fmt.Errorf("no_auth_user %q is not in the list of users", name)}
	}
	if p.noAuthUser.System {
		return &SettingError{"no_auth_user", fmt.Errorf("no_auth_user %q is a user of the system account, which needs credentials", name)}
	}
	return nil
}

// Required reports whether peers must send CONNECT before anything else, as INFO announces it. With
// a no_auth_user they must too.
func (p *Policy) Required() bool { return p.mode != modeOpen }

// Open returns the identity of every peer where no login is required, else nil.
func (p *Policy) Open() *Identity {
	if p.mode != modeOpen {
		return nil
	}
	return p.single
}

// Hook reports whether the embedding program decides. Check then refuses every peer.
func (p *Policy) Hook() bool { return p.mode == modeHook }

// ListsUsers reports whether there is a list of users, so that it is worth saying which of them
// could not log in.
func (p *Policy) ListsUsers() bool { return p.mode == modeUsers }

// Challenges reports whether INFO must give peers a nonce to sign.
func (p *Policy) Challenges() bool { return len(p.nkeys) > 0 && !p.mapCertificates }

// signs reports whether the signature of a peer decides.
func (p *Policy) signs(c *Credentials) bool { return c.Nkey != "" && p.Challenges() }

// Check returns who a peer with these credentials is, nil if it is refused. It blocks while bcrypt
// runs or waits for its turn. The error is that of ctx, which ends the wait, for instance because
// the peer is gone. Every refusal takes the same time, whether the name is known or not.
func (p *Policy) Check(ctx context.Context, c *Credentials) (*Identity, error) {
	switch p.mode {
	case modeOpen:
		return p.single, nil
	case modeToken:
		return p.verify(ctx, c.From, p.single, true, c.Token)
	case modeSingle:
		return p.verify(ctx, c.From, p.single, p.verifier.plainEqual(p.name, c.User), c.Password)
	case modeUsers:
		return p.checkUser(ctx, c)
	}
	return nil, nil
}

// checkUser decides by the list of users.
func (p *Policy) checkUser(ctx context.Context, c *Credentials) (*Identity, error) {
	if p.mapCertificates {
		return p.mapped(c), nil
	}
	if p.noAuthUser != nil && c.none() {
		return p.noAuthUser, nil
	}
	if p.signs(c) {
		id := p.nkeys[c.Nkey]
		if id == nil || !id.nkey.signed(c.Nonce, c.Signature) {
			return nil, nil
		}
		return id, nil
	}
	if id := p.users[c.User]; id != nil {
		return p.verify(ctx, c.From, id, true, c.Password)
	}
	return p.verify(ctx, c.From, &Identity{Name: c.User}, false, c.Password)
}

// mapped returns the user that a certificate names: by an e-mail address, a DNS name, or its
// subject, in this order.
func (p *Policy) mapped(c *Credentials) *Identity {
	if c.Certificate == nil {
		return nil
	}
	for _, name := range slices.Concat(c.Certificate.EmailAddresses, c.Certificate.DNSNames) {
		id := p.users[name]
		if id == nil {
			continue
		}
		if _, isDN := canonicalDN(name); !isDN { // only a subject may claim to be one
			return id
		}
	}
	subject, _ := subjectDN(c.Certificate.RawSubject) // "" is the name of no user
	return p.subjects[subject]
}

// Revalidate returns who a peer is that another policy admitted as id, nil if it is refused. If its
// secret was changed that is not certain and Check must decide: the peer may have sent a password
// that matches both.
func (p *Policy) Revalidate(id *Identity, c *Credentials) (next *Identity, certain bool) {
	switch p.mode {
	case modeOpen:
		return p.single, true
	case modeToken:
		next = p.single
	case modeSingle:
		if p.verifier.plainEqual(p.name, c.User) {
			next = p.single
		}
	case modeUsers:
		if p.mapCertificates {
			return p.mapped(c), true
		}
		if p.noAuthUser != nil && c.none() {
			return p.noAuthUser, true
		}
		if p.signs(c) {
			next = p.nkeys[c.Nkey]
			return next, next == nil || id.nkey.pair != nil && id.Name == c.Nkey
		}
		next = p.users[c.User]
	}
	return next, next == nil || next.Name == id.Name && next.secret == id.secret
}

// verify compares given with the secret of id; known is false for a name that is not configured.
// Where some secret is a bcrypt hash, every refusal costs one bcrypt check.
func (p *Policy) verify(ctx context.Context, from admission.Source, id *Identity, known bool, given string) (*Identity, error) {
	s := id.secret
	if s.hash == "" && p.verifier.plainEqual(s.plain, given) && known {
		return id, nil
	}
	usable := known && s.cost > 0
	if !usable {
		if len(p.dummies) == 0 {
			return nil, nil
		}
		s.hash = p.dummyFor(id.Name)
	}
	ok, err := p.verifier.bcrypt(ctx, from, id.Name, s.hash, given)
	if !ok || !usable || err != nil {
		return nil, err
	}
	return id, nil
}

// dummyFor returns always the same hash for the same name.
func (p *Policy) dummyFor(name string) string {
	d := p.verifier.digest("dummy", name)
	return p.dummies[int(d[0])%len(p.dummies)]
}
