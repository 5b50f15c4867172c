package server

import (
	"slices"
	"strings"
)

// This file is what the log says about a reload. The sentences, and their order,
// are those of the classic broker.

// wordOrder is the order of its fields there. What it does not know comes last.
var wordOrder = []string{
	"client_advertise", "trace", "debug", "logtime", "max_connections",
	"authorization users", "authorization username", "authorization password", "authorization token",
	"ping_interval", "ping_max", "authorization timeout", "max_control_line", "max_payload",
	"cluster", "pid_file", "ports_file_dir", "log_file", "syslog", "remote_syslog",
	"cluster routes", "tls timeout", "tls", "write_deadline",
}

// words are one line for every change.
func (c *change) words() []string {
	var list []word
	add := func(w word) {
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	for _, row := range c.rows {
		add(changeWord(row.Row, c.new))
	}
	if c.effects[onTLS] {
		add(tlsWord(c.new))
	}
	if c.effects[onRouteTLS] {
		add(word{subject: "cluster"})
	}
	slices.SortStableFunc(list, func(a, b word) int { return a.rank() - b.rank() })
	var lines []string
	for _, w := range list {
		lines = append(lines, w.line())
	}
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" })
}

// word is what is said about one change: of what, and behind it the value, if it
// may be shown.
type word struct{ subject, value string }

func (w word) rank() int {
	if i := slices.Index(wordOrder, w.subject); i >= 0 {
		return i
	}
	return len(wordOrder)
}

// line is the line of the log, "" for none.
func (w word) line() string {
	switch {
	case w.subject == "client_advertise":
		return "Reload: " + w.subject + w.value // as it always was
	case w == word{"pid_file", " = "}:
		return ""
	}
	return "Reloaded: " + w.subject + w.value
}

// tlsWord is what is said of a change of TLS on the client port, whatever it was.
func tlsWord(o *Options) word {
	if o.TLSConfig == nil {
		return word{"tls", " = disabled"}
	}
	return word{"tls", " = enabled"}
}

// changeWord is the word for a row.
func changeWord(r *row, o *Options) word {
	section, name, _ := strings.Cut(r.Key, ".")
	w := word{r.Key, " = " + r.Plain(o)}
	switch {
	case r.Key == "authorization.timeout" || r.Key == "tls.timeout":
		w.subject = section + " timeout"
	case r.Key == "cluster.routes":
		w = word{subject: "cluster routes"}
	case section == "cluster":
		w = word{subject: "cluster"}
	case section == "authorization":
		w = word{subject: "authorization " + classicName(name)}
	case section == "tls":
		w = tlsWord(o)
	case r.Secret:
		w.value = ""
	}
	return w
}

// classicName is the name of a row of authorization in the log.
func classicName(name string) string {
	switch name {
	case "user":
		return "username"
	case "default_permissions": // are those of users
		return "users"
	}
	return name
}
