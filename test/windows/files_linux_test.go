package windows

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gnatsd/test/wire"
)

// TestConfigurationWithPathsOfWindows has them in every spelling.
func TestConfigurationWithPathsOfWindows(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	dir := m.folder(t) // C:\A Folder 1
	rooted, slashes := strings.TrimPrefix(dir, "C:"), strings.ReplaceAll(dir, `\`, "/")
	m.write(t, dir+`\parts\a.conf`, "max_payload: 1000\n")
	m.write(t, dir+`\parts\B.CONF`, "max_subscriptions: 17\n")
	m.write(t, dir+`\x.conf`, "write_deadline: \"3s\"\n")
	m.write(t, dir+`\gnatsd.conf`, strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(`
		listen: "127.0.0.1:-1"
		log_file: 'DIR\gnatsd.log'
		pid_file: "SLASHES/gnatsd.pid"
		ports_file_dir: 'DIR'
		include 'parts\*.conf'
		include "parts/?.conf"
		include 'DIR\x.conf'
		include 'SLASHES/parts/*.conf'
		include 'ROOTED\x.conf'
		include 'ROOTED\parts\*.conf'
	`, "DIR", dir), "SLASHES", slashes), "ROOTED", rooted))
	for _, name := range []string{dir + `\gnatsd.conf`, slashes + "/gnatsd.conf", rooted + `\gnatsd.conf`, "c:" + rooted + `\gnatsd.conf`} {
		if got := m.call(t, shipped, "-t", "-c", name); got.status != 0 || !strings.Contains(got.err, "configuration file "+name+" is valid") {
			t.Errorf("-t -c %s: got %+v", name, got)
		}
	}
	got := m.call(t, shipped, "--print-config", "-c", dir+`\gnatsd.conf`)
	for _, want := range []string{"max_payload: 1000", "max_subscriptions: 17", `write_deadline: "3s"`} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %s in\n%s", want, got.out)
		}
	}
	m.write(t, dir+`\printed.conf`, got.out)
	again := m.call(t, shipped, "--print-config", "-c", dir+`\printed.conf`)
	origin := regexp.MustCompile(` *#.*`)
	if read, want := origin.ReplaceAllString(again.out, ""), origin.ReplaceAllString(got.out, ""); read != want {
		t.Errorf("what was printed is read as\n%s, want\n%s", read, want)
	}

	b := m.launch(t, "-c", dir+`\gnatsd.conf`)
	eventually(t, "the ports file", func() bool { return m.ports(t, dir) != "" })
	addr := m.ports(t, dir)
	c := wire.Dial(t, addr)
	if !strings.Contains(c.Info, `"max_payload":1000`) || m.read(t, dir+`\gnatsd.pid`) == "" {
		t.Errorf("INFO %s, pid %q", c.Info, m.read(t, dir+`\gnatsd.pid`))
	}
	b.press("ctrl-c")
	c.End()
	if status, _ := b.ended(); status != 0 {
		t.Errorf("status %d", status)
	}
	if log := m.read(t, dir+`\gnatsd.log`); !strings.Contains(log, "Server is ready\n") || !strings.HasSuffix(log, "Server Exiting..\n") {
		t.Errorf("log:\n%s", log)
	}
}

// launch starts the broker in a console.
func (m *machine) launch(t *testing.T, args ...string) *broker {
	t.Helper()
	return launch(t, m.command(console, append([]string{shipped}, args...)...))
}

// ports returns the address for clients in a ports file, "" if there is no such file.
func (m *machine) ports(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(m.unix(dir) + "/gnatsd*.ports")
	must(t, err)
	if len(files) == 0 {
		return ""
	}
	_, addr, _ := strings.Cut(m.read(t, dir+`\`+filepath.Base(files[0])), "nats://")
	addr, _, _ = strings.Cut(addr, `"`)
	return addr
}

// TestMistakesInPathsOfWindows are explained.
func TestMistakesInPathsOfWindows(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	dir := m.folder(t)
	for _, tt := range []struct{ text, want string }{
		{`log_file: "C:\Logs\gnatsd.log"`, `(write \\ for a backslash, or use single quotes)`},
		{`log_file: "C:\temp\new.log"`, `(write \\ for a backslash, or use single quotes)`},
		{`include 'C:\nowhere\x.conf'`, `open C:\nowhere\x.conf: `},
		{`include 'C:\nowhere\*.conf'`, `open C:\nowhere: `},
		{`include X.CONF`, `the file includes itself`},
	} {
		m.write(t, dir+`\x.conf`, tt.text+"\n")
		if got := m.call(t, shipped, "-t", "-c", dir+`\x.conf`); got.status != 1 || !strings.Contains(got.err, tt.want) {
			t.Errorf("%s: got %+v, want %q", tt.text, got, tt.want)
		}
	}
}

// TestLogIsRotated has a broker rename its log while it is open, again and again.
func TestLogIsRotated(t *testing.T) {
	t.Parallel()
	m := onWindows(t)
	dir := m.folder(t)
	const limit = 4 << 10
	b := m.start(t, "-l", dir+`\gnatsd.log`, "--log_size_limit", "4096", "-V", "--ports_file_dir", dir)
	eventually(t, "the ports file", func() bool { return m.ports(t, dir) != "" })
	c := wire.Dial(t, m.ports(t, dir))
	c.Say(`CONNECT {"verbose":false}`)
	const traced = 500
	for range traced {
		c.Say("PUB some.subject 2", "hi")
	}
	c.Sync()
	b.press("ctrl-c")
	if status, _ := b.ended(); status != 0 {
		t.Errorf("status %d", status)
	}
	files, err := filepath.Glob(m.unix(dir) + "/gnatsd.log*")
	must(t, err)
	slices.Sort(files)
	lines := 0
	for _, file := range files {
		text := m.read(t, dir+`\`+filepath.Base(file))
		lines += strings.Count(text, "[PUB some.subject 2]")
		if len(text) > limit {
			t.Errorf("%s has %d bytes", file, len(text))
		}
	}
	if len(files) < 5 || lines != traced {
		t.Errorf("%d files have %d lines, want %d", len(files), lines, traced)
	}
}
