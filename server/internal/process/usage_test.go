package process

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCPUPercent(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	tests := []struct {
		name         string
		elapsed, cpu time.Duration
		want         float64
	}{
		{"idle", time.Second, 0, 0},
		{"one core", time.Second, time.Second, 100},
		{"several cores", time.Second, 2500 * time.Millisecond, 250},
		{"rounded to one decimal", time.Second, 123456 * time.Microsecond, 12.3},
		{"rounded up", 3 * time.Second, 2 * time.Second, 66.7},
		{"no time has passed", 0, time.Second, 0},
		{"a clock that went back", -time.Second, time.Second, 0},
		{"CPU time that went back", time.Second, -time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from := usageReading{at: start, cpu: time.Minute}
			to := usageReading{at: start.Add(tt.elapsed), cpu: time.Minute + tt.cpu}
			if got := cpuPercent(from, to); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A loadPhase is a time in which a process uses a share of one core, in percent.
type loadPhase struct {
	length  time.Duration
	percent int
}

// A loadProfile is a process whose use of CPU is known for all times since its start.
type loadProfile struct {
	start  time.Time
	phases []loadPhase
	reads  atomic.Int64
	broken atomic.Bool
}

// read is what readUsage would return.
func (p *loadProfile) read() (cpu time.Duration, rss int64, err error) {
	p.reads.Add(1)
	if p.broken.Load() {
		return 0, 0, errFake
	}
	left := time.Since(p.start)
	for _, phase := range p.phases {
		cpu += min(left, phase.length) * time.Duration(phase.percent) / 100
		left -= min(left, phase.length)
	}
	return cpu, 4096, nil
}

// waitUntil waits for a time since the start.
func (p *loadProfile) waitUntil(since time.Duration) {
	<-time.After(time.Until(p.start.Add(since)))
	synctest.Wait()
}

func TestUsageSampler(t *testing.T) {
	t.Parallel()
	const ever = 1000 * time.Hour
	tests := []struct {
		name      string
		phases    []loadPhase
		ask       []time.Duration
		want      []float64
		wantReads int64
	}{
		{"the first answer is about the time since the start", []loadPhase{{time.Second, 100}, {ever, 20}},
			[]time.Duration{4 * time.Second}, []float64{40}, 2},
		{"later ones are about the last second", []loadPhase{{19 * time.Second, 100}, {ever, 30}},
			[]time.Duration{5 * time.Second, 20050 * time.Millisecond}, []float64{100, 30}, 18},
		{"several cores count", []loadPhase{{ever, 250}}, []time.Duration{time.Second}, []float64{250}, 2},
		{"two calls at once get one answer", []loadPhase{{2 * time.Second, 50}, {ever, 100}},
			[]time.Duration{2 * time.Second, 2200 * time.Millisecond}, []float64{50, 50}, 3},
		{"without calls nothing is measured, and then the answer is about the pause",
			[]loadPhase{{61 * time.Second, 10}, {10 * time.Minute, 0}, {ever, 80}},
			[]time.Duration{time.Second, 1261 * time.Second}, []float64{10, 40}, 1 + 1 + 60 + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &loadProfile{start: time.Now(), phases: tt.phases}
				s := startUsageSampler(p.read)
				for i, at := range tt.ask {
					p.waitUntil(at)
					got, rss, err := s.Usage()
					if got != tt.want[i] || rss != 4096 || err != nil {
						t.Errorf("after %v: got %v %%, %d bytes, %v; want %v %%, 4096 bytes", at, got, rss, err, tt.want[i])
					}
				}
				if got := p.reads.Load(); got != tt.wantReads {
					t.Errorf("measured %d times, want %d", got, tt.wantReads)
				}
			})
		})
	}
}

func TestUsageSamplerOutlivesFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &loadProfile{start: time.Now(), phases: []loadPhase{{time.Hour, 100}}}
		p.broken.Store(true)
		s := startUsageSampler(p.read)
		if _, _, err := s.Usage(); err != errFake {
			t.Errorf("broken: got %v, want %v", err, errFake)
		}
		p.broken.Store(false)
		p.waitUntil(time.Second)
		if got, _, err := s.Usage(); got != 0 || err != nil {
			t.Errorf("nothing to compare with: got %v, %v, want 0", got, err)
		}
		p.broken.Store(true)
		p.waitUntil(3 * time.Second)
		p.broken.Store(false)
		p.waitUntil(5 * time.Second)
		if got, _, err := s.Usage(); got != 100 || err != nil {
			t.Errorf("mended: got %v, %v, want 100", got, err)
		}
	})
}

func TestOwnUsage(t *testing.T) {
	t.Parallel()
	before, rss, err := readUsage()
	must(t, err)
	if rss < 1<<20 || rss > 1<<40 {
		t.Errorf("memory: got %d bytes", rss)
	}
	// Work until it shows: the kernel may count in ticks.
	for deadline := time.Now().Add(time.Minute); ; {
		now, _, err := readUsage()
		must(t, err)
		if now > before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("CPU time stays at %v", before)
		}
	}
	if _, _, err := NewUsageSampler().Usage(); err != nil {
		t.Error(err)
	}
}
