package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervised starts the binary as systemd starts a service of Type=notify. next returns the next
// notification but for signs of life; life hands those on.
func supervised(t *testing.T, watchdog time.Duration, args ...string) (p *process, next func() string, life <-chan bool) {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // short, for the path of a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	notified, signs := make(chan string, 64), make(chan bool, 1)
	go func() { // ends with the socket
		for buf := make([]byte, 4096); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if text := string(buf[:n]); text != "WATCHDOG=1" {
				notified <- text
				continue
			}
			select {
			case signs <- true:
			default:
			}
		}
	}()
	cmd := command(t, append([]string{"-a", "127.0.0.1", "-p", "-1"}, args...)...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	return launch(t, cmd), func() string { t.Helper(); return await(t, notified, "notification") }, signs
}

func TestServiceManagerIsNotified(t *testing.T) {
	t.Parallel()
	p, next, life := supervised(t, 50*time.Millisecond, "-c", writeConfig(t, "debug: true"))
	if got := next(); !strings.HasPrefix(got, "READY=1\nSTATUS=") {
		t.Errorf("got %q, want READY", got)
	}
	alive(t, p.addr(t))
	for range 3 {
		await(t, life, "sign of life")
	}
	p.signal(t, syscall.SIGHUP)
	if got := next(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("got %q, want RELOADING", got)
	}
	if got := next(); !strings.HasPrefix(got, "READY=1\nSTATUS=") {
		t.Errorf("got %q, want READY", got)
	}
	code, log := p.stop(t, syscall.SIGTERM)
	if got := next(); got != "STOPPING=1" || code != 0 {
		t.Errorf("got %q, exit %d; want STOPPING, exit 0: %q", got, code, log)
	}
}

func TestServiceManagerIsNotifiedOfLameDuckMode(t *testing.T) {
	t.Parallel()
	p, next, _ := supervised(t, time.Hour)
	next()
	p.addr(t)
	p.signal(t, syscall.SIGUSR2)
	for _, want := range []string{"STATUS=Lame duck mode", "STOPPING=1"} {
		if got := next(); !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}

// TestStoppedBrokerGivesNoSignOfLife stops the process as a hang would.
func TestStoppedBrokerGivesNoSignOfLife(t *testing.T) {
	t.Parallel()
	const period = 200 * time.Millisecond
	p, next, life := supervised(t, period)
	next()
	await(t, life, "sign of life")
	p.signal(t, syscall.SIGSTOP)
	eventually(t, "standstill", func() bool {
		select {
		case <-life:
			return false
		case <-time.After(2 * period):
			return true
		}
	})
	p.signal(t, syscall.SIGCONT)
	await(t, life, "sign of life")
}

func TestServiceManagerThatIsGoneStopsNothing(t *testing.T) {
	t.Parallel()
	cmd := command(t, "-a", "127.0.0.1", "-p", "-1")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(t.TempDir(), "gone"))
	p := launch(t, cmd)
	addr := p.addr(t)
	p.await(t, `\[WRN\] notify service manager: .*no such file or directory$`)
	alive(t, addr)
	if code, _ := p.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("got exit %d, want 0", code)
	}
}
