//go:build linux && (amd64 || arm64)

package torture

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// commandSample is how many faults each command has without -torture.all.
const commandSample = 3

// commandLines are what the program does besides serving. A file is its standard output.
var commandLines = [][]string{
	{"--version"},
	{"--help"},
	{"-t", "-c", "gnatsd.conf"},
	{"--print-config", "-c", "gnatsd.conf"},
	{"--schema"},
	{"--man"},
	{"--completion", "bash"},
}

// TestCommandsTorture has a call fail of each command. What it prints is complete, or its status and
// a message say that it is not.
func TestCommandsTorture(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	must(t, w.writeCertificates(dir))
	must(t, os.WriteFile(filepath.Join(dir, "gnatsd.conf"), []byte(cluster("")+users), 0o600))
	type trial struct {
		args []string
		f    fault
		want ending
	}
	var trials []trial
	for _, args := range commandLines {
		s, want := w.runCommand(filepath.Join(dir, "dry.out"), args, fault{})
		if want.status != 0 || want.stdout == "" && args[0] != "-t" {
			t.Fatalf("%v: %+v", args, want)
		}
		counts, possible := s.seen(), map[string][]unix.Errno{}
		for place := range counts {
			possible[place] = s.errnos(place)
		}
		for _, f := range choose(t, counts, possible, commandSample) {
			trials = append(trials, trial{args, f, want})
		}
	}
	faults := 0
	var mu sync.Mutex // guards faults
	var running sync.WaitGroup
	work := make(chan trial)
	for job := range *jobs {
		running.Go(func() {
			out := filepath.Join(dir, fmt.Sprintf("%d.out", job))
			for tr := range work {
				s, got := w.runCommand(out, tr.args, tr.f)
				if problem := got.compare(tr.want); problem != "" {
					t.Errorf("gnatsd %v, -torture.only='%s': %s\n%s", tr.args, tr.f.flag(), problem, got.stderr)
				}
				mu.Lock()
				faults += len(s.failed())
				mu.Unlock()
			}
		})
	}
	for _, tr := range trials {
		work <- tr
	}
	close(work)
	running.Wait()
	t.Logf("%d faults in %d commands", faults, len(trials))
}

// ending is how a command ended.
type ending struct {
	status         int
	stdout, stderr string
}

// compare says what is wrong with how a command ended, "" if nothing is.
func (e ending) compare(want ending) string {
	switch {
	case e.status < 0:
		return "it did not end"
	case strings.Contains(e.stderr, "panic") || strings.Contains(e.stderr, "fatal error") || strings.Contains(e.stderr, "goroutine "):
		return "it crashed"
	case e.status == 0 && e.stdout != want.stdout:
		return fmt.Sprintf("status 0, but it printed %d of %d bytes", len(e.stdout), len(want.stdout))
	case e.status != 0 && e.stderr == "":
		return fmt.Sprintf("status %d, and it does not say why", e.status)
	}
	return ""
}

// runCommand runs a command to its end, with a file for its output.
func (w *world) runCommand(out string, args []string, f fault) (*supervisor, ending) {
	s := newSupervisor(f)
	s.files = w.files
	stdout, err := os.Create(out)
	if err != nil {
		return s, ending{status: -1, stderr: err.Error()}
	}
	defer stdout.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(w.program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(out), stdout, &stderr
	if err := startFiltered(cmd, s); err != nil {
		return s, ending{status: -1, stderr: err.Error()}
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer late.Stop()
	cmd.Wait()
	text, _ := os.ReadFile(out)
	return s, ending{cmd.ProcessState.ExitCode(), string(text), stderr.String()}
}
