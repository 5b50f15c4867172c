//go:build unix

package process

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listenAsManager opens a socket of the service manager and returns a function that takes the next
// notification.
func listenAsManager(t *testing.T, socket string) (next func() string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return func() string {
		t.Helper()
		must(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
		buf := make([]byte, 1024)
		n, err := conn.Read(buf)
		must(t, err)
		return string(buf[:n])
	}
}

// shortTempDir is a temporary directory whose name leaves room for that of a socket.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "n")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestNotify(t *testing.T) {
	t.Parallel()
	sockets := map[string]string{"a path": filepath.Join(shortTempDir(t), "notify")}
	if runtime.GOOS == "linux" {
		sockets["an abstract name"] = "@gnatsd-test-" + strconv.Itoa(os.Getpid())
	}
	for name, socket := range sockets {
		t.Run("the socket is "+name, func(t *testing.T) {
			next := listenAsManager(t, socket)
			n := Notifier{socket: socket}
			tests := []struct {
				name string
				send func() error
				want string
			}{
				{"ready", func() error { return n.Ready("Server is ready") }, `^READY=1\nSTATUS=Server is ready$`},
				{"reloading", n.Reloading, `^RELOADING=1(\nMONOTONIC_USEC=[1-9]\d*)?$`},
				{"stopping", n.Stopping, `^STOPPING=1$`},
				{"a status is one line", func() error { return n.Status("a\nREADY=1\r b") }, `^STATUS=a READY=1 b$`},
			}
			for _, tt := range tests {
				must(t, tt.send())
				if got := next(); !regexp.MustCompile(tt.want).MatchString(got) {
					t.Errorf("%s: got %q, want %s", tt.name, got, tt.want)
				}
			}
		})
	}
}

func TestNotifyReloadHasSystemdsClock(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("systemd runs on Linux")
	}
	if first, second := monotonicMicroseconds(), monotonicMicroseconds(); first <= 0 || second < first {
		t.Errorf("got %d, then %d", first, second)
	}
}

func TestNotifyWithoutAServiceManager(t *testing.T) {
	t.Parallel()
	n := notifierFrom(func(string) string { return "" }, 1)
	for _, err := range []error{n.Ready(""), n.Reloading(), n.Stopping(), n.Status("x")} {
		must(t, err)
	}
	n.StartWatchdog(func() bool { t.Error("asked"); return true })()
}

func TestNotifySocketThatIsGone(t *testing.T) {
	t.Parallel()
	err := Notifier{socket: filepath.Join(shortTempDir(t), "gone")}.Stopping()
	if !strings.HasPrefix(errText(err), "notify service manager: ") {
		t.Errorf("got %v", err)
	}
}

func TestNewNotifier(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/notify")
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "20")
	if got, want := NewNotifier(), (Notifier{"/run/notify", 20 * time.Microsecond}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNotifierFromEnvironment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want Notifier
	}{
		{"nothing", map[string]string{}, Notifier{}},
		{"a watchdog without a socket", map[string]string{"WATCHDOG_USEC": "1000000"}, Notifier{}},
		{"a socket", map[string]string{"NOTIFY_SOCKET": "/run/n"}, Notifier{socket: "/run/n"}},
		{"a watchdog for any process", map[string]string{"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "3000000"}, Notifier{"@n", 3 * time.Second}},
		{"a watchdog for us", map[string]string{"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, Notifier{"@n", 3 * time.Second}},
		{"a watchdog for our parent", map[string]string{"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "41"}, Notifier{socket: "@n"}},
		{"a watchdog that is no number", map[string]string{"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "3s"}, Notifier{socket: "@n"}},
		{"a watchdog below zero", map[string]string{"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "-3"}, Notifier{socket: "@n"}},
		{"a watchdog beyond all times", map[string]string{"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "9223372036854775807"}, Notifier{"@n", time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := notifierFrom(func(key string) string { return tt.env[key] }, 42); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestWatchdogRunsAtHalfItsTimeWhileHealthy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := Notifier{watchdog: 10 * time.Second}
		began := time.Now()
		var sent []time.Duration
		healthy := func() bool { at := time.Since(began); return at < 12*time.Second || at > 17*time.Second }
		quit := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			n.watch(healthy, quit, func() { sent = append(sent, time.Since(began)/time.Second) })
			close(ended)
		}()
		<-time.After(22 * time.Second)
		close(quit)
		<-ended
		if got, want := sent, []time.Duration{5, 10, 20}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("got keepalives at %v s, want %v", got, want)
		}
	})
}

func TestWatchdogSendsItsKeepalive(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(shortTempDir(t), "notify")
	next := listenAsManager(t, socket)
	stop := Notifier{socket: socket, watchdog: 2 * time.Millisecond}.StartWatchdog(func() bool { return true })
	defer stop()
	if got, want := next(), "WATCHDOG=1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
