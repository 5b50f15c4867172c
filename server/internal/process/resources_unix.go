//go:build unix

package process

import (
	"math"
	"os"
	"syscall"
)

// softLimit returns a limit of this process.
func softLimit(resource int) float64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(resource, &limit) != nil {
		return math.NaN()
	}
	return float64(limit.Cur)
}

// countOpenFiles counts the descriptors in a directory that has one file for each.
func countOpenFiles(dir string) float64 {
	d, err := os.Open(dir)
	if err != nil {
		return math.NaN()
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return math.NaN()
	}
	return float64(len(names))
}
