package server

import (
	"fmt"
	"strings"

	"gnatsd/server/internal/process"
)

// This file is the documents that the program prints about itself, which packages install: the pages
// of the manual, completions, the schema of the configuration.

// releaseDate is the date of [Version].
const releaseDate = "2026-11-28"

// schemaText returns the JSON Schema of the configuration.
func schemaText() []byte {
	return optionTable().Schema("https://gnatsd.invalid/schema/"+Version+"/gnatsd.conf.json", "Configuration of gnatsd "+Version)
}

// completionText returns the completion for a shell.
func completionText(shell string) (string, error) {
	return optionTable().Completion(shell, process.DefaultName, map[string][]string{
		"signal":     {"stop", "quit", "term", "reopen", "reload", "ldm"},
		"completion": {"bash", "zsh", "fish"},
	})
}

// manText returns a page of the manual. The empty section, and true, which stands for a flag without
// value, are that of the program.
func manText(section string) (string, error) {
	switch section {
	case "8", "", "true":
		return manProgram(), nil
	case "5":
		return manFile(), nil
	}
	return "", fmt.Errorf("no page of the manual in section %q: there are 8 and 5", section)
}

// manTitle is the first line of a page.
func manTitle(name, section, about string) string {
	return fmt.Sprintf(".TH %s %s %s \"gnatsd %s\" \"%s\"\n", name, section, releaseDate, Version, about)
}

// manProgram returns gnatsd(8).
func manProgram() string {
	var b strings.Builder
	b.WriteString(manTitle("GNATSD", "8", "System Administration"))
	b.WriteString(`.SH NAME
gnatsd \- message broker for NATS clients
.SH SYNOPSIS
.B gnatsd
[\fIoptions\fR]
.SH DESCRIPTION
.B gnatsd
accepts connections of NATS clients and delivers the messages that they publish to those that subscribe.
Several servers form a cluster.
Settings come from the file that
.B \-c
names, see
.BR gnatsd.conf (5),
and then from the options, which take precedence.
Without any, it listens on port 4222 of all addresses, and needs no login.
.SH OPTIONS
An option may be written with one dash or two, and its value with a blank or an equals sign before it.
`)
	for _, group := range []string{serverGroup, loggingGroup, authGroup, tlsGroup, clusterGroup, commonGroup} {
		fmt.Fprintf(&b, ".SS %s\n%s", group, optionTable().ManFlags(group))
	}
	b.WriteString(`.SH SIGNALS
.TP
.B SIGHUP
Read the configuration again.
.TP
.B SIGUSR1
Reopen the log file.
.TP
.B SIGUSR2
Lame duck mode: accept no clients, disconnect those that are there one after the other, and exit.
.TP
.BR SIGINT ", " SIGTERM
Exit.
After SIGUSR2, SIGTERM does not cut lame duck mode short.
.SH EXIT STATUS
0 after a signal and where an option asked for information, 1 after an error, 130 after a second SIGINT.
.SH ENVIRONMENT
.TP
.BR LISTEN_PID ", " LISTEN_FDS ", " LISTEN_FDNAMES
Sockets that
.BR systemd (1)
has opened, see
.BR systemd.socket (5).
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC
Where systemd wants to be told that the server is ready, and that it still works.
.TP
.B GOMEMLIMIT
The memory that the server should not exceed, such as 2GiB.
.SH FILES
.TP
.I /etc/gnatsd.conf
The configuration, by convention.
.SH EXAMPLES
.TP
.B gnatsd \-c /etc/gnatsd.conf \-t
Check the configuration.
.TP
.B gnatsd \-sl reload
Reload the configuration of the server that runs.
.SH SEE ALSO
.BR gnatsd.conf (5)
`)
	return b.String()
}

// manFile returns gnatsd.conf(5).
func manFile() string {
	var b strings.Builder
	b.WriteString(manTitle("GNATSD.CONF", "5", "File Formats"))
	b.WriteString(`.SH NAME
gnatsd.conf \- configuration of gnatsd
.SH DESCRIPTION
The file has keys with values, \fIkey\fR: \fIvalue\fR or \fIkey\fR = \fIvalue\fR, one on each line or with commas in between.
Keys may be in any case.
A value is a number, perhaps with a suffix such as
.B KB
or
.BR MB ,
a boolean, a string, which needs quotes only if it has blanks or special characters, a list in brackets, or a map in braces.
A duration is a number with a unit as in "2s" or "1m30s".
A comment begins with
.B #
or
.BR // .
.PP
.BI include " file"
reads another file in place, and
.BI $ name
is the value of the key
.I name
in the same block or one around it, or that of the environment variable.
.PP
.B gnatsd \-t \-c
.I file
checks a file.
.B gnatsd \-\-schema
prints its JSON Schema for editors.
`)
	for _, section := range optionTable().Sections() {
		title := "KEYS OF THE TOP LEVEL"
		if section != "" {
			title = "KEYS OF " + strings.ToUpper(section)
		}
		fmt.Fprintf(&b, ".SH %s\n%s", title, optionTable().ManKeys(section))
	}
	b.WriteString(`.SH EXAMPLES
.nf
port: 4222
http: 8222
authorization {
  users = [
    { user: alice, password: "$2a$11$...", permissions: { publish: "orders.>" } }
  ]
}
cluster {
  name: shop
  port: 6222
  routes = [ "nats\-route://other:6222" ]
}
.fi
.SH SEE ALSO
.BR gnatsd (8)
`)
	return b.String()
}
