package test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"gnatsd/test/wire"
)

// The tests here type every command line and every configuration of the classic README as it stands
// there, ports and paths included, in what is a new clone, and look whether what happens is what it
// says. They run in a network of their own, where all ports are free, and among processes of their
// own, where -sl finds no other broker.

// TestClassicReadme runs TestInReadmeNetwork in name spaces of its own.
func TestClassicReadme(t *testing.T) {
	t.Parallel()
	path, err := program()
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	cmd := inNamespaces(t, []string{"--net", "--fork", "--pid", "--mount-proc", "--kill-child"}, self, "-test.run=^TestInReadmeNetwork$", "-test.v")
	cmd.Env = append(os.Environ(), builtProgram+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestInReadmeNetwork") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestInReadmeNetwork is what TestClassicReadme runs. Its parts follow each other, for they share
// ports, but those of a part do not.
func TestInReadmeNetwork(t *testing.T) {
	if os.Getenv(builtProgram) == "" {
		t.Skip("for TestClassicReadme")
	}
	bringUpLoopback(t)
	d := &readmeDesk{filepath.Join(t.TempDir(), "gnatsd")}
	copyRepository(t, d.dir)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *readmeDesk)
	}{
		{"build", readmeBuild},
		{"running", readmeRunning},
		{"process signaling", readmeSignals},
		{"configuration file", readmeFile},
		{"variables", readmeVariables},
		{"clustering", readmeCluster},
		{"one command line for every host", readmeSameLine},
		{"single user authentication", readmeSingleUser},
		{"multi-user authentication", readmeUsers},
		{"authorization", readmePermissions},
		{"TLS", readmeTLS},
		{"TLS for routes", readmeRouteTLS},
		{"bcrypt", readmeBcrypt},
		{"monitoring", readmeMonitoring},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, d) })
	}
}

// bringUpLoopback turns on the only interface of a new network.
func bringUpLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	must(t, err)
	must(t, unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo))
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	must(t, unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// readmeDesk is the clone of a user who follows the README.
type readmeDesk struct{ dir string }

// write puts a file on the desk.
func (d *readmeDesk) write(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600))
}

// line is a line as a user types it, with the clone in the path.
func (d *readmeDesk) line(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", "exec "+line)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+d.dir+":"+os.Getenv("PATH"), "GOPROXY=off", "GOSUMDB=off",
		"CGO_ENABLED=0", "GOFLAGS=-trimpath") // so that what is compiled is in the cache for the next clone
	return cmd
}

// shell starts what a line says.
func (d *readmeDesk) shell(t *testing.T, line string) *process {
	t.Helper()
	return launch(t, d.line(line))
}

// do types a line and waits for its end.
func (d *readmeDesk) do(t *testing.T, line string) {
	t.Helper()
	if code, log := d.shell(t, line).finish(); code != 0 || len(log) > 0 {
		t.Errorf("%s: got exit %d, %q", line, code, log)
	}
}

// awaitAll waits for lines in any order.
func (p *process) awaitAll(t *testing.T, patterns ...string) {
	t.Helper()
	for len(patterns) > 0 {
		got := p.await(t, "(?:"+strings.Join(patterns, ")|(?:")+")")[0]
		for i, pattern := range patterns {
			if regexp.MustCompile(pattern).MatchString(got) {
				patterns = append(patterns[:i:i], patterns[i+1:]...)
				break
			}
		}
	}
}

// stops ends a broker in order, which frees its ports for the next.
func (p *process) stops(t *testing.T) {
	t.Helper()
	if code, log := p.stop(t, syscall.SIGINT); code != 0 {
		t.Errorf("got exit %d, %q", code, log)
	}
}

// wantConnect fails the test unless a client gets in, or is refused.
func wantConnect(t *testing.T, url string, admitted bool) {
	t.Helper()
	nc, err := goClient(url)
	if err == nil {
		nc.Close()
	}
	if (err == nil) != admitted {
		t.Errorf("%s: got %v, want admission %v", url, err, admitted)
	}
}

// readmeBuild is "Build": no messages, and an executable called gnatsd. The certificates of the
// classic clone are made by a line of this README.
func readmeBuild(t *testing.T, d *readmeDesk) {
	d.do(t, "go version")
	d.do(t, "go build")
	if info, err := os.Stat(filepath.Join(d.dir, "gnatsd")); err != nil || info.Mode()&0o111 == 0 {
		t.Fatalf("go build: got %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "test/configs/certs")); !os.IsNotExist(err) {
		t.Fatalf("got %v, want a clone without certificates", err)
	}
	d.do(t, "go run ./test/certs/mkcerts")
	d.do(t, "go run ./test/certs/mkcerts configs/certs")
}

func readmeRunning(t *testing.T, d *readmeDesk) {
	p := d.shell(t, "./gnatsd")
	p.await(t, stamp+`\[INF\] Starting nats-server version \d+\.\d+\.\d+$`)
	p.await(t, stamp+`\[INF\] Git commit \[[^\]]+\]$`)
	p.await(t, stamp+`\[INF\] Listening for client connections on 0\.0\.0\.0:4222$`)
	p.await(t, stamp+`\[INF\] Server is ready$`)
	wantConnect(t, "nats://localhost:4222", true)
	c := wire.Dial(t, "127.0.0.1:4222")
	c.Say("SUB foo 1", "PUB foo 11", "Hello World")
	c.Want("+OK", "+OK", "MSG foo 1 11", "Hello World")
	p.stops(t)
}

func readmeSignals(t *testing.T, d *readmeDesk) {
	d.write(t, "some.conf", "debug: false")
	begin := func() *process {
		p := d.shell(t, "gnatsd -c some.conf -l log")
		fileHas(t, filepath.Join(d.dir, "log"), `Server is ready$`)
		must(t, os.Rename(filepath.Join(d.dir, "log"), filepath.Join(d.dir, "log.old")))
		return p
	}
	for _, one := range []bool{true, false} { // the only one, and one of several
		p, target := begin(), ""
		if !one {
			target = fmt.Sprintf("=%d", p.cmd.Process.Pid)
			other := d.shell(t, "gnatsd -p 5222")
			other.await(t, `Server is ready$`)
			if code, log := d.shell(t, "gnatsd -sl stop").finish(); code != 1 || len(log) == 0 || !strings.HasPrefix(log[0], "multiple gnatsd processes running:") {
				t.Errorf("-sl stop with two brokers: got exit %d, %q", code, log)
			}
		}
		d.do(t, "gnatsd -sl reopen"+target)
		fileHas(t, filepath.Join(d.dir, "log"), `File log re-opened$`)
		d.write(t, "some.conf", fmt.Sprintf("debug: %v", one))
		d.do(t, "gnatsd -sl reload"+target)
		fileHas(t, filepath.Join(d.dir, "log"), fmt.Sprintf(`\[INF\] Reloaded: debug = %v$`, one))
		d.do(t, "gnatsd -sl stop"+target)
		if code, _ := p.finish(); code != -1 {
			t.Errorf("stop: got exit %d, want a process that was killed", code)
		}
	}
	p := begin()
	p.stops(t)
}

const readmeConfiguration = `
listen: localhost:4242 # host/port to listen for client connections

http: localhost:8222 # HTTP monitoring port

# Authorization for client connections
authorization {
  user:     derek
  # ./util/mkpasswd -p T0pS3cr3t
  password: $2a$11$W2zko751KUvVy59mUTWmpOdWjpEm5qhcCZRd05GjI/sSOT.xtiHyG
  timeout:  1
}

# Cluster definition
cluster {

  listen: localhost:4244 # host/port for inbound route connections

  # Authorization for route connections
  authorization {
    user: route_user
    # ./util/mkpasswd -p T0pS3cr3tT00!
    password: $2a$11$xH8dkGrty1cBNtZjhPeWJewu/YPbSU.rXJWmS6SFilOBXzmZoMk9m
    timeout: 0.5
  }

  # Routes are actively solicited and connected to from this server.
  # Other servers can connect to us if they supply the correct credentials
  # in their routes definitions from above.

  routes = [
    nats-route://user1:pass1@127.0.0.1:4245
    nats-route://user2:pass2@127.0.0.1:4246
  ]
}

# logging options
debug:   false
trace:   true
logtime: false
log_file: "DIR/nats-server.log"

# pid file
pid_file: "DIR/nats-server.pid"

# Some system overides

# max_connections
max_connections: 100

# maximum protocol control line
max_control_line: 512

# maximum payload
max_payload: 65536

# Duration the server can block on a socket write to a client.  Exceeding the
# deadline will designate a client as a slow consumer.
write_deadline: "2s"
`

func readmeFile(t *testing.T, d *readmeDesk) {
	d.write(t, "gnatsd.conf", strings.ReplaceAll(readmeConfiguration, "DIR", d.dir))
	p := d.shell(t, "gnatsd -c gnatsd.conf")
	log := filepath.Join(d.dir, "nats-server.log")
	fileHas(t, log, `^\[\d+\] \[INF\] Server is ready$`) // logtime: false
	fileHas(t, log, `Listening for route connections on localhost:4244$`)
	for _, route := range []string{"4245", "4246"} {
		fileHas(t, log, `Error trying to connect to route: dial tcp 127\.0\.0\.1:`+route)
	}
	pid, err := os.ReadFile(filepath.Join(d.dir, "nats-server.pid"))
	if string(pid) != fmt.Sprint(p.cmd.Process.Pid) {
		t.Errorf("pid file: got %q, %v", pid, err)
	}
	wantConnect(t, "nats://derek:T0pS3cr3t@localhost:4242", true)
	wantConnect(t, "nats://derek:wrong@localhost:4242", false)
	fileHas(t, log, `\[TRC\] .* ->> \[CONNECT \{.*\}\]$`) // trace: true
	_, varz := get(t, "http://localhost:8222/varz")
	for _, want := range []string{
		`"max_connections": 100,`, `"max_control_line": 512,`, `"max_payload": 65536,`, `"write_deadline": 2000000000,`,
		`"auth_timeout": 1,`, `"cluster_port": 4244,`, `"auth_timeout": 0.5`,
	} {
		if !strings.Contains(varz, want) {
			t.Errorf("got no %s in %s", want, varz)
		}
	}
	d.write(t, "other.conf", "cluster { listen: localhost:4245, routes: [ \"nats-route://route_user:T0pS3cr3tT00!@localhost:4244\" ] }")
	other := d.shell(t, "gnatsd -p 5222 -c other.conf -D")
	other.await(t, `Registering remote route`)
	other.stops(t)
	p.stops(t)
	if text, err := os.ReadFile(log); err != nil || strings.Contains(string(text), "[DBG]") {
		t.Errorf("debug: false, but %v, %s", err, text)
	}
	// Paths of Windows.
	for _, path := range []string{`c:\\logging\\log.txt`, `c:/logging/log.txt`} {
		got := printedConfig(t, "-c", writeConfig(t, `log_file: "`+path+`"`))
		if want := "\nlog_file: \"" + path + "\" "; !strings.Contains(got, want) {
			t.Errorf("got no %s in\n%s", want, got)
		}
	}
}

func readmeVariables(t *testing.T, d *readmeDesk) {
	d.write(t, "x.conf", "authorization {\n  PASS: abc\n  user: $NAME_OF_USER\n  password: $pass\n}")
	p := d.shell(t, "env NAME_OF_USER=anna gnatsd -c x.conf")
	p.await(t, `Server is ready$`)
	wantConnect(t, "nats://anna:abc@localhost:4222", true)
	p.stops(t)
}

// readmeCluster is the three nodes of the README, the seed by flags and by either file.
func readmeCluster(t *testing.T, d *readmeDesk) {
	d.write(t, "seed.conf", "# Cluster Seed Node\n\nlisten: 127.0.0.1:4222\nhttp: 8222\n\ncluster {\n  listen: 127.0.0.1:4248\n}\n")
	d.write(t, "ports.conf", "cluster {\n  host: 127.0.0.1\n  port: 4248\n}\n")
	for _, seedLine := range []string{"gnatsd -p 4222 -cluster nats://localhost:4248 -D", "gnatsd -config ./seed.conf -D", "gnatsd -c ports.conf -D"} {
		seed := d.shell(t, seedLine)
		seed.await(t, `\[INF\] Listening for client connections on \S+:4222$`)
		id := seed.await(t, `\[DBG\] Server id is (\w+)$`)[1]
		seed.awaitAll(t, `\[INF\] Server is ready$`, `\[INF\] Listening for route connections on (127\.0\.0\.1|localhost):4248$`)

		second := d.shell(t, "gnatsd -p 5222 -cluster nats://localhost:5248 -routes nats://localhost:4248 -D")
		second.await(t, `\[INF\] Listening for client connections on 0\.0\.0\.0:5222$`)
		secondID := second.await(t, `\[DBG\] Server id is (\w+)$`)[1]
		second.awaitAll(t, `\[INF\] Server is ready$`, `\[INF\] Listening for route connections on localhost:5248$`,
			`\[DBG\] Trying to connect to route on localhost:4248$`,
			`:4248 - rid:1 - Route connection created$`, `\[DBG\] \S+:4248 - rid:1 - Route connect msg sent$`,
			`\[DBG\] \S+:4248 - rid:1 - Registering remote route "`+id+`"$`, `\[DBG\] \S+:4248 - rid:1 - Sent local subscriptions to route$`)
		seed.awaitAll(t, `rid:1 - Route connection created$`, `\[DBG\] \S+ - rid:1 - Registering remote route "`+secondID+`"$`, `\[DBG\] \S+ - rid:1 - Sent local subscriptions to route$`)

		third := d.shell(t, "gnatsd -p 6222 -cluster nats://localhost:6248 -routes nats://localhost:4248 -D")
		thirdID := third.await(t, `\[DBG\] Server id is (\w+)$`)[1]
		third.awaitAll(t, `Registering remote route "`+id+`"$`, `Registering remote route "`+secondID+`"$`)
		seed.awaitAll(t, `rid:2 - Registering remote route "`+thirdID+`"$`)
		second.awaitAll(t, `rid:2 - Registering remote route "`+thirdID+`"$`)
		readmeMessages(t, 4222, 5222, 6222)
		for _, p := range []*process{third, second, seed} {
			p.stops(t)
		}
	}
	refused := d.shell(t, "gnatsd --routes nats://localhost:4248")
	if code, log := refused.finish(); code != 1 || len(log) != 1 || log[0] != "solicited routes require cluster capabilities, e.g. --cluster" {
		t.Errorf("routes without a cluster: got exit %d, %q", code, log)
	}
}

// readmeMessages publishes on each server, and wants every message on each.
func readmeMessages(t *testing.T, ports ...int) {
	t.Helper()
	var subs []*nats.Subscription
	var conns []*nats.Conn
	for _, port := range ports {
		nc, err := goClient(fmt.Sprintf("nats://localhost:%d", port))
		must(t, err)
		defer nc.Close()
		sub, err := nc.SubscribeSync("greeting.*")
		must(t, err)
		flush(t, nc)
		conns, subs = append(conns, nc), append(subs, sub)
	}
	for i, nc := range conns { // a request of each that all answer: then it knows of all
		eventually(t, "interest of all is known", func() bool {
			must(t, nc.Publish(fmt.Sprintf("greeting.try%d", i), nil))
			flush(t, nc)
			for _, sub := range subs {
				if n, _, _ := sub.Pending(); n <= i {
					return false
				}
			}
			return true
		})
	}
	for i, nc := range conns {
		must(t, nc.Publish(fmt.Sprintf("greeting.%d", i), nil))
		flush(t, nc)
	}
	for i, sub := range subs {
		got := map[string]int{}
		for got["greeting.0"]+got["greeting.1"]+got["greeting.2"] < len(ports) {
			m, err := sub.NextMsg(patience)
			must(t, err)
			got[m.Subject]++
		}
		for k := range ports {
			if n := got[fmt.Sprintf("greeting.%d", k)]; n != 1 {
				t.Errorf("the client of server %d got %d messages of server %d, want 1", i, n, k)
			}
		}
	}
}

func readmeSameLine(t *testing.T, d *readmeDesk) {
	env := "env HOSTNAME=localhost NATS_CLUSTER_PORT=4248 NATS_SEED_HOST=localhost "
	p := d.shell(t, env+`sh -c 'exec gnatsd --cluster nats://$HOSTNAME:$NATS_CLUSTER_PORT --routes nats://$NATS_SEED_HOST:$NATS_CLUSTER_PORT -D'`)
	p.await(t, `\[DBG\] .*Detected route to self, ignoring "nats://localhost:4248/?"$`)
	wantConnect(t, "nats://localhost:4222", true)
	p.stops(t)
}

func readmeMonitoring(t *testing.T, d *readmeDesk) {
	p := d.shell(t, "gnatsd -m 8222")
	p.await(t, stamp+`\[INF\] Starting nats-server version`)
	p.await(t, stamp+`\[INF\] Git commit \[[^\]]+\]$`)
	p.await(t, stamp+`\[INF\] Starting http monitor on 0\.0\.0\.0:8222$`)
	p.await(t, stamp+`\[INF\] Listening for client connections on 0\.0\.0\.0:4222$`)
	p.await(t, stamp+`\[INF\] Server is ready$`)
	for _, page := range []string{"varz", "connz", "routez", "subsz"} {
		wantPage(t, "http://localhost:8222/"+page, http.StatusOK, "{\n")
	}
	wantPage(t, "http://localhost:8222/", http.StatusOK, "<html")
	p.stops(t)
	p = d.shell(t, "gnatsd -ms 8222 --tlscert=./test/configs/certs/server-cert.pem --tlskey=./test/configs/certs/server-key.pem")
	p.await(t, `\[INF\] Starting https monitor on 0\.0\.0\.0:8222$`)
	must(t, securePage(t, overTLS(t, filepath.Join(d.dir, "test/configs/certs"), ""), "localhost:8222"))
	p.stops(t)
}
