//go:build unix

package test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"gnatsd/test/wire"
)

// This file shows that a log that cannot be written loses lines, and nothing else.

// TestStalledLogLosesLinesNotMessages traces many messages to a pipe that is not read until they
// have all arrived.
func TestStalledLogLosesLinesNotMessages(t *testing.T) {
	t.Parallel()
	t.Run("standard error", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cmd := command(t, "-a", "127.0.0.1", "-p", "-1", "-DV", "--ports_file_dir", dir)
		log, err := cmd.StderrPipe()
		must(t, err)
		stall(t, cmd, dir, log)
	})
	t.Run("a log file", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		path := filepath.Join(dir, "log")
		must(t, syscall.Mkfifo(path, 0o600))
		log, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		must(t, err)
		t.Cleanup(func() { log.Close() })
		stall(t, command(t, "-a", "127.0.0.1", "-p", "-1", "-DV", "-l", path, "--ports_file_dir", dir), dir, log)
	})
}

// stall runs a broker whose log is not read for a while.
func stall(t *testing.T, cmd *exec.Cmd, dir string, log io.Reader) {
	t.Helper()
	const n = 200_000
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var ports struct{ Nats []string }
	must(t, json.Unmarshal([]byte(portsFile(t, &process{cmd: cmd}, dir)), &ports))

	nc, err := goClient(ports.Nats[0])
	must(t, err)
	t.Cleanup(nc.Close)
	arrived := make(chan struct{})
	got := 0
	sub, err := nc.Subscribe("load", func(*nats.Msg) {
		if got++; got == n {
			close(arrived)
		}
	})
	must(t, err)
	must(t, sub.SetPendingLimits(-1, -1))
	for range n {
		must(t, nc.Publish("load", []byte("0123456789abcdef")))
	}
	flush(t, nc)
	await(t, arrived, "all messages")

	// The log is read again, and says what was lost. A busy machine may take longer to read it than
	// the broker waits at its end.
	lost := regexp.MustCompile(`\[WRN\] [0-9]+ log lines lost: the log destination did not keep up$`)
	said, last := make(chan struct{}), make(chan string, 1)
	go func() { // ends with the program
		lines, latest, found := bufio.NewScanner(log), "", false
		for lines.Scan() {
			latest = lines.Text()
			if !found && lost.MatchString(latest) {
				found = true
				close(said)
			}
		}
		last <- latest
	}()
	await(t, said, "a line that says what was lost")
	nc.Close()
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if got, want := await(t, last, "the end of the log"), "[INF] Server Exiting.."; !strings.HasSuffix(got, want) {
		t.Errorf("the log ends in %q, want %q", got, want)
	}
}

// TestFullDiskStopsNothing logs to a disk that takes nothing.
func TestFullDiskStopsNothing(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		missing(t, "/dev/full")
	}
	dir := t.TempDir()
	p := spawn(t, "-DV", "-l", "/dev/full", "--ports_file_dir", dir)
	var ports struct{ Nats []string }
	must(t, json.Unmarshal([]byte(portsFile(t, p, dir)), &ports))
	alive(t, strings.TrimPrefix(ports.Nats[0], "nats://"))
	if code, onStderr := p.stop(t, syscall.SIGTERM); code != 0 || len(onStderr) > 0 {
		t.Errorf("got exit %d and %q on stderr, want 0 and nothing", code, onStderr)
	}
}

// TestStalledLogDelaysTheEndALittle leaves the pipe unread for good.
func TestStalledLogDelaysTheEndALittle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := command(t, "-a", "127.0.0.1", "-p", "-1", "-DV", "--ports_file_dir", dir)
	log, err := cmd.StderrPipe()
	must(t, err)
	defer log.Close()
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var ports struct{ Nats []string }
	must(t, json.Unmarshal([]byte(portsFile(t, &process{cmd: cmd}, dir)), &ports))
	c := wire.Dial(t, strings.TrimPrefix(ports.Nats[0], "nats://"))
	c.Say(`CONNECT {"verbose":false}`)
	for range 2000 {
		c.Say("PUB foo 50", strings.Repeat("x", 50))
	}
	c.Say("PING")
	c.Want("PONG")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	state, err := cmd.Process.Wait()
	must(t, err)
	if !late.Stop() || state.ExitCode() != 0 {
		t.Errorf("got exit %d, want 0 in time", state.ExitCode())
	}
}
