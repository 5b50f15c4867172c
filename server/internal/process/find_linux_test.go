package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fakeProcess is a process in a made-up /proc. Files that are empty are absent.
type fakeProcess struct {
	dir     string // "self" or its pid in the outermost namespace
	state   string // "S" if empty
	comm    string
	cmdline string
	exe     string
	nsLink  string
	nsPids  string
}

// mount writes the process under root.
func (p fakeProcess) mount(t *testing.T, root string) {
	t.Helper()
	dir := filepath.Join(root, p.dir)
	must(t, os.MkdirAll(filepath.Join(dir, "ns"), 0o755))
	file := func(name, content string) {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	if p.state == "" {
		p.state = "S"
	}
	file("stat", fmt.Sprintf("%s (%s) %s 1 2 3\n", p.dir, p.comm, p.state))
	file("comm", p.comm+"\n")
	file("cmdline", p.cmdline)
	status := "Name:\t" + p.comm + "\nState:\t" + p.state + "\n"
	if p.nsPids != "" {
		status += "NSpid:\t" + p.nsPids + "\nNSpgid:\t7\n"
	}
	file("status", status)
	if p.exe != "" {
		must(t, os.Symlink(p.exe, filepath.Join(dir, "exe")))
	}
	if p.nsLink != "" {
		must(t, os.Symlink(p.nsLink, filepath.Join(dir, "ns", "pid")))
	}
}

func TestFindReadsProc(t *testing.T) {
	t.Parallel()
	self := fakeProcess{dir: "self", comm: "gnatsd", cmdline: "gnatsd\x00-sl\x00quit\x00", nsLink: "pid:[1]", nsPids: "9"}
	us := self
	us.dir = "9"
	tests := []struct {
		name      string
		processes []fakeProcess
		want      []int
	}{
		{"ourselves do not count", []fakeProcess{self, us}, nil},
		{"by executable, not by its short name", []fakeProcess{self,
			{dir: "12", comm: "x", cmdline: "broker\x00", exe: "/usr/sbin/gnatsd", nsPids: "12"}}, []int{12}},
		{"by executable that was replaced by an upgrade", []fakeProcess{self,
			{dir: "12", comm: "x", exe: "/usr/sbin/gnatsd (deleted)", nsPids: "12"}}, []int{12}},
		{"by argv[0] where the executable cannot be read", []fakeProcess{self,
			{dir: "12", comm: "x", cmdline: "/opt/gnatsd\x00-c\x00a", nsPids: "12"}}, []int{12}},
		{"by short name if by nothing else", []fakeProcess{self,
			{dir: "12", comm: "gnatsd", cmdline: "/usr/bin/qemu\x00gnatsd", exe: "/usr/bin/qemu", nsPids: "12"}}, []int{12}},
		{"a wrapper script gives way to the real one", []fakeProcess{self,
			{dir: "12", comm: "gnatsd", cmdline: "/bin/sh\x00/bin/gnatsd", exe: "/bin/sh", nsPids: "12"},
			{dir: "13", comm: "gnatsd", cmdline: "gnatsd", exe: "/usr/sbin/gnatsd", nsPids: "13"}}, []int{13}},
		{"names that merely contain it do not match", []fakeProcess{self,
			{dir: "12", comm: "gnatsd-v1", cmdline: "gnatsd-v1", exe: "/gnatsd-v1", nsPids: "12"},
			{dir: "13", comm: "mygnatsd", cmdline: "vi\x00gnatsd", exe: "/gnatsd/vi", nsPids: "13"}}, nil},
		{"several", []fakeProcess{self, {dir: "12", cmdline: "gnatsd", nsPids: "12"}, {dir: "3", cmdline: "gnatsd", nsPids: "3"}},
			[]int{12, 3}},
		{"a zombie does not count", []fakeProcess{self, {dir: "12", comm: "gnatsd", state: "Z", nsPids: "12"}}, nil},
		{"a dying process does not count", []fakeProcess{self, {dir: "12", comm: "gnatsd", state: "X", nsPids: "12"}}, nil},
		{"a short name may hold anything", []fakeProcess{self,
			{dir: "12", comm: "a) Z (b", cmdline: "gnatsd", nsPids: "12"}}, []int{12}},
		{"another namespace does not count", []fakeProcess{self,
			{dir: "12", cmdline: "gnatsd", nsLink: "pid:[2]", nsPids: "12 1"}}, nil},
		{"another namespace whose identity cannot be read does not count", []fakeProcess{self,
			{dir: "12", cmdline: "gnatsd", nsPids: "12 1"}}, nil},
		{"our namespace seen from an outer one gives our pids", []fakeProcess{
			{dir: "self", nsLink: "pid:[2]", nsPids: "90 9"},
			{dir: "90", cmdline: "gnatsd", nsLink: "pid:[2]", nsPids: "90 9"},
			{dir: "80", cmdline: "gnatsd", nsLink: "pid:[2]", nsPids: "80 1"}}, []int{1}},
		{"kernels before NSpid", []fakeProcess{{dir: "self"}, {dir: "12", cmdline: "gnatsd"}}, []int{12}},
		{"files beside processes are ignored", []fakeProcess{self, {dir: "sys", cmdline: "gnatsd"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, p := range tt.processes {
				p.mount(t, root)
			}
			got, err := procFS(root).find("gnatsd", 9)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestFindCutsLongNamesAsTheKernelDoes(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fakeProcess{dir: "12", comm: "a-name-of-25-by", exe: "/usr/bin/qemu"}.mount(t, root)
	got, err := procFS(root).find("a-name-of-25-bytes-at-last", 9)
	if err != nil || !slices.Equal(got, []int{12}) {
		t.Errorf("got %v, %v, want [12]", got, err)
	}
}

func TestFindWithoutProc(t *testing.T) {
	t.Parallel()
	_, err := procFS(filepath.Join(t.TempDir(), "none")).find("gnatsd", 9)
	if errText(err) != "unable to resolve pid, try providing one" {
		t.Errorf("got %v", err)
	}
}

func TestFindSeesLiveProcessesOnly(t *testing.T) {
	t.Parallel()
	name := "gnatsd-live-" + strconv.Itoa(os.Getpid())
	child := startChild(t, childSpec{argv0: name, role: roleTrap})
	if got, err := findProcesses(name); err != nil || !slices.Equal(got, []int{child.pid()}) {
		t.Fatalf("alive: got %v, %v, want [%d]", got, err, child.pid())
	}
	must(t, child.cmd.Process.Kill())
	// Waits for the end and leaves the zombie.
	for {
		err := unix.Waitid(unix.P_PID, child.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			t.Fatal(err)
		}
	}
	if got, err := findProcesses(name); err != nil || len(got) != 0 {
		t.Errorf("zombie: got %v, %v, want none", got, err)
	}
}

// TestSignalInContainer runs a broker as pid 1 of its own pid namespace, as containers do, and
// sends it a command from a second process in there that has no other program to ask.
func TestSignalInContainer(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		missing(t, "the right to make a pid namespace")
	}
	name := "gnatsd-pid1-" + strconv.Itoa(os.Getpid())
	child := startChild(t, childSpec{argv0: name, entry: "TestContainerProcess", role: roleContainer, attr: &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
	}})
	if mounted := <-child.lines; mounted != "<nil>" {
		missing(t, "the right to mount /proc: "+mounted)
	}
	if got, err := findProcesses(name); err != nil || len(got) != 0 {
		t.Errorf("from outside: got %v, %v, want none", got, err)
	}
	child.say(t, "signal")
	child.want(t, `debug Trapped "hangup" signal`, "reload")
	must(t, child.cmd.Process.Kill())
}

// Roles in a container.
const (
	roleContainer = "container" // is pid 1, and has another process of its name signal it
	roleSend      = "send"      // reloads the other process of its name
)

// TestContainerProcess is what the test binary does as pid 1 of a container, and as the second
// process in it.
func TestContainerProcess(t *testing.T) {
	switch os.Getenv(envRole) {
	default:
		t.Skip("for children of other tests")
	case roleSend:
		SetName(os.Args[0])
		fmt.Print(Signal(commandReload, ""))
		os.Exit(0)
	case roleContainer:
		c := newChildEnd(roleContainer)
		StartSignalLoop(c.actions(), os.Exit)
		c.report("ready")
		err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if err == nil {
			err = unix.Mount("proc", "/proc", "proc", 0, "")
		}
		c.report(fmt.Sprint(err))
		c.await("signal")
		finder := exec.Command("/proc/self/exe", "-test.run=^TestContainerProcess$")
		finder.Args[0] = os.Args[0]
		finder.Env = []string{envRole + "=" + roleSend}
		if out, err := finder.Output(); string(out) != "<nil>" || err != nil {
			c.report(fmt.Sprintf("second process: %s, %v", out, err))
		}
		c.await("end")
	}
}
