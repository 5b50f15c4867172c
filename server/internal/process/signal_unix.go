//go:build unix

package process

import (
	"os"
	"syscall"
)

// trappedSignals says what a broker does about each signal it traps.
func trappedSignals() map[os.Signal]signalEffect {
	return map[os.Signal]signalEffect{
		syscall.SIGINT:  effectInterrupt,
		syscall.SIGTERM: effectShutdown,
		syscall.SIGHUP:  effectReload,
		syscall.SIGUSR1: effectReopen,
		syscall.SIGUSR2: effectLameDuck,
		syscall.SIGTTIN: effectRebalance,
	}
}
