package logger

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/eventlog"
)

// errDatagramTooLong is the error of a datagram that is longer than the system sends.
const errDatagramTooLong = windows.WSAEMSGSIZE

const eventText = 30 << 10 // longest text of an event, in bytes: Windows takes 31839 characters

// eventSource is set by SetSyslogName; nil means NATS-Server.
var eventSource atomic.Pointer[string]

// SetSyslogName names the source of events in the Windows event log, for logs opened from then on.
func SetSyslogName(name string) { eventSource.Store(&name) }

// checkSystem accepts any host.
func checkSystem(string) error { return nil }

// openSystem opens the event log of a host, of this machine if empty.
func openSystem(host string, o Options) (*Logger, error) {
	source := "NATS-Server"
	if p := eventSource.Load(); p != nil {
		source = *p
	}
	w, err := openEvents(host, source)
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	if o.MaxLine <= 0 || o.MaxLine > eventText {
		o.MaxLine = eventText
	}
	return &Logger{debug: o.Debug, trace: o.Trace, q: newQueue(events{w}, eventEncoder(os.Getpid()), o)}, nil
}

func openEvents(host, source string) (*eventlog.Log, error) {
	if host != "" {
		return eventlog.OpenRemote(host, source)
	}
	// Needs an administrator, and fails if it exists. Without it events are stored too, but
	// shown with a warning.
	_ = eventlog.InstallAsEventCreate(source, eventlog.Error|eventlog.Warning|eventlog.Info)
	return eventlog.Open(source)
}
