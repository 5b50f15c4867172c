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

func TestSpeedPublishVerdict(t *testing.T) {
	if raceEnabled {
		t.Skip("needs real speed")
	}
	p := mustCompile(t, &Permissions{Publish: list("req.foo", "req.bar", "orders.*.created", "!orders.secret.>")})
	subject := []byte("orders.eu.created")
	if n := testing.AllocsPerRun(1000, func() { p.canPublish(subject) }); n != 0 {
		t.Errorf("%v allocations for a hot subject, want 0", n)
	}
	fastest := time.Hour
	for range 20 {
		start := time.Now()
		for range 10000 {
			p.canPublish(subject)
		}
		fastest = min(fastest, time.Since(start)/10000)
	}
	if fastest > 40*time.Nanosecond { // 8 ns on the reference machine
		t.Errorf("%v for a hot subject", fastest)
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
