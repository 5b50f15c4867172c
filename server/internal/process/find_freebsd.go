package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// listProcesses returns all processes.
func listProcesses() ([]kinfoProc, error) {
	raw, err := unix.SysctlRaw("kern.proc.proc")
	if err != nil {
		return nil, errNoProcessList
	}
	processes, ok := parseKinfo(raw)
	if !ok {
		return nil, errNoProcessList
	}
	return processes, nil
}

// namesOfProcess returns the short name of a process.
func namesOfProcess(pid int) []string {
	processes, err := listProcesses()
	if err != nil {
		return nil
	}
	for _, p := range processes {
		if p.pid == pid && !p.zombie {
			return []string{p.comm}
		}
	}
	return nil
}

// findProcesses returns the pids of the live processes whose short name is name, without this one.
func findProcesses(name string) ([]int, error) {
	processes, err := listProcesses()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range processes {
		if !p.zombie && p.pid != os.Getpid() && p.comm == name[:min(len(name), kinfoCommSize-1)] {
			pids = append(pids, p.pid)
		}
	}
	return pids, nil
}
