//go:build unix && !linux && !darwin && !freebsd

package process

// findProcesses cannot list processes on this system: `-sl` needs a pid or a pid file here.
func findProcesses(string) ([]int, error) { return nil, errNoProcessList }

// namesOfProcess cannot find out what a process is called on this system.
func namesOfProcess(int) []string { return nil }
