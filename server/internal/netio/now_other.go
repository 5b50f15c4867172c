//go:build !unix

package netio

import "syscall"

// readNow reads nothing: here a read of a socket cannot be made not to wait.
func readNow(syscall.RawConn, []byte) (int, error) { return 0, nil }

// writeNow writes nothing, likewise.
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, nil }
