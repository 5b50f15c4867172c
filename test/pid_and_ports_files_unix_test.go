//go:build unix

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gnatsd/server"
)

// portsFile waits for the ports file of a broker and returns its text.
func portsFile(t *testing.T, p *process, dir string) string {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("gnatsd_%d.ports", p.cmd.Process.Pid))
	var text []byte
	eventually(t, "a ports file", func() bool {
		var err error
		text, err = os.ReadFile(path)
		return err == nil
	})
	return string(text)
}

func TestPidAndPortsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid := filepath.Join(dir, "broker.pid")
	p := spawn(t, "-P", pid, "--ports_file_dir", dir, "-c", writeConfig(t, `
http: "127.0.0.1:-1"
prof_port: -1
cluster { listen: "127.0.0.1:-1" }`))
	monitor := p.await(t, `\[INF\] Starting http monitor on (\S+)$`)[1]
	text, err := os.ReadFile(pid)
	if want := strconv.Itoa(p.cmd.Process.Pid); err != nil || string(text) != want {
		t.Errorf("pid file before the first port is open: got %q, %v; want %q", text, err, want)
	}
	profiler := p.await(t, `\[INF\] profiling port: (\d+)$`)[1]
	clients := p.await(t, `\[INF\] Listening for client connections on (\S+)$`)[1]
	p.await(t, `\[INF\] Server is ready$`)
	routes := p.await(t, `\[INF\] Listening for route connections on (\S+)$`)[1]
	var ports server.Ports
	must(t, json.Unmarshal([]byte(portsFile(t, p, dir)), &ports))
	got := fmt.Sprint(ports.Nats, ports.Monitoring, ports.Cluster)
	if want := fmt.Sprintf("[nats://%s] [http://%s] [nats://%s]", clients, monitor, routes); got != want {
		t.Errorf("ports file: got %s, want %s", got, want)
	}
	if len(ports.Profile) == 0 || !strings.HasSuffix(ports.Profile[0], ":"+profiler) {
		t.Errorf("ports file: got %v, want the profiling port %s", ports.Profile, profiler)
	}
}

func TestPidFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, log := filepath.Join(dir, "missing", "pid"), filepath.Join(dir, "log")
	_, stderr, code := run(t, "-a", "127.0.0.1", "-p", "-1", "-P", path, "-l", log)
	if want := "Could not write pidfile: open " + path + ": no such file or directory\n\n"; stderr != want || code != 1 {
		t.Errorf("got %q, exit %d; want %q, exit 1", stderr, code, want)
	}
	text, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(text), "[FTL] Could not write pidfile") || strings.Contains(string(text), "Listening") {
		t.Errorf("log: got %q, %v; want the reason and no listener", text, err)
	}
}
