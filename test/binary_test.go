package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain removes what the tests built.
func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// program is the path of the broker's program, built when it is first asked for.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gnatsd-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gnatsd")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-o", path, "gnatsd")
	if out, err := build.CombinedOutput(); err != nil {
		return path, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// command is a run of the binary that has not begun.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir()
	return cmd
}

// run runs the binary to its end.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Start(); e != nil {
		t.Fatal(e)
	}
	late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	cmd.Wait()
	if !late.Stop() {
		t.Fatalf("gnatsd %s did not end", strings.Join(args, " "))
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// process is a broker running as a program.
type process struct {
	cmd   *exec.Cmd
	lines <-chan string // of the log, closed when the program has ended
	seen  []string      // lines that await has taken
}

// spawn starts the binary, on loopback and a free port unless args say otherwise, and stops it when the test ends.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := command(t, append([]string{"-a", "127.0.0.1", "-p", "-1"}, args...)...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1024)
	go func() { // ends with the program
		defer close(lines)
		scan := bufio.NewScanner(log)
		scan.Buffer(nil, 4<<20)
		for scan.Scan() {
			lines <- scan.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range lines { // until the log ends, as Wait must come after the last read
		}
		cmd.Wait()
	})
	return &process{cmd: cmd, lines: lines}
}

// await reads the log up to the line that matches and returns its submatches.
func (p *process) await(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("the log ended without %s:\n%s", pattern, strings.Join(p.seen, "\n"))
			}
			p.seen = append(p.seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-late:
			t.Fatalf("no %s in the log:\n%s", pattern, strings.Join(p.seen, "\n"))
		}
	}
}

// addr waits until the broker is ready and returns where it listens.
func (p *process) addr(t *testing.T) string {
	t.Helper()
	at := p.await(t, `Listening for client connections on (\S+)$`)[1]
	p.await(t, `Server is ready$`)
	return at
}

// stop sends the signal and returns the exit code and the lines logged from then on.
func (p *process) stop(t *testing.T, signal os.Signal) (code int, log []string) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	for line := range p.lines {
		log = append(log, line)
	}
	p.cmd.Wait()
	if !late.Stop() {
		t.Fatalf("%v did not end the program:\n%s", signal, strings.Join(log, "\n"))
	}
	return p.cmd.ProcessState.ExitCode(), log
}

// dialRaw connects and takes in the INFO line.
func dialRaw(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{conn: c, in: bufio.NewReader(c), unread: newUnread(c)}
	t.Cleanup(p.close)
	if line, err := p.line(); err != nil || !bytes.HasPrefix(line, []byte("INFO {")) {
		t.Fatalf("got %q, %v; want INFO", line, err)
	}
	return p
}

// joinLines ends each line with CR LF.
func joinLines(lines []string) string { return strings.Join(lines, "\r\n") + "\r\n" }

// say sends lines, each with CR LF.
func (p *peer) say(lines ...string) {
	p.send(whole([]byte(joinLines(lines))))
}

// hear wants exactly these lines next.
func (p *peer) hear(t *testing.T, lines ...string) {
	t.Helper()
	if err := p.expect([]byte(joinLines(lines))); err != nil {
		t.Fatal(err)
	}
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-v"}, {"--version"}, {"-version"}, {"version"}, {"-h", "-v"}} {
		stdout, stderr, code := run(t, args...)
		if stdout != "nats-server version 1.5.0\n" || stderr != "" || code != 0 {
			t.Errorf("%v: got %q, %q on stderr, exit %d", args, stdout, stderr, code)
		}
	}
}

func TestHelpFlag(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"--help"}, {"help"}} {
		stdout, stderr, code := run(t, args...)
		if stderr != "" || code != 0 {
			t.Errorf("%v: got %q on stderr, exit %d, want none and 0", args, stderr, code)
		}
		for _, want := range []string{
			"\nUsage: gnatsd [options]\n", "\nServer Options:\n", "\nLogging Options:\n", "\nCommon Options:\n",
			"\n    -a, --addr <host>                Bind to host address (default: 0.0.0.0)\n",
			"\n    -p, --port <port>                Use port for clients (default: 4222)\n",
			"\n    -c, --config <file>              Configuration file\n",
			"\n    -l, --log <file>                 File to redirect log output\n",
			"\n    -T, --logtime                    Timestamp log entries (default: true)\n",
			"\n    -D, --debug                      Enable debugging output\n",
			"\n    -V, --trace                      Trace the raw protocol\n",
			"\n    -DV                              Debug and trace\n",
			"\n    -h, --help                       Show this message\n",
			"\n    -v, --version                    Show version\n",
		} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%v: %q is missing in\n%s", args, want, stdout)
			}
		}
	}
}

func TestBadArgumentsExitNonZero(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		args   []string
		stderr string
	}{
		{"an unknown flag", []string{"--nosuch"}, "flag provided but not defined: -nosuch"},
		{"a flag without its value", []string{"-p"}, "flag needs an argument: -p"},
		{"a number that is none", []string{"-p", "abc"}, `invalid value "abc" for flag -p: parse error`},
		{"a boolean that is none", []string{"-D=maybe"}, `invalid boolean value "maybe" for -D: parse error`},
		{"an extra word", []string{"foo"}, `unrecognized command: "foo"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, stderr, code := run(t, test.args...)
			if !strings.Contains(stderr, test.stderr) || code == 0 {
				t.Errorf("got %q, exit %d; want %q and not 0", stderr, code, test.stderr)
			}
		})
	}
}

// stamp is what precedes the text of a log line.
const stamp = `^\[[0-9]+\] [0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6} `

func TestStartUpLines(t *testing.T) {
	t.Parallel()
	bare := `^\[[0-9]+\] `
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"by default", nil, []string{
			stamp + `\[INF\] Starting nats-server version 1\.5\.0$`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[INF\] Server is ready$`,
		}},
		{"without times", []string{"-T=false"}, []string{
			bare + `\[INF\] Starting nats-server version 1\.5\.0$`,
			bare + `\[INF\] Git commit \[[^\]]+\]$`,
			bare + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			bare + `\[INF\] Server is ready$`,
		}},
		{"with debugging", []string{"-D"}, []string{
			stamp + `\[INF\] Starting nats-server version 1\.5\.0$`,
			stamp + `\[DBG\] Go build version go[0-9.]+`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[DBG\] Server id is [0-9A-Za-z]{22}$`,
			stamp + `\[INF\] Server is ready$`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := spawn(t, test.args...)
			p.await(t, `Server is ready$`)
			if len(p.seen) != len(test.want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(p.seen), len(test.want), strings.Join(p.seen, "\n"))
			}
			for i, line := range p.seen {
				if !regexp.MustCompile(test.want[i]).MatchString(line) {
					t.Errorf("line %d: got %q, want a match of %s", i+1, line, test.want[i])
				}
			}
		})
	}
}

func TestSignalsStopTheBrokerInOrder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals")
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := spawn(t)
			c := dialRaw(t, p.addr(t))
			c.say(`CONNECT {"verbose":false}`, "SUB foo 1", "PING")
			c.hear(t, "PONG")
			code, log := p.stop(t, signal)
			if code != 0 {
				t.Errorf("got exit %d, want 0", code)
			}
			if err := c.expectClosed(); err != nil {
				t.Error(err)
			}
			if n := len(log); n < 2 || !strings.HasSuffix(log[n-2], "[INF] Initiating Shutdown...") || !strings.HasSuffix(log[n-1], "[INF] Server Exiting..") {
				t.Errorf("got %q, want the two lines of a stop", log)
			}
		})
	}
}

func TestPortFlag(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(free.Addr().(*net.TCPAddr).Port)

	taken := spawn(t, "-p", port)
	taken.await(t, `\[FTL\] Error listening on port: 127\.0\.0\.1:`+port+`, ".*address already in use"$`)
	for line := range taken.lines {
		t.Errorf("after the fatal line: %q", line)
	}
	taken.cmd.Wait()
	if code := taken.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("on a port in use: got exit %d, want 1", code)
	}

	free.Close()
	p := spawn(t, "-p", port)
	if at := p.addr(t); at != "127.0.0.1:"+port {
		t.Errorf("got %s, want port %s", at, port)
	}
	dialRaw(t, "127.0.0.1:"+port)
}

func TestLogFlag(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broker.log")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := spawn(t, "-l", file, "-T=false")
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals")
	}
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "Server is ready") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not ready: %q", text)
		}
	}
	code, onStderr := p.stop(t, syscall.SIGTERM)
	if code != 0 || len(onStderr) > 0 {
		t.Errorf("got exit %d and %q on stderr, want 0 and nothing", code, onStderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `^before\n(\[[0-9]+\] \[INF\] [^\n]+\n)+\[[0-9]+\] \[INF\] Server Exiting\.\.\n$`
	if !regexp.MustCompile(want).Match(text) {
		t.Errorf("got %q, want a match of %s", text, want)
	}
}

func TestDebugAndTraceFlags(t *testing.T) {
	t.Parallel()
	const secret = "canary-4711"
	debug := []string{`\[DBG\] 127\.0\.0\.1:[0-9]+ - cid:1 - Client connection created$`}
	trace := []string{
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[CONNECT \{.*\}\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - <<- \[OK\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[SUB foo 1\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[PUB foo 5\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> MSG_PAYLOAD: \[hello\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - <<- \[MSG foo 1 5\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - ->> \[PING\]$`,
		`\[TRC\] 127\.0\.0\.1:[0-9]+ - cid:1 - <<- \[PONG\]$`,
	}
	for _, test := range []struct {
		flags []string
		want  []string
		not   string
	}{
		{nil, nil, `\[(DBG|TRC)\]`},
		{[]string{"-D"}, debug, `\[TRC\]`},
		{[]string{"-V"}, trace, `\[DBG\]`},
		{[]string{"-DV"}, append(debug, trace...), `\[(ERR|WRN)\]`},
		{[]string{"-D", "-V"}, append(debug, trace...), `\[(ERR|WRN)\]`},
	} {
		t.Run(strings.Join(test.flags, " "), func(t *testing.T) {
			t.Parallel()
			p := spawn(t, test.flags...)
			c := dialRaw(t, p.addr(t))
			c.say(`CONNECT {"user":"me","pass":"`+secret+`","auth_token":"`+secret+`","PASS":"`+secret+`","sig":"`+secret+`"}`, "SUB foo 1", "PUB foo 5", "hello", "PING")
			c.hear(t, "+OK", "+OK", "+OK", "MSG foo 1 5", "hello", "PONG")
			for _, pattern := range test.want {
				p.await(t, pattern)
			}
			p.cmd.Process.Kill()
			all := p.seen
			for line := range p.lines {
				all = append(all, line)
			}
			log := strings.Join(all, "\n")
			if strings.Contains(log, secret) {
				t.Errorf("the log tells a secret:\n%s", log)
			}
			if m := regexp.MustCompile(test.not).FindString(log); m != "" {
				t.Errorf("got %s in\n%s", m, log)
			}
		})
	}
}

// TestEveryTranscriptHoldsForTheBinary is a second, cheap look at what TestTranscripts shows in detail: the program itself, with its
// logging on, answers as the embedded broker does.
func TestEveryTranscriptHoldsForTheBinary(t *testing.T) {
	t.Parallel()
	all, err := readTranscripts("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range all {
		if len(tr.options) > 0 || strings.Contains(tr.path, "info") {
			continue // needs a broker of its own
		}
		t.Run(strings.TrimSuffix(filepath.Base(tr.path), ".txt"), func(t *testing.T) {
			t.Parallel()
			addr := spawnQuiet(t)
			if err := replay(tr.merged(), func() (net.Conn, error) { return net.Dial("tcp", addr) }, whole); err != nil {
				t.Error(err)
			}
		})
	}
}

// spawnQuiet starts the binary with everything traced and nobody to read it but a loop that throws it away.
func spawnQuiet(t *testing.T) string {
	t.Helper()
	p := spawn(t, "-DV")
	addr := p.addr(t)
	go func() { // ends with the program
		for range p.lines {
		}
	}()
	return addr
}

// errNoTelnet says what to install.
var errNoTelnet = errors.New("telnet is not installed: apt-get install telnet")

// readUntil reads r until the text read ends in suffix and returns the text.
func readUntil(r io.Reader, suffix string) (string, error) {
	var text strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(text.String(), suffix) {
		if _, err := r.Read(one); err != nil {
			return text.String(), fmt.Errorf("got %q, then %w; want it to end in %q", text.String(), err, suffix)
		}
		text.WriteByte(one[0])
	}
	return text.String(), nil
}
