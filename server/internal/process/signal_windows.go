package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows/svc"
)

// trappedSignals says what a broker does about ctrl-C and the closing of its console. A service
// traps nothing: it gets controls from the service manager, and the signal that Windows sends at
// the log-off of any user is not meant for it.
func trappedSignals() map[os.Signal]signalEffect {
	if service, err := svc.IsWindowsService(); err == nil && service {
		return nil
	}
	return map[os.Signal]signalEffect{
		os.Interrupt:    effectInterrupt,
		syscall.SIGTERM: effectShutdown,
	}
}
