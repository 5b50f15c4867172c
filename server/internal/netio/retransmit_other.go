//go:build !linux

package netio

import "net"

// RetransmitOften does nothing here: the system decides when it sends again.
func RetransmitOften(net.Conn) {}
