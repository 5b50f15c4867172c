package test

import (
	"gnatsd/server"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stamp is what precedes the text of a log line.
const stamp = `^\[[0-9]+\] [0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6} `

// quotedVersion matches the version of the server.
var quotedVersion = regexp.QuoteMeta(server.VERSION)

func TestStartUpLines(t *testing.T) {
	t.Parallel()
	certs := filepath.ToSlash(certFiles(t))
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"by default", nil, []string{
			stamp + `\[INF\] Starting nats-server version ` + quotedVersion + `$`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[INF\] Server is ready$`,
		}},
		{"with a name", []string{"--server_name", "first"}, []string{
			stamp + `\[INF\] Starting nats-server version ` + quotedVersion + `$`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[INF\] Server name is first$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[INF\] Server is ready$`,
		}},
		{"with debugging", []string{"-D"}, []string{
			stamp + `\[INF\] Starting nats-server version ` + quotedVersion + `$`,
			stamp + `\[DBG\] Go build version go[0-9.]+`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[DBG\] Server id is [0-9A-Za-z]{22}$`,
			stamp + `\[INF\] Server is ready$`,
		}},
		{"with everything", []string{"-D", "--user", "u", "--pass", "p", "-ms", "-1", "--profile", "-1", "--tlscert", certs + "/server-cert.pem", "--tlskey", certs + "/server-key.pem",
			"--cluster", "nats://127.0.0.1:-1", "--routes", "nats://127.0.0.1:1"}, []string{
			stamp + `\[INF\] Starting nats-server version ` + quotedVersion + `$`,
			stamp + `\[DBG\] Go build version go[0-9.]+`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[WRN\] Plaintext passwords detected\. Use Nkeys or Bcrypt passwords in config files\.$`,
			stamp + `\[INF\] Starting https monitor on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[INF\] profiling port: [1-9][0-9]*$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[INF\] TLS required for client connections$`,
			stamp + `\[DBG\] Server id is [0-9A-Za-z]{22}$`,
			stamp + `\[INF\] Server is ready$`,
			stamp + `\[INF\] Listening for route connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[DBG\] Trying to connect to route on 127\.0\.0\.1:1$`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := spawn(t, test.args...)
			p.await(t, test.want[len(test.want)-1])
			if len(p.seen) != len(test.want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(p.seen), len(test.want), strings.Join(p.seen, "\n"))
			}
			for i, line := range p.seen {
				if !regexp.MustCompile(test.want[i]).MatchString(line) {
					t.Errorf("line %d: got %q, want a match of %s", i+1, line, test.want[i])
				}
			}
		})
	}
}
