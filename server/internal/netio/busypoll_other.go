//go:build !linux

package netio

import (
	"errors"
	"net"
)

func hasCPUQuota() bool { return false } // or not known

func newPollSource(net.Listener) (pollSource, error) {
	return nil, errors.New("it needs Linux")
}
