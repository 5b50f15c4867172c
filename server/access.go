package server

import (
	"gnatsd/server/internal/access"
)

// This file has what programs and files say about users and permissions, and makes of it what
// package access takes.

// User is one entry of the list of users.
type User struct {
	Username    string
	Password    string // plain, or a bcrypt hash
	Nkey        string // public key, instead of a name and a password
	Permissions *Permissions
}

// Permissions say what a user may publish and subscribe to. A nil side allows
// everything on that side.
type Permissions struct {
	Publish   *SubjectPermission
	Subscribe *SubjectPermission
}

// SubjectPermission lists subjects, which may hold wildcards, that are allowed
// and denied. An empty Allow allows everything that Deny does not name. In a
// Subscribe or Export list an entry may be "subject queue": it then speaks of
// the queue groups that match queue, which may hold wildcards too.
type SubjectPermission struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`

	// Where the entries of Allow and Deny were written, file:line:col, by index;
	// shorter or nil when they come from a program.
	allowAt, denyAt []string
}

// RoutePermissions say which interest crosses the routes of a server: Import
// what it asks of others, Export what others may ask of it.
type RoutePermissions struct {
	Import *SubjectPermission
	Export *SubjectPermission
}

// clientLogin returns who may connect to the client port.
func clientLogin(o *Options) access.Settings {
	return access.Settings{
		Hook:            o.CustomClientAuthentication != nil,
		Users:           accessUsers(o.Users),
		Token:           o.Authorization,
		Username:        o.Username,
		Password:        o.Password,
		NoAuthUser:      o.NoAuthUser,
		MapCertificates: o.TLSMap,
	}
}

// routeLogin returns who may connect to the route port. What clients may do without credentials
// never applies to it.
func routeLogin(o *Options) access.Settings {
	return access.Settings{
		Hook:     o.CustomRouterAuthentication != nil,
		Username: o.Cluster.Username,
		Password: o.Cluster.Password,
	}
}

// accessUsers converts a list of users; nil stays nil.
func accessUsers(users []*User) []access.User {
	if users == nil {
		return nil
	}
	converted := make([]access.User, len(users))
	shared := map[*Permissions]*access.Rules{} // by those with the default permissions
	for i, u := range users {
		rules, ok := shared[u.Permissions]
		if !ok {
			rules = u.Permissions.rules()
			shared[u.Permissions] = rules
		}
		converted[i] = access.User{Name: u.Username, Password: u.Password, Nkey: u.Nkey, Rules: rules}
	}
	return converted
}

// Explain answers what the permissions in o make of an action, and names the
// rule that decides. The arguments are those of `gnatsd --explain`, such as
// "user=bob" and "pub=req.foo"; "sub" and "queue" ask about a subscription.
func Explain(o *Options, args []string) (string, error) {
	return access.Explain(clientLogin(o), args)
}

// rules are the permissions as package access takes them.
func (p *Permissions) rules() *access.Rules {
	if p == nil {
		return nil
	}
	return &access.Rules{Publish: p.Publish.list(), Subscribe: p.Subscribe.list()}
}

// compile returns the routes' permissions for use; nil for nil.
func (p *RoutePermissions) compile() (*access.RoutePermissions, error) {
	if p == nil {
		return nil, nil
	}
	return access.CompileRoutes(p.Import.list(), p.Export.list())
}

func (p *SubjectPermission) list() access.List {
	if p == nil {
		return access.List{}
	}
	return access.List{Allow: accessEntries(p.Allow, p.allowAt), Deny: accessEntries(p.Deny, p.denyAt)}
}

// accessEntries adds the places to entries.
func accessEntries(texts, at []string) []access.Entry {
	entries := make([]access.Entry, len(texts))
	for i, text := range texts {
		entries[i].Text = text
		if i < len(at) {
			entries[i].At = at[i]
		}
	}
	return entries
}
