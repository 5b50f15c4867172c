package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gnatsd/test/wire"
)

// lineCollector is a logger that keeps all lines.
type lineCollector struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineCollector) add(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, v...))
}

func (l *lineCollector) Noticef(format string, v ...any) { l.add(format, v...) }
func (l *lineCollector) Warnf(format string, v ...any)   { l.add(format, v...) }
func (l *lineCollector) Errorf(format string, v ...any)  { l.add(format, v...) }
func (l *lineCollector) Fatalf(format string, v ...any)  { l.add(format, v...) }
func (l *lineCollector) Debugf(format string, v ...any)  { l.add(format, v...) }
func (l *lineCollector) Tracef(format string, v ...any)  { l.add(format, v...) }

// all returns the lines so far.
func (l *lineCollector) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

func TestLogLimit(t *testing.T) {
	t.Parallel()
	var l logLimit
	admitted := func(now time.Duration, lines int) (n int) {
		for range lines {
			if l.admit(now) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		now         time.Duration
		lines, want int
	}{
		{5 * time.Second, 1000, logBurst},
		{5*time.Second + logInterval - 1, 1000, 0},
		{5*time.Second + logInterval, 1000, 1},
		{5*time.Second + 4*logInterval, 1000, 3},
		{time.Hour, 1, 1},
		{time.Hour, 1000, logBurst - 1},
	} {
		if got := admitted(step.now, step.lines); got != step.want {
			t.Errorf("after %v: got %d of %d lines, want %d", step.now, got, step.lines, step.want)
		}
	}
	if got, want := l.leftOut.Load(), int64(5*1000+1-2*logBurst-4); got != want {
		t.Errorf("got %d lines left out, want %d", got, want)
	}
}

// TestRefusedOperationsAreLimitedInTheLog has a client and a route repeat, each in another way every
// time, what is refused but does not end the connection.
func TestRefusedOperationsAreLimitedInTheLog(t *testing.T) {
	t.Parallel()
	const each = 2000
	long := strings.Repeat("\xff", 3000)
	for _, tt := range []struct {
		name   string
		route  bool
		repeat string // with the number
	}{
		{"PUB", false, "PUB no." + long + ".%d 0\r\n\r\n"},
		{"SUB", false, "SUB no." + long + ".%d 1\r\n"},
		{"queue SUB", false, "SUB no." + long + ".%d queue.%[1]d " + long[:500] + "%[1]d\r\n"},
		{"UNSUB with a limit", false, "SUB ok.%d s%[1]d\r\nUNSUB s%[1]d 9\r\n"},
		{"UNSUB with a limit that is reached", false, "SUB ok.%d s%[1]d\r\nUNSUB s%[1]d 1\r\nPUB ok.%[1]d 0\r\n\r\n"},
		{"MSG for a malformed id", true, "MSG a QRSID:%d 0\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			user := &User{Username: "a", Password: "b", Permissions: &Permissions{Publish: list("ok.>"), Subscribe: list("ok.>")}}
			s := startServer(t, func(o *Options) { o.Users = []*User{user} })
			log := &lineCollector{}
			s.SetLogger(log, true, false)
			var c *wire.Client
			if tt.route {
				c = wire.Listen(t, "peer", false).Join(s.ClusterAddr())
				c.Sync()
			} else {
				c = openClient(t, s)
				c.Do(`CONNECT {"user":"a","pass":"b","verbose":false,"pedantic":false}`)
			}
			begin := time.Now()
			for i := range each {
				c.Say(fmt.Sprintf(tt.repeat, i))
				if i%100 == 99 {
					c.Do()
				}
			}
			c.Close()
			eventually(t, "the last line", func() bool {
				lines := log.all()
				return strings.HasSuffix(lines[len(lines)-1], "connection closed")
			})
			lines, bytes, leftOut, reports := 0, 0, 0, 0
			for _, line := range log.all() {
				bytes += len(line)
				var n int
				if _, text, ok := strings.Cut(line, "Left out "); !ok {
					lines++
				} else if _, err := fmt.Sscanf(text, "%d log lines", &n); err != nil {
					t.Errorf("%q: %v", line, err)
				} else {
					leftOut += n
					reports++
				}
			}
			most := 10 + logBurst + int(time.Since(begin)/logInterval)
			if lines+reports > 2*most || bytes > 2*most*1000 {
				t.Errorf("got %d lines of %d bytes, want at most %d of 1000 bytes each", lines+reports, bytes, most)
			}
			if leftOut+lines < each || reports == 0 {
				t.Errorf("got %d lines and %d counted as left out, want %d in all", lines, leftOut, each)
			}
		})
	}
}

// TestLinesCannotBeForged sends line ends and escape sequences in whatever a log line may have of a
// peer.
func TestLinesCannotBeForged(t *testing.T) {
	t.Parallel()
	const evil = "\n[1] 2026/01/01 00:00:00.000000 [INF] forged \x1b[2J\x00\u2028\xff\x9b"
	for _, tt := range []struct{ name, said string }{
		{"payload", fmt.Sprintf("PUB a %d\r\n%s\r\n", len(evil), evil)},
		{"payload that is delivered", fmt.Sprintf("SUB a 1\r\nPUB a %d\r\n%s\r\n", len(evil), evil)},
		{"headers", fmt.Sprintf("CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB a %d %[1]d\r\nNATS/1.0\r\nA:%s\r\n\r\n\r\n", len(evil)+16, evil)},
		{"name", "CONNECT {\"name\":\"x\\nforged\\u001b[2J\",\"lang\":\"\\u0000\\nforged\"}\r\nMSG\r\n"},
		{"CONNECT that is not JSON", "CONNECT x\x1b[2J\x85{\r\n"},
		{"arguments", "PUB a\x1b[2J\x9b 1\r\n"},
		{"size", "PUB a 1\x1b\r\n"},
		{"UNSUB", "SUB \x80\u2028\u202e \u2028\r\nUNSUB \u2028 1\r\nPUB \x80\u2028\u202e 0\r\n\r\n"},
		{"unknown operation", "\x1b[2J\x00\n"},
		{"-ERR", "-ERR '\x1b[2J\x9b'\r\n"},
		{"INFO", "INFO \x1b[2J\r\n"},
		{"PING with more", "PING \x1b[2J\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, nil)
			log := &lineCollector{}
			s.SetLogger(log, true, true)
			c := dialClient(t, s)
			c.Say(tt.said)
			c.Say("FORGED\r\n")
			c.Rest()
			eventually(t, "the last line", func() bool {
				lines := log.all()
				return strings.HasSuffix(lines[len(lines)-1], "connection closed")
			})
			for _, line := range log.all() {
				for _, r := range line {
					if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u202e' || r == '\ufffd' {
						t.Errorf("got %q in %q", r, line)
					}
				}
			}
		})
	}
}
