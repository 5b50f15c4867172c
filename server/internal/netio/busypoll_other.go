//go:build !linux

package netio

import (
	"errors"
	"net"
)

func newPollSource(net.Listener) (pollSource, error) {
	return nil, errors.New("it needs Linux")
}
