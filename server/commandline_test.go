package server

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gnatsd/server/internal/tlsfiles"
)

// runLine runs a command line that is not to start a server.
func runLine(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, err strings.Builder
	opts, status := CommandLine(args, &out, &err)
	if opts != nil {
		t.Fatal("the server would start")
	}
	return out.String(), err.String(), status
}

func TestCommandLineStreamsAndStatus(t *testing.T) {
	t.Parallel()
	usage, version := usageText(), "nats-server version "+Version+"\n"
	good := writeConfig(t, "port: 4223\nv=1\nmax_subs: $v\n")
	bad := writeConfig(t, "port: x\n")
	odd := writeConfig(t, "prot: 1\nport: x\n")
	for _, tc := range []struct {
		args           []string
		stdout, stderr string
		status         int
	}{
		{[]string{"-v"}, version, "", 0},
		{[]string{"--version"}, version, "", 0},
		{[]string{"VERSION"}, version, "", 0},
		{[]string{"-h"}, usage, "", 0},
		{[]string{"help"}, usage, "", 0},
		{[]string{"-h", "-v"}, version, "", 0},
		{[]string{"--help_tls"}, tlsfiles.Help(), "", 0},
		{[]string{"-v", "foo"}, version, "", 0},
		{[]string{"--nosuch"}, "", "flag provided but not defined: -nosuch\ngnatsd -h lists all flags\n", 1},
		{[]string{"--prot", "1"}, "", "flag provided but not defined: -prot\ndid you mean --port?\ngnatsd -h lists all flags\n", 1},
		{[]string{"--max-payload=1"}, "", "flag provided but not defined: -max-payload\nmax_payload is set in the configuration file, not by a flag\ngnatsd -h lists all flags\n", 1},
		{[]string{"-d"}, "", "flag provided but not defined: -d\ndid you mean -D?\ngnatsd -h lists all flags\n", 1},
		{[]string{"-p"}, "", "flag needs an argument: -p\n", 1},
		{[]string{"-p", "abc"}, "", "invalid value \"abc\" for flag -p: parse error\n", 1},
		{[]string{"-p", "99999999999999999999"}, "", "invalid value \"99999999999999999999\" for flag -p: value out of range\n", 1},
		{[]string{"-D=maybe"}, "", "invalid boolean value \"maybe\" for -D: parse error\n", 1},
		{[]string{"---D"}, "", "bad flag syntax: ---D\n", 1},
		{[]string{"foo"}, "", "unrecognized command: \"foo\"\n", 1},
		{[]string{"--", "-D"}, "", "unrecognized command: \"-D\"\n", 1},
		{[]string{"-c", "/no/such"}, "", "error opening config file: open /no/such: no such file or directory\n", 1},
		{[]string{"-c", bad}, "", bad + ":1:7: port: want an integer from -1 to 65535, have string \"x\"\n    port: x\n          ^\n", 1},
		{[]string{"-t", "-c", good}, "", "gnatsd: configuration file " + good + " is valid\n", 0},
		{[]string{"-t"}, "", "gnatsd: the command line is valid; it names no configuration file\n", 0},
		{[]string{"-t", "-c", odd}, "", odd + ":1:1: prot: unknown field \"prot\" (did you mean \"port\"?)\n    prot: 1\n    ^\n" +
			odd + ":2:7: port: want an integer from -1 to 65535, have string \"x\"\n    port: x\n          ^\n", 1},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := runLine(t, tc.args...)
			if stdout != tc.stdout || stderr != tc.stderr || status != tc.status {
				t.Errorf("got status %d, stdout %q, stderr %q\nwant status %d, stdout %q, stderr %q",
					status, stdout, stderr, tc.status, tc.stdout, tc.stderr)
			}
		})
	}
}

func TestCheckWarnsOfWhatWorks(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, "write_deadline: 5\n")
	stdout, stderr, status := runLine(t, "-t", "-c", file)
	if want := "WARNING: write_deadline should be converted to a duration\n"; stdout != want || status != 0 {
		t.Errorf("got status %d, stdout %q, want %q", status, stdout, want)
	}
	if want := "warning: " + file + ":1:17: write_deadline: write_deadline should be converted to a duration\n"; !strings.HasPrefix(stderr, want) {
		t.Errorf("got stderr %q, want %q", stderr, want)
	}
}

// TestCheckWarnsOfAllThatAStartWarnsOf compares -t with the log of a start: the same warnings, with
// their places.
func TestCheckWarnsOfAllThatAStartWarnsOf(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, `authorization { users: [
  {user: a, password: b}
  {user: a, password: c, permissions: {publish: x}}
  {user: d, password: $2a$11$short}
] }
max_payload: 100MB
lame_duck_duration: 0
port: 1
port: -1
`)
	want := []string{
		`:6:1: max_payload: max_payload (104857600) is more than max_pending (67108864): a message of more than 67108864 bytes disconnects its subscribers as slow consumers`,
		`:7:21: lame_duck_duration: 0 means the default, "30s"`,
		`:8:1: port: it is given twice: FILE:9:1 counts, this has no effect`,
		`:2:3: Plaintext passwords detected. Use Nkeys or Bcrypt passwords in config files.`,
		`:3:3: user "a" is listed more than once: the last entry counts`,
		`:3:39: Permissions of user "a" have no subscribe entries: it may subscribe to every subject`,
		`:4:3: The bcrypt hash of user "d" is malformed: no password matches it`,
	}
	_, stderr, status := runLine(t, "-t", "-js", "-c", file)
	lines := strings.Split(strings.ReplaceAll(strings.TrimSuffix(stderr, "\n"), file, "FILE"), "\n")
	want = slices.Insert(want, 3, "--jetstream: "+unsupportedFeature+", it has no effect")
	for i, w := range want {
		if w = "warning: FILE" + w; strings.HasPrefix(want[i], "--") {
			w = "warning: " + want[i]
		}
		if i >= len(lines) || lines[i] != w {
			t.Fatalf("got line %d of\n%s\nwant %s", i+1, strings.Join(lines, "\n"), w)
		}
	}
	if status != 0 || len(lines) != len(want)+1 {
		t.Errorf("got status %d, %d lines: %s", status, len(lines), stderr)
	}
	s, err := NewServer(mustConfigure(t, "", "-js", "-c", file))
	okay(t, err)
	var l warnings
	s.SetLogger(&l, false, false)
	s.logStart()
	if len(l.lines) != len(want) {
		t.Errorf("the log has %d warnings, -t has %d: %q", len(l.lines), len(want), l.lines)
	}
	for _, line := range l.lines {
		if text, _, _ := strings.Cut(line, " ("+file); !strings.Contains(stderr, text) {
			t.Errorf("the log has %q, which -t lacks", line)
		}
	}
}

func TestCheckFindsWhatAStartWouldRunInto(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		args []string
		want string
	}{
		{"client_advertise: \"h:x\"", nil, `x.conf:1:1: client_advertise: Error setting server INFO with ClientAdvertise value of h:x, err=`},
		{"cluster { port: 1, advertise: \"h:x\" }", nil, `x.conf:1:20: cluster.cluster_advertise: Error setting route INFO with Cluster.Advertise value of h:x, err=`},
		{"http: 1\nhttps: 2", nil, `x.conf:2:1: https_port: Can't start monitoring: can't specify both HTTP (1) and HTTPs (2) ports`},
		{"remote_syslog: \"http://h:1\"", nil, `x.conf:1:1: remote_syslog: error invalid network type: "http"`},
		{"remote_syslog: \"udp://127.0.0.1:\"", nil, `x.conf:1:1: remote_syslog: error parsing remote syslog: the port is missing, as in udp://host:514`},
		{"remote_syslog: \"127.0.0.1:514\"", nil, `x.conf:1:1: remote_syslog: error invalid network type: write udp://host:port, tcp://host:port or unix:///path`},
		{"", []string{"-r", "localhost"}, `error invalid network type: write udp://host:port`},
		{"client_advertise: \":5\"", nil, `x.conf:1:1: client_advertise: Error setting server INFO with ClientAdvertise value of :5, err=the host is missing`},
		{"client_advertise: \"a b\"", nil, `x.conf:1:1: client_advertise: Error setting server INFO with ClientAdvertise value of a b, err=a host has no blanks in it`},
		{"client_advertise: \"[h]\"", nil, `x.conf:1:1: client_advertise: Error setting server INFO with ClientAdvertise value of [h], err=what is in brackets is no IPv6 address`},
		{"", []string{"--cluster", "nats://h:1", "--cluster_advertise", ":5"}, `Error setting route INFO with Cluster.Advertise value of :5, err=the host is missing`},
		{"http_user: \"a:b\", http_password: c", nil, `x.conf:1:12: http_user: a user name of HTTP basic authentication has no colon in it`},
		{"http_base_path: \"../x\"", nil, `x.conf:1:17: http_base_path: a base path holds no '.', '..' or nothing between two slashes`},
		{"http_base_path: \"/a//b\"", nil, `x.conf:1:17: http_base_path: a base path holds no '.', '..' or nothing between two slashes`},
		{"http_base_path: \"/a%20b\"", nil, `x.conf:1:17: http_base_path: a base path holds no '%' or`},
		{"", []string{"-a", "127.0.0.1:24222"}, `--addr: want a host without a port, which is a setting of its own`},
		{"", []string{"-a", "[::1]"}, `--addr: want a host without a port, an IPv6 address without brackets`},
		{"cluster { host: \"h:5\" }", nil, `x.conf:1:17: cluster.host: want a host without a port`},
		{"host: it's", nil, "x.conf:1:10: host: Expected a top-level value to end with a new line, comment or EOF, but got 's' instead.\n    host: it's\n             ^"},
		{"", []string{"-p", "5", "-m", "5"}, "0.0.0.0:5 of http_port overlaps with 0.0.0.0:5 of port: only one of them can be listened on"},
		{"include \"\"", nil, "x.conf:1:9: the name of the file to include is empty"},
		{"include \"/nonexistent/x\"", nil, "x.conf:1:9: error parsing include file '/nonexistent/x', open /"},
		{"https_port: 2", nil, `x.conf:1:1: https_port: Can't start monitoring: TLS cert and key required for HTTPS`},
		{"debug: true", []string{"-ms", "5"}, `Can't start monitoring: TLS cert and key required for HTTPS`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			t.Parallel()
			file := writeConfig(t, tc.text)
			_, stderr, status := runLine(t, append(tc.args, "-t", "-c", file)...)
			if got := strings.ReplaceAll(stderr, file, "x.conf"); status != 1 || !strings.HasPrefix(got, tc.want) {
				t.Errorf("got status %d, %s, want %s", status, got, tc.want)
			}
		})
	}
}

func TestPrintConfigStartsNothing(t *testing.T) {
	t.Parallel()
	stdout, stderr, status := runLine(t, "--print-config", "-p", "5", "-c", writeConfig(t, "host: x"))
	if stderr != "" || status != 0 || !strings.Contains(stdout, "# flag --port\n") || !strings.Contains(stdout, "x.conf:1:1\n") {
		t.Errorf("got status %d, stderr %q, stdout %s", status, stderr, stdout)
	}
}

func TestCommandLineThatStarts(t *testing.T) {
	t.Parallel()
	var out, errs strings.Builder
	opts, status := CommandLine([]string{"-p", "5", "-c", writeConfig(t, "host: x")}, &out, &errs)
	if opts == nil || opts.Port != 5 || opts.Host != "x" || status != 0 || out.String()+errs.String() != "" {
		t.Errorf("got %+v %d %q %q", opts, status, out.String(), errs.String())
	}
}

// newLines begin the lines of the usage text that the classic one did not have.
var newLines = []string{"    -n, --server_name", "        --ports_file_dir", "        --log_size_limit", "        --cluster_name", "    -t ", "        --print-config", "        --explain", "        --watch-config", "        --diff", "        --health", "        --top", "        --max_traced_msg_len", "        --man", "        --completion", "        --schema"}

func TestUsageIsTheClassicOneWithAdditions(t *testing.T) {
	t.Parallel()
	var classic strings.Builder // of 1.1
	for line := range strings.Lines(usageText()) {
		added := strings.HasPrefix(line, strings.Repeat(" ", 37)) // 1.4 continues -sl
		for _, prefix := range newLines {
			added = added || strings.HasPrefix(line, prefix)
		}
		if !added {
			classic.WriteString(line)
		}
	}
	if got := classic.String(); len(got) != 2288 || strings.Count(got, "\n") != 47 {
		t.Errorf("got %d bytes in %d lines, want 2288 in 47:\n%s", len(got), strings.Count(got, "\n"), got)
	}
}

func TestUnknownKeysStartWithAWarning(t *testing.T) {
	t.Parallel()
	o := mustConfigure(t, "prot: 1\njetstream { store_dir: x }")
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	var l warnings
	s.SetLogger(&l, false, false)
	s.logStart()
	if len(l.lines) != 2 || !strings.HasSuffix(l.lines[0], `x.conf:1:1: prot: unknown field "prot" (did you mean "port"?), it has no effect`) {
		t.Errorf("got %q", l.lines)
	}
}

// warnings is a logger that keeps the warnings.
type warnings struct {
	Logger
	lines []string
}

func (w *warnings) Noticef(string, ...any)   {}
func (w *warnings) Warnf(_ string, v ...any) { w.lines = append(w.lines, v[0].(string)) }
func (w *warnings) Debugf(string, ...any)    {}

func TestBrokenFilesAreRefusedByTheCheck(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../conf/testdata/broken/*.conf")
	if err != nil || len(files) < 60 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		if _, stderr, status := runLine(t, "-t", "-c", file); status != 1 || !strings.Contains(stderr, "^") || !strings.Contains(stderr, ".conf:") {
			t.Errorf("%s: got status %d, stderr %s", file, status, stderr)
		}
	}
}

// fullDisk takes a few bytes, and then none.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(d.room, len(p))
	if d.room -= n; n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// TestOutputThatIsCutOffIsAnError has the disk be full that each of the outputs is redirected to: a
// script must not take a part of a configuration for all of it.
func TestOutputThatIsCutOffIsAnError(t *testing.T) {
	t.Parallel()
	good := writeConfig(t, "port: 4223\n")
	for _, args := range [][]string{{"-v"}, {"-h"}, {"--help_tls"}, {"--print-config", "-c", good}, {"--schema"}, {"--man"}, {"--completion", "bash"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			var stderr strings.Builder
			_, status := CommandLine(args, &fullDisk{room: 5}, &stderr)
			if want := "gnatsd: " + syscall.ENOSPC.Error() + "\n"; status != 1 || stderr.String() != want {
				t.Errorf("got status %d, %q, want 1, %q", status, &stderr, want)
			}
		})
	}
}
