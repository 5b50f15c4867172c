//go:build unix && !linux && !darwin && !freebsd

package process

import "runtime"

// residentMemory is what the Go runtime holds of the system's memory, in bytes: the nearest to
// resident memory that can be had on this system.
func residentMemory() (int64, error) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.Sys - stats.HeapReleased), nil
}
