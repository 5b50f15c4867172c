package server

import "gnatsd/server/internal/process"

// A Command is what `gnatsd -sl` asks of a running gnatsd. Commands are case-sensitive.
type Command string

// The commands of `-sl`. There is one more, "ldm", for lame duck mode.
const (
	CommandStop   = Command("stop")   // ends at once, nothing is cleaned up
	CommandQuit   = Command("quit")   // orderly shutdown, as by ctrl-C
	CommandTerm   = Command("term")   // orderly shutdown, as a supervisor asks for it
	CommandReopen = Command("reopen") // log file opened again, after a rotation
	CommandReload = Command("reload") // configuration file read again
)

// ProcessSignal sends a command to a running gnatsd. pidStr is its pid, the path of a file that
// holds its pid, or empty if it is the only gnatsd running here. Errors of the system come back as
// they are, such as "no such process". On Windows pidStr is the name of a service, "gnatsd" if it
// is empty, and ProcessSignal waits until the service has obeyed, 10 s at most.
func ProcessSignal(command Command, pidStr string) error {
	return process.Signal(string(command), pidStr)
}

// ProcessSignalArg does what the argument of `-sl` says, `command` or `command=target`: see
// [ProcessSignal].
func ProcessSignalArg(arg string) error { return process.SignalArg(arg) }
