package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// growthReport has measured some points of two curves; one of them failed.
func growthReport() *report {
	r := newReport([]string{"./gnatsd", "/usr/sbin/nats-server"})
	r.setVersion(0, "1.5.0")
	for i, n := range []int{1, 10, 100} {
		name := fmt.Sprintf("growth-subscribers/%d", n)
		r.add(name, 0, 0, measures{throughput: 5e6, serverCPU: 100 - float64(i)}, nil)
		r.add(name, 1, 0, measures{throughput: 1e6, serverCPU: 500}, nil)
	}
	r.add("growth-subscriptions/5000000", 0, 0, measures{throughput: 2e6, bytesEach: 225}, nil)
	r.add("growth-subscriptions/5000000", 1, 0, nil, errors.New("out of memory"))
	return r
}

func TestGrowthTables(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	growthReport().printGrowth(&b)
	for _, want := range []string{
		"| subscribers | gnatsd, throughput /s | nats-server, throughput /s | gnatsd, server cpu ns | nats-server, server cpu ns |",
		"\n| 10 | 5 000 000 | 1 000 000 | 99.0 | 500 |\n",
		"\n| 5 000 000 | 2 000 000 | - | 225 | - |\n",
		"gnatsd 1.5.0, nats-server ?, ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "publishers") {
		t.Errorf("got a table of what was not measured:\n%s", b.String())
	}
}

func TestGrowthCurves(t *testing.T) {
	t.Parallel()
	got, err := growthReport().growthChart(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"prefers-color-scheme: dark", "1 → n that do not read meanwhile, 128 B", ">100<", ">10 M<", "● nats-server", "2026-11-28"} {
		if !strings.Contains(got, want) {
			t.Errorf("got no %q in\n%s", want, got)
		}
	}
	if got, want := strings.Count(got, "<circle "), 7; got != want {
		t.Errorf("got %d points, want %d: what failed has none", got, want)
	}
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	if _, err := newReport([]string{"./gnatsd"}).growthChart(time.Now()); err == nil {
		t.Error("got curves of nothing")
	}
}
