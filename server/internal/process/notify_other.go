//go:build !linux

package process

// monotonicMicroseconds is 0, which is not sent: only systemd, on Linux, wants it.
func monotonicMicroseconds() int64 { return 0 }
