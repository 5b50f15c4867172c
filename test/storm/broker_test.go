package storm

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gnatsd/test/certs"
)

// broker is the program, running.
type broker struct {
	cmd  *exec.Cmd
	dir  string // of its files, the certificates among them
	addr string
}

// startBroker builds and starts the program with TLS and the users of s. It ends with the test.
func startBroker(t *testing.T, s size) *broker {
	t.Helper()
	b := &broker{dir: t.TempDir()}
	program := filepath.Join(b.dir, "gnatsd")
	if out, err := exec.Command("go", "build", "-o", program, "gnatsd").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	must(t, certs.WriteAll(b.dir))
	file := b.path("gnatsd.conf")
	must(t, os.WriteFile(file, []byte(configuration(t, s)), 0o600))
	b.cmd = exec.Command(program, "-c", file)
	b.cmd.Dir = b.dir
	must(t, b.cmd.Start())
	t.Cleanup(func() {
		b.cmd.Process.Kill()
		b.cmd.Wait()
	})
	b.addr = b.await(t, regexp.MustCompile(`Listening for client connections on (\S+)`))
	return b
}

func (b *broker) path(name string) string { return filepath.Join(b.dir, name) }

// configuration is that of the broker: user uN has the password pN.
func configuration(t *testing.T, s size) string {
	t.Helper()
	var users strings.Builder
	for i := range s.users {
		hash, err := bcrypt.GenerateFromPassword(fmt.Appendf(nil, "p%d", i), s.cost)
		must(t, err)
		fmt.Fprintf(&users, "  { user: u%d, password: \"%s\" }\n", i, hash)
	}
	return `listen: "127.0.0.1:-1"
log_file: gnatsd.log
tls { cert_file: server-cert.pem, key_file: server-key.pem` + s.limit + ` }
authorization {
  users = [
` + users.String() + `  ]` + s.limit + `
}
`
}

// await waits for a line of the log and returns what its parentheses matched.
func (b *broker) await(t *testing.T, line *regexp.Regexp) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		text, _ := os.ReadFile(b.path("gnatsd.log")) // it comes
		if m := line.FindSubmatch(text); m != nil {
			return string(m[1])
		}
	}
	t.Fatalf("no %v in the log", line)
	return ""
}

// complaints are the lines of the log that are warnings or worse.
func (b *broker) complaints(t *testing.T) (bad []string) {
	t.Helper()
	f, err := os.Open(b.path("gnatsd.log"))
	must(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); strings.Contains(line, "[ERR]") || strings.Contains(line, "[WRN]") || strings.Contains(line, "[FTL]") {
			bad = append(bad, line)
		}
	}
	return bad
}

// usage is what the broker has needed so far, where the system says.
func (b *broker) usage() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		return "not known here"
	}
	var parts []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmHWM:") || strings.HasPrefix(line, "VmRSS:") {
			parts = append(parts, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(parts, ", ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
