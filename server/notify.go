package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What systemd asks of a service of Type=notify, by the environment (man 3 sd_notify, man 3 sd_watchdog_enabled).
const (
	envNotifySocket = "NOTIFY_SOCKET"
	envWatchdogUsec = "WATCHDOG_USEC"
	envWatchdogPid  = "WATCHDOG_PID"
)

// notifyTimeout bounds the sending of one notification, 1 s: a service manager that does not listen stops nothing here.
const notifyTimeout = time.Second

// A notifier tells the service manager what state the broker is in. Without a service manager that wants to know it does
// nothing. Its errors are worth a log line and nothing more.
type notifier struct {
	socket   string        // path, or @name in the abstract name space; empty if nobody listens
	watchdog time.Duration // how long the service manager waits for a sign of life; 0 if it does not watch
}

// newNotifier reads from the environment what the service manager wants to know.
func newNotifier() notifier {
	return notifierFrom(os.Getenv, os.Getpid())
}

// notifierFrom is newNotifier with an environment of the caller's choice. A watchdog that is meant for another process,
// as a wrapper passes it on, is none.
func notifierFrom(getenv func(string) string, pid int) notifier {
	n := notifier{socket: getenv(envNotifySocket)}
	if n.socket == "" {
		return n
	}
	if whom := getenv(envWatchdogPid); whom != "" && whom != strconv.Itoa(pid) {
		return n
	}
	if usec, err := strconv.ParseInt(getenv(envWatchdogUsec), 10, 64); err == nil && usec > 0 {
		n.watchdog = time.Duration(min(usec, int64(time.Hour/time.Microsecond))) * time.Microsecond
	}
	return n
}

// ready says that all listeners are open, or that a reload is over, whether it succeeded or not.
func (n notifier) ready(status string) error { return n.send("READY=1", statusLine(status)) }

// reloading says that the configuration is being read again; ready ends it.
func (n notifier) reloading() error {
	state := []string{"RELOADING=1"}
	if usec := monotonicMicroseconds(); usec > 0 {
		state = append(state, "MONOTONIC_USEC="+strconv.FormatInt(usec, 10))
	}
	return n.send(state...)
}

// stopping says that an orderly shutdown has begun.
func (n notifier) stopping() error { return n.send("STOPPING=1") }

// status says what the broker is doing, in words for a person who reads `systemctl status`.
func (n notifier) status(text string) error { return n.send(statusLine(text)) }

// statusLine is a status in the notification's form, on one line.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}

// startWatchdog gives a sign of life at half of the time that the service manager waits for one, as long as healthy says that
// the broker works; a healthy that hangs gives none either. The caller must call stop, which does not wait for healthy.
func (n notifier) startWatchdog(healthy func() bool) (stop func()) {
	if n.watchdog <= 0 {
		return func() {}
	}
	quit := make(chan struct{})
	// Ended by stop; nobody waits for it, because healthy may hang.
	go n.watch(healthy, quit, func() {
		// The next sign of life is a better answer to a failure than anything that could be said of it.
		_ = n.send("WATCHDOG=1")
	})
	return func() { close(quit) }
}

// watch calls alive at half of the watchdog's time, if healthy, until quit.
func (n notifier) watch(healthy func() bool, quit <-chan struct{}, alive func()) {
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if healthy() {
				alive()
			}
		case <-quit:
			return
		}
	}
}

// send sends one notification, its lines in one datagram. A NOTIFY_SOCKET that begins with @ is in the abstract name space,
// as it is in package net.
func (n notifier) send(lines ...string) error {
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
