package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSignal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, arg  string
		wantCmd    string
		wantTarget string
		wantErr    string
	}{
		{"a command alone has no target", "reload", commandReload, "", ""},
		{"a command may name a pid", "quit=123", commandQuit, "123", ""},
		{"a command may name a pid file", "ldm=/run/x y.pid", commandLameDuck, "/run/x y.pid", ""},
		{"an empty target is no target", "stop=", commandStop, "", ""},
		{"commands are not checked here", "Stop=1", "Stop", "1", ""},
		{"the command may be missing", "=1", "", "1", ""},
		{"a second = is refused with what follows it", "ldm=1=2", "", "", "invalid signal parameters: [2]"},
		{"all parts from the third on are shown", "ldm=1=2=3", "", "", "invalid signal parameters: [2 3]"},
		{"even if nothing follows", "ldm=1=", "", "", "invalid signal parameters: []"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd, target, err := parseSignal(tt.arg)
			if cmd != tt.wantCmd || target != tt.wantTarget || errText(err) != tt.wantErr {
				t.Errorf("got %q, %q, %v, want %q, %q, %q", cmd, target, err, tt.wantCmd, tt.wantTarget, tt.wantErr)
			}
		})
	}
}

// FuzzParseSignalArg checks that what is accepted says what was typed.
func FuzzParseSignalArg(f *testing.F) {
	for _, seed := range []string{"", "stop", "quit=12", "ldm=/run/gnatsd.pid", "a=b=c", "="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		cmd, target, err := parseSignal(arg)
		if (err != nil) != (strings.Count(arg, "=") > 1) {
			t.Fatalf("%q: error %v", arg, err)
		}
		if err == nil && arg != cmd && arg != cmd+"="+target {
			t.Errorf("%q: got %q, %q", arg, cmd, target)
		}
	})
}

func TestResolvePid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(content string) string {
		f, err := os.CreateTemp(dir, "*.pid")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	missing := filepath.Join(dir, "missing.pid")
	_, openErr := os.Open(missing)
	tests := []struct {
		name, target string
		found        []int
		names        []string
		findErr      error
		want         int
		wantErr      string
	}{
		{name: "no process", wantErr: "no gnatsd processes running"},
		{name: "one process", found: []int{12}, want: 12},
		{name: "pid 1 of a container", found: []int{1}, want: 1},
		{name: "several processes, in order", found: []int{300, 1, 20},
			wantErr: "multiple gnatsd processes running:\n1\n20\n300"},
		{name: "a system without a list of processes", findErr: errNoProcessList, wantErr: "unable to resolve pid, try providing one"},
		{name: "a pid, whatever runs", target: "77", found: []int{1, 2}, want: 77},
		{name: "a pid file without a newline", target: file("4242"), want: 4242},
		{name: "a pid file with white space around the pid", target: file("\n\t 4242 \r\n"), want: 4242},
		{name: "a pid file that holds no pid", target: file("gnatsd\n"), wantErr: "invalid pid: gnatsd"},
		{name: "an empty pid file", target: file(""), wantErr: "invalid pid: FILE (the file is empty)"},
		{name: "a pid file that would garble a terminal", target: file("\x1b[2J"), wantErr: `invalid pid: \x1b[2J`},
		{name: "a pid file that is something else", target: file(strings.Repeat("9", 1<<20)),
			wantErr: "invalid pid: " + strings.Repeat("9", maxPidFileSize)},
		{name: "a pid file that is missing", target: missing, wantErr: "invalid pid: " + missing + " (" + errText(openErr) + ")"},
		{name: "a pid file of a process called otherwise", target: file("77"), names: []string{"sshd", "sshd: me"},
			wantErr: "invalid pid: 77 of FILE: that process is sshd, not gnatsd; the file is out of date, or give the pid"},
		{name: "a pid file of a process that was started as gnatsd", target: file("77"), names: []string{"busybox", "gnatsd"}, want: 77},
		{name: "a pid file of a process of our own name", target: file("77"), names: []string{ownName()}, want: 77},
		{name: "a pid, whatever it is called", target: "77", names: []string{"sshd"}, want: 77},
		{name: "a word", target: "gnatsd", wantErr: "invalid pid: gnatsd"},
		{name: "all processes", target: "-1", wantErr: "invalid pid: -1"},
		{name: "our process group", target: "0", wantErr: "invalid pid: 0"},
		{name: "a pid with a sign", target: "+5", wantErr: "invalid pid: +5"},
		{name: "a pid beyond all pids", target: "99999999999", wantErr: "invalid pid: 99999999999"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := processList{
				find:  func(string) ([]int, error) { return tt.found, tt.findErr },
				names: func(int) []string { return tt.names },
			}
			got, err := list.resolvePid(tt.target, "gnatsd")
			tt.wantErr = strings.ReplaceAll(tt.wantErr, "FILE", tt.target)
			if got != tt.want || errText(err) != tt.wantErr {
				t.Errorf("got %d, %v, want %d, %q", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

func TestAPidFileThatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := targetPid(dir)
	if err == nil || !strings.HasPrefix(err.Error(), "invalid pid: ") || !strings.Contains(err.Error(), "director") {
		t.Errorf("got %v, want an invalid pid that is a directory", err)
	}
}

func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	if got, want := errUnknownCommand("Stop").Error(), `unknown signal "Stop"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
