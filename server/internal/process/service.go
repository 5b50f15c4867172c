package process

import (
	"fmt"
	"os"
	"time"
)

// The Windows service as plain values: what a control makes the broker do and which state is
// reported when. This file knows nothing of Windows, so that it is tested everywhere;
// service_windows.go connects it to the service manager.

// A serviceControl is a request of the service manager, by its number in the Windows API.
type serviceControl uint32

// Controls that a service obeys. The last three are user-defined; gnatsd has always numbered two
// of them so.
const (
	controlStop        serviceControl = 1
	controlInterrogate serviceControl = 4
	controlShutdown    serviceControl = 5
	controlParamChange serviceControl = 6
	controlReopen      serviceControl = 128
	controlLameDuck    serviceControl = 129
	controlRebalance   serviceControl = 130
)

// A serviceState is what a service says it is doing, by its number in the Windows API.
type serviceState uint32

// States that a service reports.
const (
	serviceStopped      serviceState = 1
	serviceStartPending serviceState = 2
	serviceStopPending  serviceState = 3
	serviceRunning      serviceState = 4
)

// serviceAccepts are the controls the service manager may send, a bit set of the Windows API: stop,
// shutdown, change of parameters. User-defined controls may always be sent.
const serviceAccepts = 0x1 | 0x4 | 0x8

// serviceWait is how long a service may take to listen, or to reach the state that `-sl` waits for.
// Scripts rely on it.
const serviceWait = 10 * time.Second

// servicePoll is how often `-sl` asks a service for its state.
const servicePoll = 250 * time.Millisecond

// envDockerized, set to 1, says that no service manager is there to be talked to.
const envDockerized = "NATS_DOCKERIZED"

// A serviceStatus is one report to the service manager.
type serviceStatus struct {
	state   serviceState
	accepts uint32
}

// dockerized reports whether service integration is switched off.
func dockerized() bool { return os.Getenv(envDockerized) == "1" }

// runService runs a broker as a service: it obeys controls and reports states until the broker has
// stopped, by a control or by itself at the end of its lame duck mode. Its result is the exit code
// of the service, 1 if listening failed.
func runService(b Broker, controls <-chan serviceControl, report func(serviceStatus)) (code uint32) {
	report(serviceStatus{state: serviceStartPending})
	stopped := make(chan error, 1)
	// Ended by Shutdown, waited for below unless the broker cannot even listen.
	go func() { stopped <- b.Run() }()
	if !b.ReadyForConnections(serviceWait) {
		return 1
	}
	status := serviceStatus{state: serviceRunning, accepts: serviceAccepts}
	report(status)
	for status.state == serviceRunning {
		select {
		case control := <-controls:
			status = obey(b, control, status)
			report(status)
		case err := <-stopped:
			stopped <- err
			status = serviceStatus{state: serviceStopPending}
			report(status)
		}
	}
	b.Shutdown()
	if err := <-stopped; err != nil {
		return 1
	}
	return 0
}

// obey does what a control asks, but for the shutdown itself, and returns the status to report
// after it.
func obey(b Actions, control serviceControl, now serviceStatus) serviceStatus {
	switch control {
	case controlInterrogate:
	case controlStop, controlShutdown:
		return serviceStatus{state: serviceStopPending}
	case controlParamChange:
		b.Reload()
	case controlReopen:
		b.ReOpenLogFile()
	case controlLameDuck:
		b.LameDuck()
	case controlRebalance:
		b.Rebalance()
	default:
		b.Debugf("Unexpected control request: %v", uint32(control))
	}
	return now
}

// commandControls says how a command reaches a service, and in which state it then is.
var commandControls = map[string]struct {
	control serviceControl
	state   serviceState
}{
	commandStop:      {controlStop, serviceStopped},
	commandQuit:      {controlStop, serviceStopped},
	commandTerm:      {controlStop, serviceStopped},
	commandReopen:    {controlReopen, serviceRunning},
	commandReload:    {controlParamChange, serviceRunning},
	commandLameDuck:  {controlLameDuck, serviceRunning},
	commandRebalance: {controlRebalance, serviceRunning},
}

// A serviceHandle is an open service of the service manager.
type serviceHandle interface {
	Control(c serviceControl) (serviceState, error)
	Query() (serviceState, error)
	Close() error
}

// controlService sends a command to a service and waits until the service is in the state that the
// command leads to.
func controlService(command, name string, open func(name string) (serviceHandle, error)) error {
	service, err := open(name)
	if err != nil {
		return fmt.Errorf("could not access service: %w", err)
	}
	defer service.Close()
	want, known := commandControls[command]
	if !known {
		return errUnknownCommand(command)
	}
	state, err := service.Control(want.control)
	if err != nil {
		return fmt.Errorf("could not send control=%d: %w", want.control, err)
	}
	deadline := time.NewTimer(serviceWait)
	defer deadline.Stop()
	poll := time.NewTicker(servicePoll)
	defer poll.Stop()
	for state != want.state {
		select {
		case <-deadline.C:
			return fmt.Errorf("timeout waiting for service to go to state=%d", want.state)
		case <-poll.C:
		}
		if state, err = service.Query(); err != nil {
			return fmt.Errorf("could not retrieve service status: %w", err)
		}
	}
	return nil
}
