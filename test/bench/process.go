package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Bounds of a broker's life: how long it may take to accept connections and to end when asked to.
const (
	startLimit = 10 * time.Second
	stopLimit  = 5 * time.Second
	pollEvery  = 5 * time.Millisecond
)

// process is a running broker, started here and stopped here.
type process struct {
	launch   launch
	addr     string
	tls      *tls.Config // of its clients; nil without TLS
	profiler string      // address of its profiling port; "" without
	version  string      // as its INFO says

	cmd    *exec.Cmd
	dir    string // of its files; gone when it has stopped
	log    *tail
	exited chan struct{} // closed when the process has ended; state is valid then
}

// awaitReady connects until the broker greets with an INFO for the port it was given.
func (p *process) awaitReady(port int) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	limit := time.After(startLimit)
	for {
		version, err := greeting(p.addr, port)
		if err == nil {
			p.version = version
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("the process ended (%s) before it accepted a connection", p.cmd.ProcessState)
		case <-limit:
			return fmt.Errorf("not ready after %s: %w", startLimit, err)
		case <-poll.C:
		}
	}
}

// greeting connects once and returns the version that INFO announces, with the commit if it names
// one.
func greeting(addr string, port int) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, startLimit)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startLimit)); err != nil {
		return "", err
	}
	line, err := bufio.NewReaderSize(conn, 64<<10).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read INFO: %w", err)
	}
	var info struct {
		Version string `json:"version"`
		Commit  string `json:"git_commit"`
		Port    int    `json:"port"`
	}
	text, found := strings.CutPrefix(line, "INFO ")
	if !found {
		return "", fmt.Errorf("greeted with %s, not with INFO", excerpt([]byte(line)))
	}
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		return "", fmt.Errorf("read INFO: %w", err)
	}
	if info.Port != port {
		return "", fmt.Errorf("INFO is from port %d, not from %d", info.Port, port)
	}
	if info.Commit != "" {
		info.Version += " (" + info.Commit + ")"
	}
	return info.Version, nil
}

// pid is what the operating system calls the process.
func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process, and removes its files.
func (p *process) stop() {
	p.end()
	_ = os.RemoveAll(p.dir) // what is left lies where the system clears up
}

// end ends the process, politely first, and returns when it is gone.
func (p *process) end() {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = p.cmd.Process.Kill() // no signals on this system
	}
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill() // fails only if it has ended by now
		<-p.exited
	}
}

// lastWords is the end of the broker's output, ready to be appended to an error; empty if it said
// nothing.
func (p *process) lastWords() string {
	text := strings.TrimSpace(p.log.String())
	if text == "" {
		return ""
	}
	return "\n  the broker's last words:\n    " + strings.ReplaceAll(text, "\n", "\n    ")
}

// tailSize is how many bytes of a broker's output are kept.
const tailSize = 1 << 10

// tail keeps the last tailSize bytes written to it.
type tail struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

// Write never fails; older bytes make room.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(b), nil
}

// String is what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
