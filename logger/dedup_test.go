package logger

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines is a destination that remembers.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *lines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *lines) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func TestDedup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		log  func(*Logger)
		want func(w *strings.Builder)
	}{
		{"a storm of equal errors from many connections is reported once",
			func(l *Logger) {
				for i := range 10000 {
					l.Errorf("127.0.0.1:%d - cid:%d - authorization error", i, i)
				}
			},
			func(w *strings.Builder) {
				for i := range dedupFirst {
					fmt.Fprintf(w, "[ERR] 127.0.0.1:%d - cid:%d - authorization error\n", i, i)
				}
				fmt.Fprint(w, "[ERR] authorization error repeated 9990 times\n")
			}},
		{"an error each second is written each time",
			func(l *Logger) {
				for range 30 {
					l.Errorf("no route")
					time.Sleep(time.Second)
				}
			},
			func(w *strings.Builder) { fmt.Fprint(w, strings.Repeat("[ERR] no route\n", 30)) }},
		{"trace lines are never suppressed",
			func(l *Logger) {
				for range 500 {
					l.Tracef("->> [PING]")
				}
			},
			func(w *strings.Builder) { fmt.Fprint(w, strings.Repeat("[TRC] ->> [PING]\n", 500)) }},
		{"debug lines of different connections are different",
			func(l *Logger) {
				for i := range 500 {
					l.Debugf("- - cid:%d - Client connection created", i)
				}
			},
			func(w *strings.Builder) {
				for i := range 500 {
					fmt.Fprintf(w, "[DBG] - - cid:%d - Client connection created\n", i)
				}
			}},
		{"a different line in between stays in order and is not suppressed",
			func(l *Logger) {
				for range 11 {
					l.Noticef("a")
				}
				l.Warnf("a")
				l.Noticef("b")
				time.Sleep(2 * dedupWindow)
				l.Noticef("a")
			},
			func(w *strings.Builder) {
				fmt.Fprint(w, strings.Repeat("[INF] a\n", 10), "[WRN] a\n[INF] b\n[INF] a repeated 1 times\n[INF] a\n")
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got lines
				l := New(&got, Options{Debug: true, Trace: true})
				defer l.Close()
				c.log(l)
				time.Sleep(2 * dedupWindow)
				synctest.Wait()
				var want strings.Builder
				c.want(&want)
				if got.String() != want.String() {
					t.Errorf("got\n%swant\n%s", got.String(), want.String())
				}
			})
		})
	}
}

func TestDedupEndsWithClose(t *testing.T) {
	t.Parallel()
	var got lines
	l := New(&got, Options{})
	for range 12 {
		l.Noticef("a")
	}
	l.Close()
	if want := strings.Repeat("[INF] a\n", 10) + "[INF] a repeated 2 times\n"; got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// TestDedupHidesNothing checks on random lines that every different line is written first, and that
// what is written and what is counted add up.
func TestDedupHidesNothing(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var f deduplicator
		now := stamp
		seen := make(map[string]bool)
		shown, counted, total := 0, 0, 0
		sweep := func() {
			for _, r := range f.sweep() {
				counted += r.suppressed
			}
			clear(seen)
		}
		variety := 1 << r.IntN(13)
		for range 2500 {
			now = now.Add(time.Duration(r.IntN(int(time.Millisecond))))
			if f.due(now) {
				sweep()
			}
			lv := level(r.IntN(len(levelNames)))
			text := fmt.Sprintf("127.0.0.1:1 - cid:%d - text %d", r.IntN(3), r.IntN(variety))
			_, rest, _ := cutConn([]byte(text))
			key := fmt.Sprint(lv, string(rest))
			total++
			switch {
			case f.admit(now, lv, []byte(text)):
				shown++
			case !seen[key]:
				t.Fatalf("first line %q at level %d was hidden", text, lv)
			}
			seen[key] = true
		}
		sweep()
		if shown+counted != total {
			t.Fatalf("%d shown and %d counted of %d lines", shown, counted, total)
		}
	}
}
