package admission

import (
	"net"
	"net/netip"
)

// Source is where connections come from: an IPv4 address, or the first 64 bits of an IPv6 address,
// which one machine commonly has to itself. The zero Source is this machine, by other ways than TCP.
type Source struct{ addr netip.Addr }

// sourceBits is how many bits of an IPv6 address tell sources apart.
const sourceBits = 64

// SourceOf returns the Source of a peer with an address, which may be nil.
func SourceOf(peer net.Addr) Source {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return Source{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		prefix, err := addr.Prefix(sourceBits)
		if err != nil {
			return Source{}
		}
		addr = prefix.Addr()
	}
	return Source{addr}
}
