package process

import (
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// Run runs a broker until it has stopped: under the service manager if that started the process, in
// the console otherwise or if a container says that there is no service manager.
func Run(b Broker) error {
	if !IsService() {
		return b.Run()
	}
	return svc.Run(processName.get(), windowsService{broker: b})
}

// windowsService is the svc.Handler of a broker.
type windowsService struct {
	broker Broker
}

// Execute implements svc.Handler: it passes controls and states between the service manager and
// runService.
func (w windowsService) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (bool, uint32) {
	controls := make(chan serviceControl)
	done := make(chan struct{})
	defer close(done)
	// Ended by done, when the service has stopped and takes no more controls.
	go func() {
		for {
			select {
			case r := <-requests:
				select {
				case controls <- serviceControl(r.Cmd):
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	code := runService(w.broker, controls, func(s serviceStatus) {
		changes <- svc.Status{State: svc.State(s.state), Accepts: svc.Accepted(s.accepts)}
	})
	return false, code
}

// openService opens a service of this machine. The caller must be an administrator.
func openService(name string) (serviceHandle, error) {
	manager, err := mgr.Connect()
	if err != nil {
		return nil, err
	}
	service, err := manager.OpenService(name)
	if err != nil {
		manager.Disconnect()
		return nil, err
	}
	return windowsHandle{manager: manager, service: service}, nil
}

// windowsHandle is the serviceHandle of a real service.
type windowsHandle struct {
	manager *mgr.Mgr
	service *mgr.Service
}

// Control implements serviceHandle.
func (h windowsHandle) Control(c serviceControl) (serviceState, error) {
	status, err := h.service.Control(svc.Cmd(c))
	return serviceState(status.State), err
}

// Query implements serviceHandle.
func (h windowsHandle) Query() (serviceState, error) {
	status, err := h.service.Query()
	return serviceState(status.State), err
}

// Close implements serviceHandle.
func (h windowsHandle) Close() error {
	defer h.manager.Disconnect()
	return h.service.Close()
}

// IsService reports whether the service manager started the process, and may be used.
func IsService() bool { return !dockerized() && startedByManager() }
