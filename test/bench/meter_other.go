//go:build !linux

package main

import "errors"

// readUsage says that only Linux is asked about other processes.
func readUsage(int) (usage, error) {
	return usage{}, errors.ErrUnsupported
}
