package process

import (
	"os"
	"syscall"
)

// trappedSignals says what a broker does about ctrl-C and the closing of its console. A service
// traps nothing: it gets controls from the service manager, and the signal that Windows sends at
// the log-off of any user is not meant for it.
func trappedSignals() map[os.Signal]signalEffect {
	if startedByManager() {
		return nil
	}
	return map[os.Signal]signalEffect{
		os.Interrupt:    effectInterrupt,
		syscall.SIGTERM: effectInterrupt, // the console is closed: Windows ends the process after 5 s, also in lame duck mode
	}
}
