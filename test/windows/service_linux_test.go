package windows

import (
	"strings"
	"testing"
)

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
