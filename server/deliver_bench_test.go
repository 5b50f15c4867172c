package server

import (
	"fmt"
	"strings"
	"testing"

	"gnatsd/server/internal/netio"
)

// BenchmarkDeliver hands batches over to sockets that cost nothing.
func BenchmarkDeliver(b *testing.B) {
	cases := []struct {
		name string
		n    int // connections
		subs func(i int) string
		pub  func(i int) string // message i
	}{
		{"one", 1, func(int) string { return "SUB a 1\r\n" }, func(int) string { return "a" }},
		{"different sids", 100, func(i int) string { return fmt.Sprintf("SUB a %d\r\n", i) }, func(int) string { return "a" }},
		{"same sid", 100, func(int) string { return "SUB a 1\r\n" }, func(int) string { return "a" }},
		{"wildcards", 10, func(i int) string { return fmt.Sprintf("SUB a.* %d\r\nSUB > 1\r\nSUB a.%d 2\r\n", i+10, i%3) },
			func(i int) string { return fmt.Sprintf("a.%d", i%3) }},
		{"queue group", 8, func(i int) string { return fmt.Sprintf("SUB a q %d\r\n", i) }, func(int) string { return "a" }},
		{"subjects", 1, func(int) string { return "SUB a.* 1\r\nSUB a.> 2\r\n" }, func(i int) string { return fmt.Sprintf("a.%d", i) }},
	}
	for _, c := range cases {
		b.Run(strings.ReplaceAll(c.name, " ", "-"), func(b *testing.B) {
			s, err := NewServer(nil)
			okay(b, err)
			var all []*conn
			for i := range c.n {
				sub := sunk(b, s)
				handle(b, sub, c.subs(i))
				all = append(all, sub)
			}
			p := sunk(b, s)
			var batch strings.Builder
			msgs := 0
			for ; batch.Len() < netio.ReadSize-1000; msgs++ {
				fmt.Fprintf(&batch, "PUB %s 128\r\n%s\r\n", c.pub(msgs), strings.Repeat("x", 128))
			}
			text := batch.String()
			handle(b, p, text)
			before := int64(0)
			for _, sub := range all {
				before += sub.out.Stats().Messages
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				handle(b, p, text)
			}
			n := -before
			for _, sub := range all {
				n += sub.out.Stats().Messages
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/delivery")
		})
	}
}
