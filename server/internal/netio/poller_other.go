//go:build !linux

package netio

import (
	"errors"
	"net"
)

// Poller waits for the sockets of many idle connections. There is none on this system.
type Poller struct{}

// OpenPoller returns [errors.ErrUnsupported]: each connection needs a goroutine that waits.
func OpenPoller(func(key uint64)) (*Poller, error) { return nil, errors.ErrUnsupported }

// Close does nothing.
func (p *Poller) Close() {}

// Watch returns an error.
func (p *Poller) Watch(net.Conn, uint64) error { return errors.ErrUnsupported }
