package windows

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// TestCtrlC ends the broker in order: clients are told, files are removed, the status is 0.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	dir := m.folder(t)
	b := m.start(t, "-P", dir+`\gnatsd.pid`, "--ports_file_dir", dir)
	c := wire.Dial(t, b.ready())
	c.Sync()
	pid := m.read(t, dir+`\gnatsd.pid`)
	if _, err := strconv.Atoi(pid); err != nil {
		t.Errorf("pid file: %q", pid)
	}
	ports := dir + `\gnatsd.exe_` + pid + ".ports"
	if text := m.read(t, ports); !strings.Contains(text, b.addrOf(c)) {
		t.Errorf("ports file %s: %q", ports, text)
	}
	b.press("ctrl-c")
	c.End()
	status, log := b.ended()
	if status != 0 || !strings.Contains(log, "Initiating Shutdown...") || !strings.HasSuffix(log, "Server Exiting..\n") {
		t.Errorf("status %d, log:\n%s", status, log)
	}
	if m.read(t, dir+`\gnatsd.pid`) != "" || m.read(t, ports) != "" {
		t.Error("the files are still there")
	}
}

// addrOf is the address that a client is connected to.
func (b *broker) addrOf(c *wire.Client) string { return c.RemoteAddr().String() }

// TestExitStatus is 1 after an error, whatever it is.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	must(t, err)
	dir := m.folder(t)
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"a port that is taken", "Error listening on port: 127.0.0.1:" + port, []string{"-p", port}},
		{"a log whose folder is missing", `error opening file: open ` + dir + `\nope\x.log: `, []string{"-l", dir + `\nope\x.log`}},
		{"a pid file whose folder is missing", `Could not write pidfile: open ` + dir + `\nope\x.pid: `, []string{"-P", dir + `\nope\x.pid`}},
		{"a configuration that is missing", `error opening config file: open ` + dir + `\x.conf: `, []string{"-c", dir + `\x.conf`}},
		{"a flag that is unknown", "flag provided but not defined: -nope", []string{"-nope"}},
	} {
		got := m.call(t, shipped, append([]string{"-a", "127.0.0.1", "-p", "-1"}, tt.args...)...)
		if got.status != 1 || !strings.Contains(got.err, tt.want) {
			t.Errorf("%s: got %+v, want status 1 and %q", tt.name, got, tt.want)
		}
	}
}

// TestFlagsThatPrint have their text on standard output, and status 0.
func TestFlagsThatPrint(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"nats-server version ", []string{"-v"}},
		{"Usage: gnatsd [options]", []string{"--help"}},
		{"max_payload", []string{"--print-config"}},
		{"cipher", []string{"--help_tls"}},
	} {
		if got := m.call(t, shipped, tt.args...); got.status != 0 || got.err != "" || !strings.Contains(got.out, tt.want) {
			t.Errorf("%s: got %+v, want %q", tt.args, got, tt.want)
		}
	}
}
