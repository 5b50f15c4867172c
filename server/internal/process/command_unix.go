//go:build unix

package process

import "syscall"

// commandSignals says which signal carries a command. The signal loop traps all of them but
// SIGKILL. SIGTTIN is for what no other signal is left for: a broker reads from no terminal, so the
// system does not send it, and an older one that runs as a service ignores it.
var commandSignals = map[string]syscall.Signal{
	commandStop:      syscall.SIGKILL,
	commandQuit:      syscall.SIGINT,
	commandTerm:      syscall.SIGTERM,
	commandReopen:    syscall.SIGUSR1,
	commandReload:    syscall.SIGHUP,
	commandLameDuck:  syscall.SIGUSR2,
	commandRebalance: syscall.SIGTTIN,
}

// Signal sends a command of `-sl` to a running gnatsd. target is its pid, the path of a file that
// holds its pid, or empty if it is the only gnatsd running here. Errors of the system come back as
// they are, such as "no such process".
func Signal(command, target string) error {
	return sendCommand(command, target, syscall.Kill)
}

// sendCommand is Signal with a kill of the caller's choice. The process is looked for first, so
// that an unknown command with no process running is answered with the lack of a process.
func sendCommand(command, target string, kill func(pid int, sig syscall.Signal) error) error {
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

// runningPid is the pid that target names or, if it is empty, that of the only such process.
func runningPid(target string) (int, error) {
	return processList{findProcesses, namesOfProcess}.resolvePid(target, processName.get())
}
