//go:build !windows

package server

// isService reports whether the service manager of Windows started the process.
func isService() bool { return false }
