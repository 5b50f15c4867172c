package server

import (
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gnatsd/server/internal/access"
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

// compile returns what a peer exports for use; nil allows everything.
func (p *peerPermission) compile() (*access.RoutePermissions, error) {
	if p == nil {
		return nil, nil
	}
	return (&RoutePermissions{Export: &SubjectPermission{Allow: p.Allow, Deny: p.Deny}}).compile()
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

// describe returns INFO of this server, as other servers get it.
func (k *cluster) describe(o *Options, port int) (*peerInfo, error) {
	own := &peerInfo{Info: *newInfo(k.srv.id, o)}
	own.Name, own.Cluster = "", "" // for clients
	own.Host, own.Port = o.Cluster.Host, port
	rules := k.policy.Load()
	own.AuthRequired = rules.auth.Required()
	own.TLSRequired, own.TLSVerify = rules.tls != nil, rules.tls != nil
	if o.Cluster.Advertise != "" {
		host, p, err := hostAndPort(o.Cluster.Advertise, port)
		if err != nil {
			return nil, err
		}
		own.Host, own.Port, own.IP = host, p, routeURL(host, p)
	}
	if !o.Cluster.NoAdvertise {
		own.ConnectURLs = k.adverts.ownURLs()
	}
	if p := o.Cluster.Permissions; p != nil {
		own.Import, own.Export = newPeerPermission(p.Import), newPeerPermission(p.Export)
	}
	return own, nil
}

// info returns the INFO line of this server, as other servers get it.
func (k *cluster) info() string {
	k.mu.Lock()
	own := k.own
	k.mu.Unlock()
	return own.line(true)
}

// renewOwn makes INFO of this server again, for changed settings.
func (k *cluster) renewOwn(o *Options) {
	k.mu.Lock()
	listening, retries := k.own != nil, o.Cluster.ConnectRetries
	k.mesh.SetRetries(retries)
	k.mu.Unlock()
	addr := k.srv.ClusterAddr()
	if !listening || addr == nil {
		return
	}
	own, err := k.describe(o, addr.Port)
	if err != nil {
		k.srv.Errorf("Error setting route INFO with Cluster.Advertise value of %s, err=%v", o.Cluster.Advertise, err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own = own
}
