package server

// User is one entry of the list of users.
type User struct {
	Username    string
	Password    string // plain, or a bcrypt hash
	Permissions *Permissions
}

// Permissions say what a user may publish and subscribe to. A nil side allows
// everything on that side.
type Permissions struct {
	Publish   *SubjectPermission
	Subscribe *SubjectPermission
}

// SubjectPermission lists subjects, which may hold wildcards, that are allowed
// and denied. An empty Allow allows everything that Deny does not name.
type SubjectPermission struct {
	Allow []string
	Deny  []string
}

// RoutePermissions say which interest crosses the routes of a server: Import
// what it asks of others, Export what others may ask of it.
type RoutePermissions struct {
	Import *SubjectPermission
	Export *SubjectPermission
}
