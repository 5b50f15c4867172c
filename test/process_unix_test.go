//go:build unix

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gnatsd/server"
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

// TestSecondInterruptEndsAtOnce has a client with more to receive than it takes, for which a shutdown waits a second.
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

// portsFile waits for the ports file of a broker and returns its text.
func portsFile(t *testing.T, p *process, dir string) string {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("gnatsd_%d.ports", p.cmd.Process.Pid))
	var text []byte
	eventually(t, "a ports file", func() bool {
		var err error
		text, err = os.ReadFile(path)
		return err == nil
	})
	return string(text)
}

func TestPidAndPortsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid := filepath.Join(dir, "broker.pid")
	p := spawn(t, "-P", pid, "--ports_file_dir", dir, "-c", writeConfig(t, `
http: "127.0.0.1:-1"
prof_port: -1
cluster { listen: "127.0.0.1:-1" }`))
	monitor := p.await(t, `\[INF\] Starting http monitor on (\S+)$`)[1]
	text, err := os.ReadFile(pid)
	if want := strconv.Itoa(p.cmd.Process.Pid); err != nil || string(text) != want {
		t.Errorf("pid file before the first port is open: got %q, %v; want %q", text, err, want)
	}
	profiler := p.await(t, `\[INF\] profiling port: (\d+)$`)[1]
	clients := p.await(t, `\[INF\] Listening for client connections on (\S+)$`)[1]
	p.await(t, `\[INF\] Server is ready$`)
	routes := p.await(t, `\[INF\] Listening for route connections on (\S+)$`)[1]
	var ports server.Ports
	must(t, json.Unmarshal([]byte(portsFile(t, p, dir)), &ports))
	got := fmt.Sprint(ports.Nats, ports.Monitoring, ports.Cluster)
	if want := fmt.Sprintf("[nats://%s] [http://%s] [nats://%s]", clients, monitor, routes); got != want {
		t.Errorf("ports file: got %s, want %s", got, want)
	}
	if len(ports.Profile) == 0 || !strings.HasSuffix(ports.Profile[0], ":"+profiler) {
		t.Errorf("ports file: got %v, want the profiling port %s", ports.Profile, profiler)
	}
}

func TestPidFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, log := filepath.Join(dir, "missing", "pid"), filepath.Join(dir, "log")
	_, stderr, code := run(t, "-a", "127.0.0.1", "-p", "-1", "-P", path, "-l", log)
	if want := "Could not write pidfile: open " + path + ": no such file or directory\n\n"; stderr != want || code != 1 {
		t.Errorf("got %q, exit %d; want %q, exit 1", stderr, code, want)
	}
	text, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(text), "[FTL] Could not write pidfile") || strings.Contains(string(text), "Listening") {
		t.Errorf("log: got %q, %v; want the reason and no listener", text, err)
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
	for _, test := range []struct{ name, arg, want string }{
		{"a process that is gone", fmt.Sprintf("quit=%d", gone.Process.Pid), "no such process"},
		{"an unknown command", fmt.Sprintf("jump=%d", os.Getpid()), `unknown signal "jump"`},
		{"commands are case-sensitive", fmt.Sprintf("QUIT=%d", os.Getpid()), `unknown signal "QUIT"`},
		{"a target that is none", "quit=/no/such/file", "invalid pid: /no/such/file"},
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
