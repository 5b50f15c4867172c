package process

import "golang.org/x/sys/unix"

// monotonicMicroseconds is the time of the clock that systemd compares reloads by.
func monotonicMicroseconds() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano() / 1000
}
