//go:build !linux

package server

import (
	"net"
	"testing"
)

// unsentLimit returns 0: nothing is limited here.
func unsentLimit(*testing.T, net.Conn) int { return 0 }
