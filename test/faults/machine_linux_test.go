package faults

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This file has the machines that the brokers run on.

// lab is a set of machines on two networks: one for clients, where the test is too, and one for
// routes, which breaks.
type lab struct {
	t        *testing.T
	dir      string
	program  string // path of the broker
	settings string // lines of the configuration that all servers have
	cluster  string // and of their block cluster
	hosts    string // path of what is /etc/hosts here
	network  *network
	machines []*machine
	parted   func(server, peer int, line string) // called when the log says that a route has ended; nil for none
}

// machine is a place for one broker.
type machine struct {
	lab     *lab
	index   int
	name    string       // for routes; looked up at every attempt
	moves   atomic.Int32 // clients that reconnect look at it
	routes  []int        // the machines in its configuration
	stepped bool         // its broker has a clock that can be stepped
	clock   *clock       // of the broker, if stepped
	work    chan func()  // for the thread that is in the machine's network namespace
	thread  int          // its id
	cmd     *exec.Cmd
	reading sync.WaitGroup
	running bool

	mu        sync.Mutex        // guards what follows
	lines     []string          // of the log
	explained map[string]string // by address of a client: why it was disconnected
	peak      int64             // bytes of memory, at most
}

const clientBridge = "clients"

// newLab prepares n machines that know each other's names.
func newLab(t *testing.T, n int) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), program: program()}
	l.run("mount", "--make-rprivate", "/")
	l.hosts = filepath.Join(l.dir, "hosts")
	l.run("ip", "link", "add", clientBridge, "type", "bridge")
	t.Cleanup(func() { l.run("ip", "link", "del", clientBridge) })
	l.run("ip", "link", "set", clientBridge, "up")
	l.run("ip", "addr", "add", "10.77.0.1/24", "dev", clientBridge)
	var taps []*os.File
	for i := range n {
		m := &machine{lab: l, index: i, name: fmt.Sprintf("n%d", i), work: make(chan func()), explained: map[string]string{}}
		l.machines = append(l.machines, m)
		taps = append(taps, m.wire())
	}
	l.network = newNetwork(t, taps)
	l.writeHosts()
	l.run("mount", "--bind", l.hosts, "/etc/hosts")
	t.Cleanup(func() { l.run("umount", "/etc/hosts") })
	return l
}

func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// writeHosts says where each name is now. The file is written in place: it is mounted.
func (l *lab) writeHosts() {
	var b bytes.Buffer
	b.WriteString("127.0.0.1 localhost\n")
	for _, m := range l.machines {
		fmt.Fprintf(&b, "%s %s\n", m.routeIP(), m.name)
	}
	if err := os.WriteFile(l.hosts, b.Bytes(), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// moved is how far apart the addresses of a machine are that moves.
const moved = 20

func (m *machine) clientIP() string {
	return fmt.Sprintf("10.77.0.%d", 10+m.index+moved*int(m.moves.Load()))
}

func (m *machine) routeIP() string {
	return fmt.Sprintf("10.78.0.%d", 10+m.index+moved*int(m.moves.Load()))
}

// indexOf returns which machine has an address for routes.
func indexOf(routeIP string) (index int, err error) {
	_, err = fmt.Sscanf(routeIP, "10.78.0.%d", &index)
	return (index - 10) % moved, err
}

func (m *machine) addr() string { return m.clientIP() + ":4222" }

// wire makes the machine's network namespace, which a thread stays in, and its two devices. It
// returns the other end of the one for routes.
func (m *machine) wire() (tap *os.File) {
	l := m.lab
	l.t.Helper()
	ready := make(chan error)
	go m.serve(ready) // ends when work is closed
	if err := <-ready; err != nil {
		missing(l.t, "leave to make network namespaces: "+err.Error())
	}
	l.t.Cleanup(func() { close(m.work) })
	l.run("ip", "link", "add", "c"+m.name, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(m.thread))
	l.run("ip", "link", "set", "c"+m.name, "master", clientBridge, "up")
	l.t.Cleanup(func() { l.run("ip", "link", "del", "c"+m.name) })
	var err error
	m.do(func() { tap, err = openTap("eth1") })
	if err != nil {
		missing(l.t, "/dev/net/tun: "+err.Error())
	}
	m.inside(fmt.Sprintf("ip link set lo up && ip link set eth0 up && ip link set eth1 address 02:00:00:00:00:%02x up", m.index))
	m.address("add")
	return tap
}

// serve has a thread in a network namespace of its own, which does the work for the machine. What
// it starts is there, too, and ends when it does.
func (m *machine) serve(ready chan<- error) {
	runtime.LockOSThread() // and never unlocked: the thread ends
	m.thread = unix.Gettid()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		ready <- err
		return
	}
	ready <- nil
	for do := range m.work {
		do()
	}
}

// do has the machine's thread do something, and waits for it.
func (m *machine) do(what func()) {
	done := make(chan struct{})
	m.work <- func() { defer close(done); what() }
	<-done
}

// inside runs a command on the machine.
func (m *machine) inside(script string) {
	m.lab.t.Helper()
	var out []byte
	var err error
	m.do(func() { out, err = exec.Command("sh", "-c", script).CombinedOutput() })
	if err != nil {
		m.lab.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func (m *machine) address(change string) {
	m.lab.t.Helper()
	m.inside(fmt.Sprintf("ip addr %s %s/24 dev eth0 && ip addr %s %s/24 dev eth1", change, m.clientIP(), change, m.routeIP()))
}

// configuration is the same for every broker.
func (m *machine) configuration() string {
	routes := make([]string, 0, len(m.routes))
	for _, i := range m.routes {
		routes = append(routes, fmt.Sprintf(`"nats-route://%s:6222"`, m.lab.machines[i].name))
	}
	return fmt.Sprintf(`server_name: %s
listen: "%s"
debug: true
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
cluster { name: faults, listen: "%s:6222", routes: [%s]
%s
}
%s
`, m.name, m.addr(), m.routeIP(), strings.Join(routes, ", "), m.lab.cluster, m.lab.settings)
}

// boot starts the broker.
func (m *machine) boot() {
	l := m.lab
	l.t.Helper()
	file := filepath.Join(l.dir, m.name+".conf")
	if err := os.WriteFile(file, []byte(m.configuration()), 0o644); err != nil {
		l.t.Fatal(err)
	}
	m.cmd = exec.Command(l.program, "-c", file)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Ptrace: m.stepped}
	log, err := m.cmd.StderrPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	m.do(func() { err = m.start() })
	if err != nil {
		l.t.Fatal(err)
	}
	m.running = true
	m.reading.Go(func() { m.read(log) }) // ends with the process
}

// start starts the broker on the machine's thread.
func (m *machine) start() error {
	if err := m.cmd.Start(); err != nil || !m.stepped {
		return err
	}
	return awaitExec(m.pid(), func() (err error) {
		m.clock, err = replaceClock(m.pid())
		return err
	})
}

func (m *machine) pid() int { return m.cmd.Process.Pid }

// kill ends the broker with a signal and waits for the end.
func (m *machine) kill(signal syscall.Signal) {
	if !m.running {
		return
	}
	m.noteMemory()
	m.cmd.Process.Signal(syscall.SIGCONT)
	m.cmd.Process.Signal(signal)
	m.wait()
}

// wait waits for the end of the broker, which is expected.
func (m *machine) wait() {
	m.reading.Wait()
	m.cmd.Wait()
	m.running = false
}

// lameDuck asks the broker to end in lame duck mode, as an operator does, and waits for the end.
func (m *machine) lameDuck() {
	m.lab.t.Helper()
	m.lab.run(m.lab.program, "-sl", "ldm="+strconv.Itoa(m.pid()))
	done := make(chan struct{})
	go func() { defer close(done); m.wait() }() // ends with the broker
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); ; {
		m.noteMemory()
		select {
		case <-done:
			return
		case <-again.C:
		case <-late:
			m.lab.t.Fatalf("%s does not end in lame duck mode", m.name)
		}
	}
}

func (m *machine) signal(s syscall.Signal) { m.cmd.Process.Signal(s) }

// move gives the machine, whose broker has ended, another address behind the same name.
func (m *machine) move() {
	m.address("del")
	m.moves.Add(1)
	m.address("add")
	m.lab.writeHosts()
}

// noteMemory notes the most memory that the broker has occupied since its start.
func (m *machine) noteMemory() {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pid()))
	if err != nil {
		return // it has ended
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			m.mu.Lock()
			m.peak = max(m.peak, kib<<10)
			m.mu.Unlock()
		}
	}
}

// ofConnection finds the level, the address, the kind of connection and the text in a line of the
// log.
var ofConnection = regexp.MustCompile(`\[([A-Z]{3})\] (\S+) - ([cr]id):\d+ - (.*)$`)

// read collects the log until it ends.
func (m *machine) read(log io.Reader) {
	for scan := bufio.NewScanner(log); scan.Scan(); {
		m.note(scan.Text())
	}
}

// note notes why a client was disconnected, and that a route has ended.
func (m *machine) note(line string) {
	found := ofConnection.FindStringSubmatch(line)
	m.mu.Lock()
	m.lines = append(m.lines, line)
	if found != nil && found[3] == "cid" && found[1] != "DBG" {
		m.explained[found[2]] = found[4]
	}
	m.mu.Unlock()
	if found == nil || found[3] != "rid" || !strings.HasPrefix(found[4], "Router connection closed") || m.lab.parted == nil {
		return
	}
	if peer, err := indexOf(found[2]); err == nil && peer < len(m.lab.machines) {
		m.lab.parted(m.index, peer, found[4])
	}
}

// why returns why a client was disconnected, as the log says; "" if it does not.
func (m *machine) why(addr string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.explained[addr]
}

// tail is the end of the log, n lines.
func (m *machine) tail(n int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.lines[max(0, len(m.lines)-n):], "\n")
}
