//go:build !windows

package logger

// SetSyslogName names the source of events in the Windows event log. Elsewhere it does nothing.
func SetSyslogName(string) {}

// openSystem opens the syslog of this machine, in the places where the systems have it. There is no host without a scheme.
func openSystem(host string, o Options) (*Logger, error) {
	if host != "" {
		return nil, badNetwork("")
	}
	return dialSyslog([]endpoint{
		{"unixgram", "/dev/log"}, {"unixgram", "/var/run/syslog"}, {"unixgram", "/var/run/log"},
		{"unix", "/dev/log"}, {"unix", "/var/run/syslog"}, {"unix", "/var/run/log"},
	}, facilityDaemon, o)
}
