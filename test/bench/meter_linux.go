package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// readUsage reads a process' CPU clock and its status file.
//
// The CPU clock (clock_gettime of the clock that belongs to a process id) is in nanoseconds and
// counts user and system time of every thread the process ever had. The stat file counts the same
// time in ticks of 10 ms, too coarse for short windows; the schedstat files of the threads forget
// the threads that have ended, and a Go program's come and go.
func readUsage(pid int) (usage, error) {
	cpu, err := processCPU(pid)
	if err != nil {
		return usage{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, fmt.Errorf("read memory: %w", err)
	}
	u := usage{cpu: cpu}
	if u.rss, err = statusField(status, "VmRSS:"); err != nil {
		return usage{}, err
	}
	u.peak, err = statusField(status, "VmHWM:")
	return u, err
}

// processCPU is the time all threads of a process have spent on a CPU. The kernel makes the clock's
// number from the process id: its complement, shifted by three bits, and 2 for the scheduler's own
// count.
func processCPU(pid int) (time.Duration, error) {
	const scheduled = 2
	clock := int32(^pid<<3 | scheduled)
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(ts.Nano()), nil
}

// statusField finds a size in a /proc status file and returns it in bytes.
func statusField(status []byte, name string) (int64, error) {
	for line := range bytes.Lines(status) {
		if rest, found := bytes.CutPrefix(line, []byte(name)); found {
			kib, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory: %s %w", name, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("read memory: no %s in the status file: has the process ended?", name)
}

// tick is the unit of /proc/stat: USER_HZ, which is 100 on every architecture Go runs on.
const tick = time.Second / 100

// machineBusy is the time all CPUs together have been busy with user and system work or taken by
// the hypervisor. It is counted in ticks, which is enough to see whether the machine was ours.
func machineBusy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	var ticks int64
	for _, column := range []int{1, 2, 3, 8} { // user, nice, system, steal
		if column >= len(fields) {
			return 0, fmt.Errorf("read CPU time: %q has too few columns", line)
		}
		n, err := strconv.ParseInt(fields[column], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
