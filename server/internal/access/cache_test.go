package access

import (
	"fmt"
	"strings"
	"testing"
)

func TestCacheDecidesAsThePermissionsDo(t *testing.T) {
	t.Parallel()
	first := mustCompile(t, &Rules{Publish: list("ok.*", "a.*", "!ok.no")})
	second := mustCompile(t, &Rules{Publish: list("b.*", "ok.1*", "ok.5")})
	subjects := []string{"", "ok.no", "_SYS", "_SYS.x", "ok.a." + strings.Repeat("x", maxCached), "a", "ab", "ok.x\x00"}
	for i := range 10 * cacheSize {
		subjects = append(subjects, fmt.Sprintf("ok.%d", i), fmt.Sprintf("a.%d", i), fmt.Sprintf("b.%d", i), fmt.Sprintf("no.%d.x", i), fmt.Sprint(i))
	}
	var c Cache
	buffer := make([]byte, 0, 2*maxCached)
	for round, p := range []*Permissions{first, first, second, nil, first, second} {
		for i, s := range subjects {
			hot := subjects[i%5]
			for _, subject := range []string{s, hot, s, s} {
				buffer = append(buffer[:0], subject...) // as the reader's buffer, used again
				want := p.CanPublish(buffer)
				if got := c.CanPublish(p, buffer); got != want {
					t.Fatalf("round %d: CanPublish(%q) = %v, want %v", round, subject, got, want)
				}
			}
		}
	}
}

// TestCacheKeepsWhatIsSentOften looks whether subjects of the usual forms have places of their own,
// and whether one that is cached is compared with the rules again.
func TestCacheKeepsWhatIsSentOften(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Rules{Publish: list("ok.>")})
	for _, tt := range []struct {
		form  string
		least int // of 64 subjects that many are kept; of random places 40 would be
	}{
		{"orders.eu.%d", 32}, {"sensors.%d.state", 32}, {"ok.%03d", 10}, {"o%d", 10},
	} {
		var c Cache
		for i := range cacheSize {
			c.CanPublish(p, fmt.Appendf(nil, tt.form, i))
		}
		used := 0
		for _, e := range c.entries {
			if len(e.subject) > 0 {
				used++
			}
		}
		if used < tt.least {
			t.Errorf("%s: %d of %d subjects are kept, want %d", tt.form, used, cacheSize, tt.least)
		}
	}
	for _, tt := range []struct {
		subject string
		kept    bool
	}{
		{"o", true}, {"ok.1", true}, {strings.Repeat("o", maxCached), true}, {strings.Repeat("o", maxCached+1), false},
	} {
		var c Cache
		subject := []byte(tt.subject)
		c.CanPublish(p, subject)
		noted := Decision{reason: ofSystem} // what the rules never say
		for i := range c.entries {
			c.entries[i].decision = noted
		}
		if got := c.CanPublish(p, subject) == noted; got != tt.kept {
			t.Errorf("%.10s of %d bytes: kept = %v, want %v", subject, len(subject), got, tt.kept)
		}
	}
}

// TestCacheForgetsWhatOtherPermissionsSaid begins with a subject that is cached, after each change of
// the permissions.
func TestCacheForgetsWhatOtherPermissionsSaid(t *testing.T) {
	t.Parallel()
	allowed, denied := mustCompile(t, &Rules{Publish: list("a.b")}), mustCompile(t, &Rules{Publish: list("!a.b")})
	subject := []byte("a.b")
	var c Cache
	for round, p := range []*Permissions{nil, allowed, denied, allowed, nil, denied} {
		for range 2 {
			if got, want := c.CanPublish(p, subject), p.CanPublish(subject); got != want {
				t.Errorf("round %d: got %v, want %v", round, got, want)
			}
		}
	}
}

func TestCacheHoldsFewBytes(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, &Rules{Publish: list("ok.>")})
	var c Cache
	for i := range 10000 {
		c.CanPublish(p, fmt.Appendf(nil, "ok.%d.%s", i, strings.Repeat("x", i%4096)))
	}
	held := 0
	for _, e := range c.entries {
		held += cap(e.subject)
	}
	if most := 2 * cacheSize * maxCached; held > most {
		t.Errorf("subjects of %d bytes are held, want at most %d", held, most)
	}
}

func TestPerMessageDecisionsDoNotAllocate(t *testing.T) {
	p := mustCompile(t, &Rules{
		Publish:   list("req.foo", "req.bar", "orders.*.created", "!orders.secret.>"),
		Subscribe: list("!orders.secret", "!*.private.>"),
	})
	routes, err := CompileRoutes(list("orders.>", "!orders.secret"), List{})
	if err != nil {
		t.Fatal(err)
	}
	filter := p.Filter(">", "")
	var c, imports Cache
	subject, other := []byte("orders.europe-west.customers.created"), []byte("orders.europe-east.customers.created")
	for _, tt := range []struct {
		name string
		ask  func()
	}{
		{"the same subject", func() { c.CanPublish(p, subject) }},
		{"subjects in turn", func() { c.CanPublish(p, subject); c.CanPublish(p, other) }},
		{"not cached", func() { p.CanPublish(subject) }},
		{"no permissions", func() { Reserved(subject); (*Permissions)(nil).CanPublish(subject) }},
		{"a filter", func() { filter.Blocks(subject) }},
		{"a message of a route", func() { imports.CanImport(routes, subject) }},
	} {
		if n := testing.AllocsPerRun(1000, tt.ask); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
	}
}

func BenchmarkCanPublish(b *testing.B) {
	p := mustCompile(b, &Rules{Publish: list("req.foo", "req.bar", "orders.*.created", "!orders.secret.>")})
	var c Cache
	for _, tt := range []struct {
		name     string
		subjects []string
	}{
		{"one", []string{"orders.eu.created"}},
		{"five", []string{"orders.eu.created", "orders.us.created", "req.foo", "req.bar", "orders.asia.created"}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			var subjects [][]byte
			for _, s := range tt.subjects {
				subjects = append(subjects, []byte(s))
			}
			for i := 0; b.Loop(); i++ {
				if i == len(subjects) {
					i = 0
				}
				c.CanPublish(p, subjects[i])
			}
		})
	}
	b.Run("distinct", func(b *testing.B) {
		b.ReportAllocs()
		subject := []byte("orders.00000000.created")
		for i := 0; b.Loop(); i++ {
			for j, n := 7, i; j < 15; j, n = j+1, n/10 {
				subject[j] = byte('0' + n%10)
			}
			c.CanPublish(p, subject)
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	f := mustCompile(b, &Rules{Subscribe: list("!orders.secret", "!*.private.>")}).Filter(">", "")
	subject := []byte("orders.eu.created")
	b.ReportAllocs()
	for b.Loop() {
		f.Blocks(subject)
	}
}
