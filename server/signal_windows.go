package server

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows/svc"
)

// managedService is the name of the service that gnatsd is, and that ProcessSignal controls. It belongs to the process,
// not to a Server: the functions that use it exist before any Server does.
var managedService overriddenName

// SetServiceName changes the name of the Windows service, "gnatsd" unless changed. Programs that embed a Server and are
// services themselves use it.
func SetServiceName(name string) { managedService.set(name) }

// ProcessSignal sends a command to the Windows service called service, "gnatsd" if that is empty, and waits until the
// service has obeyed, 10 s at most.
func ProcessSignal(command Command, service string) error {
	if service == "" {
		service = managedService.get()
	}
	return controlService(command, service, openService)
}

// runningPid is the pid that target names. Processes are not searched for here: services are known by name.
func runningPid(target string) (int, error) {
	return resolvePid(target, managedService.get(), func(string) ([]int, error) { return nil, errNoProcessList })
}

// trappedSignals says what a Server does about ctrl-C and the closing of its console. A service traps nothing, for the
// service manager tells it, and the signal that Windows sends at the log-off of any user is not meant for it.
func trappedSignals() map[os.Signal]signalEffect {
	if service, err := svc.IsWindowsService(); err == nil && service {
		return nil
	}
	return map[os.Signal]signalEffect{
		os.Interrupt:    effectInterrupt,
		syscall.SIGTERM: effectShutdown,
	}
}
