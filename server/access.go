package server

import (
	"crypto/tls"
	"net"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/access"
)

// This file has the users and permissions that programs and files set, and converts them for
// package access.

// User is one entry of the list of users.
type User struct {
	Username    string
	Password    string // plain, or a bcrypt hash
	Nkey        string // public key, in place of a name and a password
	Permissions *Permissions
	Limits      *UserLimits // nil for the default ones

	at       string // where it was written, file:line:col; "" if a program set it
	variable string // that the file has for Password; "" if it has none
}

// NkeyUser is a user that logs in with an nkey, in [Options.Nkeys]. A [User] with an Nkey is the
// same.
type NkeyUser struct {
	Nkey        string // public key
	Permissions *Permissions
	Limits      *UserLimits // nil for the default ones
}

// allUsers returns the users of both lists; nil if there is neither.
func (o *Options) allUsers() []*User {
	if o.Nkeys == nil {
		return o.Users
	}
	all := make([]*User, 0, len(o.Users)+len(o.Nkeys))
	all = append(all, o.Users...)
	for _, u := range o.Nkeys {
		all = append(all, &User{Nkey: u.Nkey, Permissions: u.Permissions, Limits: u.Limits})
	}
	return all
}

// Permissions are the subjects that a user may publish and subscribe to. A nil field allows
// everything in its direction.
type Permissions struct {
	Publish   *SubjectPermission
	Subscribe *SubjectPermission
	// Response also allows publishing to the reply subjects of messages that were received. With
	// it, a nil Publish, or one without Allow, allows nothing else.
	Response *ResponsePermission

	at string // where they were written; "" if a program set them
}

// ResponsePermission is how often and for how long a user may publish to the reply subject of a
// message that it received.
type ResponsePermission struct {
	MaxMsgs int           // for each message; 0 = 1, negative = unlimited
	Expires time.Duration // after the message; 0 = 2 minutes, negative = unlimited
}

// SubjectPermission lists subjects, which may hold wildcards, that are allowed and denied. An empty
// Allow allows everything that Deny does not name. In a Subscribe or Export list an entry may be
// "subject queue": it then applies only to the queue groups that match queue, which may hold
// wildcards too.
type SubjectPermission struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`

	// Where the entries of Allow and Deny were written, file:line:col, by index; shorter or nil
	// if a program set them.
	allowAt, denyAt []string
}

// RoutePermissions limit the interest that crosses the routes of a server: Import lists the
// subjects that it asks other servers for, Export those that other servers may ask it for. A nil
// field allows everything.
type RoutePermissions struct {
	Import *SubjectPermission
	Export *SubjectPermission
}

// Authentication is implemented by programs that embed a server and decide themselves who may
// connect.
type Authentication interface {
	// Check reports whether the connection is accepted. It is called after CONNECT was read, on
	// the connection's own goroutine, and on others for the connections that exist when
	// [Server.ReloadOptions] sets another Authentication; one that cannot be compared counts as another.
	Check(c ClientAuthentication) bool
}

// ClientAuthentication is a connection as an [Authentication] sees it.
type ClientAuthentication interface {
	// GetOpts returns what the client sent in CONNECT. It must not be changed.
	GetOpts() *ConnectOptions
	// GetTLSConnectionState returns nil for a connection without TLS.
	GetTLSConnectionState() *tls.ConnectionState
	// RegisterUser sets the user name, the permissions and the limits of the connection to those
	// of u.
	RegisterUser(u *User)
	// RemoteAddress returns the peer's address, nil if it has none.
	RemoteAddress() net.Addr
}

// clientLogin returns the settings of package access for the client port.
func clientLogin(o *Options) access.Settings {
	list, system, open := o.loginUsers()
	users := accessUsers(list, o.defaultLimits)
	for i := len(users) - system; i < len(users); i++ {
		users[i].System = true
	}
	return access.Settings{
		Hook:            o.CustomClientAuthentication != nil,
		Users:           users,
		OpenToOthers:    open,
		Limits:          o.defaultLimits.limits(nil),
		Token:           o.Authorization,
		At:              o.loginPlace(),
		Username:        o.Username,
		Password:        o.Password,
		NoAuthUser:      o.NoAuthUser,
		MapCertificates: o.TLSMap,
	}
}

// loginPlace returns where the token or the password of clients was set, "" if that is no file.
func (o *Options) loginPlace() string {
	if o.loaded == nil {
		return ""
	}
	key := "authorization.password"
	if o.Authorization != "" {
		key = "authorization.token"
	}
	from := o.loaded.values.Origin(key)
	if from.Layer != conf.FromFile {
		return ""
	}
	return from.Pos.String()
}

// routeLogin returns the settings of package access for the route port. no_auth_user does not apply
// to it.
func routeLogin(o *Options) access.Settings {
	return access.Settings{
		Hook:     o.CustomRouterAuthentication != nil,
		Username: o.Cluster.Username,
		Password: o.Cluster.Password,
	}
}

// accessUsers converts a list of users; nil stays nil.
func accessUsers(users []*User, defaults *UserLimits) []access.User {
	if users == nil {
		return nil
	}
	converted := make([]access.User, len(users))
	shared := map[*Permissions]*access.Rules{} // users with the default permissions share them
	for i, u := range users {
		rules, ok := shared[u.Permissions]
		if !ok {
			rules = u.Permissions.rules()
			shared[u.Permissions] = rules
		}
		converted[i] = access.User{Name: u.Username, Password: u.Password, Nkey: u.Nkey, Rules: rules, Limits: u.Limits.limits(defaults), At: u.at}
	}
	return converted
}

// Explain reports whether the permissions in o allow an action, and names the rule that decides.
// The arguments are those of `gnatsd --explain`: "user=bob" with "pub=req.foo", or with "sub=req.*"
// and possibly "queue=workers". Without a user they are about a client without credentials. The
// error reports invalid arguments and unknown users.
func Explain(o *Options, args []string) (string, error) {
	text, _, err := access.Explain(clientLogin(o), args)
	return text, err
}

// rules returns the permissions as package access takes them, nil for nil.
func (p *Permissions) rules() *access.Rules {
	if p == nil {
		return nil
	}
	rules := &access.Rules{Publish: p.Publish.list(), Subscribe: p.Subscribe.list(), At: p.at}
	if p.Response != nil {
		rules.Response = &access.Response{MaxMsgs: p.Response.MaxMsgs, Expires: p.Response.Expires}
	}
	return rules
}

// compile returns the routes' permissions as package access uses them, nil for nil.
func (p *RoutePermissions) compile() (*access.RoutePermissions, error) {
	if p == nil {
		return nil, nil
	}
	return access.CompileRoutes(p.Import.list(), p.Export.list())
}

// list returns the entries as package access takes them.
func (p *SubjectPermission) list() access.List {
	if p == nil {
		return access.List{}
	}
	return access.List{Allow: accessEntries(p.Allow, p.allowAt), Deny: accessEntries(p.Deny, p.denyAt)}
}

// accessEntries combines the texts of entries with the places where they were written.
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
