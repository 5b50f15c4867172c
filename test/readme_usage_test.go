package test

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// readmeUsage are the lines of the README's "Command line arguments", with one space where the
// columns are.
const readmeUsage = `
Server Options:
-a, --addr <host> Bind to host address (default: 0.0.0.0)
-p, --port <port> Use port for clients (default: 4222)
-P, --pid <file> File to store PID
-m, --http_port <port> Use port for http monitoring
-ms,--https_port <port> Use port for https monitoring
-c, --config <file> Configuration file
-sl,--signal <signal>[=<pid>] Send signal to gnatsd process (stop, quit, reopen, reload)
--client_advertise <string> Client URL to advertise to other servers

Logging Options:
-l, --log <file> File to redirect log output
-T, --logtime Timestamp log entries (default: true)
-s, --syslog Log to syslog or windows event log
-r, --remote_syslog <addr> Syslog server addr (udp://localhost:514)
-D, --debug Enable debugging output
-V, --trace Trace the raw protocol
-DV Debug and trace

Authorization Options:
--user <user> User required for connections
--pass <password> Password required for connections
--auth <token> Authorization token required for connections

TLS Options:
--tls Enable TLS, do not verify clients (default: false)
--tlscert <file> Server certificate file
--tlskey <file> Private key for server certificate
--tlsverify Enable TLS, verify client certificates
--tlscacert <file> Client certificate CA for verification

Cluster Options:
--routes <rurl-1, rurl-2> Routes to solicit and connect
--cluster <cluster-url> Cluster URL for solicited routes
--no_advertise <bool> Advertise known cluster IPs to clients
--cluster_advertise <string> Cluster URL to advertise to other servers
--connect_retries <number> For implicit routes, number of connect retries


Common Options:
-h, --help Show this message
-v, --version Show version
--help_tls TLS help
`

// usageLine is how the usage text lays out a line of the README: long flags below each other,
// descriptions from column 38 on.
var usageLine = regexp.MustCompile(`^(-\S+,? ?(?:--\w+)?(?: <[^>]*>)?(?:\[=<pid>\])?) (.*)$`)

// TestUsageHasTheLinesOfTheClassicReadme allows lines between them, for flags that are newer.
func TestUsageHasTheLinesOfTheClassicReadme(t *testing.T) {
	t.Parallel()
	want := []string{"", "Usage: gnatsd [options]"}
	for line := range strings.Lines(readmeUsage) {
		line = strings.TrimSuffix(line, "\n")
		if m := usageLine.FindStringSubmatch(line); m != nil {
			indent := "    "
			if strings.HasPrefix(line, "--") {
				indent = "        "
			}
			line = fmt.Sprintf("%-37s%s", indent+m[1], m[2])
		}
		want = append(want, line)
	}
	want = append(want, "")
	usage, _, _ := run(t, "-h")
	for scan := bufio.NewScanner(strings.NewReader(usage)); scan.Scan(); {
		switch line := scan.Text(); {
		case len(want) > 0 && line == want[0]:
			want = want[1:]
		case line == "" || len(line) < 38 || line[36] != ' ' || line[37] == ' ':
			t.Errorf("got a line that is laid out otherwise: %q, want %q", line, want[0])
		}
	}
	if len(want) > 0 {
		t.Errorf("the usage lacks %q", want)
	}
}
