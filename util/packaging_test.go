// Package util_test checks the files that packages of gnatsd are made from.
package util_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// unitSettings reads a systemd unit into "Section.Key" and its values, in order.
func unitSettings(t *testing.T, unit []byte) map[string][]string {
	t.Helper()
	settings := map[string][]string{}
	section := ""
	for line := range strings.Lines(string(unit)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			t.Fatalf("not a setting: %q", line)
		}
		key = section + "." + key
		settings[key] = append(settings[key], value)
	}
	return settings
}

func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("gnatsd.service")
	if err != nil {
		t.Fatal(err)
	}
	settings := unitSettings(t, unit)
	tests := []struct{ name, key, want string }{
		{"it starts as the classic one", "Service.ExecStart", "/usr/sbin/gnatsd -c /etc/gnatsd.conf"},
		{"it reloads without another program", "Service.ExecReload", "/usr/sbin/gnatsd -sl reload=${MAINPID}"},
		{"it stops by SIGINT", "Service.KillSignal", "SIGINT"},
		{"others start when it listens", "Service.Type", "notify"},
		{"only the broker speaks for it", "Service.NotifyAccess", "main"},
		{"a broker that hangs is noticed", "Service.WatchdogSec", "30"},
		{"a broker that fails comes back", "Service.Restart", "on-failure"},
		{"many connections fit", "Service.LimitNOFILE", "800000"},
		{"it runs as a user of its own", "Service.User", "gnatsd"},
		{"it gains no privileges", "Service.NoNewPrivileges", "yes"},
		{"it has no capabilities", "Service.CapabilityBoundingSet", ""},
		{"it writes nowhere", "Service.ProtectSystem", "strict"},
		{"it reads no home", "Service.ProtectHome", "yes"},
		{"but for its log", "Service.LogsDirectory", "gnatsd"},
		{"and its pid file", "Service.RuntimeDirectory", "gnatsd"},
		{"it talks to the network, syslog and systemd", "Service.RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"},
		{"it starts at boot", "Install.WantedBy", "multi-user.target"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := settings[tt.key]; !slices.Equal(got, []string{tt.want}) {
				t.Errorf("%s: got %q, want %q", tt.key, got, tt.want)
			}
		})
	}
}

// missing skips a test that cannot run here, but fails it in CI, where all must run.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + what)
	}
	t.Skip("needs " + what)
}

func TestSystemdUnitIsValid(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		missing(t, "the program systemd-analyze (Debian: apt-get install systemd)")
	}
	unit, err := os.ReadFile("gnatsd.service")
	if err != nil {
		t.Fatal(err)
	}
	// systemd wants the program to exist.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit = bytes.ReplaceAll(unit, []byte("/usr/sbin/gnatsd"), []byte(self))
	path := filepath.Join(t.TempDir(), "gnatsd.service")
	if err := os.WriteFile(path, unit, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "gnatsd.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestImageHasTheClassicLayout(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(dockerfile), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the image has a base")
	}
	var got []string
	for line := range strings.Lines(last) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			got = append(got, line)
		}
	}
	want := []string{
		`COPY --from=build /gnatsd /gnatsd`,
		`COPY util/docker/gnatsd.conf /gnatsd.conf`,
		`EXPOSE 4222 8222 6222`,
		`ENTRYPOINT ["/gnatsd"]`,
		`CMD ["-c", "gnatsd.conf"]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestImageOpensNoPortToOthers looks at the configuration that the image has: clients are served on
// all interfaces, monitoring on loopback, and there are no routes, whose password would be public.
func TestImageOpensNoPortToOthers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docker/gnatsd.conf")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			got = append(got, line)
		}
	}
	if want := []string{"port: 4222", "http: 127.0.0.1:8222"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
