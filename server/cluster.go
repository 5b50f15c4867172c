package server

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nuid"

	"gnatsd/conf"
	"gnatsd/server/internal/admission"
	"gnatsd/server/internal/mesh"
)

// cluster is the shell around a [mesh.Mesh]: it owns the sockets, goroutines and timers of the
// routes, reports events to the mesh and performs the actions that the mesh asks for.
type cluster struct {
	// Set once.
	srv      *Server
	on       bool          // the settings have a port for routes
	idleTick time.Duration // between two looks at whether a route is idle
	poolKey  string        // random, begins the ids of pools: a server that was not sent one cannot guess it

	// Snapshots.
	policy   atomic.Pointer[routePolicy]
	interest atomic.Pointer[[]*route] // registered routes, oldest first; never nil

	// Safe for concurrent use.
	arrivals *admission.Evictor[*conn] // accepted connections that are not routes yet
	adverts  advertiser
	closed   closedQueues
	// dialLimit is of the lines about advertised servers that cannot be reached.
	dialLimit logLimit
	lostLimit logLimit // of the lines about routes that were lost

	mu        sync.Mutex // guards what follows
	mesh      *mesh.Mesh
	routes    map[uint64]*route // connected, registered or not
	timer     *time.Timer
	listeners []net.Listener // the first is that of Host and Port
	own       *peerInfo      // INFO that this server sends to others; nil before it listens
	refused   map[string]int // how often servers of other clusters were refused, by server id
	stopped   bool           // no more routes are added
}

// newCluster prepares the cluster of a server.
func newCluster(s *Server, o *Options) (*cluster, error) {
	k := &cluster{
		srv: s, on: o.Cluster.Port != 0, idleTick: cmp.Or(o.idleTick, idleTick), poolKey: nuid.New().Next(),
		arrivals: admission.NewEvictor[*conn](), adverts: advertiser{srv: s}, routes: make(map[uint64]*route),
	}
	k.interest.Store(new([]*route))
	k.mesh = mesh.New(mesh.Config{
		ID: s.id, Retries: o.Cluster.ConnectRetries, Rand: rand.New(rand.NewPCG(seedOf(s.id))), Idle: k.idle, Pool: o.Cluster.PoolSize,
	})
	p, err := k.newRoutePolicy(o)
	if err != nil {
		return nil, err
	}
	k.policy.Store(p)
	return k, nil
}

// seedOf returns the seed of the random numbers of a server, which depend on its id only.
func seedOf(id string) (uint64, uint64) {
	h := fnv.New64a()
	h.Write([]byte(id)) // never fails
	return h.Sum64(), uint64(len(id))
}

// listen opens the port for routes and dials the configured ones.
func (k *cluster) listen() error {
	if !k.on {
		return nil
	}
	opts := k.srv.options()
	listeners, addrs, err := k.srv.listenOnAll(opts.Cluster.Host, opts.Cluster.Port, opts.Cluster.AlsoListen)
	if err != nil {
		_, port, _ := hostAndPort(addrs[len(addrs)-1], 0)
		return failedStart(fmt.Errorf("listen for routes: %w", err),
			"Error listening on router port: %d - %v%s", port, err, opts.where("cluster.port", "cluster.host"))
	}
	_, port, err := hostAndPort(addrs[0], 0)
	if err != nil {
		return err
	}
	own, err := k.describe(opts, port)
	if err != nil {
		closeAll(listeners)
		return failedStart(fmt.Errorf("cluster advertise %q: %w", opts.Cluster.Advertise, err),
			"Error setting route INFO with Cluster.Advertise value of %s, err=%v%s", conf.Printable(opts.Cluster.Advertise), err, opts.where("cluster.cluster_advertise"))
	}
	if !k.setListeners(listeners, own) {
		closeAll(listeners)
		return nil
	}
	for i, l := range listeners {
		k.srv.Noticef("Listening for route connections on %s", addrs[i])
		go func() { // ends when shutdown closes l; Shutdown waits for it
			k.srv.accept(l, "Route", k.room, k.srv.serveRoute)
			k.srv.Debugf("Router accept loop exiting..")
		}()
	}
	return nil
}

// maxArrivals bounds the accepted connections that have not become routes yet.
const maxArrivals = 256

// room reports whether there are descriptors for another accepted route. If there are few, one is
// closed that has not become a route.
func (k *cluster) room() bool {
	d, open := &k.srv.descriptors, k.srv.sockets.routes.Load()
	if open < int64(d.routes) {
		return true
	}
	return k.evict() && open < int64(d.routes)+int64(d.refused)
}

// arrive adds an accepted connection to those that may be closed to make room for others.
func (k *cluster) arrive(r *route) {
	r.entry = k.arrivals.Add(r.source(), &r.conn)
	for k.arrivals.Len() > maxArrivals && k.evict() {
	}
}

// evict closes an accepted connection that has not become a route, if there is one.
func (k *cluster) evict() bool {
	victim, ok := k.arrivals.Evict()
	if ok {
		victim.close(closeEvicted)
	}
	return ok
}

// setListeners stores the open listeners. It reports false if the server is stopping. If not, it
// counts accept of each in srv.conns, which calls Done when it ends.
func (k *cluster) setListeners(listeners []net.Listener, own *peerInfo) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return false
	}
	k.listeners, k.own = listeners, own
	k.srv.conns.Add(len(listeners))
	return true
}

// ready reports whether routes can connect.
func (k *cluster) ready() bool { return len(k.listening()) > 0 }

// all returns the connections to other servers, registered or not, in no order.
func (k *cluster) all() []*route {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Values(k.routes))
}

// active returns the registered routes, oldest first. The slice never changes.
func (k *cluster) active() []*route { return *k.interest.Load() }

// event reports an event to the mesh by calling report, and performs the actions that follow.
func (k *cluster) event(report func(m *mesh.Mesh, now time.Time)) {
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		return
	}
	report(k.mesh, time.Now())
	acts := k.mesh.Actions()
	work := make([]clusterWork, len(acts))
	for i := range acts {
		work[i] = clusterWork{&acts[i], k.routes[acts[i].Link], k.routes[acts[i].Of]}
		k.prepareLocked(&work[i])
	}
	k.armLocked()
	k.mu.Unlock()
	for i := range work {
		k.perform(&work[i])
	}
}

// clusterWork is an action of the mesh with the routes that it names; a route that has ended is
// nil.
type clusterWork struct {
	*mesh.Action
	route, of *route
}

// prepareLocked does the part of an action that must happen under the lock.
func (k *cluster) prepareLocked(w *clusterWork) {
	switch {
	case w.Kind == mesh.Dial:
		k.srv.conns.Add(1) // dial calls Done
	case w.Kind == mesh.Register && w.route != nil:
		if w.Pool != "" {
			k.openPool(w.route, w.Pool)
		}
		k.announceOnLocked(w.route)
	case (w.Kind == mesh.Join || w.Kind == mesh.Promote) && w.route != nil:
		k.prepareMemberLocked(w)
	}
}

// announceOnLocked lets a route be sent interest.
func (k *cluster) announceOnLocked(r *route) {
	list := append(slices.Clone(k.active()), r)
	k.interest.Store(&list)
	k.srv.conns.Add(1) // sync calls Done
}

// prepareMemberLocked prepares that a connection joins a pool, or becomes its carrier. If all that
// the pool had are lost meanwhile it is closed.
func (k *cluster) prepareMemberLocked(w *clusterWork) {
	r := w.route
	if r.pool == nil && w.of != nil {
		r.number = w.Number
		w.of.pool.addLocked(r)
	}
	switch {
	case r.pool == nil || r.pool.ended.Load():
		w.Action = &mesh.Action{Kind: mesh.Close, Link: w.Link, Reason: mesh.RenewedRoute}
	case w.Kind == mesh.Promote:
		r.interest.after = r.pool.carrier.Load().interest.replaced
		r.pool.carrier.Store(r)
		k.announceOnLocked(r)
	}
}

// armLocked sets the timer to the time of the next timed event of the mesh.
func (k *cluster) armLocked() {
	at := k.mesh.Next()
	if at.IsZero() {
		if k.timer != nil {
			k.timer.Stop()
		}
		return
	}
	wait := max(time.Until(at), 0)
	if k.timer == nil {
		k.timer = time.AfterFunc(wait, func() { k.event((*mesh.Mesh).Wake) })
		return
	}
	k.timer.Reset(wait)
}

// perform performs an action. It does not wait.
func (k *cluster) perform(w *clusterWork) {
	if w.Kind == mesh.Dial {
		go k.dial(w.Attempt) // ends within the timeout of the attempt; Shutdown waits for it
		return
	}
	r := w.route
	if r == nil {
		return
	}
	switch w.Kind {
	case mesh.Register:
		r.registered()
	case mesh.Join:
		r.joined()
	case mesh.Retire:
		r.retire()
	case mesh.Promote:
		r.promoted()
	case mesh.Close:
		if w.Reason == mesh.DuplicateRoute {
			r.reportDuplicate()
		}
		r.close(routeCloses[w.Reason])
		r.setDecided()
	case mesh.Probe:
		r.sendPing()
	case mesh.Forward:
		r.forward(w.of)
	case mesh.Withdraw:
		r.withdraw(w.Server)
	case mesh.LogRemoved:
		k.srv.Noticef("Removed route %s", conf.RedactURL(w.Target.URL()))
	case mesh.LogDuplicate:
		r.debugf("Detected duplicate remote route %q", w.Server)
	case mesh.LogSelf:
		r.debugf("Detected route to self, ignoring %q", conf.RedactURL(w.Target.URL()))
	case mesh.LogReconnect:
		r.debugf("Attempting reconnect for solicited route \"%s\"", conf.RedactURL(w.Target.URL()))
	case mesh.LogAlreadyConnected:
		r.debugf("Not attempting reconnect for solicited route, already connected to \"%s\"", w.Server)
	}
}

// routeCloses are the reasons to close a connection, by the reason of the mesh.
var routeCloses = [...]closeReason{
	mesh.DuplicateRoute: closeDuplicateRoute,
	mesh.StaleRoute:     closeStale,
	mesh.RemovedRoute:   closeRouteRemoved,
	mesh.RenewedRoute:   closeRouteRenewed,
	mesh.SelfRoute:      closeRouteToSelf,
}

// idle returns how long ago something was received over a route. The mesh calls it under mu.
func (k *cluster) idle(link uint64) time.Duration {
	if r := k.routes[link]; r != nil {
		return r.idle()
	}
	return 0
}

// add adds a new connection: an accepted one, without attempt, or one dialed to addr. It reports
// false if the server is stopping or no longer needs the connection.
func (k *cluster) add(r *route, attempt *mesh.Attempt, addr string) (wanted bool) {
	k.event(func(m *mesh.Mesh, now time.Time) {
		wanted = true
		switch {
		case attempt == nil:
			m.Accepted(r.id)
		case attempt.Member > 0:
			wanted = m.MemberDialed(attempt, r.id) && k.addDialedLocked(m, now, r)
		default:
			wanted = m.Dialed(attempt.Target, r.id, addr)
		}
		if wanted {
			k.routes[r.id] = r
		}
	})
	return wanted
}

// addDialedLocked adds a connection that is to join a pool. It reports false if that has ended.
func (k *cluster) addDialedLocked(m *mesh.Mesh, now time.Time, r *route) bool {
	p := k.poolOf(r.attempt.PoolID)
	if r.number = r.attempt.Member; p == nil {
		m.Closed(now, r.id, "")
		return false
	}
	p.addLocked(r)
	return true
}

// remove removes a connection that has ended, whose interest has been withdrawn. cause is shown in
// /routez.
func (k *cluster) remove(r *route, cause string) {
	registered := false
	k.event(func(m *mesh.Mesh, now time.Time) {
		if i := slices.Index(k.active(), r); i >= 0 {
			registered = true
			list := slices.Delete(slices.Clone(k.active()), i, i+1)
			k.interest.Store(&list)
		}
		m.Closed(now, r.id, cause)
	})
	k.mu.Lock()
	delete(k.routes, r.id) // what follows from its end was logged as of the route
	k.mu.Unlock()
	k.adverts.withdraw(r)
	if registered && r.reason() != closeRouteRemoved && r.reason() != closeRouteRenewed {
		k.logLost(r, cause)
	}
}

// logLost logs that a route was lost, unless there is another one to the same server.
func (k *cluster) logLost(r *route, cause string) {
	lost, active := r.peerInfo(), k.active()
	known, missing := map[string]bool{}, 0 // by id and by address: one that restarts has two ids for a while
	for _, t := range k.targets() {
		if t.Connected || t.Self {
			continue
		}
		if !known[t.Server] && !known[t.URL.Host] {
			missing++
		}
		known[cmp.Or(t.Server, t.URL.Host)], known[t.URL.Host] = true, true
	}
	if !known[lost.ID] {
		missing++
	}
	for _, o := range active {
		if o.remoteID() == lost.ID {
			return
		}
	}
	if !k.lostLimit.admit(time.Since(k.srv.start)) {
		return
	}
	k.lostLimit.reportLeftOut(k.srv.Warnf, "Left out %d log lines about routes that were lost")
	if r.reason() == closeClient {
		cause = "closed by the other server"
	}
	name := strconv.Quote(lost.ID)
	if lost.name() != lost.ID {
		name = fmt.Sprintf("\"%s\" (%q)", printable([]byte(lost.Name)), lost.ID)
	}
	r.warnf("Route to server %s lost: %s; %d of %d routes are left", name, cause, len(active), len(active)+missing)
}

// shutdown closes the listener and all routes. Further ones are rejected.
func (k *cluster) shutdown() {
	k.mu.Lock()
	k.stopped = true
	if k.timer != nil {
		k.timer.Stop()
	}
	listeners := k.listeners
	routes := k.routes
	k.routes = nil
	k.mu.Unlock()
	closeAll(listeners)
	for _, r := range routes {
		r.close(closeShutdown)
		r.setDecided()
	}
}
