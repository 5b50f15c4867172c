package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestVerdictCacheStaysCorrectUnderManySubjects(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Permissions{Publish: list("ok.*", "!ok.no")})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20000 {
				subject := fmt.Sprintf("ok.%d", i%1000+g)
				want := true
				if i%3 == 0 {
					subject, want = "no."+subject[3:], false
				}
				if got := p.canPublish([]byte(subject)).allowed(); got != want {
					t.Errorf("canPublish(%q) = %v", subject, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestVerdictCacheKeepsNoLongSubjects(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Permissions{Publish: list("ok.*")})
	for range 10 * verdictPatience {
		p.canPublish([]byte("ok." + strings.Repeat("x", verdictMaxSubject)))
	}
	for i := range p.published.table.Load().slots {
		if k := p.published.table.Load().slots[i].Load(); k != nil {
			t.Fatalf("remembered %d bytes", len(k.subject))
		}
	}
}

func TestLastVerdictIsOfTheSameUserAndSubject(t *testing.T) {
	t.Parallel()
	some, other := mustCompile(t, &Permissions{Publish: list("a.*")}), mustCompile(t, &Permissions{Publish: list("b.*")})
	var l lastVerdicts
	buffer := []byte("a.1")
	for _, tt := range []struct {
		p       *permits
		subject string
		want    bool
	}{
		{some, "a.1", true}, {some, "a.1", true}, {other, "a.1", false}, {other, "b.1", true}, {some, "b.1", false},
		{nil, "b.1", true}, {nil, "_SYS", true}, {nil, "_SYS.x", false}, {some, "a.1", true}, {some, "", false},
	} {
		buffer = append(buffer[:0], tt.subject...) // as the reader's buffer, used again
		if got := l.canPublish(tt.p, buffer).allowed(); got != tt.want {
			t.Errorf("canPublish(%q) = %v, want %v", tt.subject, got, tt.want)
		}
	}
}

func TestSpeedPublishVerdict(t *testing.T) {
	if raceEnabled {
		t.Skip("needs real speed")
	}
	p := mustCompile(t, &Permissions{Publish: list("req.foo", "req.bar", "orders.*.created", "!orders.secret.>")})
	subject := []byte("orders.eu.created")
	var last lastVerdicts
	for _, tt := range []struct {
		name   string
		ask    func()
		atMost time.Duration // for a thousand, on a busy machine
	}{
		{"the subject published last", func() { last.canPublish(p, subject) }, 30 * time.Microsecond}, // 4 ns each
		{"a hot subject", func() { p.canPublish(subject) }, 60 * time.Microsecond},                    // 11 ns each
	} {
		if n := testing.AllocsPerRun(1000, tt.ask); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
		fastest := time.Hour
		for range 200 {
			start := time.Now()
			for range 1000 {
				tt.ask()
			}
			fastest = min(fastest, time.Since(start))
		}
		t.Logf("%s: %.1f ns", tt.name, float64(fastest)/1000)
		if fastest > tt.atMost {
			t.Errorf("%s: %v a thousand times, want at most %v", tt.name, fastest, tt.atMost)
		}
	}
}

func BenchmarkCanPublish(b *testing.B) {
	p := mustCompile(b, &Permissions{Publish: list("req.foo", "req.bar", "orders.*.created", "!orders.secret.>")})
	b.Run("hot", func(b *testing.B) {
		b.ReportAllocs()
		subject := []byte("orders.eu.created")
		for b.Loop() {
			p.canPublish(subject)
		}
	})
	b.Run("distinct", func(b *testing.B) {
		b.ReportAllocs()
		subject := []byte("orders.00000000.created")
		for i := 0; b.Loop(); i++ {
			for j, n := 7, i; j < 15; j, n = j+1, n/10 {
				subject[j] = byte('0' + n%10)
			}
			p.canPublish(subject)
		}
	})
	b.Run("none", func(b *testing.B) {
		var p *permits
		subject := []byte("orders.eu.created")
		for b.Loop() {
			p.canPublish(subject)
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	p := mustCompile(b, &Permissions{Subscribe: list("!orders.secret", "!*.private.>")})
	f := p.filter(">", "")
	subject := []byte("orders.eu.created")
	b.ReportAllocs()
	for b.Loop() {
		f.blocks(subject)
	}
}
