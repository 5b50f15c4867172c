// Package process is gnatsd as a process of its operating system: pid and ports files, `-sl`, which
// finds a running process and sends it a command, the signals and service controls that a running
// broker obeys, the notifications that a service manager gets, and what CPU and memory the process
// uses.
//
// What it writes appears in one step and goes away at the end of an orderly stop. It needs no other
// program, so that it works in a container that has only this one. It does not know what a broker
// is: it drives a [Broker], and knows nothing of settings, connections or messages.
package process

import (
	"sync/atomic"
	"time"
)

// DefaultName is the name of the executable, and of the Windows service.
const DefaultName = "gnatsd"

// processName is the name of the processes that Signal searches for, on Windows that of the service
// that it controls. It belongs to the process, not to a broker: Signal needs it before there is
// one.
var processName overriddenName

// SetName changes the name of the processes that [Signal] searches for or, on Windows, of the
// service that it controls and that [Run] is. The empty name stands for [DefaultName].
func SetName(name string) { processName.set(name) }

// An overriddenName is a name with a default, which an embedding program may change at any time.
type overriddenName struct {
	name atomic.Pointer[string]
}

// set changes the name; the empty name restores the default.
func (o *overriddenName) set(name string) { o.name.Store(&name) }

// get returns the name in force.
func (o *overriddenName) get() string {
	if p := o.name.Load(); p != nil && *p != "" {
		return *p
	}
	return DefaultName
}

// Actions are what a signal, or a control of the Windows service manager, can make a broker do.
type Actions interface {
	// Shutdown stops the broker in order. It is idempotent, and returns to every caller only
	// when the stop is complete, pid and ports files and the last log line included: the
	// process exits right after.
	Shutdown()
	// Reload reads the configuration again and logs the outcome.
	Reload()
	// ReOpenLogFile opens the log file again, after a rotation.
	ReOpenLogFile()
	// LameDuck starts lame duck mode, and returns when it has begun, without waiting for its end.
	LameDuck()
	// Rebalance starts to disconnect the clients above the mean of the mesh, and returns without
	// waiting. It logs the outcome.
	Rebalance()
	// InLameDuck reports whether lame duck mode has begun. A shutdown follows it.
	InLameDuck() bool
	// Noticef and Debugf write a line to the log.
	Noticef(format string, v ...any)
	Debugf(format string, v ...any)
}

// A Broker is what the process runs.
type Broker interface {
	Actions
	// Run returns when the broker has stopped, with an error if it could not start.
	Run() error
	// ReadyForConnections reports whether all listeners are open, waiting for that at most
	// wait.
	ReadyForConnections(wait time.Duration) bool
}
