package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gnatsd/conf"
)

// The commands of `-sl`. They are case-sensitive.
const (
	commandStop      = "stop"      // ends at once, nothing is cleaned up
	commandQuit      = "quit"      // orderly shutdown, as by ctrl-C
	commandTerm      = "term"      // orderly shutdown, as a supervisor asks for it
	commandReopen    = "reopen"    // log file opened again, after a rotation
	commandReload    = "reload"    // configuration file read again
	commandLameDuck  = "ldm"       // lame duck mode
	commandRebalance = "rebalance" // clients above the mean of the mesh disconnected
)

// maxPidFileSize is what is read of a pid file: any pid and generous white space around it.
const maxPidFileSize = 64

// errNoProcessList says that this system cannot be asked for its processes.
var errNoProcessList = errors.New("unable to resolve pid, try providing one")

// SignalArg does what the argument of `-sl` says, `command` or `command=target`: see [Signal].
func SignalArg(arg string) error {
	command, target, err := parseSignal(arg)
	if err != nil {
		return err
	}
	return Signal(command, target)
}

// parseSignal splits the argument of `-sl`. It does not check the command: Signal does, after it
// has looked for the process.
func parseSignal(arg string) (command, target string, err error) {
	parts := strings.Split(arg, "=")
	if len(parts) > 2 {
		return "", "", fmt.Errorf("invalid signal parameters: %v", parts[2:])
	}
	if len(parts) == 2 {
		target = parts[1]
	}
	return parts[0], target, nil
}

// errUnknownCommand is the answer to a command that is not in the platform's table.
func errUnknownCommand(command string) error {
	return fmt.Errorf("unknown signal %q", command)
}

// A processList is what -sl asks about the processes of the machine.
type processList struct {
	// find returns the pids of the processes that have a name.
	find func(name string) ([]int, error)
	// names returns what a process is called, none if that cannot be found out: it may have
	// ended, or be that of another user.
	names func(pid int) []string
}

// resolvePid finds the process that a target of `-sl` means: a decimal pid, the path of a pid file
// or, if it is empty, the only process called name. A pid in a file must be that of such a process:
// the file may be left over, and the pid of another process by now.
func (l processList) resolvePid(target, name string) (int, error) {
	if pid, ok := parsePid(target); ok {
		return pid, nil
	}
	if target != "" {
		pid, err := readPid(target)
		if err != nil {
			return 0, err
		}
		if names := l.names(pid); len(names) > 0 && !slices.Contains(names, name) && !slices.Contains(names, ownName()) {
			return 0, fmt.Errorf("%w of %s: that process is %s, not %s; the file is out of date, or give the pid",
				errInvalidPid(strconv.Itoa(pid)), conf.Printable(target), conf.Printable(names[0]), name)
		}
		return pid, nil
	}
	pids, err := l.find(name)
	if err != nil {
		return 0, err
	}
	switch len(pids) {
	case 0:
		return 0, fmt.Errorf("no %s processes running", name)
	case 1:
		return pids[0], nil
	}
	slices.Sort(pids)
	lines := fmt.Sprintf("multiple %s processes running:", name)
	for _, pid := range pids {
		lines += "\n" + strconv.Itoa(pid)
	}
	return 0, errors.New(lines)
}

// ownName returns the name of this program's own executable, which may have been renamed.
func ownName() string {
	exe, err := os.Executable()
	if err != nil {
		return DefaultName
	}
	return filepath.Base(exe)
}

// targetPid reads a pid from the target itself or, if that is no number, from the file it names.
func targetPid(target string) (int, error) {
	if pid, ok := parsePid(target); ok {
		return pid, nil
	}
	return readPid(target)
}

// readPid reads a pid file.
func readPid(path string) (int, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(path, `/\`) {
		return 0, errInvalidPid(path) // hardly meant as a file
	}
	if err != nil {
		return 0, fmt.Errorf("%w (%v)", errInvalidPid(path), err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxPidFileSize))
	if err != nil {
		return 0, fmt.Errorf("%w (%v)", errInvalidPid(path), err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return 0, fmt.Errorf("%w (the file is empty)", errInvalidPid(path))
	}
	pid, ok := parsePid(text)
	if !ok {
		return 0, errInvalidPid(text)
	}
	return pid, nil
}

// parsePid reads a positive decimal. Zero and negative numbers are refused: to kill(2) they mean
// groups of processes, and -1 means all of them.
func parsePid(s string) (pid int, ok bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && n > 0
}

// errInvalidPid is the answer to a target that is not a pid. What would garble a terminal is
// escaped.
func errInvalidPid(text string) error {
	return fmt.Errorf("invalid pid: %s", conf.Printable(text))
}
