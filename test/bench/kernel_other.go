//go:build !linux

package main

import (
	"errors"
	"net"
)

// largeReceiver dials as always: only Linux is asked about sockets.
func largeReceiver(int) *net.Dialer { return &net.Dialer{} }

func receiveBuffer(*client) (int, error) { return 0, errors.ErrUnsupported }

func unreadBytes(*client) (int, error) { return 0, errors.ErrUnsupported }

func waitFor(*client, int) error { return errors.ErrUnsupported }
