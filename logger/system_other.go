//go:build !windows

package logger

import "syscall"

// errDatagramTooLong is the error of a datagram that is longer than the system sends.
const errDatagramTooLong = syscall.EMSGSIZE

// SetSyslogName names the source of events in the Windows event log. Elsewhere it does nothing.
func SetSyslogName(string) {}

// checkSystem refuses a host without a scheme: only Windows has event logs.
func checkSystem(host string) error {
	if host != "" {
		return badNetwork("")
	}
	return nil
}

// openSystem opens the syslog of this machine, at the addresses where systems have it.
func openSystem(host string, o Options) (*Logger, error) {
	if err := checkSystem(host); err != nil {
		return nil, err
	}
	return dialSyslog([]endpoint{
		{"unixgram", "/dev/log"}, {"unixgram", "/var/run/syslog"}, {"unixgram", "/var/run/log"},
		{"unix", "/dev/log"}, {"unix", "/var/run/syslog"}, {"unix", "/var/run/log"},
	}, facilityDaemon, o)
}
