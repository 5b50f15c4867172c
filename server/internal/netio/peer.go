package netio

import "net"

// PeerState is what is known of the peer of a connection without reading.
type PeerState uint8

// The peer may send more, has closed its end, or the connection is broken.
const (
	PeerOpen PeerState = iota
	PeerClosed
	PeerReset
)

// PeerStateOf returns what a connection, or the socket below it, knows of its peer.
func PeerStateOf(nc net.Conn) PeerState {
	if end, ok := nc.(*pipeEnd); ok {
		return end.peerState()
	}
	return peerState(rawOf(below(nc)))
}

// below returns the connection that carries nc.
func below(nc net.Conn) net.Conn {
	for {
		c, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nc
		}
		nc = c.NetConn()
	}
}

func (e *pipeEnd) peerState() PeerState {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.in.ended {
		return PeerClosed
	}
	return PeerOpen
}
