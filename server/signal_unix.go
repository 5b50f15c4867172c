//go:build unix

package server

import (
	"os"
	"syscall"
)

// searchedProcess is the process name that ProcessSignal searches for. It belongs to the process, not to a Server: the
// functions that use it exist before any Server does.
var searchedProcess overriddenName

// SetProcessName changes the process name that ProcessSignal searches for, "gnatsd" unless changed. Programs that embed a
// Server under another name use it.
func SetProcessName(name string) { searchedProcess.set(name) }

// runningPid is the pid that target names or, if it is empty, that of the only such process.
func runningPid(target string) (int, error) {
	return resolvePid(target, searchedProcess.get(), findProcesses)
}

// commandSignals says which signal carries a command. A Server traps all of them but SIGKILL.
var commandSignals = map[Command]syscall.Signal{
	CommandStop:   syscall.SIGKILL,
	CommandQuit:   syscall.SIGINT,
	CommandTerm:   syscall.SIGTERM,
	CommandReopen: syscall.SIGUSR1,
	CommandReload: syscall.SIGHUP,
	commandLDM:    syscall.SIGUSR2,
}

// ProcessSignal sends a command to a running gnatsd. pidStr is its pid, the path of a file that holds its pid, or empty if
// it is the only gnatsd running here. Errors of the system come back as they are, such as "no such process".
func ProcessSignal(command Command, pidStr string) error {
	return sendCommand(command, pidStr, syscall.Kill)
}

// sendCommand is ProcessSignal with a kill of the caller's choice. The process is looked for first, so that an unknown
// command with no process running is answered with the lack of a process, as ever.
func sendCommand(command Command, target string, kill func(pid int, sig syscall.Signal) error) error {
	pid, err := runningPid(target)
	if err != nil {
		return err
	}
	sig, known := commandSignals[command]
	if !known {
		return errUnknownCommand(command)
	}
	return kill(pid, sig)
}

// trappedSignals says what a Server does about each signal it traps.
func trappedSignals() map[os.Signal]signalEffect {
	return map[os.Signal]signalEffect{
		syscall.SIGINT:  effectInterrupt,
		syscall.SIGTERM: effectShutdown,
		syscall.SIGHUP:  effectReload,
		syscall.SIGUSR1: effectReopen,
		syscall.SIGUSR2: effectLameDuck,
	}
}

// runAsProcess runs a broker until it has stopped. Unix supervisors need no more than that.
func runAsProcess(b serviceBroker) error { return b.Run() }
