package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestChartHasABarForEveryRatio(t *testing.T) {
	t.Parallel()
	r := exampleReport()
	r.add("request/16", 0, 0, measures{throughput: 9, latency50: 40, latency99: 90, serverCPU: 1}, nil)
	r.add("request/16", 1, 0, measures{latency50: 80, latency99: 90, serverCPU: 1}, nil)
	got := r.chart(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC))
	for _, want := range []string{
		"How many times better gnatsd is than nats-server",
		"Messages per second", "one publisher to one subscriber, 16 bytes", `width="300"`, "5.0 × ", "5.00 M/s",
		"request and reply, one at a time", `width="120"`, "2.0 × ", "40.0 µs",
		"gnatsd 1.5.0 and nats-server 2.9.10, 2026-11-28",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "5 000 connections") {
		t.Errorf("got a bar for a scenario that failed:\n%s", got)
	}
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
}
