//go:build unix

package process

import (
	"os/signal"
	"syscall"
)

// Run runs a broker until it has stopped. It goes on when the reader of its standard output, or of
// its log there, has gone.
func Run(b Broker) error {
	signal.Ignore(syscall.SIGPIPE)
	return b.Run()
}

// IsService reports whether the service manager of Windows started the process.
func IsService() bool { return false }
