//go:build !unix

package server

import "net"

// newLink returns the fastest link that nc can have. No reader watches here.
func newLink(nc net.Conn, _ *busyPoll) link { return newPlainLink(nc) }
