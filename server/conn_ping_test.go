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
