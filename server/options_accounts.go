package server

// This file has the rows of accounts. Two are possible: the system account, and one of all others.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gnatsd/conf"
)

// defaultSystemAccount is the name of the system account if the file has no system_account.
const defaultSystemAccount = "$SYS"

// account is an account of the file.
type account struct {
	name  string
	users []*User
	at    conf.Pos
}

func accountRows() []row {
	return []row{
		{Key: "system_account", Restricts: true, Aliases: []string{"system"}, Reload: onAuth,
			Type: conf.Text(func(o *Options) *string { return &o.systemName }),
			Doc:  "Name of the account in `accounts` whose users may use `$SYS.>`; `$SYS` if it is not set."},
		{Key: "accounts", Restricts: true, Reload: onAuth, Type: conf.Custom(accountsType()),
			Doc: "Map of `NAME { users: […] }`, of the system account and one other at most. The users of the other are those of the broker."},
	}
}

// systemAccount returns the name of the system account, "" if there is none.
func (o *Options) systemAccount() string {
	name := o.systemName
	if name == "" {
		name = defaultSystemAccount
	}
	if slices.ContainsFunc(o.accounts, func(a account) bool { return a.name == name }) {
		return name
	}
	return ""
}

// userAccount returns the name of the account of all users but those of the system account.
func (o *Options) userAccount() string {
	system := o.systemAccount()
	for _, a := range o.accounts {
		if a.name != system {
			return a.name
		}
	}
	return "$G"
}

// accountsType is the type of the map of accounts.
func accountsType() conf.CustomType[Options] {
	return conf.CustomType[Options]{
		Name:  "map",
		Read:  readAccounts,
		Text:  accountsText,
		Print: printAccounts,
		Zero:  func(o *Options) bool { return len(o.accounts) == 0 },
		Copy: func(dst, src *Options) {
			dst.accounts = nil
			for _, a := range src.accounts {
				dst.accounts = append(dst.accounts, account{a.name, cloneUserList(a.users), a.at})
			}
		},
	}
}

func readAccounts(c *conf.Check, n *conf.Node, o *Options) {
	o.accounts = nil
	if n.Kind == conf.Boolean && !n.Bool {
		return // turned off
	}
	if n.Kind != conf.Map {
		wantHidden(c, n, "a map of accounts")
		return
	}
	c.Repeated(n, func(name string) string { return name })
	for p := range n.Effective() {
		if p.Value.Kind == conf.Array || p.Value.Kind == conf.Map {
			o.accounts = append(o.accounts, readAccount(c, p, o))
		} else if !p.Used {
			wantHidden(c, p.Value, "a map with the users of account "+conf.Quote(p.Key))
		}
	}
}

// wantHidden reports a value of the wrong type that may be a secret.
func wantHidden(c *conf.Check, n *conf.Node, want string) {
	c.HiddenErrorf(n.Pos, "want %s, have %s", want, c.Secret().Have(n))
}

// readAccount reads an account. Everything but its users would separate them from others, or limit
// them, and is an error unless it is empty.
func readAccount(c *conf.Check, p *conf.Pair, o *Options) account {
	a := account{name: p.Key, at: p.Pos}
	if p.Value.Kind == conf.Array {
		wantHidden(c, p.Value, "a map with the users of account "+conf.Quote(p.Key))
		return a
	}
	var defaults *Permissions
	c.Repeated(p.Value, strings.ToLower)
	for e := range p.Value.Effective() {
		switch key := strings.ToLower(e.Key); {
		case key == "users":
			a.users = readAccountUsers(c.In("users"), e.Value, o)
		case key == "default_permissions":
			defaults = readPermissions(c.In(key), e.Value, "expected default permissions to be a map/struct")
		case e.Used || emptyValue(e.Value):
		case key == "jetstream":
			c.In(key).Warnf(e.Pos, "%s, it has no effect", unsupportedFeature)
		default:
			c.HiddenErrorf(e.Pos, "account %q has %q: %s; the accounts here are the system account and one other, with users only", a.name, e.Key, unsupportedFeature)
		}
	}
	for _, u := range a.users {
		if u.Permissions == nil {
			u.Permissions = defaults
		}
	}
	return a
}

// emptyValue reports whether a value says that there is nothing.
func emptyValue(n *conf.Node) bool {
	switch n.Kind {
	case conf.Array:
		return len(n.Elems) == 0
	case conf.Map:
		for range n.Effective() {
			return false
		}
		return true
	case conf.Boolean:
		return !n.Bool
	}
	return false
}

func readAccountUsers(c *conf.Check, n *conf.Node, o *Options) []*User {
	if n.Kind != conf.Array {
		usersError(c, n)
		return nil
	}
	users := []*User{}
	for _, e := range n.Elems {
		if u := readUser(c, e, o); u != nil {
			users = append(users, u)
		}
	}
	return users
}

// accountsText formats the accounts as in a file, with their passwords if show is set.
func accountsText(o *Options, show bool) string {
	if len(o.accounts) == 0 {
		return ""
	}
	entries := make([]string, len(o.accounts))
	for i, a := range o.accounts {
		entries[i] = conf.Quote(a.name) + ": {users: " + userListText(a.users, nil, show) + "}"
	}
	return "{" + strings.Join(entries, ", ") + "}"
}

// printAccounts formats the accounts, one user a line, with variables for their passwords.
func printAccounts(o *Options, p *conf.Printer) string {
	if len(o.accounts) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("{\n")
	for i, a := range o.accounts {
		users := printUsers(a.users, nil, p, strconv.Itoa(i+1), "users")
		fmt.Fprintf(&b, "  %s: {users: %s}\n", conf.Quote(a.name), strings.ReplaceAll(users, "\n", "\n  "))
	}
	return b.String() + "}"
}

// checkAccounts returns an error for what the accounts of a file mean there and cannot mean here.
func (o *Options) checkAccounts(v *conf.Values[Options]) (problems conf.Errors) {
	report := func(at conf.Pos, key, format string, args ...any) {
		problems = append(problems, &conf.Error{Pos: at, Key: key, Msg: fmt.Sprintf(format, args...)})
	}
	system, others := o.systemAccount(), 0
	if o.systemName != "" && system == "" {
		report(v.Origin("system_account").Pos, "system_account", "there is no account %q in accounts", o.systemName)
	}
	known := map[string]string{}
	for _, u := range o.allUsers() {
		known[u.id()] = "authorization"
	}
	for _, a := range o.accounts {
		if a.name != system {
			others++
		}
		if a.name != system && others > 1 {
			report(a.at, "accounts", "account %q is one too many: %s; the accounts here are the system account (%s) and one other",
				a.name, unsupportedFeature, conf.Quote(o.systemNameOrDefault()))
		}
		if a.name != system && (o.allUsers() != nil || o.Username != "") {
			report(a.at, "accounts", "account %q separates its users from those of authorization: list them in one place", a.name)
		}
		for _, u := range a.users {
			if where, ok := known[u.id()]; ok && where != a.name && u.id() != "" {
				report(a.at, "accounts", "user %q of account %q is a user of %s, too", u.id(), a.name, where)
			}
			known[u.id()] = a.name
		}
	}
	if len(o.accounts) > 0 && o.Authorization != "" {
		report(v.Origin("authorization.token").Pos, "authorization.token", "a token names no user, and the accounts have users: list a user instead")
	}
	return problems
}

func (o *Options) systemNameOrDefault() string {
	if o.systemName != "" {
		return o.systemName
	}
	return defaultSystemAccount
}

// id is the name of the user, or its nkey.
func (u *User) id() string {
	if u.Nkey != "" {
		return u.Nkey
	}
	return u.Username
}

// loginUsers returns the users of all accounts, those of the system account last, and how many are
// of it. open reports that others need no credentials, as where a file has a system account and
// nothing else about users.
func (o *Options) loginUsers() (users []*User, system int, open bool) {
	users = o.allUsers()
	if len(o.accounts) == 0 {
		return users, 0, false
	}
	open = !authConfigured(o)
	if users == nil && o.Username != "" {
		users = []*User{{Username: o.Username, Password: o.Password}}
	}
	users = append([]*User{}, users...)
	name, listed := o.systemAccount(), 0
	var ofSystem []*User
	for _, a := range o.accounts {
		listed += len(a.users)
		if a.name == name {
			ofSystem = a.users
			continue
		}
		open = false
		users = append(users, a.users...)
	}
	if open && listed == 0 {
		return nil, 0, false
	}
	return append(users, ofSystem...), len(ofSystem), open
}
