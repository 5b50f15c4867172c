package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// findProcesses returns the pids of the live processes whose short name is name, without this one.
func findProcesses(name string) ([]int, error) {
	raw, err := unix.SysctlRaw("kern.proc.proc")
	if err != nil {
		return nil, errNoProcessList
	}
	processes, ok := parseKinfo(raw)
	if !ok {
		return nil, errNoProcessList
	}
	var pids []int
	for _, p := range processes {
		if !p.zombie && p.pid != os.Getpid() && p.comm == name[:min(len(name), kinfoCommSize-1)] {
			pids = append(pids, p.pid)
		}
	}
	return pids, nil
}
