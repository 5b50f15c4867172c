//go:build !linux

package netio

import (
	"net"
	"syscall"
)

// unsent returns how many bytes a socket holds that the peer has not acknowledged, -1 if that is
// not known. Here it never is: what the system takes is all the progress that is seen.
func unsent(syscall.RawConn) int { return -1 }

// LimitUnsent limits what the socket of a connection takes. Here it does nothing.
func LimitUnsent(net.Conn, bool) {}

// writable reports whether a socket takes a record of TLS at once. Here that is not known.
func writable(syscall.RawConn) bool { return false }
