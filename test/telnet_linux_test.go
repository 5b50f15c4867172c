package test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// telnetSession is what a person who types the lines after > sees; the > themselves are not on the
// screen.
const telnetSession = `Trying 127.0.0.1...
Connected to 127.0.0.1.
Escape character is '^]'.
INFO {}
>SUB foo 1
+OK
>PUB foo 11
>Hello World
+OK
MSG foo 1 11
Hello World
`

// TestTelnet has the conversation of the README through the real telnet program on a terminal, and
// compares the whole screen.
func TestTelnet(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("telnet")
	if err != nil {
		missing(t, debianPackage("telnet", "telnet"))
	}
	host, port, err := net.SplitHostPort(spawnQuiet(t))
	if err != nil {
		t.Fatal(err)
	}
	screen, keyboard := terminal(t)
	cmd := exec.Command(path, host, port)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = keyboard, keyboard, keyboard
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	keyboard.Close()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	screen.SetReadDeadline(time.Now().Add(patience))
	info := regexp.MustCompile(`^INFO \{"server_id":.*\} $`)
	for _, want := range strings.Split(strings.TrimSuffix(telnetSession, "\n"), "\n") {
		if typed, ok := strings.CutPrefix(want, ">"); ok {
			want = typed
			if _, err := screen.WriteString(typed + "\n"); err != nil {
				t.Fatal(err)
			}
		}
		got, err := readUntil(screen, "\n")
		if err != nil {
			t.Fatal(err)
		}
		got = strings.TrimSuffix(got, "\r\n") // the terminal's line end
		if want == "INFO {}" {
			if !info.MatchString(got) {
				t.Fatalf("got %q, want INFO and its JSON", got)
			}
			continue
		}
		if got != want {
			t.Fatalf("got %q on the screen, want %q", got, want)
		}
	}
}

// terminal opens a pseudo-terminal: what a person sees and types, and what the program reads and
// writes.
func terminal(t *testing.T) (screen, keyboard *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		missing(t, "a pseudo-terminal: "+err.Error())
	}
	t.Cleanup(func() { screen.Close() })
	raw, err := screen.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var unlockErr, numberErr error
	err = raw.Control(func(fd uintptr) {
		unlockErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		number, numberErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
	})
	for _, e := range []error{err, unlockErr, numberErr} {
		if e != nil {
			t.Fatal(e)
		}
	}
	keyboard, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	return screen, keyboard
}

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
