package process

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What systemd asks of a service of Type=notify, by the environment (man 3 sd_notify, man 3
// sd_watchdog_enabled).
const (
	envNotifySocket = "NOTIFY_SOCKET"
	envWatchdogUsec = "WATCHDOG_USEC"
	envWatchdogPid  = "WATCHDOG_PID"
)

// notifyTimeout bounds the sending of one notification, 1 s: a service manager that does not listen
// stops nothing here.
const notifyTimeout = time.Second

// A Notifier notifies the service manager of the state of the broker (sd_notify). The zero value,
// and one without a service manager that wants it, does nothing. Its errors are worth a log line
// and nothing more.
type Notifier struct {
	socket   string        // path, or @name in the abstract name space; empty if nothing listens
	watchdog time.Duration // within which the service manager wants a keepalive; 0 if it does not
}

// NewNotifier reads from the environment what the service manager wants.
func NewNotifier() Notifier {
	return notifierFrom(os.Getenv, os.Getpid())
}

// notifierFrom is NewNotifier with an environment of the caller's choice. A watchdog that is meant
// for another process, as a wrapper passes it on, is none.
func notifierFrom(getenv func(string) string, pid int) Notifier {
	n := Notifier{socket: getenv(envNotifySocket)}
	if n.socket == "" {
		return n
	}
	if target := getenv(envWatchdogPid); target != "" && target != strconv.Itoa(pid) {
		return n
	}
	if usec, err := strconv.ParseInt(getenv(envWatchdogUsec), 10, 64); err == nil && usec > 0 {
		n.watchdog = time.Duration(min(usec, int64(time.Hour/time.Microsecond))) * time.Microsecond
	}
	return n
}

// Ready says that all listeners are open, or that a reload is over, whether it succeeded or not.
func (n Notifier) Ready(status string) error { return n.send("READY=1", statusLine(status)) }

// Reloading says that the configuration is being read again; Ready ends it.
func (n Notifier) Reloading() error {
	state := []string{"RELOADING=1"}
	if usec := monotonicMicroseconds(); usec > 0 {
		state = append(state, "MONOTONIC_USEC="+strconv.FormatInt(usec, 10))
	}
	return n.send(state...)
}

// Stopping says that an orderly shutdown has begun.
func (n Notifier) Stopping() error { return n.send("STOPPING=1") }

// Status says what the broker is doing, in words for a person who reads `systemctl status`.
func (n Notifier) Status(text string) error { return n.send(statusLine(text)) }

// statusLine is a status in the notification's form, on one line.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}

// WantsWatchdog reports whether the service manager wants keepalives of a watchdog.
func (n Notifier) WantsWatchdog() bool { return n.watchdog > 0 }

// StartWatchdog sends a keepalive at half of the time in which the service manager wants one, as
// long as healthy says that the broker works; a healthy that hangs sends none either. The caller
// must call stop, which does not wait for healthy.
func (n Notifier) StartWatchdog(healthy func() bool) (stop func()) {
	if !n.WantsWatchdog() {
		return func() {}
	}
	quit := make(chan struct{})
	// Ended by stop, which does not wait for it, because healthy may hang.
	go n.watch(healthy, quit, func() {
		// The next keepalive is a better answer to a failure than an error would be.
		_ = n.send("WATCHDOG=1")
	})
	return func() { close(quit) }
}

// watch calls keepalive at half of the watchdog's time, if healthy, until quit.
func (n Notifier) watch(healthy func() bool, quit <-chan struct{}, keepalive func()) {
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if healthy() {
				keepalive()
			}
		case <-quit:
			return
		}
	}
}

// send sends one notification, its lines in one datagram. A NOTIFY_SOCKET that begins with @ is in
// the abstract name space, as it is in package net.
func (n Notifier) send(lines ...string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTimeout)); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
