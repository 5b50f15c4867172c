package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// statZombie is SZOMB of sys/proc.h.
const statZombie = 5

// namesOfProcess returns the short name of a process.
func namesOfProcess(pid int) []string {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || p.Proc.P_stat == statZombie {
		return nil
	}
	return []string{unix.ByteSliceToString(p.Proc.P_comm[:])}
}

// findProcesses returns the pids of the live processes whose short name, which the kernel cuts
// after 16 bytes, is name, without this one.
func findProcesses(name string) ([]int, error) {
	processes, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, errNoProcessList
	}
	var pids []int
	for i := range processes {
		p := &processes[i].Proc
		maxComm := len(p.P_comm) - 1
		comm := unix.ByteSliceToString(p.P_comm[:])
		if p.P_stat != statZombie && int(p.P_pid) != os.Getpid() && comm == name[:min(len(name), maxComm)] {
			pids = append(pids, int(p.P_pid))
		}
	}
	return pids, nil
}
