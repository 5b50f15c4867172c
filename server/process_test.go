package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunNeedsItsPidFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "pid")
	s, err := New(&Options{Host: "127.0.0.1", Port: RandomPort, NoSigs: true, PidFile: path})
	okay(t, err)
	log := newLineLog()
	s.SetLogger(log, false, false)
	err = s.Run()
	if _, ok := errors.AsType[*PidFileError](err); !ok || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want a PidFileError of a missing directory", err)
	}
	want := "Could not write pidfile: open " + path + ": no such file or directory"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	var lines []string
	for len(log.lines) > 0 {
		lines = append(lines, <-log.lines)
	}
	if text := strings.Join(lines, "\n"); !strings.Contains(text, want) || strings.Contains(text, "Listening") {
		t.Errorf("log: got %q, want the reason and no listener", text)
	}
}

func TestProcessFilesComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	s := startServer(t, func(o *Options) { o.PidFile, o.PortsFileDir = pid, dir })
	text, err := os.ReadFile(pid)
	if want := strconv.Itoa(os.Getpid()); err != nil || string(text) != want {
		t.Errorf("pid file: got %q, %v; want %q", text, err, want)
	}
	eventually(t, "a ports file", func() bool { _, err := os.Stat(portsFilePath(dir)); return err == nil })
	text, err = os.ReadFile(portsFilePath(dir))
	want := fmt.Sprintf(`{"nats":["nats://%s"],"cluster":["nats://%s"]}`, s.Addr(), s.ClusterAddr())
	if err != nil || string(text) != want {
		t.Errorf("ports file: got %q, %v; want %q", text, err, want)
	}
	ports, err := json.Marshal(s.PortsInfo(0))
	if err != nil || string(ports) != want {
		t.Errorf("PortsInfo: got %q, %v; want %q", ports, err, want)
	}
	s.Shutdown()
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if s.PortsInfo(0) != nil {
		t.Error("PortsInfo after the end: got ports, want nil")
	}
	okay(t, s.files.writePid(pid))
	if path, err := s.files.writePorts(dir, Ports{}); path != "" || err != nil {
		t.Errorf("after the end: got %q, %v; want nothing", path, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("written after the end: %v", left)
	}
}

func TestPortsInfoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := New(&Options{network: newPipeNet(), NoSigs: true})
		okay(t, err)
		begin := time.Now()
		if s.PortsInfo(time.Second) != nil || time.Since(begin) != time.Second {
			t.Errorf("before the start: got an answer after %v, want nil after 1s", time.Since(begin))
		}
		go s.Start() // ends with Shutdown
		if s.PortsInfo(time.Second) == nil {
			t.Error("after the start: got nil")
		}
		s.Shutdown()
	})
}

func TestShutdownBeforeTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := New(&Options{Host: "127.0.0.1", Port: RandomPort, NoSigs: true, PidFile: filepath.Join(dir, "pid"), PortsFileDir: dir})
	okay(t, err)
	s.Shutdown()
	okay(t, s.Run())
	if left, _ := os.ReadDir(dir); len(left) > 0 || s.Addr() != nil {
		t.Errorf("got %v and address %v, want nothing", left, s.Addr())
	}
}

// TestSpeedSilentLogAllocatesNothing: lines that nobody wants cost no memory.
func TestSpeedSilentLogAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := broker(t, nil)
	log := newLineLog()
	s.SetLogger(log, false, false)
	c := dialWire(t, s)
	mustFence(t, c)
	owner := s.clients.all()[0]
	for name, f := range map[string]func(){
		"debugf":       func() { owner.debugf("Client Ping Timer") },
		"tracef":       func() { owner.tracef("<<- [PONG]") },
		"server debug": func() { s.Debugf("Server id is known") },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}
