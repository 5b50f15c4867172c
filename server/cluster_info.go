package server

import (
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gnatsd/server/internal/mesh"
)

// peerInfo is INFO as servers send it to each other: about themselves, or about
// a third server that they know.
type peerInfo struct {
	Info
	Import *peerPermission `json:"import,omitempty"`
	Export *peerPermission `json:"export,omitempty"`

	// Lost says that the sender has no route any more to the server that the
	// INFO is about. It is never sent to 1.x servers.
	Lost bool `json:"lost,omitempty"`

	// Duplicate says that the sender closes this connection because it has
	// another one to the receiver. It is never sent to 1.x servers.
	Duplicate bool `json:"duplicate,omitempty"`
}

// peerPermission is one side of the permissions of a cluster in INFO.
type peerPermission struct {
	Allow []string `json:"allow,omitempty"`
	Deny  []string `json:"deny,omitempty"`
}

func newPeerPermission(p *SubjectPermission) *peerPermission {
	if p == nil || len(p.Allow)+len(p.Deny) == 0 {
		return nil
	}
	return &peerPermission{Allow: p.Allow, Deny: p.Deny}
}

// same reports whether two are written alike.
func (p *peerPermission) same(q *peerPermission) bool {
	if p == nil || q == nil {
		return p == q
	}
	return slices.Equal(p.Allow, q.Allow) && slices.Equal(p.Deny, q.Deny)
}

// compile makes rules of what a peer says; nil allows everything.
func (p *peerPermission) compile() (side, error) {
	if p == nil {
		return side{}, nil
	}
	return compileSide(&SubjectPermission{Allow: p.Allow, Deny: p.Deny}, true)
}

// routeScheme opens the URLs of routes.
const routeScheme = "nats-route://"

// firstExtended is the first minor version of 1.x that is this broker and not the
// classic one, whose last was 1.4.
const firstExtended = 5

// extended reports whether the server that the INFO is about understands the
// fields that 1.x does not know.
func (i *peerInfo) extended() bool {
	rest, ok := strings.CutPrefix(i.Version, "1.")
	if !ok {
		return false
	}
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	return err == nil && n >= firstExtended
}

// addr is the host:port that the server gives for its routes.
func (i *peerInfo) addr() string { return net.JoinHostPort(i.Host, strconv.Itoa(i.Port)) }

// routeAddr is the host:port to dial the server at, "" if it is not known.
func (i *peerInfo) routeAddr() string {
	u, err := url.Parse(i.IP)
	if err != nil || u.Hostname() == "" || u.Port() == "" {
		return ""
	}
	return u.Host
}

// routeURL is a route address as it stands in the ip field of INFO.
func routeURL(host string, port int) string {
	return routeScheme + net.JoinHostPort(host, strconv.Itoa(port)) + "/"
}

// forMesh returns what the mesh needs to know of the INFO.
func (i *peerInfo) forMesh() *mesh.Info {
	return &mesh.Info{
		ID: i.ID, Addr: i.addr(), DialAddr: i.routeAddr(), AuthRequired: i.AuthRequired,
		Extended: i.extended(), Lost: i.Lost, Duplicate: i.Duplicate,
	}
}

// line encodes INFO. The classic broker ends what it says of itself with a
// space, and what it passes on without.
func (i *peerInfo) line(own bool) string {
	text, err := json.Marshal(i)
	if err != nil {
		panic("INFO cannot be encoded: " + err.Error()) // no field can fail
	}
	if own {
		return "INFO " + string(text) + " \r\n"
	}
	return "INFO " + string(text) + "\r\n"
}
