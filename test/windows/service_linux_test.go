package windows

import (
	"fmt"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// TestService is the life of a service of Windows: it is made, started, told to reload and to open
// its log again, which was renamed, and stopped. It is not parallel: services are of the whole
// machine.
func TestService(t *testing.T) {
	m := onWindows(t)
	dir := m.folder(t)
	config := func(payload string) {
		m.write(t, dir+`\gnatsd.conf`, strings.ReplaceAll(`
			listen: "127.0.0.1:-1"
			ports_file_dir: 'DIR'
			pid_file: 'DIR\gnatsd.pid'
			log_file: 'DIR\gnatsd.log'
			debug: true
			max_payload: `, "DIR", dir)+payload+"\n")
	}
	config("1000")
	logged := func(text string) {
		t.Helper()
		eventually(t, "log line "+text, func() bool { return strings.Contains(m.read(t, dir+`\gnatsd.log`), text) })
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", m.read(t, dir+`\gnatsd.log`))
		}
	})
	m.create(t, "gnatsd", `-c "`+dir+`\gnatsd.conf"`)
	if got := m.call(t, shipped, "-sl", "reload"); got.status != 1 || !strings.Contains(got.err, "could not send control=6: ") {
		t.Errorf("-sl reload of a service that does not run: got %+v", got)
	}
	must(t, m.sc("start", "gnatsd"))
	logged("Server is ready")
	eventually(t, "the ports file", func() bool { return m.ports(t, dir) != "" })
	c := wire.Dial(t, m.ports(t, dir))
	if !strings.Contains(c.Info, `"max_payload":1000,`) {
		t.Errorf("INFO %s", c.Info)
	}

	config("2000")
	m.signal(t, "reload")
	logged("Reloaded server configuration")
	if c := wire.Dial(t, m.ports(t, dir)); !strings.Contains(c.Info, `"max_payload":2000,`) {
		t.Errorf("INFO %s", c.Info)
	}
	config("many")
	m.signal(t, "reload")
	logged("Failed to reload server configuration")

	if got := m.call(t, "cmd", "/c", "ren", dir+`\gnatsd.log`, "gnatsd.old"); got.status != 0 {
		t.Errorf("rename of a log that is open: got %+v", got)
	}
	m.signal(t, "reopen")
	logged("File log re-opened")
	if old := m.read(t, dir+`\gnatsd.old`); !strings.Contains(old, "Server is ready") {
		t.Errorf("the renamed log:\n%s", old)
	}
	c.Sync()
	m.signal(t, "quit")
	c.End()
	logged("Server Exiting..")
	if m.read(t, dir+`\gnatsd.pid`) != "" || m.ports(t, dir) != "" {
		t.Error("the files are still there")
	}
}

// TestSignalWithoutAService says what is wrong.
func TestSignalWithoutAService(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	for target, name := range map[string]string{"": "gnatsd-none", "=1234": "1234", `=C:\gnatsd.pid`: `C:\gnatsd.pid`} {
		if target == "" {
			target = "=" + name
		}
		got := m.call(t, shipped, "-sl", "reload"+target)
		if want := "(on Windows -sl controls a service, by its name: " + name + ")"; got.status != 1 ||
			!strings.HasPrefix(got.err, "could not access service: ") || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %+v, want %q", target, got, want)
		}
	}
}

// create makes a service, which is stopped and removed when the test ends.
func (m *machine) create(t *testing.T, name, args string) {
	t.Helper()
	must(t, m.sc("create", name, "binPath=", `"`+service+`" `+args))
	t.Cleanup(func() {
		_ = m.sc("stop", name) // fails if it has ended
		_ = m.sc("delete", name)
	})
}

// sc calls the program that controls services.
func (m *machine) sc(args ...string) error {
	if out, err := m.command("sc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("sc %s: %w\n%s", args, err, out)
	}
	return nil
}

// signal is -sl.
func (m *machine) signal(t *testing.T, command string) {
	t.Helper()
	if got := m.call(t, shipped, "-sl", command); got != (result{}) {
		t.Errorf("-sl %s: got %+v", command, got)
	}
}

// TestEventLog looks at what a broker and a service that cannot start say there. Wine prints its
// event log where it is told to.
func TestEventLog(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	cmd := m.command(shipped, "-s", "-a", "203.0.113.1")
	cmd.Env = append(cmd.Env, "WINEDEBUG=err+eventlog")
	out, err := cmd.CombinedOutput()
	if text := string(out); err == nil || !strings.Contains(text, "[FATAL]: Error listening on port: 203.0.113.1:4222") {
		t.Errorf("got %v and\n%s", err, text)
	}
}
