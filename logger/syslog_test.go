package logger

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// logEach logs one line of each level. Flush follows, so that the daemon has them.
func logEach(l *Logger) {
	l.Noticef("Server is ready")
	l.Warnf("warn")
	l.Errorf("error %q", "x")
	l.Debugf("debug")
	l.Tracef("a\nb")
	l.Fatalf("fatal")
}

const (
	isoTime   = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) \S+ logger\.test(\.exe)?\[\d+\]: `
	shortTime = `[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d logger\.test(\.exe)?\[\d+\]: `
)

// wantRecords are the records of logEach for a facility.
func wantRecords(time, facility, lineBreak string) []string {
	pri := map[string][]string{
		"kernel": {"<5>", "<5>", "<3>", "<7>", "<5>", "<2>"},
		"daemon": {"<29>", "<29>", "<27>", "<31>", "<29>", "<26>"},
	}[facility]
	texts := []string{"Server is ready", "warn", `error "x"`, "debug", "a" + lineBreak + "b", "fatal"}
	for i := range pri {
		pri[i] += time + texts[i] + "\n"
	}
	return pri
}

func checkRecords(t *testing.T, next func() string, want []string) {
	t.Helper()
	for _, w := range want {
		if got := next(); !regexp.MustCompile("^" + w + "$").MatchString(got) {
			t.Errorf("got  %q\nwant %s", got, w)
		}
	}
}

// datagrams returns a function that returns the next datagram.
func datagrams(t *testing.T, c net.PacketConn) func() string {
	t.Cleanup(func() { c.Close() })
	return func() string {
		t.Helper()
		b := make([]byte, 64<<10)
		n, _, err := c.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// streamLines returns a function that returns the next line on the first connection to ln.
func streamLines(t *testing.T, ln net.Listener) func() string {
	t.Cleanup(func() { ln.Close() })
	var r *bufio.Reader
	return func() string {
		t.Helper()
		if r == nil {
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			r = bufio.NewReader(c)
		}
		s, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func dialTest(t *testing.T, url string) *SysLogger {
	t.Helper()
	l := NewRemoteSysLogger(url, true, true)
	t.Cleanup(func() { l.Close() })
	return l
}

// socketPath returns a path short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestSyslogUDP(t *testing.T) {
	t.Parallel()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	next := datagrams(t, c)
	logEach(dialTest(t, "udp://"+c.LocalAddr().String()))
	checkRecords(t, next, wantRecords(isoTime, "kernel", "\n"))
}

func TestSyslogTCP(t *testing.T) {
	t.Parallel()
	ln := listen(t, "tcp", "127.0.0.1:0")
	logEach(dialTest(t, "tcp://"+ln.Addr().String()))
	checkRecords(t, streamLines(t, ln), wantRecords(isoTime, "kernel", "#012"))
}

func TestSyslogUnix(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	ln := listen(t, "unix", path)
	logEach(dialTest(t, "unix://"+path))
	checkRecords(t, streamLines(t, ln), wantRecords(shortTime, "kernel", "#012"))
}

// missing skips a test that needs what this system does not have, but not where all must run.
func missing(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

func TestSyslogLocalTakesTheFirstEndpointThatAnswers(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		missing(t, err)
	}
	next := datagrams(t, c)
	endpoints := []endpoint{{"unixgram", path + ".none"}, {"unixgram", path}, {"unix", path}}
	l, err := dialSyslog(endpoints, facilityDaemon, Options{Debug: true, Trace: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	logEach(l)
	checkRecords(t, next, wantRecords(shortTime, "daemon", "\n"))
}

func TestSyslogErrorIsThatOfTheUsualEndpoint(t *testing.T) {
	t.Parallel()
	_, err := dialSyslog([]endpoint{{"unixgram", "/nonexistent/usual"}, {"unix", "/nonexistent/other"}}, facilityDaemon, Options{})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/usual") {
		t.Errorf("got %v, want the error of the first endpoint", err)
	}
}

func TestCheckSyslogConnectsToNothing(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"udp://127.0.0.1:1": "", "tcp://127.0.0.1:1": "", "unix:///nonexistent/socket": "",
		"http://127.0.0.1:1":  `error invalid network type: "http"`,
		"tcp://u:s3cret@[::1": `error parsing remote syslog: not a valid URL`,
	} {
		got := ""
		if err := CheckSyslog(url); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

func TestSyslogErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, url, want string }{
		{"another scheme", "http://127.0.0.1:1", `error invalid network type: "http"`},
		{"nothing listens", "unix:///nonexistent/socket", `error connecting to syslog: "dial unix /nonexistent/socket: `},
		{"no port", "tcp://127.0.0.1", `error parsing remote syslog: the port is missing, as in tcp://host:514`},
		{"not a URL, with a secret", "tcp://u:s3cret@[::1", `error parsing remote syslog: not a valid URL`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := DialSyslog(c.url, Options{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestSyslogIsDialledAgain(t *testing.T) {
	t.Parallel()
	ln := listen(t, "tcp", "127.0.0.1:0")
	l := dialTest(t, "tcp://"+ln.Addr().String())
	l.Noticef("one")
	l.Flush()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// The daemon stops: it reads what there is until the logger has closed too.
	ln.Close()
	c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), ": one\n") {
		t.Errorf("got %q, %v", got, err)
	}
	c.Close()
	l.Noticef("two")
	l.Errorf("three")
	next := streamLines(t, listen(t, "tcp", ln.Addr().String()))
	for _, want := range []string{": two\n", ": three\n"} {
		if got := next(); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if l.Dropped() != 0 {
		t.Errorf("%d lines lost", l.Dropped())
	}
}

func TestCloseWhileSyslogIsAway(t *testing.T) {
	t.Parallel()
	ln := listen(t, "tcp", "127.0.0.1:0")
	l := dialTest(t, "tcp://"+ln.Addr().String())
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c)
	c.Close()
	l.Noticef("lost")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-l.q.done
	if l.Dropped() != 1 {
		t.Errorf("%d lines lost, want 1", l.Dropped())
	}
}

func TestSyslogThatStopsReading(t *testing.T) {
	t.Parallel()
	ln := listen(t, "tcp", "127.0.0.1:0")
	l := dialTest(t, "tcp://"+ln.Addr().String())
	l.q.patience = 100 * time.Millisecond
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ln.Close() // or it could be dialled again
	line := strings.Repeat("x", 5000)
	for l.Flush() { // until the buffers of the system are full too
		for range 1000 {
			l.Tracef("%s", line)
		}
	}
	if err := l.Close(); err == nil {
		t.Error("Close reports success")
	}
	<-l.q.done // or the goroutine leaks, and the test times out
}

func TestSyslogTag(t *testing.T) {
	t.Parallel()
	SetSyslogName("other")
	if got, want := GetSysLoggerTag(), filepath.Base(os.Args[0]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// fakeEvents remembers events as text.
type fakeEvents struct{ lines }

func (f *fakeEvents) put(kind string, id uint32, text string) error {
	if strings.Contains(text, "\x00") {
		return errors.New("NUL")
	}
	_, err := f.Write([]byte(kind + string(rune('0'+id)) + " " + text + "\n"))
	return err
}
func (f *fakeEvents) Info(id uint32, text string) error    { return f.put("info", id, text) }
func (f *fakeEvents) Warning(id uint32, text string) error { return f.put("warning", id, text) }
func (f *fakeEvents) Error(id uint32, text string) error   { return f.put("error", id, text) }
func (f *fakeEvents) Close() error                         { return nil }

func TestEventLog(t *testing.T) {
	t.Parallel()
	var got fakeEvents
	l := &Logger{debug: true, trace: true, q: newQueue(events{&got}, eventEncoder(42), Options{})}
	logEach(l)
	l.Tracef("\x00")
	l.Close()
	want := `info1 pid[42][NOTICE]: Server is ready
warning1 pid[42][WARN]: warn
error2 pid[42][ERROR]: error "x"
info3 pid[42][DEBUG]: debug
info4 pid[42][TRACE]: a
b
error5 pid[42][FATAL]: fatal
info4 pid[42][TRACE]: \x00
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

func TestSyslogScheme(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]endpoint{
		"syslog://h":        {"udp", "h:514"},
		"syslog://h:1514":   {"udp", "h:1514"},
		"syslog://[::1]":    {"udp", "[::1]:514"},
		"udp://u:p@h:514":   {"udp", "h:514"},
		"unix:///dev/log":   {"unix", "/dev/log"},
		"udp://u:p/q@h:514": {},
		"udp://u:p q@h:514": {},
	} {
		if got, err := remoteEndpoint(url); got != want || (err == nil) != (want != endpoint{}) {
			t.Errorf("%s: got %v, %v, want %v", url, got, err, want)
		}
	}
}
