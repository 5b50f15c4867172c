//go:build unix

package process

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests here need real signals, so they run the test binary again as a child that plays a role.
// Parent and child talk in lines over two pipes, and wait for each other only there.

// envRole is set for a child: it names its role.
const envRole = "GNATSD_TEST_ROLE"

// Roles.
const (
	roleTrap    = "trap"    // traps signals and reports what they do
	roleHang    = "hang"    // traps signals, and no shutdown ever ends
	roleStuck   = "stuck"   // traps signals, and no reload ever ends
	roleStopped = "stopped" // trapped signals, and no longer does
)

// childTimeout is how long a child may take to say what it is to say, much longer than it needs.
const childTimeout = time.Minute

// childEnd is what a child has: its lines from and to the parent.
type childEnd struct {
	in   *bufio.Reader
	out  io.Writer
	role string
}

// newChildEnd is the child's end of the two pipes.
func newChildEnd(role string) *childEnd {
	return &childEnd{in: bufio.NewReader(os.NewFile(3, "in")), out: os.NewFile(4, "out"), role: role}
}

// report says a line to the parent.
func (c *childEnd) report(line string) { fmt.Fprintln(c.out, line) }

// await waits for a line of the parent. A parent that has gone ends the child.
func (c *childEnd) await(line string) {
	got, err := c.in.ReadString('\n')
	if err != nil || got != line+"\n" {
		os.Exit(3)
	}
}

// actions is a broker that reports what it is made to do.
func (c *childEnd) actions() Actions { return childBroker{c} }

// childBroker is the broker of a child.
type childBroker struct{ c *childEnd }

func (b childBroker) Shutdown() {
	b.c.report("shutdown")
	if b.c.role == roleHang {
		select {}
	}
}

func (b childBroker) Reload() {
	b.c.report("reload")
	if b.c.role == roleStuck {
		select {}
	}
}

func (b childBroker) ReOpenLogFile()   { b.c.report("reopen") }
func (b childBroker) LameDuck()        { b.c.report("lame duck") }
func (b childBroker) Rebalance()       { b.c.report("rebalance") }
func (b childBroker) InLameDuck() bool { return false }
func (b childBroker) Noticef(format string, v ...any) {
	b.c.report("notice " + fmt.Sprintf(format, v...))
}
func (b childBroker) Debugf(format string, v ...any) {
	b.c.report("debug " + fmt.Sprintf(format, v...))
}

// TestChildProcess is what the test binary does as a child.
func TestChildProcess(t *testing.T) {
	role := os.Getenv(envRole)
	if role == "" {
		t.Skip("for children of other tests")
	}
	c := newChildEnd(role)
	loop := StartSignalLoop(c.actions(), os.Exit)
	if role == roleStopped {
		loop.Stop()
		loop.Stop()
	}
	c.report("ready")
	c.await("end")
	os.Exit(3)
}

// childSpec is how to start a child.
type childSpec struct {
	argv0 string // what it is called by, if not as its executable
	entry string // the test that it runs, if not TestChildProcess
	role  string
	attr  *syscall.SysProcAttr
}

// A testChild is a running child.
type testChild struct {
	cmd   *exec.Cmd
	in    *os.File
	lines chan string
}

// startChild starts a child and waits until it is ready.
func startChild(t *testing.T, spec childSpec) *testChild {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	childIn, in, err := os.Pipe()
	must(t, err)
	out, childOut, err := os.Pipe()
	must(t, err)
	entry := cmp.Or(spec.entry, "TestChildProcess")
	cmd := exec.Command(exe, "-test.run=^"+entry+"$")
	if spec.argv0 != "" {
		cmd.Args[0] = spec.argv0
	}
	cmd.Env = append(os.Environ(), envRole+"="+spec.role)
	cmd.ExtraFiles = []*os.File{childIn, childOut}
	cmd.SysProcAttr = spec.attr
	err = cmd.Start()
	childIn.Close()
	childOut.Close()
	if errors.Is(err, syscall.EPERM) {
		missing(t, "the right to start such a process: "+err.Error())
	}
	must(t, err)
	c := &testChild{cmd: cmd, in: in, lines: make(chan string)}
	gone := make(chan struct{})
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		close(gone)
		in.Close()
		out.Close()
	})
	// Ended by the end of the child, or of the test.
	go func() {
		defer close(c.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			select {
			case c.lines <- scan.Text():
			case <-gone:
				return
			}
		}
	}()
	c.want(t, "ready")
	return c
}

// pid is the child's pid.
func (c *testChild) pid() int { return c.cmd.Process.Pid }

// say says a line to the child.
func (c *testChild) say(t *testing.T, line string) {
	t.Helper()
	_, err := fmt.Fprintln(c.in, line)
	must(t, err)
}

// want waits for lines of the child.
func (c *testChild) want(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		select {
		case got := <-c.lines:
			if got != want {
				t.Fatalf("child: got %q, want %q", got, want)
			}
		case <-time.After(childTimeout):
			t.Fatalf("child: got nothing, want %q", want)
		}
	}
}

// send sends a command to the child by its pid.
func (c *testChild) send(t *testing.T, cmd string) {
	t.Helper()
	must(t, Signal(cmd, strconv.Itoa(c.pid())))
}

// wantEnd waits for the end of the child.
func (c *testChild) wantEnd(t *testing.T, want string) {
	t.Helper()
	for line := range c.lines {
		t.Errorf("child: got %q, want its end", line)
	}
	c.cmd.Wait()
	if got := c.cmd.ProcessState.String(); got != want {
		t.Errorf("child ended with %q, want %q", got, want)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	child := startChild(t, childSpec{role: roleTrap})
	steps := []struct {
		cmd  string
		want []string
	}{
		{commandReload, []string{`debug Trapped "hangup" signal`, "reload"}},
		{commandReopen, []string{`debug Trapped "user defined signal 1" signal`, "reopen"}},
		{commandLameDuck, []string{`debug Trapped "user defined signal 2" signal`, "lame duck"}},
		{commandRebalance, []string{`debug Trapped "stopped (tty input)" signal`, "rebalance"}},
		{commandQuit, []string{`debug Trapped "interrupt" signal`, "shutdown"}},
	}
	for _, step := range steps {
		child.send(t, step.cmd)
		child.want(t, step.want...)
	}
	child.wantEnd(t, "exit status 0")
}

func TestSignalsThatEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, role string
		send       []string
		want       [][]string
		wantEnd    string
	}{
		{"SIGTERM stops in order", roleTrap, []string{commandTerm},
			[][]string{{`debug Trapped "terminated" signal`, "shutdown"}}, "exit status 0"},
		{"a second SIGINT ends a shutdown that hangs", roleHang, []string{commandQuit, commandQuit},
			[][]string{{`debug Trapped "interrupt" signal`, "shutdown"}, {`debug Trapped "interrupt" signal`}}, "exit status 130"},
		{"a second SIGTERM does not, a SIGHUP neither", roleHang, []string{commandTerm, commandTerm, commandReopen, commandQuit},
			[][]string{{`debug Trapped "terminated" signal`, "shutdown"}, {`debug Trapped "terminated" signal`},
				{`debug Trapped "user defined signal 1" signal`, "reopen"}, {`debug Trapped "interrupt" signal`}}, "exit status 130"},
		{"a reload that hangs does not keep SIGINT out", roleStuck, []string{commandReload, commandQuit},
			[][]string{{`debug Trapped "hangup" signal`, "reload"}, {`debug Trapped "interrupt" signal`, "shutdown"}}, "exit status 0"},
		{"SIGKILL ends it at once", roleTrap, []string{commandStop}, [][]string{nil}, "signal: killed"},
		{"after stop the system decides", roleStopped, []string{commandQuit}, [][]string{nil}, "signal: interrupt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			child := startChild(t, childSpec{role: tt.role})
			for i, cmd := range tt.send {
				child.send(t, cmd)
				child.want(t, tt.want[i]...)
			}
			child.wantEnd(t, tt.wantEnd)
		})
	}
}

func TestSendCommand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target string
		cmd          string
		killErr      error
		want         string
		wantErr      string
	}{
		{"stop", "7", commandStop, nil, "7 killed", ""},
		{"quit", "7", commandQuit, nil, "7 interrupt", ""},
		{"term", "7", commandTerm, nil, "7 terminated", ""},
		{"reopen", "7", commandReopen, nil, "7 user defined signal 1", ""},
		{"reload", "7", commandReload, nil, "7 hangup", ""},
		{"ldm", "7", commandLameDuck, nil, "7 user defined signal 2", ""},
		{"rebalance", "7", commandRebalance, nil, "7 stopped (tty input)", ""},
		{"an unknown command", "7", "Reload", nil, "", `unknown signal "Reload"`},
		{"an unknown command to no process names the process", "x", "Reload", nil, "", "invalid pid: x"},
		{"a process that is gone", "7", commandQuit, syscall.ESRCH, "7 interrupt", "no such process"},
		{"a process of another user", "7", commandQuit, syscall.EPERM, "7 interrupt", "operation not permitted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			err := sendCommand(tt.cmd, tt.target, func(pid int, sig syscall.Signal) error {
				got = fmt.Sprintf("%d %v", pid, sig)
				return tt.killErr
			})
			if got != tt.want || errText(err) != tt.wantErr {
				t.Errorf("got %q, %v, want %q, %q", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestEveryCommandIsTrapped(t *testing.T) {
	t.Parallel()
	trapped := trappedSignals()
	for cmd, sig := range commandSignals {
		if _, ok := trapped[sig]; !ok && sig != syscall.SIGKILL {
			t.Errorf("%s sends %v, which is not trapped", cmd, sig)
		}
		if _, ok := commandControls[cmd]; !ok {
			t.Errorf("%s has no control for Windows services", cmd)
		}
	}
	if got, want := len(trapped), len(commandSignals)-1; got != want {
		t.Errorf("%d signals are trapped, want %d", got, want)
	}
}

// TestSignalLoopForgetsRepeats sends reloads while one hangs: one more waits, the rest would change
// nothing.
func TestSignalLoopForgetsRepeats(t *testing.T) {
	t.Parallel()
	b := newFakeBroker()
	b.reloads = make(chan bool)
	loop := newSignalLoop(b, trappedSignals(), func(int) {})
	loop.run()
	loop.signals <- syscall.SIGHUP
	b.want(t, `debug Trapped "hangup" signal`, "reload")
	for range 3 {
		loop.signals <- syscall.SIGHUP
		b.want(t, `debug Trapped "hangup" signal`)
	}
	loop.signals <- syscall.SIGUSR1
	b.want(t, `debug Trapped "user defined signal 1" signal`)
	b.reloads <- true
	b.want(t, "reload")
	b.reloads <- true
	b.want(t, "reopen")
	loop.Stop()
}

// TestTerminationWaitsForLameDuckMode sends SIGTERM while lame duck mode is still to begin behind a
// reload, and after it has begun.
func TestTerminationWaitsForLameDuckMode(t *testing.T) {
	t.Parallel()
	const ignored = "notice SIGTERM is ignored in lame duck mode, which ends with a shutdown; SIGINT stops at once"
	b := newFakeBroker()
	b.reloads = make(chan bool)
	codes := make(chan int)
	loop := newSignalLoop(b, trappedSignals(), func(code int) { codes <- code })
	loop.run()
	loop.signals <- syscall.SIGHUP
	b.want(t, `debug Trapped "hangup" signal`, "reload")
	loop.signals <- syscall.SIGUSR2
	loop.signals <- syscall.SIGUSR2
	loop.signals <- syscall.SIGTERM
	b.want(t, `debug Trapped "user defined signal 2" signal`, `debug Trapped "user defined signal 2" signal`, `debug Trapped "terminated" signal`)
	b.reloads <- true
	b.want(t, "lame duck", ignored)
	loop.signals <- syscall.SIGTERM
	b.want(t, `debug Trapped "terminated" signal`, ignored)
	loop.signals <- syscall.SIGINT
	b.want(t, `debug Trapped "interrupt" signal`, "shutdown")
	if got := <-codes; got != 0 {
		t.Errorf("exit code %d, want 0", got)
	}
	<-loop.done
}

func TestStopDuringAShutdownBySignalKeepsListening(t *testing.T) {
	t.Parallel()
	b := newFakeBroker()
	codes := make(chan int)
	loop := newSignalLoop(b, trappedSignals(), func(code int) { codes <- code })
	loop.run()
	b.onShutdown = loop.Stop
	loop.signals <- syscall.SIGTERM
	b.want(t, `debug Trapped "terminated" signal`, "shutdown")
	loop.signals <- syscall.SIGHUP
	b.want(t, `debug Trapped "hangup" signal`, "reload")
	if got := <-codes; got != 0 {
		t.Errorf("exit code %d, want 0", got)
	}
	<-loop.done
}

func TestRun(t *testing.T) {
	t.Parallel()
	b := newFakeBroker()
	b.runErr = errFake
	b.Shutdown()
	if err := Run(b); err != errFake {
		t.Errorf("got %v, want %v", err, errFake)
	}
	if got, want := b.seen(), []string{"shutdown", "run"}; !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}
