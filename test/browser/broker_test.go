package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait. Nothing takes long; the machine may be busy.
const patience = 2 * time.Minute

// binary is the path of the broker under test, which TestMain builds.
var binary = filepath.Join(os.TempDir(), fmt.Sprintf("gnatsd-browser-%d", os.Getpid()))

// broker is a broker as a process. Its addresses stay the same when it is started again.
type broker struct {
	t       *testing.T
	config  string // a file
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has
	clients string
	monitor string
	meshed  bool // it has a cluster
	routes  string
}

// startBroker runs a broker with a configuration until the test ends. The ports are any that are
// free.
func startBroker(t *testing.T, config string) *broker {
	t.Helper()
	b := &broker{t: t, config: filepath.Join(t.TempDir(), "gnatsd.conf"), meshed: strings.Contains(config, "cluster {")}
	if err := os.WriteFile(b.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	b.start("-a", "127.0.0.1", "-p", "-1", "-m", "-1")
	return b
}

// startAgain starts a broker that was killed.
func (b *broker) startAgain() {
	b.t.Helper()
	b.start("-a", "127.0.0.1", "-p", port(b.clients), "-m", port(b.monitor))
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// listening are the lines of the log that say an address.
var listening = regexp.MustCompile(`(client connections|http monitor|route connections) on (\S+)`)

// start runs the process and waits until its log says that it is ready, and where it listens.
func (b *broker) start(args ...string) {
	b.t.Helper()
	b.cmd = exec.Command(binary, append([]string{"-c", b.config}, args...)...)
	log, err := b.cmd.StderrPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	b.ended = ended
	var said strings.Builder
	go func() { // ends with the process
		defer close(ended)
		var once sync.Once
		up := false
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			line := lines.Text()
			if m := listening.FindStringSubmatch(line); m != nil {
				*map[string]*string{"client connections": &b.clients, "http monitor": &b.monitor, "route connections": &b.routes}[m[1]] = m[2]
			}
			fmt.Fprintln(&said, line)
			up = up || strings.Contains(line, "Server is ready")
			if up && (b.routes != "" || !b.meshed) {
				once.Do(func() { close(ready) })
			}
		}
		b.cmd.Wait()
	}()
	select {
	case <-ready:
	case <-ended:
		b.t.Fatalf("the broker ended:\n%s", said.String())
	case <-time.After(patience):
		b.t.Fatal("the broker does not come up")
	}
}

// kill ends the process at once.
func (b *broker) kill() {
	if b.cmd == nil || b.cmd.Process == nil {
		return
	}
	b.cmd.Process.Kill()
	<-b.ended
}

// page is the address of the dashboard.
func (b *broker) page() string { return "http://" + b.monitor + "/" }

// mostPending returns how many bytes wait for the client that is furthest behind.
func (b *broker) mostPending() int {
	b.t.Helper()
	resp, err := http.Get(b.page() + "connz?sort=pending&limit=1")
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var z struct {
		Connections []struct {
			Pending int `json:"pending_bytes"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&z); err != nil || len(z.Connections) != 1 {
		b.t.Fatalf("connz: got %+v, %v", z, err)
	}
	return z.Connections[0].Pending
}

// client is a client that sends what a test wants.
type client struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

// connect connects a client with a name and whatever else CONNECT is to say, as JSON.
func (b *broker) connect(name, more string) *client {
	b.t.Helper()
	nc, err := net.Dial("tcp", b.clients)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { nc.Close() })
	c := &client{t: b.t, nc: nc, r: bufio.NewReader(nc)}
	c.say(fmt.Sprintf(`CONNECT {"verbose":false,"pedantic":false,"protocol":1,"lang":"go","version":"1.55.0","name":%s%s}`, quoted(name), more))
	return c
}

// quoted returns a text as JSON.
func quoted(text string) string {
	j, err := json.Marshal(text)
	if err != nil {
		panic(err) // a text can always be encoded
	}
	return string(j)
}

// say sends lines and waits until the broker has acted on them.
func (c *client) say(lines ...string) {
	c.t.Helper()
	c.send(append(lines, "PING")...)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("no PONG: %v", err)
		}
		if line == "PONG\r\n" {
			return
		}
	}
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// keepUp connects a client that reads all it is sent on a subject. While one does, the broker does
// not hold publishers back for others that do not.
func (b *broker) keepUp(subject string) {
	b.t.Helper()
	c := b.connect("reader of "+subject, "")
	c.say("SUB " + subject + " 1")
	go drain(c)
}

// drain reads what a client is sent, until its connection ends.
func drain(c *client) {
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.nc.Read(buf); err != nil {
			return
		}
	}
}

// publish sends messages of a size, and waits until the broker has them.
func (c *client) publish(subject string, messages, size int) {
	c.t.Helper()
	one := fmt.Sprintf("PUB %s %d\r\n%s\r\n", subject, size, strings.Repeat("x", size))
	c.say(strings.TrimSuffix(strings.Repeat(one, messages), "\r\n"))
}
