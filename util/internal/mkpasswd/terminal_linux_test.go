package mkpasswd

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// missing skips a test that cannot have a terminal here, but not where all must run.
func missing(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("needs a pseudo-terminal: %v", err)
	}
	t.Skip(err)
}

// openPTY returns the two ends of a pseudo-terminal: what the person has, and what the program has.
func openPTY(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		missing(t, err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		missing(t, err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// echoes reports whether f is a terminal that shows what is typed.
func echoes(f *os.File) bool {
	tio, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && tio.Lflag&unix.ECHO != 0
}

func TestTerminalDoesNotShowThePassword(t *testing.T) {
	t.Parallel()
	person, program := openPTY(t)
	in := terminal(program)
	asked := 0
	// The terminal echoes when a key is pressed, not when it is read: the person types when the
	// program has turned the echo off.
	typing := func() (string, error) {
		asked++
		go func() { // ends when echo is off, which the read below does first
			for echoes(program) {
				runtime.Gosched()
			}
			person.WriteString("s3cret\n")
		}()
		return in()
	}
	var errs strings.Builder
	if status := run([]string{"-p", "-c", "4"}, streams{in: typing, out: program, errs: &errs}); status != 0 || asked != 2 {
		t.Fatalf("status %d after %d questions, errors %q", status, asked, errs.String())
	}
	if !echoes(program) {
		t.Error("the terminal is left without echo")
	}
	r := bufio.NewReader(person)
	for _, want := range []string{"Enter Password: \r\n", "Reenter Password: \r\n", "bcrypt hash: $2a$04$"} {
		got, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
}
