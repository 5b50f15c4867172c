package process

import "golang.org/x/sys/windows/svc"

// startedByManager reports whether the service manager started this process.
func startedByManager() bool {
	service, err := svc.IsWindowsService()
	return err == nil && service
}
