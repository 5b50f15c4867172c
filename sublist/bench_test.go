package sublist

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// fourWild are patterns that every subject of distinctSubjects matches.
var fourWild = [...]string{">", "orders.>", "orders.*.*.new", "*.eu.>"}

// distinctSubjects returns n subjects of four tokens.
func distinctSubjects(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = fmt.Appendf(nil, "orders.eu.%d.new", i)
	}
	return all
}

// listOf returns a list with the patterns, one plain subscriber each.
func listOf(tb testing.TB, patterns ...string) *List[*int] {
	tb.Helper()
	l := New[*int]()
	for _, p := range patterns {
		if err := l.Insert(p, "", new(int)); err != nil {
			tb.Fatal(err)
		}
	}
	return l
}

// literalList returns a list with n literal subscriptions, and their subjects.
func literalList(tb testing.TB, n int) (*List[*int], [][]byte) {
	tb.Helper()
	l := New[*int]()
	subjects := make([][]byte, n)
	for i := range subjects {
		subjects[i] = fmt.Appendf(nil, "orders.eu.%d.new", i)
		if err := l.Insert(string(subjects[i]), "", new(int)); err != nil {
			tb.Fatal(err)
		}
	}
	return l, subjects
}

// BenchmarkMatch goes round a number of distinct subjects. Up to a few thousand they stay in the
// cache; a million never do.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 100, 1000, 100_000, 1_000_000, 2_000_000} {
		for _, wild := range []int{0, 1, 4} {
			b.Run(fmt.Sprintf("subjects=%d/wild=%d", n, wild), func(b *testing.B) {
				l, subjects := listOf(b, fourWild[:wild]...), distinctSubjects(n)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					l.Match(subjects[i])
					if i++; i == n {
						i = 0
					}
				}
				b.ReportMetric(l.Stats().HitRate(), "hits/op")
			})
		}
	}
}

func BenchmarkCursor(b *testing.B) {
	for _, n := range []int{1, 100, 1_000_000} {
		b.Run(fmt.Sprintf("subjects=%d/wild=4", n), func(b *testing.B) {
			l, subjects := listOf(b, fourWild[:]...), distinctSubjects(n)
			var c Cursor[*int]
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.Match(l, subjects[i])
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

// BenchmarkMiss is the walk alone, as after every change.
func BenchmarkMiss(b *testing.B) {
	run := func(name string, l *List[*int], subjects [][]byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				l.gens.all.Add(1)
				l.Match(subjects[i])
				if i++; i == len(subjects) {
					i = 0
				}
			}
		})
	}
	run("subjects=1M/wild=4", listOf(b, fourWild[:]...), distinctSubjects(1_000_000))
	run("subjects=1000/wild=4", listOf(b, fourWild[:]...), distinctSubjects(1000))
	l, subjects := literalList(b, 1_000_000)
	run("literals=1M/wild=0", l, subjects)
	if err := l.Insert(">", "", new(int)); err != nil {
		b.Fatal(err)
	}
	run("literals=1M/wild=1", l, subjects)
}

func BenchmarkInsertRemove(b *testing.B) {
	run := func(name string, l *List[*int], subjects []string) {
		v := new(int)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if l.Insert(subjects[i], "", v) != nil || !l.Remove(subjects[i], "", v) {
					b.Fatal("not inserted and removed")
				}
				if i++; i == len(subjects) {
					i = 0
				}
			}
		})
	}
	million, _ := literalList(b, 1_000_000)
	run("literal/among=1M", million, patternsOf("_INBOX.%d.1", 10_000))
	run("literal/same", listOf(b, "foo"), []string{"foo"})
	run("wildcard/among=0", New[*int](), patternsOf("_INBOX.%d.*", 10_000))
	run("wildcard/among=100k", listOf(b, patternsOf("user.%d.*", 100_000)...), patternsOf("user.%d.>", 10_000))
}

// patternsOf returns n patterns made from a format with at most one %d.
func patternsOf(format string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.ReplaceAll(format, "%d", strconv.Itoa(i))
	}
	return all
}

// BenchmarkBatch adds and takes out what one connection had.
func BenchmarkBatch(b *testing.B) {
	for _, format := range []string{"_INBOX.%d", "user.%d.*", "foo.*"} {
		b.Run("pattern="+format+"/subs=100k", func(b *testing.B) {
			var batch []Entry[int]
			for i, p := range patternsOf(format, 100_000) {
				batch = append(batch, Entry[int]{p, "", i})
			}
			l := New[int]()
			for b.Loop() {
				if insertAll(b, l, batch); l.RemoveBatch(batch) != len(batch) {
					b.Fatal("not removed")
				}
			}
		})
	}
}

// BenchmarkOneSubject inserts and removes many subscribers of one subject.
func BenchmarkOneSubject(b *testing.B) {
	const n = 100_000
	for _, subject := range []string{"foo", "foo.*"} {
		b.Run(fmt.Sprintf("subject=%s/subs=%d", subject, n), func(b *testing.B) {
			for b.Loop() {
				l := New[int]()
				for i := range n {
					insert(b, l, subject, "", i)
				}
				for i := range n {
					l.Remove(subject, "", i)
				}
			}
		})
	}
}

// BenchmarkParallel matches from all processors, with and without one of them subscribing and
// unsubscribing to inboxes all the time.
func BenchmarkParallel(b *testing.B) {
	for _, churn := range []bool{false, true} {
		for _, n := range []int{1000, 1_000_000} {
			b.Run(fmt.Sprintf("subjects=%d/churn=%v", n, churn), func(b *testing.B) {
				l, subjects := listOf(b, fourWild[:]...), distinctSubjects(n)
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() { // ends when stop is closed; the benchmark waits for it
					defer close(stopped)
					for i := 0; churn; i++ {
						inbox, v := "_INBOX."+strconv.Itoa(i), new(int)
						if l.Insert(inbox, "", v) == nil {
							l.Remove(inbox, "", v)
						}
						select {
						case <-stop:
							return
						default:
						}
					}
				}()
				var next atomic.Int64
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					i := int(next.Add(1)) * 7919 % n
					for pb.Next() {
						l.Match(subjects[i])
						if i++; i == n {
							i = 0
						}
					}
				})
				close(stop)
				<-stopped
			})
		}
	}
}
