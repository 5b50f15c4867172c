package process

import (
	"fmt"

	"gnatsd/conf"
)

// Signal sends a command of `-sl` to a Windows service, [DefaultName] or what [SetName] says if
// service is empty, and waits until the service has obeyed, 10 s at most.
func Signal(command, service string) error {
	if service == "" {
		service = processName.get()
	}
	return controlService(command, service, func(name string) (serviceHandle, error) {
		handle, err := openService(name)
		if err != nil {
			err = fmt.Errorf("%w (on Windows -sl controls a service, by its name: %s)", err, conf.Printable(name))
		}
		return handle, err
	})
}

// runningPid is the pid that target names. Processes are not searched for here: services are known
// by name.
func runningPid(target string) (int, error) {
	list := processList{
		find:  func(string) ([]int, error) { return nil, errNoProcessList },
		names: func(int) []string { return nil },
	}
	return list.resolvePid(target, processName.get())
}
