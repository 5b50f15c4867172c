//go:build !linux

package server

import (
	"errors"
	"net"
)

func newPollSource(net.Listener) (pollSource, error) {
	return nil, errors.New("it needs Linux")
}
