package server

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gnatsd/logger"
)

func TestLogDestination(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		opts    Options
		service bool
		want    destination
	}{
		{"standard error by default", Options{}, false, toStderr},
		{"a file before all else", Options{LogFile: "f", RemoteSyslog: "udp://x:1", Syslog: true}, true, toFile},
		{"a remote syslog before the local one", Options{RemoteSyslog: "udp://x:1", Syslog: true}, false, toRemoteSyslog},
		{"the local syslog", Options{Syslog: true}, false, toSyslog},
		{"a Windows service has no standard error", Options{}, true, toSyslog},
		{"a Windows service with a file", Options{LogFile: "f"}, true, toFile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := logDestination(&tt.opts, tt.service); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestConfigureLoggerSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		opts Options
		want string // a pattern
	}{
		{"a file that cannot be opened", Options{LogFile: dir}, `^error opening file: open .*: is a directory$`},
		{"a scheme that is none", Options{RemoteSyslog: "http://127.0.0.1:1"}, `^error invalid network type: "http"$`},
		{"a syslog that does not answer", Options{RemoteSyslog: "unix://" + dir + "/none"}, `^error connecting to syslog: ".*no such file or directory"$`},
		{"nothing with NoLog", Options{LogFile: dir, NoLog: true}, ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewServer(&tt.opts)
			okay(t, err)
			err = s.ConfigureLogger()
			if text := fmt.Sprint(err); !regexp.MustCompile(tt.want).MatchString(text) {
				t.Errorf("got %q, want a match of %s", text, tt.want)
			}
			if s.log.sink.Load() != nil {
				t.Error("got a logger, want none")
			}
		})
	}
}

// closingLog is a logger that knows whether it was closed.
type closingLog struct {
	*lineLog
	closed int
}

func (l *closingLog) Close() error { l.closed++; return errDisk }

func TestSetLoggerClosesThePrevious(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	one, two := &closingLog{lineLog: newLineLog()}, &closingLog{lineLog: newLineLog()}
	s.SetLogger(one, false, false)
	s.Noticef("to one")
	s.SetLogger(two, false, false)
	s.Noticef("to two")
	if one.closed != 1 || two.closed != 0 {
		t.Errorf("after the second: got closed %d and %d times, want 1 and 0", one.closed, two.closed)
	}
	s.Shutdown()
	if two.closed != 0 {
		t.Error("Shutdown closed the logger of the embedding program")
	}
	s.SetLogger(nil, true, true)
	s.Noticef("without a destination")
	if two.closed != 1 || s.log.debugging() || s.log.tracing() {
		t.Error("without a logger: the previous is open or a level is wanted")
	}
	if got := <-one.lines; got != "to one" {
		t.Errorf("got %q", got)
	}
}

// TestALoggerThatIsSetDuringAReloadStays sets one between the two phases of a reload, which is about
// the levels only or opens a file.
func TestALoggerThatIsSetDuringAReloadStays(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "log")
	for _, next := range []Options{{Debug: true}, {LogFile: file}} {
		next.Host, next.Port, next.NoSigs = "127.0.0.1", RandomPort, true
		s, err := NewServer(&Options{Host: next.Host, Port: next.Port, NoSigs: true, LogFile: file + ".before"})
		okay(t, err)
		for _, to := range []*closingLog{{lineLog: newLineLog()}, nil} {
			okay(t, s.ConfigureLogger())
			c, problems := s.prepareReload(next.Clone())
			if c.log == nil || len(problems) > 0 {
				t.Fatalf("got the log %v, problems %v", c.log, problems)
			}
			if to == nil {
				s.SetLogger(nil, false, false)
			} else {
				s.SetLogger(to, false, false)
			}
			s.applyLog(c)
			if now := s.log.sink.Load(); (now == nil) != (to == nil) || to != nil && (now.to != to || to.closed > 0) {
				t.Errorf("after a reload to %+v: got %+v", next, now)
			}
			if l := c.log.to.(*logger.Logger); l.Flush() {
				t.Errorf("after a reload to %+v: the log that is not used is open", next)
			}
		}
		s.Shutdown()
	}
}

// TestARefusedReloadKeepsTheLog refuses one that would change a level of the log, too.
func TestARefusedReloadKeepsTheLog(t *testing.T) {
	t.Parallel()
	r := startReloader(t, "debug: false")
	log := &closingLog{lineLog: newLineLog()}
	r.SetLogger(log, false, false)
	if err := r.change(t, "debug: true\ntls { cert_file: nope.pem, key_file: nope.pem }"); err == nil {
		t.Fatal("a certificate that is missing is accepted")
	}
	if log.closed > 0 {
		t.Error("the log is closed")
	}
}

func TestALogAfterTheEndIsClosed(t *testing.T) {
	t.Parallel()
	s, err := NewServer(&Options{NoSigs: true, LogFile: filepath.Join(t.TempDir(), "log")})
	okay(t, err)
	s.Shutdown()
	okay(t, s.ConfigureLogger())
	if s.log.sink.Load().to.(*logger.Logger).Flush() {
		t.Error("it is open")
	}
}

func TestReOpenLogFile(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	s.ReOpenLogFile() // without a logger there is no place for the error
	log := newLineLog()
	s.SetLogger(log, false, false)
	s.ReOpenLogFile()
	if got, want := <-log.lines, "File log re-open ignored, not a file logger"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var text strings.Builder
	s.SetLogger(logger.New(&text, logger.Options{}), false, false)
	s.ReOpenLogFile()
	s.Shutdown() // writes what is queued
	if got, want := text.String(), "[INF] File log re-open ignored, not a file logger\n"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReOpenLogFileKeepsTheOldFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	okay(t, os.Mkdir(dir, 0o755))
	s, err := NewServer(&Options{LogFile: filepath.Join(dir, "x.log")})
	okay(t, err)
	okay(t, s.ConfigureLogger())
	moved := dir + ".moved"
	okay(t, os.Rename(dir, moved))
	s.ReOpenLogFile()
	okay(t, os.Mkdir(dir, 0o755))
	s.ReOpenLogFile()
	s.Noticef("after")
	s.Shutdown()
	old, err := os.ReadFile(filepath.Join(moved, "x.log"))
	okay(t, err)
	if want := "[ERR] File log not re-opened, the old file stays in use: open " + dir; !strings.Contains(string(old), want) {
		t.Errorf("old file: got %q, want %q", old, want)
	}
	text, err := os.ReadFile(filepath.Join(dir, "x.log"))
	okay(t, err)
	lines := strings.Split(string(text), "\n")
	if !strings.HasSuffix(lines[0], "[INF] File log re-opened") || !strings.HasSuffix(lines[1], "[INF] after") {
		t.Errorf("new file: got %q", lines)
	}
}

// traceLog is a logger that keeps the lines of the trace.
type traceLog struct{ *lineLog }

func (l traceLog) Tracef(format string, v ...any) { l.add(format, v...) }
func (l traceLog) Noticef(string, ...any)         {}

func TestTraceOfAClient(t *testing.T) {
	t.Parallel()
	s := broker(t, func(o *Options) { o.MaxTracedMsgLen = 4 })
	log := traceLog{newLineLog()}
	s.SetLogger(log, false, true)
	c := dialClient(t, s)
	okay(t, c.Send(`connect {"verbose":true,"pass":"canary","nested":{"JWT":"canary"}}`+"\r\n"))
	okay(t, c.Send("sub foo q  1\r\nUNSUB 1 1\r\nPUB foo re.ply 6\r\nabcdef\r\nPUB foo 4\r\nabcd\r\nUNSUB 1\r\nSUB a..b 2\r\nPUB foo 0\r\n\r\n"))
	okay(t, c.Send("PING\r\n"))
	for _, want := range []string{
		`->> [CONNECT {"verbose":false,"pedantic":false}]`,
		`->> [CONNECT {"verbose":true,"pass":"[REDACTED]","nested":{"JWT":"[REDACTED]"}}]`, `<<- [OK]`,
		`->> [SUB foo q  1]`, `<<- [OK]`,
		`->> [UNSUB 1 1]`, `<<- [OK]`,
		`->> [PUB foo re.ply 6]`, `->> MSG_PAYLOAD: [abcd...]`, `<<- [OK]`, `<-> [DELSUB 1]`, `<<- [MSG foo 1 re.ply 6]`,
		`->> [PUB foo 4]`, `->> MSG_PAYLOAD: [abcd]`, `<<- [OK]`,
		`->> [UNSUB 1]`, `<<- [OK]`,
		`->> [SUB a..b 2]`, `<<- [-ERR Invalid Subject]`,
		`->> [PUB foo 0]`, `->> MSG_PAYLOAD: []`, `<<- [OK]`,
		`->> [PING]`, `<<- [PONG]`,
	} {
		got := <-log.lines
		prefix, text, _ := strings.Cut(got, " - cid:1 - ")
		if text != want || !strings.HasPrefix(prefix, "127.0.0.1:") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTraceOfARoute(t *testing.T) {
	t.Parallel()
	log := traceLog{newLineLog()}
	a := startServer(t, func(o *Options) { o.Cluster.Username, o.Cluster.Password = "me", "canary" })
	a.SetLogger(log, false, true)
	before := dialClient(t, a)
	okay(t, before.Send("SUB bulk 1\r\n"))
	before.Drain()
	u := routeTo(t, a)
	u.User = url.UserPassword("me", "canary")
	b := startServer(t, func(o *Options) {
		o.Cluster.Username, o.Cluster.Password = "me", "canary"
		o.Routes = append(o.Routes, u)
	})
	eventually(t, "a route and its interest", func() bool { return a.NumRoutes() == 1 && b.NumRoutes() == 1 && b.NumSubscriptions() == 1 })
	okay(t, before.Send("SUB foo 2\r\nSUB bar q 3\r\nUNSUB 2\r\n"))
	before.Drain()
	eventually(t, "new interest", func() bool { return b.NumSubscriptions() == 2 })
	a.SetLogger(nil, false, false)
	var text []string
	for _, line := range log.soFar() {
		if _, line, route := strings.Cut(line, " - rid:"); route {
			_, line, _ = strings.Cut(line, " - ")
			text = append(text, line)
		}
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"<<- [SUB foo  RSID:1:2]\n<<- [SUB bar q QRSID:1:3]\n<<- [UNSUB RSID:1:2]", "->> [CONNECT {", "[REDACTED]", "->> [INFO {"} {
		if !strings.Contains(all, want) {
			t.Errorf("got no %q in\n%s", want, all)
		}
	}
	for _, not := range []string{"canary", "bulk"} {
		if strings.Contains(all, not) {
			t.Errorf("got %q in\n%s", not, all)
		}
	}
}
