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
)

func TestRunNeedsItsPidFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "pid")
	s, err := NewServer(&Options{Host: "127.0.0.1", Port: RandomPort, NoSigs: true, PidFile: path})
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
	file := filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(os.Args[0]), os.Getpid()))
	eventually(t, "a ports file", func() bool { _, err := os.Stat(file); return err == nil })
	text, err = os.ReadFile(file)
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
}

func TestShutdownBeforeTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := NewServer(&Options{Host: "127.0.0.1", Port: RandomPort, NoSigs: true, PidFile: filepath.Join(dir, "pid"), PortsFileDir: dir})
	okay(t, err)
	s.Shutdown()
	okay(t, s.Run())
	if left, _ := os.ReadDir(dir); len(left) > 0 || s.Addr() != nil {
		t.Errorf("got %v and address %v, want nothing", left, s.Addr())
	}
}
