package faults

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestSpeedCompressionPaysOnASlowLink sends the same messages over a link of 100 Mbit/s, with and
// without compression of routes.
func TestSpeedCompressionPaysOnASlowLink(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes the processor slower than the link")
	}
	if !isolated(t) {
		return
	}
	l := newLab(t, 2)
	l.network.setAll(path{rate: 100e6 / 8})
	rates := map[string]float64{}
	for _, mode := range []string{"off", "s2_fast", "s2_better"} {
		rates[mode] = overSlowLink(t, l, mode)
		t.Logf("compression %s: %.1f MB/s of payload", mode, rates[mode])
	}
	if rates["s2_fast"] < 1.5*rates["off"] {
		t.Errorf("%.1f MB/s with compression, %.1f without: it does not pay", rates["s2_fast"], rates["off"])
	}
}

// overSlowLink publishes on one machine for a subscriber on the other, and returns how many MB of
// payload arrive in a second.
func overSlowLink(t *testing.T, l *lab, mode string) float64 {
	t.Helper()
	l.cluster = "compression: " + mode
	for _, m := range l.machines {
		if m.index > 0 {
			m.routes = []int{0}
		}
		m.boot()
		defer m.kill(syscall.SIGTERM)
	}
	const messages = 60_000
	sub := dial(t, l.machines[1])
	defer sub.Close()
	var got, bytes atomic.Int64
	done := make(chan struct{})
	if _, err := sub.Subscribe("orders.>", func(m *nats.Msg) {
		if len(m.Data) == 0 {
			return
		}
		bytes.Add(int64(len(m.Data)))
		if got.Add(1) == messages {
			close(done)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := sub.Flush(); err != nil {
		t.Fatal(err)
	}
	pub := dial(t, l.machines[0], nats.ReconnectBufSize(-1))
	defer pub.Close()
	ready, err := sub.SubscribeSync("ready")
	if err != nil {
		t.Fatal(err)
	}
	for arrived := false; !arrived; { // the route is there, and knows of the interest
		pub.Publish("ready", nil)
		_, err := ready.NextMsg(50 * time.Millisecond)
		arrived = err == nil
	}
	start := time.Now()
	for i := range messages {
		text := fmt.Sprintf(`{"id":"%08x-%04x","type":"order.created","customer":{"id":%d,"name":"Customer %d","country":"DE"},`+
			`"items":[{"sku":"SKU-%05d","quantity":%d,"price":%d.99},{"sku":"SKU-%05d","quantity":1,"price":4.50}],"total":%d.49,"currency":"EUR",`+
			`"created":"2026-01-02T15:04:%02d.%03dZ","status":"pending","shipping":{"method":"standard","tracking":null}}`,
			i*2654435761, i%65536, i%977, i%977, i*7919%100000, i%9+1, i%200, i*104729%100000, i%500, i%60, i%1000)
		if err := pub.Publish(fmt.Sprintf("orders.%d", i%100), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := pub.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%d of %d messages arrived", got.Load(), messages)
	}
	return float64(bytes.Load()) / 1e6 / time.Since(start).Seconds()
}

// dial connects to a machine. There is no event for an open port, so it tries again and again.
func dial(t *testing.T, m *machine, opts ...nats.Option) *nats.Conn {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); ; {
		nc, err := nats.Connect("nats://"+m.addr(), opts...)
		if err == nil {
			return nc
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("connect to %s: %v", m.name, err)
		}
	}
}
