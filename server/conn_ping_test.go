package server

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPingsGoOnWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	c := &conn{}
	c.ping.timer = newOwnedTimer(time.Hour, c, (*conn).pingTick)
	defer c.ping.timer.Stop()
	o := &Options{PingInterval: time.Hour, MaxPingsOut: 2}
	for _, tt := range []struct {
		idle time.Duration
		want pingAction
	}{
		{time.Minute, pingSkip},
		{2 * time.Hour, pingSend},
		{-time.Hour, pingSend},
		{0, pingStale},
	} {
		if got := c.pingDue(o, tt.idle, false); got != tt.want {
			t.Errorf("idle for %v: got %v, want %v", tt.idle, got, tt.want)
		}
	}
}

// TestTheFirstPingIsEarly looks at which clients are sent a PING soon, to measure the round-trip
// time.
func TestTheFirstPingIsEarly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts Options
		want bool
	}{
		{"by default", Options{}, true},
		{"pings come soon in any case", Options{PingInterval: rttDelay}, false},
		{"a program does without", Options{DisableShortFirstPing: true}, false},
	} {
		s, err := NewServer(&tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		c := &conn{srv: s}
		c.ping.timer = newOwnedTimer(time.Hour, c, (*conn).pingTick)
		c.measureRTT()
		c.stopPing()
		if c.ping.first != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, c.ping.first, tt.want)
		}
	}
}

// wallTimes are the files where a time is made of a number, which has no monotonic clock, with the
// reason why a step of the system clock does no harm there.
var wallTimes = map[string]string{
	"memory.go":                   "an operation that is being sent may count early, where memory is short",
	"conn_ping.go":                "a PING may come early, see TestPingsGoOnWhenTheClockIsSetBack",
	"monitor_connz_row.go":        "shown only",
	"monitor_routez.go":           "shown only",
	"monitor_status.go":           "shown only",
	"server.go":                   "shown only",
	"conn.go":                     "a deadline that is over",
	"internal/monitor/request.go": "a deadline that is over",
	"internal/netio/leftover.go":  "a deadline that is over",
}

// TestTimeLimitsKeepTheMonotonicClock looks for times that would follow a step of the system clock.
func TestTimeLimitsKeepTheMonotonicClock(t *testing.T) {
	t.Parallel()
	wall := regexp.MustCompile(`time\.Unix(Milli|Micro)?\(|\.Round\(0\)`)
	found := map[string]bool{}
	okay(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if name := filepath.ToSlash(path); wall.Match(text) {
			found[name] = true
			if wallTimes[name] == "" {
				t.Errorf("%s makes a time of a number: a step of the system clock changes what is measured from it. Keep a time.Time, or add the file to wallTimes with the reason", name)
			}
		}
		return err
	}))
	for name := range wallTimes {
		if !found[name] {
			t.Errorf("wallTimes names %s, which makes no time of a number", name)
		}
	}
}
