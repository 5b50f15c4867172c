package monitor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// socketPath is where a test may make a Unix socket: t.TempDir may be too long.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "g")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestPagesAreServedOnAUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close() // as a process that was killed leaves it
	m := newTest(t, Settings{}, nil)
	if err := m.Start(Address{Socket: path}); err != nil {
		t.Fatal(err)
	}
	if m.Addr() != nil {
		t.Errorf("a port is open: %v", m.Addr())
	}
	c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	defer c.CloseIdleConnections()
	r, err := http.NewRequest("GET", "http://unix/figures", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, c, r); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("got %v, %v, want -rw-rw----", info.Mode(), err)
	}
	other := newTest(t, Settings{}, nil)
	if err := other.Start(Address{Socket: path}); err == nil || !strings.Contains(err.Error(), "another process listens on "+path) {
		t.Errorf("a second server: got %v", err)
	}
	m.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket survives Close")
	}
	if want := "[INF] Starting http monitor on unix:" + path; !slices.Contains(m.config.Log.(*logLines).all(), want) {
		t.Errorf("no line %q", want)
	}
}

func TestTheProfilingPortHasProfilesOfBlocking(t *testing.T) {
	t.Parallel()
	m := newTest(t, Settings{}, nil)
	if err := m.StartProfiler("127.0.0.1", -1); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	<-time.After(time.Millisecond) // blocks longer than what is sampled
	resp, err := http.Get("http://" + m.ProfilerAddr().String() + "/debug/pprof/block?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	profile, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(profile), "monitor."+t.Name()) {
		t.Errorf("this test has blocked, and is not in the profile:\n%s", profile)
	}
}

func TestPortsAreOpenedOnceAndClosedForGood(t *testing.T) {
	t.Parallel()
	m := newTest(t, Settings{}, nil)
	if m.Addr() != nil || m.ProfilerAddr() != nil || m.Handler() != nil {
		t.Fatal("something is open before the start")
	}
	address := Address{Host: "127.0.0.1", Port: -1}
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() {
			if err := m.Start(address); err != nil {
				t.Error(err)
			}
			if err := m.StartProfiler("127.0.0.1", -1); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if m.Addr() == nil || m.ProfilerAddr() == nil || m.Handler() == nil {
		t.Fatalf("got %v, %v, handler %v", m.Addr(), m.ProfilerAddr(), m.Handler() != nil)
	}
	lines := m.config.Log.(*logLines).all()
	if len(lines) != 2 {
		t.Errorf("got %q, want a line for each port", lines)
	}
	web, profiler := m.Addr().String(), m.ProfilerAddr().String()
	resp, err := http.Get("http://" + profiler + "/debug/pprof/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("profiler: got %d", resp.StatusCode)
	}
	m.Close()
	if m.Addr() != nil || m.ProfilerAddr() != nil || m.Handler() != nil {
		t.Error("addresses or handler survive Close")
	}
	if err := m.Start(address); err != nil || m.Addr() != nil {
		t.Errorf("a start after Close: got %v, address %v", err, m.Addr())
	}
	for _, addr := range []string{web, profiler} {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			t.Errorf("%s is open after Close", addr)
		}
	}
}

func TestAStartThatFailedMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	taken, port, err := listenTCP("127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	m := newTest(t, Settings{}, nil)
	if err := m.Start(Address{Host: "127.0.0.1", Port: port}); err == nil || !strings.HasPrefix(err.Error(), "can't listen to the monitor port: ") {
		t.Errorf("a port in use: got %v", err)
	}
	if err := m.StartProfiler("127.0.0.1", port); err == nil || !strings.HasPrefix(err.Error(), "can't listen to the profiling port: ") {
		t.Errorf("a profiling port in use: got %v", err)
	}
	path := socketPath(t)
	if err := m.Start(Address{Host: "127.0.0.1", Port: -1, Socket: filepath.Join(path, "missing")}); err == nil || m.Addr() != nil {
		t.Errorf("a socket that cannot be made: got %v, address %v", err, m.Addr())
	}
	taken.Close()
	if err := m.Start(Address{Host: "127.0.0.1", Port: -1}); err != nil || m.Addr() == nil {
		t.Errorf("got %v, address %v", err, m.Addr())
	}
}

// TestCloseWaitsForAStart closes while the port is being opened: it must not stay open.
func TestCloseWaitsForAStart(t *testing.T) {
	t.Parallel()
	opening, proceed := make(chan struct{}), make(chan struct{})
	var addr string
	m := newTest(t, Settings{}, func(c *Config) {
		c.Listen = func(host string, port int) (net.Listener, int, error) {
			close(opening)
			<-proceed
			l, port, err := listenTCP(host, port)
			addr = l.Addr().String()
			return l, port, err
		}
	})
	done := make(chan error)
	go func() { done <- m.Start(Address{Host: "127.0.0.1", Port: -1}) }()
	<-opening
	if m.Addr() != nil { // takes the lock: it is free while the port is opened
		t.Error("there is an address before there is a port")
	}
	closed := make(chan struct{})
	go func() { m.Close(); close(closed) }()
	close(proceed)
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-closed
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("the port is open after Close")
	}
}

// failingListener fails to accept with each of the errors first.
type failingListener struct {
	net.Listener
	errs chan error
}

func (l *failingListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

// TestThePortServesAfterErrorsOfAccept has the system refuse connections for reasons that pass, of
// which net/http takes most for the end of the listener.
func TestThePortServesAfterErrorsOfAccept(t *testing.T) {
	t.Parallel()
	errs := []error{syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.EMFILE}
	log := new(logLines)
	m := started(t, Settings{}, func(c *Config) {
		c.Log = log
		c.Listen = func(host string, port int) (net.Listener, int, error) {
			l, port, err := listenTCP(host, port)
			failing := &failingListener{l, make(chan error, len(errs))}
			for _, err := range errs {
				failing.errs <- &net.OpError{Op: "accept", Net: "tcp", Err: err}
			}
			return failing, port, err
		}
	})
	if got := ask(t, m, "/healthz"); got.status != 200 {
		t.Errorf("got %d, want 200", got.status)
	}
	for _, err := range errs {
		want := fmt.Sprintf("[ERR] Temporary Monitoring Accept Error (accept tcp: %v)", err)
		if !slices.Contains(log.all(), want) {
			t.Errorf("no %q in the log: %q", want, log.all())
		}
	}
}
