package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
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
	path    string
	addr    string
	version string // as its INFO says

	cmd    *exec.Cmd
	log    *tail
	exited chan struct{} // closed when the process has ended; state is valid then
}

// startProcess runs the broker at path on a free loopback port, with more arguments if need be, and
// returns once it has greeted a connection.
func startProcess(path string, args ...string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	p := &process{
		path:   path,
		addr:   net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		cmd:    exec.Command(path, append([]string{"-a", "127.0.0.1", "-p", strconv.Itoa(port)}, args...)...),
		log:    &tail{},
		exited: make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	go func() { // ends with the process; stop waits for it
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	if err := p.awaitReady(port); err != nil {
		p.stop()
		return nil, fmt.Errorf("start %s: %w%s", path, err, p.lastWords())
	}
	return p, nil
}

// freePort names a port that is free at this moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
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

// greeting connects once and returns the version that INFO announces.
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
	return info.Version, nil
}

// pid is what the operating system calls the process.
func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process, politely first, and returns when it is gone.
func (p *process) stop() {
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
