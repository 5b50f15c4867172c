package test

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// buildDir names the environment variable that holds the directory of the binary.
const buildDir = "GNATSD_TEST_BUILD"

// TestMain makes a directory for what the tests build, and removes it. Most tests wait for a program or a clock, so more of them run
// at a time than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := strconv.Itoa(3 * runtime.GOMAXPROCS(0))
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.parallel" {
			parallel = f.Value.String()
		}
	})
	flag.Set("test.parallel", parallel)
	dir, err := os.MkdirTemp("", "gnatsd-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv(buildDir, dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// builtProgram names the environment variable that holds the path of the binary for a test within a test.
const builtProgram = "GNATSD_TEST_PROGRAM"

// program is the path of the broker's binary, built when it is first asked for.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(builtProgram); path != "" {
		return path, nil
	}
	path := filepath.Join(os.Getenv(buildDir), "gnatsd")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-o", path, "gnatsd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the image has it
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
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

// process is a broker running as a program.
type process struct {
	cmd   *exec.Cmd
	lines <-chan string // of the log, closed when the program has ended
	seen  []string      // lines that await has taken
}

// spawn starts the binary, on loopback and a free port unless args say otherwise, and stops it when the test ends.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, command(t, append([]string{"-a", "127.0.0.1", "-p", "-1"}, args...)...))
}

// launch starts a run of the binary and stops it when the test ends.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
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

// eventually waits for something that no event tells of, as a file.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	late := time.After(patience)
	for pause := 100 * time.Microsecond; !happened(); pause = min(2*pause, 5*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-late:
			t.Fatalf("no %s in %v", strings.TrimPrefix(what, "a "), patience)
		}
	}
}

// stamp is what precedes the text of a log line.
const stamp = `^\[[0-9]+\] [0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6} `

func TestStartUpLines(t *testing.T) {
	t.Parallel()
	certs := filepath.ToSlash(certFiles(t))
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
		{"with debugging", []string{"-D"}, []string{
			stamp + `\[INF\] Starting nats-server version 1\.5\.0$`,
			stamp + `\[DBG\] Go build version go[0-9.]+`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[DBG\] Server id is [0-9A-Za-z]{22}$`,
			stamp + `\[INF\] Server is ready$`,
		}},
		{"with everything", []string{"-D", "--user", "u", "--pass", "p", "-ms", "-1", "--profile", "-1", "--tlscert", certs + "/server-cert.pem", "--tlskey", certs + "/server-key.pem",
			"--cluster", "nats://127.0.0.1:-1", "--routes", "nats://127.0.0.1:1"}, []string{
			stamp + `\[INF\] Starting nats-server version 1\.5\.0$`,
			stamp + `\[DBG\] Go build version go[0-9.]+`,
			stamp + `\[INF\] Git commit \[[^\]]+\]$`,
			stamp + `\[WRN\] Plaintext passwords detected\. Use Nkeys or Bcrypt passwords in config files\.$`,
			stamp + `\[INF\] Starting https monitor on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[INF\] profiling port: [1-9][0-9]*$`,
			stamp + `\[INF\] Listening for client connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[INF\] TLS required for client connections$`,
			stamp + `\[DBG\] Server id is [0-9A-Za-z]{22}$`,
			stamp + `\[INF\] Server is ready$`,
			stamp + `\[INF\] Listening for route connections on 127\.0\.0\.1:[1-9][0-9]*$`,
			stamp + `\[DBG\] Trying to connect to route on 127\.0\.0\.1:1$`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := spawn(t, test.args...)
			p.await(t, test.want[len(test.want)-1])
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
			c := wire.Dial(t, p.addr(t))
			c.Say(`CONNECT {"verbose":false}`, "SUB foo 1", "PING")
			c.Want("PONG")
			code, log := p.stop(t, signal)
			if code != 0 {
				t.Errorf("got exit %d, want 0", code)
			}
			c.End()
			if n := len(log); n < 2 || !strings.HasSuffix(log[n-2], "[INF] Initiating Shutdown...") || !strings.HasSuffix(log[n-1], "[INF] Server Exiting..") {
				t.Errorf("got %q, want the two lines of a stop", log)
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
	p := spawn(t, "-D", "-V")
	addr := p.addr(t)
	go func() { // ends with the program
		for range p.lines {
		}
	}()
	return addr
}
