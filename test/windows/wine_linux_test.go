package windows

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file is the machine that the broker runs on: an installation of Wine, with the programs.

var run = flag.Bool("wine", false, "build the .exe and drive it under Wine, as make windows does")

// patience bounds every wait. It is long, because only a failure uses it up.
const patience = 2 * time.Minute

// Paths on drive C. The one of the programs has a blank, as that of most has.
const (
	programs = `C:\Program Files\gnatsd`
	shipped  = programs + `\gnatsd.exe`
	service  = programs + `\gnatsd-service.exe` // finds out in Wine that it is a service
	console  = `C:\console.exe`
)

// machine is an installation of Wine of its own. It ends with the tests.
type machine struct {
	root   string   // of everything here
	wine   []string // the program that starts those of Windows, and what starts that
	server string
	linux  string    // the broker for Linux
	shell  io.Closer // standard input of a program that runs all the time
}

// drive is where drive C is.
func (m *machine) drive() string { return filepath.Join(m.root, "prefix", "drive_c") }

// installed is the machine, also if its installation failed half-way.
var installed machine

// install sets the machine up, once.
var install = sync.OnceValues(func() (*machine, error) {
	m := &installed
	wine, err := find("wine64", "/usr/lib/wine/wine64", "wine")
	if err != nil {
		return nil, err
	}
	m.wine = append(fixedAddresses(), wine)
	if m.server, err = find("/usr/lib/wine/wineserver64", "wineserver"); err != nil {
		return nil, err
	}
	if _, err = find("x86_64-w64-mingw32-gcc"); err != nil {
		return nil, err
	}
	if m.root, err = os.MkdirTemp("", "gnatsd-windows"); err != nil {
		return nil, err
	}
	m.linux = filepath.Join(m.root, "gnatsd")
	overlay, err := m.overlay()
	if err != nil {
		return nil, err
	}
	build := make(chan error)
	go func() { // ends with the builds, waited for below
		build <- errors.Join(
			m.build("windows", "shipped.exe"),
			m.build("windows", "service.exe", "-overlay", overlay),
			m.build("linux", "gnatsd"),
			m.compile("bcryptprimitives.dll", "bcryptprimitives.c", "-shared", "-ladvapi32"),
			m.compile("console.exe", "console.c", "-municode"))
	}()
	err = m.boot()
	if err := errors.Join(<-build, err); err != nil {
		return nil, err
	}
	for file, to := range map[string]string{"bcryptprimitives.dll": `C:\windows\system32\bcryptprimitives.dll`,
		"console.exe": console, "shipped.exe": shipped, "service.exe": service} {
		if err := os.MkdirAll(filepath.Dir(m.unix(to)), 0o755); err != nil {
			return nil, err
		}
		if err := os.Rename(filepath.Join(m.root, file), m.unix(to)); err != nil {
			return nil, err
		}
	}
	return m, nil
})

// fixedAddresses is a command that runs another one without randomized addresses, or nothing where
// that is not permitted. Wine needs the page at 0x7ffe0000. Since Linux 6.9 the heap of its loader is
// somewhere in the 1 GB around it, so that one of some thousand programs ends before it begins, with
// status 1; the reason, "failed to map the shared user data", is shown with WINEDEBUG=err+all only.
func fixedAddresses() []string {
	command := []string{"setarch", "x86_64", "-R"}
	if exec.Command(command[0], append(command[1:], "true")...).Run() != nil {
		return nil
	}
	return command
}

// find returns the first of some programs that there is.
func find(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (Debian: apt-get install wine64 gcc-mingw-w64-x86-64)", names[0])
}

// overlay writes what go build is told to build another file for: how a process finds out that it is
// a service.
func (m *machine) overlay() (path string, err error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	path = filepath.Join(m.root, "overlay.json")
	text := fmt.Sprintf(`{"Replace": {%q: %q}}`,
		filepath.Join(here, "../../server/internal/process/manager_windows.go"), filepath.Join(here, "testdata/manager_wine.go"))
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// build builds a broker.
func (m *machine) build(system, file string, flags ...string) error {
	build := exec.Command("go", append([]string{"build", "-o", filepath.Join(m.root, file)}, append(flags, "gnatsd")...)...)
	build.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build of %s: %w\n%s", file, err, out)
	}
	return nil
}

// compile compiles a program in C for Windows.
func (m *machine) compile(file, source string, flags ...string) error {
	args := append([]string{"-Wall", "-s", "-o", filepath.Join(m.root, file), filepath.Join("testdata", source)}, flags...)
	if out, err := exec.Command("x86_64-w64-mingw32-gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", source, err, out)
	}
	return nil
}

// command is a run of a program under Wine that has not begun.
func (m *machine) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(m.wine[0], slices.Concat(m.wine[1:], []string{program}, args)...)
	cmd.Env = append(os.Environ(), "WINEPREFIX="+filepath.Join(m.root, "prefix"), "WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree,mshtml=", "DISPLAY=", "TZ=UTC")
	cmd.Dir = m.drive()
	return cmd
}

// boot creates drive C with a program that runs until close. Without one Wine ends its services and
// its server after each program, and a program that connects at that moment fails with "recvmsg:
// Connection reset by peer".
func (m *machine) boot() error {
	cmd := m.command("cmd")
	cmd.Dir = m.root // there is no drive yet
	var err error
	if m.shell, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer stop.Stop()
	if prompt, err := bufio.NewReader(out).ReadString('>'); err != nil {
		cmd.Wait()
		return fmt.Errorf("Wine does not start: %w\n%s\n%s", err, prompt, errs.String())
	}
	return nil
}

// unix is where a path of drive C is.
func (m *machine) unix(path string) string {
	return filepath.Join(m.drive(), strings.ReplaceAll(strings.TrimPrefix(path, `C:\`), `\`, "/"))
}

// close ends all that still runs on the machine, and removes it.
func (m *machine) close() {
	if m.root == "" {
		return
	}
	if m.shell != nil {
		m.shell.Close()
	}
	end := exec.Command(m.server, "-k", "-w")
	end.Env = m.command("").Env
	_ = end.Run() // fails if nothing runs
	os.RemoveAll(m.root)
}

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	if *run {
		installed.close()
	}
	os.Exit(status)
}

// onWindows returns the machine. Without the flag the test is skipped.
func onWindows(t *testing.T) *machine {
	t.Helper()
	if !*run {
		t.Skip("make windows runs it")
	}
	m, err := install()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// folder returns a new folder of drive C, whose name has a blank.
func (m *machine) folder(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp(m.drive(), "A Folder ")
	must(t, err)
	return `C:\` + filepath.Base(path)
}

// write writes a file of drive C.
func (m *machine) write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(m.unix(path)), 0o755))
	must(t, os.WriteFile(m.unix(path), []byte(text), 0o644))
}

// read reads a file of drive C, and returns "" if there is none.
func (m *machine) read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(m.unix(path))
	if !errors.Is(err, os.ErrNotExist) {
		must(t, err)
	}
	return string(text)
}

// result is what a program printed, with line ends of Unix, and its exit status.
type result struct {
	out, err string
	status   int
}

// call runs a program until it ends.
func (m *machine) call(t *testing.T, program string, args ...string) result {
	t.Helper()
	cmd := m.command(program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	must(t, cmd.Start())
	stop := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	lines := strings.NewReplacer("\r\n", "\n")
	return result{lines.Replace(out.String()), lines.Replace(errs.String()), cmd.ProcessState.ExitCode()}
}

// must fails the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-poll.C:
		case <-limit:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
