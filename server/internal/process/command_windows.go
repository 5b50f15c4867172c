package process

// Signal sends a command of `-sl` to a Windows service, [DefaultName] or what [SetName] says if
// service is empty, and waits until the service has obeyed, 10 s at most.
func Signal(command, service string) error {
	if service == "" {
		service = processName.get()
	}
	return controlService(command, service, openService)
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
