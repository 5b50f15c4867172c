//go:build !linux

package transcript

import "net"

// unread would wait until the broker has read what was written. Only Linux can tell; elsewhere a
// cut between two writes is likely, but not certain, to be one between two reads.
type unread struct{}

func newUnread(net.Conn) *unread { return &unread{} }

func (*unread) certain() bool { return false }
func (*unread) wrote(int)     {}
func (*unread) wait()         {}
func (*unread) close()        {}
