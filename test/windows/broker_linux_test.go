package windows

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// broker is one that runs in a console.
type broker struct {
	t        *testing.T
	cmd      *exec.Cmd
	keyboard io.Writer
	lines    chan string // of standard error, closed when it has ended
	seen     []string    // lines that await has taken
}

// start starts the broker in a console, on loopback and a free port unless args say otherwise. It
// ends with the test.
func (m *machine) start(t *testing.T, args ...string) *broker {
	t.Helper()
	return launch(t, m.command(console, append([]string{shipped, "-a", "127.0.0.1", "-p", "-1", "-D"}, args...)...))
}

// launch starts a run of a broker, which ends with the test.
func launch(t *testing.T, cmd *exec.Cmd) *broker {
	t.Helper()
	keyboard, err := cmd.StdinPipe()
	must(t, err)
	log, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	b := &broker{t: t, cmd: cmd, keyboard: keyboard, lines: make(chan string, 1<<16)}
	go func() { // ends with the program
		defer close(b.lines)
		for scan := bufio.NewScanner(log); scan.Scan(); {
			b.lines <- strings.TrimSuffix(scan.Text(), "\r")
		}
	}()
	t.Cleanup(func() {
		keyboard.Close() // the console ends the broker then
		limit := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer limit.Stop()
		for line := range b.lines {
			b.seen = append(b.seen, line)
		}
		cmd.Wait()
		if t.Failed() {
			t.Logf("%v, log of %s:\n%s", cmd.ProcessState, cmd.Args, strings.Join(b.seen, "\n"))
		}
	})
	return b
}

// await waits for a line of the log that has a text, and returns it.
func (b *broker) await(text string) string {
	b.t.Helper()
	for _, line := range b.seen {
		if strings.Contains(line, text) {
			return line
		}
	}
	limit := time.After(patience)
	for {
		select {
		case line, more := <-b.lines:
			if !more {
				b.t.Fatalf("the log ended without %q", text)
			}
			b.seen = append(b.seen, line)
			if strings.Contains(line, text) {
				return line
			}
		case <-limit:
			b.t.Fatalf("no line with %q", text)
		}
	}
}

// address is at the end of log lines about ports.
var address = regexp.MustCompile(`127\.0\.0\.1:\d+$`)

// port waits for the log line about a port, and returns its address.
func (b *broker) port(line string) string {
	b.t.Helper()
	return address.FindString(b.await(line))
}

// ready waits until the broker is open for clients, and returns the address for them.
func (b *broker) ready() (addr string) {
	b.t.Helper()
	addr = b.port("Listening for client connections on")
	b.await("Server is ready")
	return addr
}

// press does what a user does with the console: ctrl-c, or kill.
func (b *broker) press(key string) {
	b.t.Helper()
	_, err := fmt.Fprintln(b.keyboard, key)
	must(b.t, err)
}

// ended waits for the end of the broker, and returns its exit status and the rest of the log.
func (b *broker) ended() (status int, log string) {
	b.t.Helper()
	limit := time.After(patience)
	for more := true; more; {
		var line string
		select {
		case line, more = <-b.lines:
			if more {
				b.seen = append(b.seen, line)
				log += line + "\n"
			}
		case <-limit:
			b.t.Fatalf("the broker does not end")
		}
	}
	b.cmd.Wait()
	return b.cmd.ProcessState.ExitCode(), log
}
