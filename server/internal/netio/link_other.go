//go:build !unix

package netio

import "net"

// writesResume is false where a write that a deadline has ended does not say how much of it was sent.
const writesResume = false

// NewLink returns the fastest link that nc can have. No reader polls here.
func NewLink(nc net.Conn, shared *Shared) Link { return newPlainLink(nc, shared) }
