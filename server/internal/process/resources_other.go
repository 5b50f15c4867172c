//go:build unix && !linux && !darwin

package process

import "syscall"

// read reads what the system says without /proc: a limit.
func (r *Resources) read() { r.MaxOpenFiles = softLimit(syscall.RLIMIT_NOFILE) }
