package server

import "gnatsd/server/internal/process"

// A Command is a command of `gnatsd -sl` to a running gnatsd. Commands are case-sensitive.
type Command string

// The commands of `-sl`. There are two more: "ldm", for lame duck mode, and
// "rebalance", which disconnects the clients above the mean of the mesh.
const (
	CommandStop   = Command("stop")   // kill the process: nothing is cleaned up (SIGKILL)
	CommandQuit   = Command("quit")   // graceful shutdown (SIGINT)
	CommandTerm   = Command("term")   // graceful shutdown (SIGTERM)
	CommandReopen = Command("reopen") // open the log file again, after a rotation (SIGUSR1)
	CommandReload = Command("reload") // reload the configuration file (SIGHUP)
)

// ProcessSignal sends a command to a running gnatsd. pidStr is its pid, the path of a file that
// holds its pid, or empty if only one gnatsd is running on this machine. Errors of the operating
// system, such as "no such process", are returned unchanged. On Windows pidStr is the name of a
// service, "gnatsd" if it is empty, and ProcessSignal waits at most 10 s until the service has
// carried out the command.
func ProcessSignal(command Command, pidStr string) error {
	return process.Signal(string(command), pidStr)
}

// ProcessSignalArg calls [ProcessSignal] with the argument of `-sl`: `command` or `command=pidStr`.
func ProcessSignalArg(arg string) error { return process.SignalArg(arg) }
