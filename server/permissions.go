package server

import (
	"cmp"

	"gnatsd/server/internal/access"
)

// User is one entry of the list of users.
type User struct {
	Username    string
	Password    string // plain, or a bcrypt hash
	Nkey        string // public key, instead of a name and a password
	Permissions *Permissions
}

// id is what the user is known by.
func (u *User) id() string { return cmp.Or(u.Nkey, u.Username) }

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
