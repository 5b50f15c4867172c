//go:build unix

package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// fileHas waits until a file has a line that matches.
func fileHas(t *testing.T, path, pattern string) {
	t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	eventually(t, pattern+" in "+path, func() bool {
		text, err := os.ReadFile(path)
		return err == nil && re.Match(text)
	})
}

// fileAddr waits until a broker that logs to a file is ready, and returns where it listens.
func fileAddr(t *testing.T, path string) string {
	t.Helper()
	fileHas(t, path, `Server is ready`)
	text, err := os.ReadFile(path)
	must(t, err)
	return regexp.MustCompile(`Listening for client connections on (\S+)`).FindStringSubmatch(string(text))[1]
}

func TestLogFileIsReopened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "broker.log")
	p := spawn(t, "-D", "-l", path)
	addr := fileAddr(t, path)
	info, err := os.Stat(path)
	must(t, err)
	if mode := info.Mode().Perm(); mode&^0o660 != 0 || mode&0o600 != 0o600 {
		t.Errorf("got mode %v, want 0660 minus umask", mode)
	}
	must(t, os.Rename(path, path+".1"))
	alive(t, addr)
	fileHas(t, path+".1", `Client connection created$`)
	p.signal(t, syscall.SIGUSR1)
	fileHas(t, path, `\A\[[0-9]+\] \S+ \S+ \[INF\] File log re-opened$`)

	// A file that cannot be opened leaves the broker with the one it has.
	must(t, os.Rename(path, path+".2"))
	must(t, os.Mkdir(path, 0o755))
	p.signal(t, syscall.SIGUSR1)
	fileHas(t, path+".2", `\[ERR\] File log not re-opened, the old file stays in use: open .*: is a directory$`)
	alive(t, addr)
	if code, onStderr := p.stop(t, syscall.SIGINT); code != 0 || len(onStderr) > 0 {
		t.Errorf("got exit %d and %q on stderr, want 0 and nothing", code, onStderr)
	}
	fileHas(t, path+".2", `Server Exiting\.\.$`)
}

func TestLogFileIsRotated(t *testing.T) {
	t.Parallel()
	const limit, files = 2000, 3
	dir := t.TempDir()
	path := filepath.Join(dir, "broker.log")
	config := writeConfig(t, fmt.Sprintf("debug: true\nlog_file: %q\nlogfile_size_limit: %d\nlogfile_max_num: %d", path, limit, files))
	p := spawn(t, "-c", config)
	addr := fileAddr(t, path)
	backups := func() []string {
		list, err := filepath.Glob(path + ".*")
		must(t, err)
		return list
	}
	seen := map[string]bool{}
	eventually(t, "five rotations", func() bool {
		alive(t, addr)
		for _, name := range backups() {
			seen[name] = true
		}
		return len(seen) >= 5
	})
	fileHas(t, path, `\A\[[0-9]+\] \S+ \S+ \[INF\] Rotated log, backup saved as "`+regexp.QuoteMeta(path)+`\.[0-9]{4}(\.[0-9]{2}){5}\.[0-9]{9}"$`)
	if code, _ := p.stop(t, syscall.SIGINT); code != 0 {
		t.Errorf("got exit %d, want 0", code)
	}
	all := append(backups(), path)
	if len(all) != files {
		t.Errorf("got %d files, want %d: %v", len(all), files, all)
	}
	for _, name := range all {
		if info, err := os.Stat(name); err != nil || info.Size() > limit {
			t.Errorf("%s: got %d bytes, %v; want %d at most", name, info.Size(), err, limit)
		}
	}
}

func TestLogFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"a directory", []string{"-l", dir}, `error opening file: open .*: is a directory`},
		{"a syslog of no kind", []string{"-r", "http://127.0.0.1:1"}, `error invalid network type: "http"`},
		{"a syslog that is not there", []string{"-r", "unix://" + dir + "/none"}, `error connecting to syslog: ".*no such file or directory"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, stderr, code := run(t, append([]string{"-a", "127.0.0.1", "-p", "-1"}, test.args...)...)
			want := `^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} ` + test.want + "\n$"
			if code != 1 || !regexp.MustCompile(want).MatchString(stderr) {
				t.Errorf("got %q, exit %d; want a match of %s, exit 1", stderr, code, want)
			}
		})
	}
}

// syslogd is a syslog daemon for one broker: it hands on records.
func syslogd(t *testing.T, network string) (url string, records <-chan string) {
	t.Helper()
	out := make(chan string, 1024)
	dir, err := os.MkdirTemp("", "s") // short, for the path of a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	at := map[string]string{"unix": dir + "/log"}[network]
	if at == "" {
		at = "127.0.0.1:0"
	}
	if network == "udp" {
		c, err := net.ListenPacket(network, at)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		go func() { // ends with the socket
			defer close(out)
			for buf := make([]byte, 64<<10); ; {
				n, _, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				out <- string(buf[:n])
			}
		}()
		return "udp://" + c.LocalAddr().String(), out
	}
	l, err := net.Listen(network, at)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the connection
		defer close(out)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for in := bufio.NewReader(c); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			out <- line
		}
	}()
	return network + "://" + l.Addr().String(), out
}

func TestRemoteSyslog(t *testing.T) {
	t.Parallel()
	for network, stamp := range map[string]string{
		"udp":  `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(Z|[+-][0-9:]{5}) \S+ `,
		"tcp":  `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(Z|[+-][0-9:]{5}) \S+ `,
		"unix": `[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} `,
	} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			url, records := syslogd(t, network)
			p := spawn(t, "-DV", "-r", url)
			record := func(pri int, text string) string {
				t.Helper()
				re := regexp.MustCompile(fmt.Sprintf(`^<%d>%sgnatsd\[%d\]: %s\n$`, pri, stamp, p.cmd.Process.Pid, text))
				for {
					got := await(t, records, "record "+re.String())
					if m := re.FindStringSubmatch(got); m != nil {
						return m[len(m)-1]
					}
				}
			}
			record(5, `Starting nats-server version `+quotedVersion+`()`)
			record(7, `Go build version go\S+()`)
			addr := record(5, `Listening for client connections on (\S+)`)
			record(5, `Server is ready()`)
			c := wire.Dial(t, addr)
			c.Say("PING", "NONSENSE")
			record(5, `127\.0\.0\.1:\d+ - cid:1 - ->> \[PING\]()`)
			record(3, `127\.0\.0\.1:\d+ - cid:1 - Client parser ERROR, .*()`)
			if code, onStderr := p.stop(t, syscall.SIGTERM); code != 0 || len(onStderr) > 0 {
				t.Errorf("got exit %d and %q on stderr, want 0 and nothing", code, onStderr)
			}
			record(5, `Server Exiting\.\.()`)
		})
	}
}

// TestFatalErrorWithSyslogExitsNonZero: the classic broker exits 0.
func TestFatalErrorWithSyslogExitsNonZero(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	url, records := syslogd(t, "tcp")
	_, stderr, code := run(t, "-a", "127.0.0.1", "-p", fmt.Sprint(taken.Addr().(*net.TCPAddr).Port), "-r", url)
	if code != 1 || stderr != "" {
		t.Errorf("got exit %d and %q on stderr, want 1 and nothing", code, stderr)
	}
	var all []string
	for r := range records {
		all = append(all, r)
	}
	if !slices.ContainsFunc(all, func(r string) bool {
		return strings.HasPrefix(r, "<2>") && strings.Contains(r, "Error listening on port: 127.0.0.1:")
	}) {
		t.Errorf("got no critical record in %q", all)
	}
}

func TestLogFormatJSON(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-DV", "-c", writeConfig(t, "log_format: json"))
	type entry struct {
		Time  time.Time
		Level string
		PID   int
		Addr  string
		CID   int
		Msg   string
	}
	next := func() (e entry) {
		t.Helper()
		line := await(t, p.lines, "line of the log")
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e.PID != p.cmd.Process.Pid || time.Since(e.Time).Abs() > time.Minute {
			t.Errorf("%q: got pid %d at %v", line, e.PID, e.Time)
		}
		return e
	}
	addr := ""
	for e := next(); e.Msg != "Server is ready"; e = next() {
		if at, ok := strings.CutPrefix(e.Msg, "Listening for client connections on "); ok && e.Level == "info" {
			addr = at
		}
	}
	c := wire.Dial(t, addr)
	c.Say("PUB foo 3", "a\"\x01")
	for _, want := range []entry{
		{Level: "debug", Msg: "Client connection created"},
		{Level: "trace", Msg: "->> [PUB foo 3]"},
		{Level: "trace", Msg: `->> MSG_PAYLOAD: [a"\x01]`},
	} {
		if e := next(); e.Level != want.Level || e.Msg != want.Msg || e.CID != 1 || e.Addr != c.LocalAddr().String() {
			t.Errorf("got %+v, want level %s and %q of cid 1", e, want.Level, want.Msg)
		}
	}
}

func TestTracedPayloadIsTruncated(t *testing.T) {
	t.Parallel()
	p := spawn(t, "-V", "-c", writeConfig(t, "max_traced_msg_len: 10"))
	c := wire.Dial(t, p.addr(t))
	c.Say("PUB foo 20", "01234567890123456789", "PUB foo 10", "0123456789")
	p.await(t, `->> MSG_PAYLOAD: \[0123456789\.\.\.\]$`)
	p.await(t, `->> MSG_PAYLOAD: \[0123456789\]$`)
}

// TestRepeatedLinesAreCounted has many clients make the same mistake.
func TestRepeatedLinesAreCounted(t *testing.T) {
	t.Parallel()
	p := spawn(t)
	addr := p.addr(t)
	begin := time.Now()
	quit := make(chan struct{})
	defer close(quit)
	go func() { // ends with the test
		for {
			select {
			case <-quit:
				return
			default:
			}
			if nc, err := net.Dial("tcp", addr); err == nil {
				io.WriteString(nc, "NONSENSE\r\n")
				io.Copy(io.Discard, nc)
				nc.Close()
			}
		}
	}()
	p.await(t, `\[ERR\] Client parser ERROR, .*NONSENSE.* repeated [0-9]+ times$`)
	shown := 0
	for _, line := range p.seen {
		if strings.Contains(line, "cid:") {
			shown++
		}
	}
	if windows := 2 + int(time.Since(begin)/time.Second); shown > 10*windows {
		t.Errorf("got %d lines before the count, want 10 a second", shown)
	}
}
