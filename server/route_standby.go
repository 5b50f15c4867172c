package server

import (
	"time"

	"gnatsd/server/internal/mesh"
	"gnatsd/server/internal/netio"
)

// This file is the wait of a second connection to a server, until the mesh has decided which of the
// two is the route.

// standbyBytes is how much a peer may send in standby before the reader stops reading. It reads at
// all only to notice the end of the connection.
const standbyBytes = 256 << 10

// standbyLook is how often it then asks the socket for the end.
const standbyLook = 200 * time.Millisecond

// standBy waits until the mesh has decided about the connection, and acts on nothing meanwhile. It
// reports false when the connection has ended.
func (r *route) standBy() bool {
	r.inStandby.Store(true) // first: setDecided interrupts the reads from now on
	for !r.isDecided() {
		if !r.keepUnread() {
			if !r.srv.cluster.endStandby(r) {
				<-r.decided // the mesh was quicker, and its decision is being carried out
			}
			return false
		}
	}
	r.undecided = false
	return !r.ended()
}

// keepUnread reads once, or waits for the decision if there is enough. It reports false when the
// connection has ended.
func (r *route) keepUnread() bool {
	if len(r.in.Unread()) < standbyBytes {
		return r.read() == inputSome
	}
	r.link.EndWork()
	ctx, done := r.abortable()
	defer done()
	look := time.NewTicker(standbyLook)
	defer look.Stop()
	for netio.PeerStateOf(r.link.Conn()) == netio.PeerOpen {
		select {
		case <-r.decided:
			return true
		case <-ctx.Done():
			return false
		case <-look.C:
		}
	}
	r.close(closeClient)
	return false
}

// isDecided reports whether the mesh has registered the connection, or closed it.
func (r *route) isDecided() bool {
	select {
	case <-r.decided:
		return true
	default:
		return false
	}
}

// setDecided ends standby.
func (r *route) setDecided() {
	r.decideOnce.Do(func() {
		close(r.decided)
		if r.inStandby.Load() {
			r.nc.SetReadDeadline(aLongTimeAgo)
		}
	})
}

// endStandby reports to the mesh that a connection ends. It reports false if the mesh has decided
// about it already.
func (k *cluster) endStandby(r *route) (undecided bool) {
	k.event(func(m *mesh.Mesh, _ time.Time) { undecided = m.Ending(r.id) })
	return undecided
}
