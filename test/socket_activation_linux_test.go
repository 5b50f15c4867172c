package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"gnatsd/test/wire"
)

// TestSocketsOfSystemdAreUsed starts the program with sockets as systemd hands them over: a client
// that connected before the start is served, and a socket that no setting is about is closed.
func TestSocketsOfSystemdAreUsed(t *testing.T) {
	t.Parallel()
	var files []*os.File
	var ports []int
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, ports = append(files, f), append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	early, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	log := t.TempDir() + "/log"
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@"`, path, "-a", "127.0.0.1", "-p", fmt.Sprint(ports[0]), "-l", log)
	cmd.ExtraFiles = files
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGINT)
	got := make([]byte, 5)
	if _, err := early.Read(got); err != nil || string(got) != "INFO " {
		t.Fatalf("got %q, %v", got, err)
	}
	wire.Dial(t, fmt.Sprintf("127.0.0.1:%d", ports[0])).Sync()
	want := fmt.Sprintf("The service manager listens on 127.0.0.1:%d, which is no port of the settings: it is closed", ports[1])
	eventually(t, want, func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), want)
	})
}
