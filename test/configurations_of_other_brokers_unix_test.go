//go:build unix

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// otherFile is a configuration file as other brokers, and those who package them, come with.
type otherFile struct {
	name, text string   // DIR is a directory of certificates
	warnings   []string // line:column and path of the keys that have no effect here
	refused    []string // of those that restrict access, and so end the start
}

var otherFiles = []otherFile{
	{name: "Debian's of nats-server 2.9", text: "host: 127.0.0.1\nport: 4222\n"},
	{name: "the image of gnatsd 1.1", text: `
# Client port of 4222 on all interfaces
port: 4222

# HTTP monitoring port
monitor_port: 8222

# This is for clustering multiple servers together.
cluster {

  # Route connections to be received on any interface on port 6222
  port: 6222

  # Routes are protected, so need to use them with --routes flag
  # e.g. --routes=nats-route://ruser:T0pS3cr3t@otherdockerhost:6222
  authorization {
    user: ruser
    password: T0pS3cr3t
    timeout: 2
  }

  # Routes are actively solicited and connected to from this server.
  # This Docker image has none by default, but you can pass a
  # flag to the gnatsd docker image to create one to an existing server.
  routes = []
}
`},
	{name: "the helm chart's, as JSON", text: `{
  "cluster": {
    "name": "nats",
    "no_advertise": true,
    "port": 6222,
    "routes": [
      "nats://nats-0.nats-headless:6222",
      "nats://nats-1.nats-headless:6222",
      "nats://nats-2.nats-headless:6222"
    ],
    "tls": {
      "ca_file": "DIR/ca.pem",
      "cert_file": "DIR/srva-cert.pem",
      "key_file": "DIR/srva-key.pem",
      "verify": true,
      "timeout": 2
    }
  },
  "http_port": 8222,
  "lame_duck_duration": "30s",
  "lame_duck_grace_period": "10s",
  "pid_file": "DIR/nats.pid",
  "port": 4222,
  "server_name": $SERVER_NAME
}
`},
	{name: "the helm chart's of old, with what the core does not have", text: `
# NATS Clients Port
port: 4222

# PID file shared with configuration reloader.
pid_file: "DIR/nats.pid"

###############
#             #
# Monitoring  #
#             #
###############
http: 8222
server_name:$SERVER_NAME
max_payload: 1MB
write_deadline: 5s
###################################
#                                 #
# NATS JetStream                  #
#                                 #
###################################
jetstream {
  max_mem: 1Gi
  store_dir: /data

  max_file: 5Gi
}
###################################
#                                 #
# NATS Full Mesh Clustering Setup #
#                                 #
###################################
cluster {
  port: 6222
  name: nats
  pool_size: 3

  routes = [
    nats://nats-0.nats.default.svc.cluster.local:6222,nats://nats-1.nats.default.svc.cluster.local:6222,
  ]
  cluster_advertise: $CLUSTER_ADVERTISE

  connect_retries: 120
}
lame_duck_grace_period = 10s
lame_duck_duration = 30s
leafnodes { port: 7422 }
websocket { port: 8080, no_tls: true }
tls {
  cert_file: DIR/server-cert.pem
  key_file: DIR/server-key.pem
  min_version: "1.3"
  connection_rate_limit: 100
}
`, warnings: []string{"22:1: jetstream", "47:1: leafnodes", "48:1: websocket", "53:3: tls.connection_rate_limit"}},
	{name: "the helm chart's of old, with accounts", text: `
port: 4222
http: 8222
jetstream { max_mem: 1Gi }
##################
#                #
# Authorization  #
#                #
##################
system_account: SYS
accounts: {
  SYS: { users: [ { user: admin, password: x } ] }
}
`, warnings: []string{"4:1: jetstream"}},
	{name: "one of an operator with a resolver", text: `
operator: DIR/operator.jwt
resolver: MEMORY
resolver_preload: { AB: eyJ0 }
`, refused: []string{"2:1: operator", "3:1: resolver", "4:1: resolver_preload"}},
}

// anywhere turns the ports of a file into free ones.
func anywhere(text string) string {
	return regexp.MustCompile(`(?m)("?\b(?:monitor_port|http_port|port|http)"?): (?:4222|6222|8222)`).ReplaceAllString(text, "$1: -1")
}

// TestFilesOfOtherBrokers starts with each, warns of what has no effect, and finds that under -t.
// What restricts access and would have no effect ends the start.
func TestFilesOfOtherBrokers(t *testing.T) {
	t.Parallel()
	dir := certFiles(t)
	for _, file := range otherFiles {
		t.Run(file.name, func(t *testing.T) {
			t.Parallel()
			path := writeConfig(t, anywhere(strings.ReplaceAll(file.text, "DIR", dir)))
			begin := func(args ...string) *exec.Cmd {
				cmd := command(t, append(args, "-c", path)...)
				cmd.Env = append(os.Environ(), "SERVER_NAME=nats-0", "CLUSTER_ADVERTISE=nats-0.nats.default.svc.cluster.local")
				return cmd
			}
			if len(file.refused) > 0 {
				cmd := begin()
				late := time.AfterFunc(wire.Patience, func() { cmd.Process.Kill() })
				out, err := cmd.CombinedOutput()
				if !late.Stop() || err == nil {
					t.Error("exit 0 at a start, want 1")
				}
				if got := unknownFields(path, string(out)); !slices.Equal(got, file.refused) {
					t.Errorf("refused for %q, want %q:\n%s", got, file.refused, out)
				}
			} else {
				startsWith(t, begin(), path, file.warnings)
			}
			out, _ := begin("-t").CombinedOutput()
			want := slices.Sorted(slices.Values(slices.Concat(file.warnings, file.refused)))
			got := slices.Sorted(slices.Values(unknownFields(path, string(out))))
			if !slices.Equal(got, want) {
				t.Errorf("-t finds %q, want %q:\n%s", got, want, out)
			}
			if valid := strings.Contains(string(out), "gnatsd: configuration file "+path+" is valid\n"); valid != (len(want) == 0) {
				t.Errorf("-t says valid: %v\n%s", valid, out)
			}
		})
	}
}

// startsWith starts and ends a broker that warns of these keys of a file.
func startsWith(t *testing.T, cmd *exec.Cmd, path string, warnings []string) {
	t.Helper()
	p := launch(t, cmd)
	p.await(t, `Server is ready$`)
	var found []string
	for _, line := range p.seen {
		if strings.Contains(line, "[WRN]") && strings.HasSuffix(line, ", it has no effect") {
			found = append(found, unknownFields(path, line)...)
		}
	}
	if !slices.Equal(found, warnings) {
		t.Errorf("got warnings %q, want %q", found, warnings)
	}
	if code, _ := p.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("got exit %d, want 0", code)
	}
}

// unknownFields returns line:column and path of the keys of a file that a text calls unknown.
func unknownFields(path, text string) (keys []string) {
	field := regexp.MustCompile(regexp.QuoteMeta(path) + `:(\S+ \S+): (?:error parsing tls config, )?unknown field `)
	for _, m := range field.FindAllStringSubmatch(text, -1) {
		keys = append(keys, m[1])
	}
	return keys
}

// shortDir is a temporary directory whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.ToSlash(dir)
}
