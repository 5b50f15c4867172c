//go:build unix

package process

import (
	"math"
	"syscall"
)

// OpenFiles returns how many files this process may have open at a time, 0 if that is not known or
// has no limit. The Go runtime has raised the limit as far as it may.
func OpenFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
