package test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// builtProgram names the environment variable that holds the path of the binary for a test within a
// test.
const builtProgram = "GNATSD_TEST_PROGRAM"

// program is the path of the broker's binary, built when it is first asked for.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(builtProgram); path != "" {
		return path, nil
	}
	path := filepath.Join(os.Getenv(buildDir), "gnatsd")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-o", path, "gnatsd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the image has it
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// command is a run of the binary that has not begun.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// process is a broker running as a program.
type process struct {
	cmd   *exec.Cmd
	lines <-chan string // of the log, closed when the program has ended
	seen  []string      // lines that await has taken
}

// spawn starts the binary, on loopback and a free port unless args say otherwise, and stops it when
// the test ends.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, command(t, append([]string{"-a", "127.0.0.1", "-p", "-1"}, args...)...))
}

// launch starts a run of the binary and stops it when the test ends.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1024)
	go func() { // ends with the program
		defer close(lines)
		scan := bufio.NewScanner(log)
		scan.Buffer(nil, 4<<20)
		for scan.Scan() {
			lines <- scan.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range lines { // until the log ends, as Wait must come after the last read
		}
		cmd.Wait()
	})
	return &process{cmd: cmd, lines: lines}
}

// await reads the log up to the line that matches and returns its submatches.
func (p *process) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("the log ended without %s:\n%s", pattern, strings.Join(p.seen, "\n"))
			}
			p.seen = append(p.seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-late:
			t.Fatalf("no %s in the log:\n%s", pattern, strings.Join(p.seen, "\n"))
		}
	}
}

// addr waits until the broker is ready and returns where it listens.
func (p *process) addr(t *testing.T) string {
	t.Helper()
	at := p.await(t, `Listening for client connections on (\S+)$`)[1]
	p.await(t, `Server is ready$`)
	return at
}

// stop sends the signal and returns the exit code and the lines logged from then on.
func (p *process) stop(t *testing.T, signal os.Signal) (code int, log []string) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	for line := range p.lines {
		log = append(log, line)
	}
	p.cmd.Wait()
	if !late.Stop() {
		t.Fatalf("%v did not end the program:\n%s", signal, strings.Join(log, "\n"))
	}
	return p.cmd.ProcessState.ExitCode(), log
}

// run runs the binary to its end.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Start(); e != nil {
		t.Fatal(e)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	cmd.Wait()
	if !late.Stop() {
		t.Fatalf("gnatsd %s did not end", strings.Join(args, " "))
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}
