package faults

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

var long = flag.Bool("faults.long", false, "stop and cut off servers for 30 s, as make faults does")

// Names of the environment variables that a test passes to itself.
const (
	inside   = "GNATSD_FAULTS_INSIDE" // name of the test that is in namespaces of its own
	buildDir = "GNATSD_FAULTS_BUILD"  // directory of the binary
)

// TestMain makes a directory for the binary, and removes it.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "gnatsd-faults-")
	if err != nil {
		panic(err)
	}
	os.Setenv(buildDir, dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// program is the path of the broker's binary.
func program() string { return filepath.Join(os.Getenv(buildDir), "gnatsd") }

// build makes the binary when it is first called.
var build = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", program(), "gnatsd").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// isolated reports whether the test is in a network and a mount namespace of its own. If not, it
// runs the test again in new ones, or skips it where they cannot be made.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return true
	}
	t.Parallel()
	if os.Getuid() != 0 {
		missing(t, "root, to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		missing(t, "the ip command (package iproute2)")
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", fmt.Sprintf("-faults.long=%v", *long))
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	if err := cmd.Start(); err != nil {
		missing(t, "leave to make namespaces: "+err.Error())
	}
	err := cmd.Wait()
	t.Logf("in namespaces of its own:\n%s", out.Bytes())
	if err != nil {
		t.Fail()
	}
	return false
}

// lab is a set of machines on two networks: one for clients, where the test is too, and one for
// routes, which can be cut.
type lab struct {
	t        *testing.T
	dir      string
	program  string
	hosts    string // path of what is /etc/hosts here
	machines []*machine
}

// machine is a place for one broker.
type machine struct {
	lab    *lab
	index  int
	name   string // for routes; looked up at every attempt
	moves  int
	args   []string
	holder *exec.Cmd // keeps the network namespace
	cmd    *exec.Cmd
	broker atomic.Int64 // process id of cmd, for other goroutines
	killed bool
}

const (
	clientBridge = "clients"
	halfA        = "halfa"
	halfB        = "halfb"
)

// newLab prepares n machines that know each other's names.
func newLab(t *testing.T, n int) *lab {
	t.Helper()
	if os.Getenv(inside) == "" {
		missing(t, "root, to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		missing(t, "the program ip (Debian: apt-get install iproute2)")
	}
	l := &lab{t: t, dir: t.TempDir()}
	l.program = filepath.Join(l.dir, "gnatsd")
	l.run("go", "build", "-o", l.program, "gnatsd")
	l.run("mount", "--make-rprivate", "/")
	l.hosts = filepath.Join(l.dir, "hosts")
	for i := range n {
		l.machines = append(l.machines, &machine{lab: l, index: i, name: fmt.Sprintf("n%d", i)})
	}
	l.writeHosts()
	l.run("mount", "--bind", l.hosts, "/etc/hosts")
	t.Cleanup(func() { l.run("umount", "/etc/hosts") })
	for _, b := range []string{clientBridge, halfA, halfB} {
		l.run("ip", "link", "add", b, "type", "bridge")
		l.run("ip", "link", "set", b, "up")
		t.Cleanup(func() { l.run("ip", "link", "del", b) })
	}
	l.run("ip", "addr", "add", "10.77.0.1/24", "dev", clientBridge)
	for _, m := range l.machines {
		m.wire()
	}
	return l
}

// missing skips a test that cannot run here, but not where all must.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
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

func (m *machine) clientIP() string { return fmt.Sprintf("10.77.0.%d", 10+m.index+20*m.moves) }

func (m *machine) routeIP() string { return fmt.Sprintf("10.78.0.%d", 10+m.index+20*m.moves) }

func (m *machine) url() string { return "nats://" + m.clientIP() + ":4222" }

// wire makes the machine's network namespace, which a process that sleeps keeps, and plugs in its
// two cables.
func (m *machine) wire() {
	l := m.lab
	l.t.Helper()
	m.holder = exec.Command("sleep", "infinity")
	m.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := m.holder.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { m.holder.Process.Kill(); m.holder.Wait() })
	for _, w := range [][3]string{{"c" + m.name, "eth0", clientBridge}, {m.port(), "eth1", halfA}} {
		l.run("ip", "link", "add", w[0], "type", "veth", "peer", "name", w[1], "netns", m.pid())
		l.t.Cleanup(func() { l.run("ip", "link", "del", w[0]) })
		l.run("ip", "link", "set", w[0], "master", w[2], "up")
	}
	m.inside("ip link set lo up && ip link set eth0 up && ip link set eth1 up")
	m.address("add")
}

func (m *machine) pid() string { return strconv.Itoa(m.holder.Process.Pid) }

// port is the end of the machine's cable for routes that is plugged into a bridge.
func (m *machine) port() string { return "r" + m.name }

// inside runs a command on the machine.
func (m *machine) inside(script string) {
	m.lab.t.Helper()
	m.lab.run("nsenter", "-t", m.pid(), "-n", "sh", "-c", script)
}

func (m *machine) address(change string) {
	m.lab.t.Helper()
	m.inside(fmt.Sprintf("ip addr %s %s/24 dev eth0 && ip addr %s %s/24 dev eth1", change, m.clientIP(), change, m.routeIP()))
}

// boot starts the broker.
func (m *machine) boot() {
	l := m.lab
	l.t.Helper()
	args := append([]string{"-t", m.pid(), "-n", l.program, "-a", m.clientIP(), "-p", "4222", "-D",
		"-l", filepath.Join(l.dir, m.name+".log"), "--cluster", "nats://" + m.routeIP() + ":6222"}, m.args...)
	m.cmd = exec.Command("nsenter", args...) // which becomes the broker
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	m.broker.Store(int64(m.cmd.Process.Pid))
	m.killed = false
}

// kill ends the broker with a signal and waits for the end.
func (m *machine) kill(signal syscall.Signal) {
	if m.killed {
		return
	}
	m.killed = true
	m.cmd.Process.Signal(syscall.SIGCONT)
	m.cmd.Process.Signal(signal)
	m.cmd.Wait()
}

func (m *machine) signal(s syscall.Signal) { m.cmd.Process.Signal(s) }

// move gives the machine, whose broker has ended, another address behind the same name.
func (m *machine) move() {
	m.address("del")
	m.moves++
	m.address("add")
	m.lab.writeHosts()
}

// plug puts the machine's routes on one of the two halves of the network.
func (m *machine) plug(bridge string) {
	m.lab.t.Helper()
	m.lab.run("ip", "link", "set", m.port(), "master", bridge)
}

// memory is what the broker occupies, in MiB.
func (m *machine) memory() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.broker.Load()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(f[1])
			return kib >> 10
		}
	}
	return 0
}
