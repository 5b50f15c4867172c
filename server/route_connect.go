package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"time"

	"gnatsd/server/internal/mesh"
)

// This file is the beginning of a route, up to CONNECT and INFO.

// serveRoute runs a route that another server opened.
func (s *Server) serveRoute(nc net.Conn) {
	r := newRoute(s, nc, nil)
	if !s.cluster.add(r, nil, "") {
		r.abandon()
		return
	}
	if !r.handshake() {
		r.teardown()
		return
	}
	r.noticef("Route connection created")
	r.send(s.cluster.info())
	r.awaitCredentials()
	r.startPing()
	r.serve()
}

// serveDialed runs a route that we opened.
func (s *Server) serveDialed(nc net.Conn, attempt *mesh.Attempt, addr string) {
	r := newRoute(s, nc, attempt)
	if !s.cluster.add(r, attempt, addr) {
		r.abandon()
		return
	}
	if !r.handshake() {
		r.teardown()
		return
	}
	r.send(r.connectLine() + s.cluster.info())
	r.debugf("Route connect msg sent")
	r.noticef("Route connection created")
	r.startStepTimer(greetingWait, closeStale)
	r.startPing()
	r.serve()
}

// abandon ends a route that never began.
func (r *route) abandon() {
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

// connectLine returns the CONNECT for what was dialed.
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

// userOf returns the credentials in a URL as name and password.
func userOf(u *url.URL) (name, password string) {
	password, _ = u.User.Password() // nil has none
	return u.User.Username(), password
}

// connect takes the name and the credentials of a server that dialed us.
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
		if end := r.logIn(&opts, b); end != keepOpen {
			return end
		}
	}
	r.connected = true
	r.verbose, r.name = opts.Verbose, opts.Name
	r.markActive()
	r.ok(b)
	return keepOpen
}

// info takes what the peer says of itself, or of others. When a connection may
// be a second one to the same server, it waits here until that is decided.
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
	if r.attempt != nil && info.ClientID != 0 && r.remoteID() == "" {
		why := fmt.Sprintf("%s is a port for clients, not for routes", r.attempt.Addr)
		r.fail(why)
		r.errorf("Route Error %s", why)
		return closePeerError
	}
	r.markActive()
	own, before := r.introduced(info)
	if own {
		r.stopStepTimer()
	}
	about := info.forMesh()
	r.srv.cluster.event(func(m *mesh.Mesh, now time.Time) { m.Received(now, r.id, r.name, about) })
	if !own {
		if before != nil && !before.Export.equal(info.Export) {
			r.exportsChanged(before.Export, info.Export)
		}
		return keepOpen
	}
	b.flush()
	<-r.settled // shutdown, or the mesh within seconds, closes it
	return r.reason()
}

// introduced notes the first INFO by which the peer says who it is, and reports
// whether this is it. Of a later one about itself it notes the permissions, and
// returns what it was before.
func (r *route) introduced(info *peerInfo) (own bool, before *peerInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote == nil {
		if r.name != "" && r.name != info.ID {
			return false, nil
		}
		if info.IP == "" {
			info.IP = routeURL(r.host, info.Port)
		}
		r.remote = info
		r.headers.Store(info.Headers)
		return true, nil
	}
	if info.ID == r.remote.ID && info.ClientID == 0 && !info.Duplicate { // 1.4 also sends one for clients
		before = r.remote
		known := *before
		known.Import, known.Export = info.Import, info.Export
		r.remote = &known
	}
	return false, before
}

// decided lets the reader go on, which then finds out what was decided.
func (r *route) decided() { r.settle.Do(func() { close(r.settled) }) }

// registered makes this the route to its peer.
func (r *route) registered() {
	r.debugf("Registering remote route %q", r.remoteID())
	r.startIdleCheck()
	r.srv.cluster.adverts.learn(r, r.peerInfo().ConnectURLs)
	go r.interest.sync() // Shutdown waits for it; it ends when all is sent, or with the route
	r.decided()
}
