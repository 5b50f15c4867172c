package server

import (
	"testing"
	"time"
)

func TestPingsGoOnWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	c := &conn{}
	c.ping.timer = time.NewTimer(time.Hour)
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
		if got := c.pingDue(o, tt.idle); got != tt.want {
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
		c.ping.timer = time.NewTimer(time.Hour)
		c.measureRTT()
		c.stopPing()
		if c.ping.first != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, c.ping.first, tt.want)
		}
	}
}
