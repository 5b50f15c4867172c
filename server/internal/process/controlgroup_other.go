//go:build !linux

package process

// MemoryLimit returns 0: the limit of memory is not known on this system.
func MemoryLimit() int64 { return 0 }

// HasCPUQuota returns false: it is not known on this system.
func HasCPUQuota() bool { return false }
