//go:build unix

package netio

import "syscall"

// readNow reads what a socket holds. It returns 0 and no error if that is nothing, or if nothing
// will follow.
func readNow(raw syscall.RawConn, b []byte) (n int, err error) {
	if raw == nil {
		return 0, nil
	}
	raw.Read(func(fd uintptr) bool { // not called if it is closed, or its time is over: a read that waits says so
		n, err = syscall.Read(int(fd), b)
		return true
	})
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return 0, nil
	}
	return max(n, 0), err
}

// writeNow writes what a socket takes.
func writeNow(raw syscall.RawConn, b []byte) (n int, err error) {
	if raw == nil {
		return 0, nil
	}
	raw.Write(func(fd uintptr) bool {
		n, err = writeEach(int(fd), []Segment{{Bytes: b}})
		return true
	})
	if err == ErrWouldBlock {
		err = nil // a write that waits says more
	}
	return n, err
}
