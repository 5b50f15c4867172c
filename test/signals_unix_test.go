//go:build unix

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gnatsd/test/wire"
)

// signal sends a signal to the broker.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	must(t, p.cmd.Process.Signal(s))
}

// finish waits for the end of the program and returns its exit code and the rest of its log.
func (p *process) finish() (code int, log []string) {
	for line := range p.lines {
		log = append(log, line)
	}
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode(), log
}

// writeConfig writes a configuration file and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gnatsd.conf")
	must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

// alive fails the test unless the broker answers.
func alive(t *testing.T, addr string) {
	t.Helper()
	c := wire.Dial(t, addr)
	c.Say("PING")
	c.Want("PONG")
}

func TestSignalsThatLeaveTheBrokerRunning(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-D")
	addr := p.addr(t)
	for _, test := range []struct {
		signal syscall.Signal
		want   []string
	}{
		{syscall.SIGHUP, []string{
			`\[DBG\] Trapped "hangup" signal$`,
			`\[ERR\] Failed to reload server configuration: can only reload config when a file is provided using -c or --config$`,
		}},
		{syscall.SIGUSR1, []string{
			`\[DBG\] Trapped "user defined signal 1" signal$`,
			`\[INF\] File log re-open ignored, not a file logger$`,
		}},
	} {
		p.signal(t, test.signal)
		for _, want := range test.want {
			p.await(t, want)
		}
		alive(t, addr)
	}
}

func TestSignalsThatEndTheBroker(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		signal syscall.Signal
		code   int
		want   string // in the log from then on, lines joined by "|"
	}{
		{syscall.SIGINT, 0, `Trapped "interrupt" signal\|.*Initiating Shutdown\.\.\.\|.*Server Exiting\.\.$`},
		{syscall.SIGTERM, 0, `Trapped "terminated" signal\|.*Initiating Shutdown\.\.\.\|.*Server Exiting\.\.$`},
		{syscall.SIGUSR2, 0, `Trapped "user defined signal 2" signal\|.*Entering lame duck mode, stop accepting new clients\|.*Initiating Shutdown\.\.\.\|.*Server Exiting\.\.$`},
		{syscall.SIGQUIT, 2, `SIGQUIT: quit.*goroutine `},
		{syscall.SIGKILL, -1, `^$`},
	} {
		t.Run(test.signal.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := spawn(t, "-D", "-P", filepath.Join(dir, "pid"), "--ports_file_dir", dir)
			p.addr(t)
			portsFile(t, p, dir)
			code, log := p.stop(t, test.signal)
			if text := strings.Join(log, "|"); code != test.code || !regexp.MustCompile(test.want).MatchString(text) {
				t.Errorf("got exit %d and %q, want %d and a match of %s", code, text, test.code, test.want)
			}
			left, _ := os.ReadDir(dir)
			if test.code == 0 && len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestSecondInterruptEndsAtOnce has a client with more to receive than it takes, for which a
// shutdown waits a second.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-c", writeConfig(t, `write_deadline: "1m"`))
	addr := p.addr(t)
	deaf, talker := wire.Dial(t, addr), wire.Dial(t, addr)
	deaf.Say(`CONNECT {"verbose":false}`, "SUB foo 1", "PING")
	deaf.Want("PONG")
	talker.Say(`CONNECT {"verbose":false}`)
	payload := strings.Repeat("x", 1<<20)
	for range 12 {
		talker.Say("PUB foo "+strconv.Itoa(len(payload)), payload)
	}
	talker.Say("PING")
	talker.Want("PONG")
	p.signal(t, syscall.SIGINT)
	p.await(t, `Initiating Shutdown\.\.\.$`)
	code, log := p.stop(t, syscall.SIGINT)
	if code != 130 || len(log) > 0 {
		t.Errorf("got exit %d and %q, want 130 and no more lines", code, log)
	}
}

// TestSignalFlagByTarget names the broker by pid and by pid file.
func TestSignalFlagByTarget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command string
		want    string // in the log; "" for none
		code    int    // of the broker, if it ends
		ends    bool
	}{
		{"reload", `Failed to reload server configuration: can only reload`, 0, false},
		{"reopen", `File log re-open ignored, not a file logger$`, 0, false},
		{"quit", `Server Exiting\.\.$`, 0, true},
		{"term", `Server Exiting\.\.$`, 0, true},
		{"ldm", `Entering lame duck mode`, 0, true},
		{"stop", ``, -1, true},
	} {
		for _, by := range []string{"pid", "pid file"} {
			t.Run(test.command+" by "+by, func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(t.TempDir(), "pid")
				p := spawn(t, "-P", file)
				addr := p.addr(t)
				target := strconv.Itoa(p.cmd.Process.Pid)
				if by == "pid file" {
					must(t, os.WriteFile(file, []byte(target+"\n"), 0o600)) // white space around it does not matter
					target = file
				}
				if stdout, stderr, code := run(t, "-c", "/no/such/file", "-sl", test.command+"="+target); stdout+stderr != "" || code != 0 {
					t.Errorf("got %q, %q, exit %d; want silence", stdout, stderr, code)
				}
				if test.want != "" {
					p.await(t, test.want)
				}
				if !test.ends {
					alive(t, addr)
					return
				}
				if code, log := p.finish(); code != test.code {
					t.Errorf("got exit %d, want %d: %q", code, test.code, log)
				}
			})
		}
	}
}

func TestSignalFlagErrors(t *testing.T) {
	t.Parallel()
	gone := exec.Command("true")
	must(t, gone.Run())
	garbage := filepath.Join(t.TempDir(), "pid")
	must(t, os.WriteFile(garbage, []byte("seven\n"), 0o600))
	self, err := os.Executable()
	must(t, err)
	old := filepath.Join(t.TempDir(), "old") // with a pid that another program has now: that of the test
	must(t, os.WriteFile(old, []byte(strconv.Itoa(os.Getpid())), 0o600))
	for _, test := range []struct{ name, arg, want string }{
		{"a process that is gone", fmt.Sprintf("quit=%d", gone.Process.Pid), "no such process"},
		{"an unknown command", fmt.Sprintf("jump=%d", os.Getpid()), `unknown signal "jump"`},
		{"commands are case-sensitive", fmt.Sprintf("QUIT=%d", os.Getpid()), `unknown signal "QUIT"`},
		{"a target that is none", "quit=/no/such/file", "invalid pid: /no/such/file (open /no/such/file: no such file or directory)"},
		{"a pid file that is out of date", "quit=" + old, "invalid pid: " + strconv.Itoa(os.Getpid()) + " of " + old + ": that process is " + filepath.Base(self) + ", not gnatsd; the file is out of date, or give the pid"},
		{"a pid file with something else", "quit=" + garbage, "invalid pid: seven"},
		{"a group of processes", "quit=-1", "invalid pid: -1"},
		{"two targets", "quit=1=2", "invalid signal parameters: [2]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, code := run(t, "-sl", test.arg)
			if stdout != "" || stderr != test.want+"\n" || code != 1 {
				t.Errorf("got %q, %q on stderr, exit %d; want %q, exit 1", stdout, stderr, code, test.want)
			}
		})
	}
}

func TestSignalsStopTheBrokerInOrder(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := spawn(t)
			c := wire.Dial(t, p.addr(t))
			c.Say(`CONNECT {"verbose":false}`, "SUB foo 1", "PING")
			c.Want("PONG")
			code, log := p.stop(t, signal)
			if code != 0 {
				t.Errorf("got exit %d, want 0", code)
			}
			c.End()
			if n := len(log); n < 2 || !strings.HasSuffix(log[n-2], "[INF] Initiating Shutdown...") || !strings.HasSuffix(log[n-1], "[INF] Server Exiting..") {
				t.Errorf("got %q, want the two lines of a stop", log)
			}
		})
	}
}

// TestReloadWithoutAReaderOfStandardOutput has a supervisor that closes the standard output, where
// each reload prints a warning.
func TestReloadWithoutAReaderOfStandardOutput(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	must(t, err)
	cmd := command(t, "-a", "127.0.0.1", "-p", "-1", "-c", writeConfig(t, "write_deadline: 2"))
	cmd.Stdout = w
	p := launch(t, cmd)
	must(t, w.Close())
	addr := p.addr(t)
	must(t, r.Close())
	for range 3 {
		p.signal(t, syscall.SIGHUP)
		p.await(t, `Reloaded server configuration$`)
		alive(t, addr)
	}
}
