//go:build !linux

package server

// monotonicMicroseconds is 0, which is not sent: only systemd, on Linux, asks for it.
func monotonicMicroseconds() int64 { return 0 }
