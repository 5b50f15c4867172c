//go:build !linux

package main

import (
	"errors"
	"time"
)

// readUsage says that only Linux is asked about other processes.
func readUsage(int) (usage, error) {
	return usage{}, errors.ErrUnsupported
}

// machineBusy is as silent.
func machineBusy() (time.Duration, error) {
	return 0, errors.ErrUnsupported
}
