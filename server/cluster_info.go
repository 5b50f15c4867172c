package server

import (
	"cmp"
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gnatsd/conf"
	"gnatsd/server/internal/access"
	"gnatsd/server/internal/mesh"
)

// peerInfo is INFO as servers send it to each other: about themselves, or about a third server.
type peerInfo struct {
	Info

	// PoolSize is how many connections to one server the sender wants; servers that know nothing of
	// pools send none. PoolID, sent by the server that dials, names the pool that the connection opens or,
	// with a PoolMember, that it is to join, and PoolMember is its number. See route_pool.go.
	PoolSize   int    `json:"pool_size,omitempty"`
	PoolID     string `json:"pool_id,omitempty"`
	PoolMember int    `json:"pool_member,omitempty"`

	// Compression is how the sender would compress routes, in the words of nats-server; "" if it
	// would not.
	Compression string `json:"compression,omitempty"`

	Import *peerPermission `json:"import,omitempty"`
	Export *peerPermission `json:"export,omitempty"`

	// Lost means that the sender no longer has a route to the server that the INFO is about. It
	// is never sent to 1.x servers.
	Lost bool `json:"lost,omitempty"`

	// Duplicate means that the sender closes this connection because it has another one to the
	// receiver. It is never sent to 1.x servers.
	Duplicate bool `json:"duplicate,omitempty"`

	// System means that the server has a system account.
	System bool `json:"system,omitempty"`

	// Monitor is the URL of the monitoring port, for links on the pages of other servers; its
	// host is empty if it is that of the route. "" if there is none.
	Monitor string `json:"monitor,omitempty"`
}

// peerPermission is one direction of the permissions of a cluster in INFO.
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

// equal reports whether p and q have the same entries in the same order.
func (p *peerPermission) equal(q *peerPermission) bool {
	if p == nil || q == nil {
		return p == q
	}
	return slices.Equal(p.Allow, q.Allow) && slices.Equal(p.Deny, q.Deny)
}

// compile returns what a peer exports as package access uses it; nil allows everything.
func (p *peerPermission) compile() (*access.RoutePermissions, error) {
	if p == nil {
		return nil, nil
	}
	return (&RoutePermissions{Export: &SubjectPermission{Allow: p.Allow, Deny: p.Deny}}).compile()
}

// routeScheme begins the URLs of routes.
const routeScheme = "nats-route://"

// firstExtended is the first minor version of this broker; the last of gnatsd 1.x was 1.4.
const firstExtended = 5

// extended reports whether the server that the INFO is about understands Lost and Duplicate.
func (i *peerInfo) extended() bool {
	rest, ok := strings.CutPrefix(i.Version, "1.")
	if !ok {
		return false
	}
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	return err == nil && n >= firstExtended
}

// name returns the name of the server or, without one, its id.
func (i *peerInfo) name() string { return cmp.Or(i.Name, i.ID) }

// addr returns the host:port that the server sends as that of its route listener.
func (i *peerInfo) addr() string { return net.JoinHostPort(i.Host, strconv.Itoa(i.Port)) }

// routeAddr returns the host:port to dial the server at, "" if it is not known.
func (i *peerInfo) routeAddr() string {
	u, err := url.Parse(i.IP)
	if err != nil || u.Hostname() == "" || u.Port() == "" {
		return ""
	}
	return u.Host
}

// setIP sets where routes of the server are dialed, which is at a host, if the server has not said it.
func (i *peerInfo) setIP(host string) {
	if i.IP == "" {
		i.IP = routeURL(host, i.Port)
	}
}

// routeURL returns a route address as it stands in the ip field of INFO.
func routeURL(host string, port int) string {
	return routeScheme + net.JoinHostPort(host, strconv.Itoa(port)) + "/"
}

// forMesh returns what the mesh needs to know of the INFO.
func (i *peerInfo) forMesh() *mesh.Info {
	return &mesh.Info{
		ID: i.ID, Addr: i.addr(), DialAddr: i.routeAddr(), AuthRequired: i.AuthRequired,
		Extended: i.extended(), Lost: i.Lost, Duplicate: i.Duplicate,
		PoolSize: i.PoolSize, PoolID: i.PoolID, Member: i.PoolMember,
	}
}

// line encodes INFO. As in gnatsd 1.x a space precedes the line end of INFO about the sender itself
// (own), but not of INFO about others.
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

// describe returns the INFO that this server sends to other servers.
func (k *cluster) describe(o *Options, port int) (*peerInfo, error) {
	own := &peerInfo{Info: *newInfo(k.srv.id, o)}
	own.System = k.srv.system != nil
	own.Monitor = k.srv.monitorURL(o)
	own.Name = o.ServerName // "" stands for the id
	own.Host, own.Port = o.Cluster.Host, port
	own.PoolSize = max(o.Cluster.PoolSize, 1)
	if o.Cluster.Compression.on() {
		own.Compression = o.Cluster.Compression.Mode
	}
	p := k.policy.Load()
	own.AuthRequired = p.auth.Required()
	own.TLSRequired, own.TLSVerify = p.tls != nil, p.tls != nil
	if o.Cluster.Advertise != "" {
		host, advertised, err := advertisedAddr(o.Cluster.Advertise, port)
		if err != nil {
			return nil, err
		}
		own.Host, own.Port, own.IP = host, advertised, routeURL(host, advertised)
	}
	if !o.Cluster.NoAdvertise {
		own.ClientConnectURLs = k.adverts.ownURLs()
	}
	if p := o.Cluster.Permissions; p != nil {
		own.Import, own.Export = newPeerPermission(p.Import), newPeerPermission(p.Export)
	}
	return own, nil
}

// ownInfo returns the INFO that this server sends to other servers, which does not change.
func (k *cluster) ownInfo() *peerInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.own
}

// sendInfo sends the peer the INFO of this server again.
func (r *route) sendInfo() {
	own := r.srv.cluster.ownInfo()
	if own.Compression != "" {
		r.offersS2.Store(true)
	}
	r.send(own.line(true))
	if own.Compression != "" {
		r.offerSent.Store(true)
	}
}

// renewInfo sends the peer the INFO of this server again if that has changed since the connection
// began. The settings that change while it is no route yet are not sent by those who change them.
func (r *route) renewInfo() {
	if r.began == r.srv.cluster.ownInfo() || !r.takesInfo() {
		return
	}
	r.sendInfo()
	if r.peerInfo().extended() {
		r.recompress()
	}
}

// firstInfo returns the INFO line that a connection begins with. It runs on the reader.
func (k *cluster) firstInfo(r *route) string {
	r.began = k.ownInfo()
	own := *r.began
	if own.Compression != "" {
		r.offersS2.Store(true)
		r.offerSent.Store(true) // the reader sends it before it reads one
	}
	switch {
	case r.attempt == nil:
	case r.attempt.Member > 0:
		own.PoolID, own.PoolMember = k.poolKey+r.attempt.PoolID, r.attempt.Member
	default:
		own.PoolID = k.poolKey + strconv.FormatUint(r.id, 10)
	}
	return own.line(true)
}

// renewOwn updates the INFO for other servers after the settings have changed. It reports whether
// that says something else now to those that are connected.
func (k *cluster) renewOwn(o *Options) (changed bool) {
	k.mu.Lock()
	before, retries := k.own, o.Cluster.ConnectRetries
	k.mesh.SetRetries(retries)
	k.mu.Unlock()
	addr := k.srv.ClusterAddr()
	if before == nil || addr == nil {
		return false
	}
	own, err := k.describe(o, addr.Port)
	if err != nil {
		k.srv.Errorf("Error setting route INFO with Cluster.Advertise value of %s, err=%v", conf.Printable(o.Cluster.Advertise), err)
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own = own
	said := *before
	said.AuthRequired, said.TLSRequired, said.TLSVerify = own.AuthRequired, own.TLSRequired, own.TLSVerify // for new connections
	return said.line(true) != own.line(true)
}
