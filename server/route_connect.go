package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/mesh"
)

// This file is the beginning of a route, up to CONNECT and INFO, and its login.

// serveRoute runs an accepted route.
func (s *Server) serveRoute(nc net.Conn) {
	r := newRoute(s, nc, nil)
	if !s.cluster.add(r, nil, "") {
		r.reject()
		return
	}
	s.cluster.arrive(r)
	if !r.handshake() {
		r.teardown()
		return
	}
	r.noticef("Route connection created")
	r.send(s.cluster.firstInfo(r))
	r.awaitCredentials()
	if !r.unauthenticated {
		r.awaitInfo()
	}
	r.startPing()
	r.serve()
}

// serveDialed runs a route that this server dialed.
func (s *Server) serveDialed(nc net.Conn, attempt *mesh.Attempt, addr string) {
	r := newRoute(s, nc, attempt)
	r.quiet = attempt.Member == 0 && attempt.Target.Configured() && !powerOfTen(attempt.Failures+1)
	if !s.cluster.add(r, attempt, addr) {
		r.reject()
		return
	}
	if !r.handshake() {
		r.teardown()
		return
	}
	r.send(r.connectLine() + s.cluster.firstInfo(r))
	r.debugf("Route connect msg sent")
	r.logCreated()
	r.awaitInfo()
	r.startPing()
	r.serve()
}

// awaitInfo bounds the time until the peer has said in INFO which server it is. However often that
// begins, with each CONNECT, it ends at the same time.
func (r *route) awaitInfo() {
	if r.peerInfo() != nil {
		return
	}
	if r.infoDue.IsZero() {
		r.infoDue = time.Now().Add(routeInfoTimeout)
	}
	r.startStepTimer(time.Until(r.infoDue), closeStale)
}

// reject closes a connection that the cluster did not add.
func (r *route) reject() {
	r.close(closeShutdown)
	r.teardown()
}

// routeConnect is CONNECT as a server sends it.
type routeConnect struct {
	Echo     bool   `json:"echo"`
	Verbose  bool   `json:"verbose"`
	Pedantic bool   `json:"pedantic"`
	User     string `json:"user,omitempty"`
	Pass     string `json:"pass,omitempty"`
	TLS      bool   `json:"tls_required"`
	Name     string `json:"name"`
}

// connectLine returns the CONNECT line for the dialed server.
func (r *route) connectLine() string {
	c := routeConnect{Echo: true, TLS: r.srv.cluster.policy.Load().tls != nil, Name: r.srv.id}
	if o := r.srv.options(); r.attempt.OwnCredentials {
		c.User, c.Pass = o.Cluster.Username, o.Cluster.Password
	} else {
		c.User, c.Pass = userOf(r.attempt.Target.URL())
	}
	text, err := json.Marshal(&c)
	if err != nil {
		panic("CONNECT cannot be encoded: " + err.Error()) // no field can fail
	}
	return "CONNECT " + string(text) + "\r\n"
}

// userOf returns user name and password of a URL.
func userOf(u *url.URL) (name, password string) {
	password, _ = u.User.Password() // u.User may be nil
	return u.User.Username(), password
}

// policy implements authenticator.
func (r *route) policy() *policy { return &r.srv.cluster.policy.Load().policy }

// credentials implements authenticator.
func (r *route) credentials(opts *ConnectOptions) *access.Credentials {
	if opts == nil {
		return &access.Credentials{}
	}
	return &access.Credentials{User: opts.Username, Password: opts.Password, Token: opts.Authorization}
}

// bound implements authenticator. The permissions of routes do not depend on the identity.
func (r *route) bound(*access.Identity, func(text string)) {}

// logRefused implements authenticator.
func (r *route) logRefused(*ConnectOptions) { r.errorf("authorization error") }

// connect handles CONNECT, which an accepted server sends.
func (r *route) connect(o *op, b *batch) closeReason {
	var opts ConnectOptions
	if err := json.Unmarshal(o.args, &opts); err != nil {
		r.errorf("CONNECT: %v", connectError(err))
		return closeBadArgs
	}
	if opts.Lang != "" {
		return closeWrongPort
	}
	if r.attempt == nil {
		if reason := r.logIn(&opts, b); reason != keepOpen {
			return reason
		}
		r.awaitInfo()
	}
	r.verbose, r.claimedID = opts.Verbose, opts.Name
	r.noteActive()
	r.ok(b)
	return keepOpen
}

// info handles INFO about the peer, or about another server. After the first one about the peer
// nothing is acted on until the mesh has decided whether this connection is the route to it.
func (r *route) info(o *op, b *batch) closeReason {
	info := new(peerInfo)
	if err := json.Unmarshal(o.args, info); err != nil {
		r.errorf("INFO: %v", err)
		return closeBadArgs
	}
	if info.ID == "" {
		r.errorf("INFO without server_id: '%s'", printable(o.args))
		return closeBadArgs
	}
	if r.attempt != nil && info.CID != 0 && r.remoteID() == "" {
		cause := fmt.Sprintf("%s is a port for clients, not for routes", r.attempt.Addr)
		r.setCause(cause)
		r.errorf("Route Error %s", cause)
		return closePeerError
	}
	info.ClientConnectURLs = advertisable(info.ClientConnectURLs)
	r.noteActive()
	first, before := r.storeInfo(info)
	if !r.sameCluster(info) {
		if first {
			return r.refuseCluster(info)
		}
		if info.ID != r.remoteID() {
			r.ignoreAdvert(info)
			return keepOpen
		}
	}
	joining := r.attempt != nil && r.attempt.Member > 0 // waits for LINK joined
	if first && !joining {
		r.stopStepTimer()
	}
	if first || before != nil {
		r.peerOffersS2 = r.peerOffersS2 || r.compressionOfPeer() != ""
	}
	switch {
	case first:
		r.adjustCompression()
	case before != nil && before.Compression != info.Compression:
		r.recompress()
	}
	about := info.forMesh()
	r.srv.cluster.event(func(m *mesh.Mesh, now time.Time) { m.Received(now, r.id, r.claimedID, about) })
	if !first {
		if before != nil {
			r.updated(before, info)
		}
		return keepOpen
	}
	if joining {
		return keepOpen
	}
	r.settle()
	if r.isDecided() {
		return r.reason()
	}
	r.undecided = true
	return keepOpen
}

// updated is called when the peer has sent INFO about itself again.
func (r *route) updated(before, now *peerInfo) {
	if !before.Export.equal(now.Export) {
		r.exportsChanged(before.Export, now.Export)
	}
	if carrier := r.carrier(); carrier != nil && !slices.Equal(before.ClientConnectURLs, now.ClientConnectURLs) {
		r.srv.cluster.adverts.renew(carrier, now.ClientConnectURLs)
	}
}

// storeInfo stores the first INFO about the peer, and reports whether info is it. Of a later INFO
// about the peer it stores what a reload changes, and returns the INFO that it replaces.
func (r *route) storeInfo(info *peerInfo) (first bool, before *peerInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote == nil {
		if r.claimedID != "" && r.claimedID != info.ID {
			return false, nil
		}
		info.setIP(r.host)
		r.remote = info
		r.headers.Store(info.Headers)
		r.hasSystem.Store(info.System && r.srv.system != nil)
		return true, nil
	}
	if info.ID == r.remote.ID && info.CID == 0 && !info.Duplicate { // 1.4 also sends one for clients
		before = r.remote
		known := *before
		known.Import, known.Export, known.Compression = info.Import, info.Export, info.Compression
		known.ClientConnectURLs = info.ClientConnectURLs
		if info.Port != 0 {
			info.setIP(r.host)
			known.Host, known.Port, known.IP = info.Host, info.Port, info.IP
		}
		r.remote = &known
	}
	return false, before
}

// registered makes this connection the route to its peer.
func (r *route) registered() {
	r.debugf("Registering remote route %q", r.remoteID())
	if r.quiet { // the reader does nothing until setDecided
		r.quiet = false
		r.logCreated()
	}
	r.startIdleCheck()
	r.measureWay()
	if r.peerInfo().extended() {
		r.measureRTT()
	}
	r.renewInfo()
	r.srv.cluster.adverts.learn(r, r.peerInfo().ClientConnectURLs)
	r.out.SetLimits(r.writeLimits(r.srv.options()))
	if r.pool != nil && r.attempt == nil {
		r.send(joinedLine)
	}
	r.out.KeepLeftover(true)
	r.interest.beginSync()
	go r.interest.sync() // ends when everything is sent, or with the route; Shutdown waits for it
	r.setDecided()
}
