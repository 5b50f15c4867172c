//go:build !unix

package netio

import "net"

// NewLink returns the fastest link that nc can have. No reader polls here.
func NewLink(nc net.Conn, shared *Shared) Link { return newPlainLink(nc, shared) }
