package server

import (
	"net"
	"strings"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/mesh"
)

// This file has the state of routes, for monitoring and embedding programs.

// NumRoutes returns the number of routes: of connections to other servers that are in use.
func (s *Server) NumRoutes() (n int) {
	for _, r := range s.cluster.active() {
		n += len(r.siblings())
	}
	return n
}

// NumRemotes returns the number of servers that this server has routes to.
func (s *Server) NumRemotes() int { return len(s.cluster.active()) }

// ClusterAddr returns the address of the listener for routes, nil if it is not open. If there are
// several it is that of the first.
func (s *Server) ClusterAddr() *net.TCPAddr {
	addrs := addrsOf(s.cluster.listening())
	if len(addrs) == 0 {
		return nil
	}
	addr, _ := addrs[0].(*net.TCPAddr)
	return addr
}

// listening returns the open listeners for routes.
func (k *cluster) listening() []net.Listener {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return nil
	}
	return k.listeners
}

// routeState is the state of a route.
type routeState struct {
	id                 uint64
	remoteID           string
	remoteName         string // the id if the peer has none
	remoteVersion      string
	monitorURL         string // of the peer, "" if it is not known, or not reached from here
	remoteAddr         string // host:port for routes, as the peer says
	solicited          bool   // this server dialed it, or is configured to
	configured         bool   // it is the route to a server that is configured, whichever of them dialed
	host               string
	port               int
	start              int64 // UnixNano
	active             time.Time
	rtt                time.Duration   // 0 = unknown
	imports, exports   *peerPermission // of the peer
	pending            int64           // bytes
	inMsgs, inBytes    int64
	outMsgs, outBytes  int64
	subscriptions      int
	holder             *conn // has the subscriptions; nil if another route to the server does
	waitingForInterest int64 // lines of interest queued for it
	headersDropped     int64 // messages sent without their headers
	pool               poolState
	compression        compressionState
}

// poolState is the place of a route in the pool of connections to the same server.
type poolState struct {
	id      string // "" if the server knows nothing of pools
	number  int    // of the connection
	size    int    // connections that there are
	carrier bool   // interest is sent on it
}

// routeStates returns the state of the registered routes, oldest first, each followed by the other
// connections to the same server.
func (k *cluster) routeStates() []routeState {
	configured := map[string]bool{} // by server id, and by address
	for _, t := range k.targets() {
		if t.Configured {
			configured[t.Server], configured[strings.ToLower(t.URL.Host)] = true, true
		}
	}
	routes := k.active()
	list := make([]routeState, 0, len(routes))
	for _, carrier := range routes {
		for _, r := range carrier.siblings() {
			s := r.state()
			s.configured = configured[s.remoteID] || configured[strings.ToLower(s.remoteAddr)]
			s.solicited = s.solicited || s.configured
			if s.pool.carrier = r == carrier; s.pool.carrier {
				s.holder = r.holder()
				s.subscriptions = s.holder.subCount()
			}
			list = append(list, s)
		}
	}
	return list
}

func (r *route) state() routeState {
	out := r.out.Stats()
	s := routeState{
		id: r.id, host: r.host, port: r.port, start: r.start,
		solicited: r.attempt != nil,
		pending:   out.Pending, outMsgs: out.Messages, outBytes: out.Payload,
		inMsgs: r.inMsgs.Load(), inBytes: r.inBytes.Load(), active: r.lastActivity(),
		waitingForInterest: r.interest.waiting.Load(), headersDropped: r.headersDropped.Load(),
	}
	if p := r.pool; p != nil {
		s.pool = poolState{id: p.id, number: r.number, size: len(r.siblings())}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote != nil {
		s.remoteID, s.remoteName, s.remoteVersion = r.remote.ID, r.remote.name(), r.remote.Version
		s.remoteAddr = r.remote.addr()
		s.monitorURL = peerMonitor(r.remote.Monitor, r.host)
		s.imports, s.exports = r.remote.Import, r.remote.Export
	}
	s.rtt = r.ping.rtt
	s.compression = r.compression.stateLocked()
	return s
}

// targetState is the state of an address that should be connected.
type targetState struct {
	url        string // without password
	configured bool   // else another server advertised it
	remoteID   string // id of the server that was last reached there, or that was advertised; "" if unknown
	connected  bool
	self       bool // it is an address of this server
	failures   int  // failed attempts in a row
	lastErr    string
	next       time.Time // of the next attempt; zero if there is none
}

// targetStates returns the state of every address that should be connected: the configured ones,
// and those of advertised servers that this server dials.
func (k *cluster) targetStates() []targetState {
	targets := k.targets()
	list := make([]targetState, 0, len(targets))
	for _, t := range targets {
		list = append(list, targetState{
			url: conf.RedactURL(t.URL), configured: t.Configured, remoteID: t.Server, connected: t.Connected,
			self: t.Self, failures: t.Failures, lastErr: t.LastErr, next: t.Next,
		})
	}
	return list
}

func (k *cluster) targets() []mesh.TargetState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mesh.Targets()
}
