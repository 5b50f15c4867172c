//go:build unix

package process

import (
	"fmt"
	"syscall"
	"time"
)

// readUsage returns the CPU time of this process and its resident memory in bytes.
func readUsage() (cpu time.Duration, rss int64, err error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, 0, fmt.Errorf("read own CPU time: %w", err)
	}
	rss, err = residentMemory()
	if err != nil {
		return 0, 0, fmt.Errorf("read own memory: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), rss, nil
}
