//go:build unix

package process

// Run runs a broker until it has stopped. Supervisors of Unix need no more than that.
func Run(b Broker) error { return b.Run() }

// IsService reports whether the service manager of Windows started the process.
func IsService() bool { return false }
