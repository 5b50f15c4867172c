//go:build unix

package server

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

// The tests here need real signals, so they run the test binary again as a child that plays a scene. Parent and child
// talk in lines over two pipes, and wait for each other only there.

// envScene tells the test binary that it is a child, and which scene to play.
const envScene = "GNATSD_TEST_SCENE"

// Scenes.
const (
	sceneTrap    = "trap"    // traps signals and reports what they do
	sceneHang    = "hang"    // traps signals, and no shutdown ever ends
	sceneStuck   = "stuck"   // traps signals, and no reload ever ends
	sceneStopped = "stopped" // trapped signals, and no longer does
)

// childTimeout is how long a child may take to say what it is to say, much longer than it needs.
const childTimeout = time.Minute

// childStage is what a child has: its lines from and to the parent.
type childStage struct {
	in    *bufio.Reader
	out   io.Writer
	scene string
}

// newChildStage is the child's end of the two pipes.
func newChildStage(scene string) *childStage {
	return &childStage{in: bufio.NewReader(os.NewFile(3, "in")), out: os.NewFile(4, "out"), scene: scene}
}

// report says a line to the parent.
func (c *childStage) report(line string) { fmt.Fprintln(c.out, line) }

// await waits for a line of the parent. A parent that has gone ends the child.
func (c *childStage) await(line string) {
	got, err := c.in.ReadString('\n')
	if err != nil || got != line+"\n" {
		os.Exit(3)
	}
}

// actions is a broker that reports what it is made to do.
func (c *childStage) actions() signalActions { return childBroker{c} }

// childBroker is the broker of a child.
type childBroker struct{ c *childStage }

func (b childBroker) Shutdown() {
	b.c.report("shutdown")
	if b.c.scene == sceneHang {
		select {}
	}
}

func (b childBroker) Reload() error {
	b.c.report("reload")
	if b.c.scene == sceneStuck {
		select {}
	}
	return errFake
}

func (b childBroker) ReOpenLogFile() { b.c.report("reopen") }
func (b childBroker) lameDuckMode()  { b.c.report("lame duck") }
func (b childBroker) Debugf(format string, v ...any) {
	b.c.report("debug " + fmt.Sprintf(format, v...))
}
func (b childBroker) Errorf(format string, v ...any) {
	b.c.report("error " + fmt.Sprintf(format, v...))
}

// TestChildProcess is what the test binary does as a child.
func TestChildProcess(t *testing.T) {
	scene := os.Getenv(envScene)
	if scene == "" {
		t.Skip("for children of other tests")
	}
	c := newChildStage(scene)
	loop := startSignalLoop(c.actions(), os.Exit)
	if scene == sceneStopped {
		loop.stop()
		loop.stop()
	}
	c.report("ready")
	c.await("end")
	os.Exit(3)
}

// childSpec is how to start a child.
type childSpec struct {
	argv0 string // what it is called by, if not as its executable
	entry string // the test that it runs, if not TestChildProcess
	scene string
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
	cmd.Env = append(os.Environ(), envScene+"="+spec.scene)
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
func (c *testChild) send(t *testing.T, cmd Command) {
	t.Helper()
	must(t, ProcessSignal(cmd, strconv.Itoa(c.pid())))
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
	child := startChild(t, childSpec{scene: sceneTrap})
	steps := []struct {
		cmd  Command
		want []string
	}{
		{CommandReload, []string{`debug Trapped "hangup" signal`, "reload",
			"error Failed to reload server configuration: it does not work"}},
		{CommandReopen, []string{`debug Trapped "user defined signal 1" signal`, "reopen"}},
		{commandLDM, []string{`debug Trapped "user defined signal 2" signal`, "lame duck"}},
		{CommandQuit, []string{`debug Trapped "interrupt" signal`, "shutdown"}},
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
		name, scene string
		send        []Command
		want        [][]string
		wantEnd     string
	}{
		{"SIGTERM stops in order", sceneTrap, []Command{CommandTerm},
			[][]string{{`debug Trapped "terminated" signal`, "shutdown"}}, "exit status 0"},
		{"a second SIGINT ends a shutdown that hangs", sceneHang, []Command{CommandQuit, CommandQuit},
			[][]string{{`debug Trapped "interrupt" signal`, "shutdown"}, {`debug Trapped "interrupt" signal`}}, "exit status 130"},
		{"a second SIGTERM does not, a SIGHUP neither", sceneHang, []Command{CommandTerm, CommandTerm, CommandReopen, CommandQuit},
			[][]string{{`debug Trapped "terminated" signal`, "shutdown"}, {`debug Trapped "terminated" signal`},
				{`debug Trapped "user defined signal 1" signal`, "reopen"}, {`debug Trapped "interrupt" signal`}}, "exit status 130"},
		{"a reload that hangs does not keep SIGINT out", sceneStuck, []Command{CommandReload, CommandQuit},
			[][]string{{`debug Trapped "hangup" signal`, "reload"}, {`debug Trapped "interrupt" signal`, "shutdown"}}, "exit status 0"},
		{"SIGKILL ends without a word", sceneTrap, []Command{CommandStop}, [][]string{nil}, "signal: killed"},
		{"after stop the system decides", sceneStopped, []Command{CommandQuit}, [][]string{nil}, "signal: interrupt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			child := startChild(t, childSpec{scene: tt.scene})
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
		cmd          Command
		killErr      error
		want         string
		wantErr      string
	}{
		{"stop", "7", CommandStop, nil, "7 killed", ""},
		{"quit", "7", CommandQuit, nil, "7 interrupt", ""},
		{"term", "7", CommandTerm, nil, "7 terminated", ""},
		{"reopen", "7", CommandReopen, nil, "7 user defined signal 1", ""},
		{"reload", "7", CommandReload, nil, "7 hangup", ""},
		{"ldm", "7", commandLDM, nil, "7 user defined signal 2", ""},
		{"an unknown command", "7", "Reload", nil, "", `unknown signal "Reload"`},
		{"an unknown command to no process names the process", "x", "Reload", nil, "", "invalid pid: x"},
		{"a process that is gone", "7", CommandQuit, syscall.ESRCH, "7 interrupt", "no such process"},
		{"a process of somebody else", "7", CommandQuit, syscall.EPERM, "7 interrupt", "operation not permitted"},
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

// TestSignalLoopForgetsRepeats sends reloads while one hangs: one more waits, the rest would change nothing.
func TestSignalLoopForgetsRepeats(t *testing.T) {
	t.Parallel()
	b := newFakeBroker()
	b.reloads = make(chan error)
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
	b.reloads <- nil
	b.want(t, "reload")
	b.reloads <- nil
	b.want(t, "reopen")
	loop.stop()
}

func TestStopDuringAShutdownBySignalKeepsListening(t *testing.T) {
	t.Parallel()
	b := newFakeBroker()
	codes := make(chan int)
	loop := newSignalLoop(b, trappedSignals(), func(code int) { codes <- code })
	loop.run()
	b.onShutdown = loop.stop
	loop.signals <- syscall.SIGTERM
	b.want(t, `debug Trapped "terminated" signal`, "shutdown")
	loop.signals <- syscall.SIGHUP
	b.want(t, `debug Trapped "hangup" signal`, "reload")
	if got := <-codes; got != 0 {
		t.Errorf("exit code %d, want 0", got)
	}
	<-loop.done
}

func TestRunAsProcess(t *testing.T) {
	t.Parallel()
	b := newFakeBroker()
	b.runErr = errFake
	b.Shutdown()
	if err := runAsProcess(b); err != errFake {
		t.Errorf("got %v, want %v", err, errFake)
	}
	if got, want := b.seen(), []string{"shutdown", "run"}; !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}
