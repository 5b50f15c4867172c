package server

import (
	"slices"
	"strings"

	"gnatsd/conf"
)

// This file has the log lines about a reload. The lines and their order are those of gnatsd 1.x.

// lineOrder is the order of the lines, by subject. Other lines follow.
var lineOrder = []string{
	"client_advertise", "trace", "debug", "logtime", "max_connections",
	"authorization users", "authorization username", "authorization password", "authorization token",
	"ping_interval", "ping_max", "authorization timeout", "max_control_line", "max_payload",
	"cluster", "pid_file", "ports_file_dir", "log_file", "syslog", "remote_syslog",
	"cluster routes", "tls timeout", "tls", "write_deadline",
}

// logLines returns the log lines about the changes.
func (c *change) logLines() []string {
	var list []reloadLine
	add := func(l reloadLine) {
		if !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	for _, row := range c.rows {
		add(lineOf(row.Row, c.new))
	}
	if c.effects[onTLS] {
		add(tlsLine(c.new))
	}
	if c.effects[onRouteTLS] {
		add(reloadLine{subject: "cluster"})
	}
	slices.SortStableFunc(list, func(a, b reloadLine) int { return a.rank() - b.rank() })
	var lines []string
	for _, l := range list {
		if text := l.text(); text != "" {
			lines = append(lines, text)
		}
	}
	return lines
}

// reloadLine is a log line about a change: the setting, and " = " with its value unless that is
// secret.
type reloadLine struct{ subject, value string }

func (l reloadLine) rank() int {
	if i := slices.Index(lineOrder, l.subject); i >= 0 {
		return i
	}
	return len(lineOrder)
}

// text returns the line, "" for none.
func (l reloadLine) text() string {
	switch {
	case l.subject == "client_advertise":
		return "Reload: " + l.subject + conf.Printable(l.value) // as in 1.x
	case l == reloadLine{"pid_file", " = "}:
		return ""
	}
	return "Reloaded: " + l.subject + conf.Printable(l.value)
}

// tlsLine returns the line for any change of TLS on the client port.
func tlsLine(o *Options) reloadLine {
	if o.TLSConfig == nil {
		return reloadLine{"tls", " = disabled"}
	}
	return reloadLine{"tls", " = enabled"}
}

// lineOf returns the line for a row.
func lineOf(r *row, o *Options) reloadLine {
	section, name, _ := strings.Cut(r.Key, ".")
	l := reloadLine{r.Key, " = " + r.Plain(o)}
	switch {
	case r.Key == "authorization.timeout" || r.Key == "tls.timeout":
		l.subject = section + " timeout"
	case r.Key == "cluster.routes":
		l = reloadLine{subject: "cluster routes"}
	case r.Key == "accounts":
		l.value = ""
	case section == "cluster":
		l = reloadLine{subject: "cluster"}
	case section == "authorization":
		l = reloadLine{subject: "authorization " + authName(name)}
	case section == "tls":
		l = tlsLine(o)
	case r.Secret:
		l.value = ""
	}
	return l
}

// authName returns the name of a row of authorization in the log.
func authName(name string) string {
	switch name {
	case "user":
		return "username"
	case "default_permissions", "default_limits": // a change changes users
		return "users"
	}
	return name
}
