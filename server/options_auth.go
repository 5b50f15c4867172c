package server

// This file has the rows of authentication and permissions, and reads users and permissions from a
// file.

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gnatsd/conf"
	"gnatsd/server/internal/access"
)

func authRows() []row {
	return []row{
		{Key: "authorization", Restricts: true, Doc: "Who may connect as a client.",
			Type: conf.Section(conf.SectionType[Options]{On: authConfigured})},
		{Key: "authorization.user", Restricts: true, Instead: []string{"token", "users"}, Aliases: []string{"username"}, Field: "Username", Reload: onAuth,
			Type: conf.Text(func(o *Options) *string { return &o.Username }), Doc: "Name of the single user. The flag also takes a URL such as clients use: nats://user:password@host.",
			Flags: []conf.Flag{{Names: []string{"user"}, Arg: "<user>", Group: authGroup, Usage: "User required for connections"}}},
		{Key: "authorization.password", Restricts: true, Instead: []string{"token", "users"}, Aliases: []string{"pass"}, Secret: true, Field: "Password", Reload: onAuth,
			Type: conf.Text(func(o *Options) *string { return &o.Password }), Doc: "Password of the single user, plain or as a bcrypt hash.",
			Flags: []conf.Flag{{Names: []string{"pass"}, Arg: "<password>", Group: authGroup, Usage: "Password required for connections"}}},
		{Key: "authorization.token", Restricts: true, Instead: []string{"password", "users"}, Secret: true, Field: "Authorization", Reload: onAuth,
			Type: conf.Text(func(o *Options) *string { return &o.Authorization }), Doc: "Token instead of a user, plain or as a bcrypt hash.",
			Flags: []conf.Flag{{Names: []string{"auth"}, Arg: "<token>", Group: authGroup, Usage: "Authorization token required for connections"}}},
		{Key: "authorization.timeout", Default: "1", Field: "AuthTimeout", Reload: onClients,
			Type: conf.Seconds(func(o *Options) *float64 { return &o.AuthTimeout }, upTo(longest)), Doc: "Time that a client has to authenticate, in seconds."},
		{Key: "authorization.default_permissions", Restricts: true, Aliases: []string{"default_permission", "permissions"},
			TypeError: "expected default permissions to be a map/struct", Reload: onAuth,
			Type: permissionsType(func(o *Options) **Permissions { return &o.defaultPermissions }),
			Doc:  "Permissions of users without `permissions` of their own."},
		{Key: "authorization.default_limits", Restricts: true, Aliases: []string{"default_limit"}, Reload: onAuth,
			Type: limitsType(func(o *Options) **UserLimits { return &o.defaultLimits }),
			Doc:  "Limits of each user, where its own `limits` say nothing. The single user, the clients with the token, or those without credentials, count as one user."},
		{Key: "authorization.users", Restricts: true, Instead: []string{"password", "token"}, Field: "Users", Reload: onAuth, Type: conf.Custom(usersType()),
			Doc: "List of `{ user, password, permissions, limits }`, or `{ nkey, permissions, limits }` with a public key. With an empty list no client can connect."},
		{Key: "no_auth_user", Field: "NoAuthUser", Reload: onAuth,
			Type: conf.Text(func(o *Options) *string { return &o.NoAuthUser }), Doc: "User of `users` for clients that send no credentials."},
	}
}

// authConfigured reports whether clients need credentials.
func authConfigured(o *Options) bool {
	return o.Username != "" || o.Password != "" || o.Authorization != "" || o.allUsers() != nil
}

// usersType is the type of the list of users.
func usersType() conf.CustomType[Options] {
	return conf.CustomType[Options]{
		Name: "list of maps",
		Read: func(c *conf.Check, n *conf.Node, o *Options) {
			if n.Kind != conf.Array {
				usersError(c, n)
				return
			}
			o.Users, o.usersBroken = []*User{}, n.Broken || n.Partial
			for _, e := range n.Elems {
				if u := readUser(c, e, o); u != nil {
					o.Users = append(o.Users, u)
				}
			}
		},
		Text: usersText,
		Print: func(o *Options, p *conf.Printer) string {
			if o.Users == nil {
				return ""
			}
			return printUsers(o.Users, o.defaultPermissions, p)
		},
		Zero: func(o *Options) bool { return o.Users == nil },
		Copy: func(dst, src *Options) { dst.Users = cloneUsers(src) },
	}
}

// usersError reports users that are no array. Neither they nor their line are shown: they may be passwords.
func usersError(c *conf.Check, n *conf.Node) {
	c.HiddenErrorf(n.Pos, "expected users field to be an array, got %s", c.Secret().Have(n))
}

// userKeys are the keys of a user, aliases included. All of them say who may do what.
var userKeys = []string{"user", "username", "pass", "password", "nkey", "permissions", "permission", "authorization", "limits"}

// userKey returns the first of the spellings of a key of a user.
func userKey(key string) string {
	switch key = strings.ToLower(key); key {
	case "username":
		return "user"
	case "pass":
		return "password"
	case "permission", "authorization":
		return "permissions"
	}
	return key
}

// permissionKey returns the first of the spellings of a key of permissions.
func permissionKey(key string) string {
	switch key = strings.ToLower(key); key {
	case "pub", "import":
		return "publish"
	case "sub", "export":
		return "subscribe"
	case "allow_response":
		return "allow_responses"
	}
	return key
}

// responseKey returns the first of the spellings of a key of allow_responses.
func responseKey(key string) string {
	switch key = strings.ToLower(key); key {
	case "max_msgs", "max_messages", "max_responses":
		return "max"
	case "expiration", "ttl":
		return "expires"
	}
	return key
}

func readUser(c *conf.Check, n *conf.Node, o *Options) *User {
	if n.Kind != conf.Map {
		c.HiddenErrorf(n.Pos, "expected user entry to be a map/struct, got %s", n.Kind) // it may be a password
		return nil
	}
	u := &User{at: n.Pos.String()}
	c.Repeated(n, userKey)
	failed := false
	text := func(c *conf.Check, n *conf.Node, to *string) {
		s, ok := c.String(n)
		*to, failed = s, failed || !ok
	}
	for p := range n.Effective() {
		key := strings.ToLower(p.Key)
		switch c := c.In(key); key {
		case "user", "username":
			text(c, p.Value, &u.Username)
		case "pass", "password":
			text(c.Secret(), p.Value, &u.Password)
			u.variable = p.Value.Var
		case "nkey":
			text(c.Secret(), p.Value, &u.Nkey)
			if err := access.CheckNkey(u.Nkey); err != nil && p.Value.Kind == conf.String {
				c.Errorf(p.Value.Pos, "%v", err)
				failed = true
			}
		case "permissions", "permission", "authorization":
			u.Permissions = readPermissions(c, p.Value, "expected user permissions to be a map/struct")
		case "limits":
			u.Limits = readLimits(c, p.Value)
		default:
			c.Out().Unknown(p, userKeys, userKeys)
		}
	}
	switch {
	case failed || n.Broken || n.Partial:
	case u.Nkey != "":
		if u.Username != "" || u.Password != "" {
			c.Errorf(n.Pos, "%v", access.ErrNkeyMixed)
		}
	case u.Username == "" || u.Password == "":
		o.incomplete = append(o.incomplete, &conf.Error{Pos: hidden(n.Pos), Key: "authorization.users", Msg: "user entry requires a user and a password"})
	}
	return u
}

// readPermissions reads permissions. It returns nil, which would allow everything, only after it
// reported an error; typeError is that for a node that is not a map.
func readPermissions(c *conf.Check, n *conf.Node, typeError string) *Permissions {
	if n.Kind != conf.Map {
		c.Errorf(n.Pos, "%s, got %s", typeError, c.Have(n))
		return nil
	}
	perms := &Permissions{at: n.Pos.String()}
	c.Repeated(n, permissionKey)
	for p := range n.Effective() {
		key := strings.ToLower(p.Key)
		switch c := c.In(key); key {
		case "publish", "pub", "import":
			perms.Publish = readSubjects(c, p.Value, false)
		case "subscribe", "sub", "export":
			perms.Subscribe = readSubjects(c, p.Value, true)
		case "allow_responses", "allow_response":
			perms.Response = readResponses(c, p.Value)
		default:
			if !p.Used {
				hint := "the keys are publish, subscribe and allow_responses"
				if key == "allow" || key == "deny" {
					hint = "it belongs in publish or subscribe"
				}
				c.ErrorHint(p.Pos, fmt.Errorf("unknown field %s parsing permissions", conf.Printable(p.Key)), hint)
			}
		}
	}
	return perms
}

// readResponses reads allow_responses: a boolean, or how often and how long. It returns nil for
// false.
func readResponses(c *conf.Check, n *conf.Node) *ResponsePermission {
	r := &ResponsePermission{}
	switch {
	case n.Kind == conf.Boolean && !n.Bool:
		return nil
	case n.Kind == conf.Boolean:
		return r
	case n.Kind != conf.Map:
		c.Errorf(n.Pos, "error parsing response permissions, expected a boolean or a map, got %s", c.Have(n))
		return r
	}
	c.Repeated(n, responseKey)
	for p := range n.Effective() {
		key := strings.ToLower(p.Key)
		switch c := c.In(key); key {
		case "max", "max_msgs", "max_messages", "max_responses":
			if p.Value.Kind != conf.Integer || int64(int32(p.Value.Int)) != p.Value.Int {
				c.Want(p.Value, "a number of messages, or a negative one for any number")
				continue
			}
			r.MaxMsgs = int(p.Value.Int)
		case "expires", "expiration", "ttl":
			expires, err := conf.ReadDuration(p.Value)
			if err != nil || expires > longest {
				c.Want(p.Value, `a duration such as "2m", or a negative one for no end`)
				continue
			}
			r.Expires = expires
		default:
			if !p.Used {
				c.Errorf(p.Pos, "unknown field %q parsing response permissions, only 'max' or 'expires' are permitted", p.Key)
			}
		}
	}
	return r
}

// readSubjects reads one direction of permissions: a subject, an array of them, or a map of allow
// and deny. With queues an entry may have a queue group behind its subject.
func readSubjects(c *conf.Check, n *conf.Node, queues bool) *SubjectPermission {
	p := &SubjectPermission{}
	if n.Kind != conf.Map {
		p.Allow, p.allowAt = readSubjectList(c, n, queues)
		return p
	}
	c.Repeated(n, strings.ToLower)
	for pair := range n.Effective() {
		key := strings.ToLower(pair.Key)
		switch c := c.In(key); key {
		case "allow":
			p.Allow, p.allowAt = readSubjectList(c, pair.Value, queues)
		case "deny":
			p.Deny, p.denyAt = readSubjectList(c, pair.Value, queues)
		default:
			if !pair.Used {
				c.Errorf(pair.Pos, "unknown field name %q parsing subject permissions, only 'allow' or 'deny' are permitted", pair.Key)
			}
		}
	}
	return p
}

func readSubjectList(c *conf.Check, n *conf.Node, queues bool) (subjects, at []string) {
	nodes := []*conf.Node{n}
	switch n.Kind {
	case conf.String:
	case conf.Array:
		nodes = n.Elems
	default:
		c.Errorf(n.Pos, "expected subject permissions to be a subject, or array of subjects, got %s", c.Have(n))
		return nil, nil
	}
	for _, e := range nodes {
		if e.Kind != conf.String {
			c.Errorf(e.Pos, "subject in permissions array cannot be cast to string: have %s", c.Have(e))
			continue
		}
		if err := access.CheckEntry(e.Str, queues); err != nil {
			c.Errorf(e.Pos, "%v", err)
			continue
		}
		subjects = append(subjects, e.Str)
		at = append(at, e.Pos.String())
	}
	return subjects, at
}

// permissionsType is the type of a setting that holds permissions.
func permissionsType(get func(*Options) **Permissions) conf.Type[Options] {
	return conf.Custom(conf.CustomType[Options]{
		Name: "map",
		Read: func(c *conf.Check, n *conf.Node, o *Options) {
			*get(o) = readPermissions(c, n, "expected default permissions to be a map/struct")
		},
		Text: func(o *Options, _ bool) string { return permissionsText(*get(o)) },
		Zero: func(o *Options) bool { return *get(o) == nil },
		Copy: func(dst, src *Options) { *get(dst) = (*get(src)).clone() },
	})
}

func clusterPermissions(o *Options) **RoutePermissions     { return &o.Cluster.Permissions }
func clusterAuthPermissions(o *Options) **RoutePermissions { return &o.Cluster.authPermissions }

// routePermissionsType is the type of permissions of routes. They are written like those of users.
func routePermissionsType(get func(*Options) **RoutePermissions) conf.Type[Options] {
	return conf.Custom(conf.CustomType[Options]{
		Name: "map",
		Read: func(c *conf.Check, n *conf.Node, o *Options) {
			p := readPermissions(c, n, "expected permissions to be a map/struct")
			if p != nil && p.Response != nil {
				c.Errorf(n.Pos, "allow_responses is for users, not for routes")
			}
			if p != nil {
				*get(o) = &RoutePermissions{Import: p.Publish, Export: p.Subscribe}
			}
		},
		Text: func(o *Options, _ bool) string { return routePermissionsText(*get(o)) },
		Zero: func(o *Options) bool { return *get(o) == nil },
		Copy: func(dst, src *Options) {
			p := *get(src)
			if p != nil {
				p = &RoutePermissions{Import: p.Import.clone(), Export: p.Export.clone()}
			}
			*get(dst) = p
		},
	})
}

// usersText formats the users as in a file, with their passwords if show is set.
func usersText(o *Options, show bool) string {
	if o.Users == nil {
		return ""
	}
	return userListText(o.Users, o.defaultPermissions, show)
}

// userListText formats a list of users, without permissions that are the default ones.
func userListText(users []*User, defaults *Permissions, show bool) string {
	entries := userTexts(users, defaults, func(_ int, u *User) string {
		if show {
			return conf.Quote(u.Password)
		}
		return conf.Quote(conf.Redacted)
	})
	return "[" + strings.Join(entries, ", ") + "]"
}

// printUsers formats a list of users one a line, with variables for their passwords. parts is where
// the list is.
func printUsers(users []*User, defaults *Permissions, p *conf.Printer, parts ...string) string {
	return conf.PrintLines(userTexts(users, defaults, func(i int, u *User) string {
		return p.Secret(u.variable, append(slices.Clone(parts), strconv.Itoa(i+1), "password")...)
	}))
}

// userTexts formats users, without permissions that are the default ones. password formats that of
// the user with an index.
func userTexts(users []*User, defaults *Permissions, password func(int, *User) string) (entries []string) {
	for i, u := range users {
		entry := "user: " + conf.Quote(u.Username)
		switch {
		case u.Nkey != "":
			entry = "nkey: " + conf.Quote(u.Nkey)
		case u.Password != "": // a user of a certificate may have none
			entry += ", password: " + password(i, u)
		}
		if u.Permissions != nil && u.Permissions != defaults {
			entry += ", permissions: " + permissionsText(u.Permissions)
		}
		if u.Limits != nil {
			entry += ", limits: " + u.Limits.text()
		}
		entries = append(entries, "{"+entry+"}")
	}
	return entries
}

func permissionsText(p *Permissions) string {
	if p == nil {
		return ""
	}
	parts := directionsText("publish", p.Publish, "subscribe", p.Subscribe)
	switch r := p.Response; {
	case r == nil:
	case *r == (ResponsePermission{}):
		parts = append(parts, "allow_responses: true")
	default:
		parts = append(parts, fmt.Sprintf("allow_responses: {max: %d, expires: %q}", r.MaxMsgs, r.Expires))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func routePermissionsText(p *RoutePermissions) string {
	if p == nil {
		return ""
	}
	return "{" + strings.Join(directionsText("import", p.Import, "export", p.Export), ", ") + "}"
}

func directionsText(first string, a *SubjectPermission, second string, b *SubjectPermission) (parts []string) {
	for _, d := range []struct {
		name string
		p    *SubjectPermission
	}{{first, a}, {second, b}} {
		if d.p != nil {
			parts = append(parts, fmt.Sprintf("%s: {allow: %s, deny: %s}", d.name, listText(d.p.Allow), listText(d.p.Deny)))
		}
	}
	return parts
}

func listText(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = conf.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// cloneUsers returns a deep copy of the users of o. Users that share permissions in o share them in
// the copy.
func cloneUsers(o *Options) []*User { return cloneUserList(o.Users) }

func cloneUserList(users []*User) []*User {
	if users == nil {
		return nil
	}
	shared := map[*Permissions]*Permissions{}
	out := make([]*User, len(users))
	for i, u := range users {
		if u == nil {
			continue
		}
		p, ok := shared[u.Permissions]
		if !ok {
			p = u.Permissions.clone()
			shared[u.Permissions] = p
		}
		out[i] = &User{Username: u.Username, Password: u.Password, Nkey: u.Nkey, Permissions: p, Limits: u.Limits.clone(), at: u.at, variable: u.variable}
	}
	return out
}

// cloneNkeys returns a deep copy; nil of nil.
func cloneNkeys(users []*NkeyUser) []*NkeyUser {
	if users == nil {
		return nil
	}
	copies := make([]*NkeyUser, len(users))
	for i, u := range users {
		if u == nil {
			continue
		}
		copies[i] = &NkeyUser{Nkey: u.Nkey, Permissions: u.Permissions.clone(), Limits: u.Limits.clone()}
	}
	return copies
}

func (p *Permissions) clone() *Permissions {
	if p == nil {
		return nil
	}
	c := &Permissions{Publish: p.Publish.clone(), Subscribe: p.Subscribe.clone(), at: p.at}
	if p.Response != nil {
		r := *p.Response
		c.Response = &r
	}
	return c
}

func (p *SubjectPermission) clone() *SubjectPermission {
	if p == nil {
		return nil
	}
	return &SubjectPermission{
		Allow: slices.Clone(p.Allow), Deny: slices.Clone(p.Deny),
		allowAt: slices.Clone(p.allowAt), denyAt: slices.Clone(p.denyAt),
	}
}
