package logger

import (
	"fmt"
	"io"
	"testing"
)

func TestSpeedDisabledLevel(t *testing.T) {
	if raceEnabled {
		t.Skip("counts allocations")
	}
	l := New(io.Discard, Options{})
	defer l.Close()
	subject := "foo"
	if n := testing.AllocsPerRun(1000, func() { l.Debugf("subject %q", subject); l.Tracef("->> [PING]") }); n != 0 {
		t.Errorf("%v allocations for two lines that are not written, want 0", n)
	}
}

func TestSpeedEnabledLine(t *testing.T) {
	if raceEnabled {
		t.Skip("counts allocations")
	}
	l := New(io.Discard, Options{Time: true, PID: true, Trace: true})
	defer l.Close()
	subject := "foo"
	if n := testing.AllocsPerRun(10000, func() { l.Tracef("->> [PUB %s 5]", subject) }); n > 1 {
		t.Errorf("%v allocations for a trace line, want at most 1", n)
	}
}

func BenchmarkLine(b *testing.B) {
	subject := "foo"
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"disabled", Options{}},
		{"text", Options{Trace: true, Time: true, PID: true}},
		{"json", Options{Trace: true, Time: true, PID: true, JSON: true}},
	} {
		b.Run(fmt.Sprintf("format=%s", c.name), func(b *testing.B) {
			l := New(io.Discard, c.o)
			defer l.Close()
			b.ReportAllocs()
			for b.Loop() {
				l.Tracef("127.0.0.1:5000 - cid:7 - ->> [PUB %s 5]", subject)
			}
		})
	}
}
