package server

import (
	"fmt"
	"time"

	"gnatsd/server/internal/mesh"
)

// This file is the name of the cluster: servers whose names differ do not connect. It keeps the
// servers of two clusters apart when an address is in the wrong configuration file.

// sameCluster reports whether the server that an INFO is about may be in the cluster of this one. A
// server without a name, such as one of 1.x, may be in any.
func (r *route) sameCluster(info *peerInfo) bool {
	own := r.srv.options().Cluster.Name
	return own == "" || info.Cluster == "" || own == info.Cluster
}

// refuseCluster refuses a peer whose INFO has the name of another cluster.
func (r *route) refuseCluster(info *peerInfo) closeReason {
	own := r.srv.options().Cluster.Name
	r.srv.cluster.event(func(m *mesh.Mesh, _ time.Time) { m.Refused(r.id) })
	cause := fmt.Sprintf("%s is in cluster %s, this server in cluster %q", info.describe(), quotedStart(info.Cluster), own)
	r.setCause(cause)
	level := levelDebug
	if r.srv.cluster.countRefused(info.ID) {
		level = levelError // also of a quiet attempt: it has its own count
	}
	r.logf(level, "Route refused: %s; servers of one cluster need the same cluster name, or none", cause)
	r.sendErr(fmt.Sprintf("Rejecting connection, cluster name %s does not match %q", quotedStart(info.Cluster), own))
	return closeOtherCluster
}

// ignoreAdvert logs that the peer advertises a server of another cluster, which is not dialed: the
// peer itself has no cluster name, or it would not be connected to both.
func (r *route) ignoreAdvert(info *peerInfo) {
	if r.srv.cluster.countRefused(info.ID) {
		r.warnf("Not connecting to an advertised server: %s is in cluster %s, this server in cluster %q; the server that advertises it needs a cluster name",
			info.describe(), quotedStart(info.Cluster), r.srv.options().Cluster.Name)
	}
}

// describe returns the name of the server, if it has one, and its id, for a line in the log.
func (i *peerInfo) describe() string {
	if i.Name == "" || i.Name == i.ID {
		return "server " + quotedStart(i.ID)
	}
	return "server " + quotedStart(i.Name) + " (" + quotedStart(i.ID) + ")"
}

// maxRefused bounds the servers whose refusals are counted.
const maxRefused = 1000

// countRefused counts that a server of another cluster was refused. It reports whether that is to
// be logged: the first, the 10th, the 100th time and so on.
func (k *cluster) countRefused(id string) bool {
	id = id[:min(len(id), maxPrinted)]
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused == nil || len(k.refused) >= maxRefused {
		k.refused = map[string]int{}
	}
	k.refused[id]++
	return powerOfTen(k.refused[id])
}
