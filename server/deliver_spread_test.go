package server

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/netio"
)

// TestReadsAreLongWhereWritesAreSmall publishes to so many targets, and looks at how much the next
// read may hold.
func TestReadsAreLongWhereWritesAreSmall(t *testing.T) {
	t.Parallel()
	const usual, size = netio.ReadSize, 2000
	for name, c := range map[string]struct {
		subjects, each int // subscribers of each subject
		limit, got     int // of the last read
		limited        bool
		want           int
	}{
		"small writes":                 {subjects: 3, each: 1, limit: usual, got: usual, want: 2 * usual},
		"small writes to many each":    {subjects: 3, each: 2, limit: usual, got: usual, want: 2 * usual},
		"again":                        {subjects: 3, each: 1, limit: 2 * usual, got: 2 * usual, want: 4 * usual},
		"not more than the most":       {subjects: 3, each: 1, limit: netio.LongRead, got: netio.LongRead, want: netio.LongRead},
		"the socket had little more":   {subjects: 3, each: 1, limit: 4 * usual, got: 2 * usual, want: 4 * usual},
		"the socket had little":        {subjects: 3, each: 1, limit: 4 * usual, got: usual / 2, want: 2 * usual},
		"one small message":            {subjects: 1, each: 1, limit: usual, got: size, want: usual},
		"no receiver":                  {limit: 2 * usual, got: 2 * usual, want: usual},
		"answers to itself":            {limit: usual, got: usual, want: usual},
		"too many writes":              {subjects: 3, each: maxThin/3 + 1, limit: 2 * usual, got: 2 * usual, want: usual},
		"a user with limits":           {subjects: 3, each: 1, limit: 2 * usual, got: 2 * usual, limited: true, want: usual},
		"much for each, of one line":   {subjects: 1, each: 1, limit: 4 * usual, got: 4 * usual, want: 2 * usual},
		"much for each, of one fanout": {subjects: 1, each: 2, limit: 4 * usual, got: 4 * usual, want: 2 * usual},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewServer(&Options{})
			okay(t, err)
			pub := onFake(t, s, new(fakeLink))
			deliverTo(t, pub, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")
			var text strings.Builder
			for i := range max(c.subjects, 1) {
				for range c.each {
					deliverTo(t, onFake(t, s, new(fakeLink)), fmt.Sprintf("SUB s.%d 1\r\n", i))
				}
				n := 1
				if strings.HasPrefix(name, "much") {
					n = thinWrite/size + 1
				}
				for range n {
					fmt.Fprintf(&text, "PUB s.%d %d\r\n%s\r\n", i, size, strings.Repeat("x", size))
				}
			}
			if name == "answers to itself" {
				text.WriteString(strings.Repeat("PING\r\n", usual/len("PING\r\n")))
			}
			if c.limited {
				dropsMessages(pub, access.Disconnect)
			}
			pub.readLimit, pub.got = c.limit, c.got
			if deliverTo(t, pub, text.String()); pub.readLimit != c.want {
				t.Errorf("the next read may hold %d bytes, want %d", pub.readLimit, c.want)
			}
		})
	}
}

// TestHowManyHelpersAFlushHas has them limited by those there are, by the targets, which are two for
// each, and by the cores that are idle.
func TestHowManyHelpersAFlushHas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                                    string
		count, targets, cores, pinned, messages int
		least                                   int64
		want                                    int
	}{
		{"there are none", 0, 100, 8, 1, 1, 0, 0},
		{"one target", 3, 1, 8, 1, 1, 0, 0},
		{"two targets", 3, 2, 8, 1, 1, 0, 1},
		{"three targets", 3, 3, 8, 1, 1, 0, 1},
		{"four targets", 3, 4, 8, 1, 1, 0, 2},
		{"many targets", 3, 100, 8, 1, 1, 0, 3},
		{"few cores are idle", 3, 100, 8, 6, 1, 0, 2},
		{"none is", 3, 100, 8, 8, 1, 0, 0},
		{"just enough work", 3, 10, 8, 1, 0, 10 * targetWork, 3},
		{"too little work", 3, 10, 8, 1, 0, 10*targetWork + 1, 0},
		{"enough with messages", 3, 10, 8, 1, 1, 10*targetWork + 1, 3},
	} {
		s, err := NewServer(nil)
		okay(t, err)
		s.helpers.count, s.helpers.cores, s.helpers.least = tt.count, tt.cores, tt.least
		for i := range tt.pinned {
			s.grace.Pin(uint32(i))
		}
		b := &batch{srv: s, targets: make([]target, tt.targets), sorted: make([]entry, tt.messages)}
		if got := b.helpersFor(); got != tt.want {
			t.Errorf("%s: %d helpers, want %d", tt.name, got, tt.want)
		}
	}
}

// TestWorkIsThatOfTargetsMessagesAndBytes compares the estimate with what it is made of.
func TestWorkIsThatOfTargetsMessagesAndBytes(t *testing.T) {
	t.Parallel()
	subs := make([]*subscription, 5)
	for _, tt := range []struct {
		name string
		b    batch
		want int64
	}{
		{"nothing", batch{}, 0},
		{"targets", batch{targets: make([]target, 4)}, 4 * targetWork},
		{"messages without a line", batch{targets: make([]target, 1), sorted: make([]entry, 10)}, targetWork + 10*messageWork},
		{"large messages", batch{targets: make([]target, 1), sorted: make([]entry, 10), lines: []line{{length: 3200}, {length: 1}}},
			targetWork + 10*(messageWork+3200*byteWork/32)},
		{"messages of one line", batch{targets: make([]target, 1), sorted: make([]entry, 3), lines: []line{{length: 320}}}, targetWork + 3*(messageWork+10*byteWork)},
		{"a fan-out", batch{targets: make([]target, 5), fanouts: []fanout{{whole: subs, msgs: 7}}, sorted: make([]entry, 1)},
			5*targetWork + (5*7+1)*messageWork},
	} {
		if got := tt.b.work(); got != tt.want {
			t.Errorf("%s: %d ns, want %d", tt.name, got, tt.want)
		}
	}
}

// TestAFlushEndsWithItsLastHelper has helpers at work when the flush has nothing left to do itself,
// and others come later.
func TestAFlushEndsWithItsLastHelper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newFlushJob(nil, make([]target, 50), 0)
		for len(j.take()) > 0 { // by three helpers
		}
		done := false
		go func() { j.left.Wait(); done = true }() // ends with the last helper
		for i, n := range []int{15, 15, 20} {
			synctest.Wait()
			if done {
				t.Fatalf("the flush has ended with %d helpers at work", 3-i)
			}
			j.help(new(expansion)) // does nothing: no target is left
			j.left.Add(-n)
		}
		synctest.Wait()
		if !done {
			t.Error("the flush has not ended with its last helper")
		}
	})
}

// TestTargetsAreTakenOnce has goroutines take the targets of flushes of every small size.
func TestTargetsAreTakenOnce(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		all := make([]target, n)
		j := newFlushJob(nil, all, 0)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for part := j.take(); len(part) > 0; part = j.take() {
					for i := range part {
						part[i].to++
					}
				}
			})
		}
		wg.Wait()
		if i := slices.IndexFunc(all, func(t target) bool { return t.to != 1 }); i >= 0 {
			t.Fatalf("of %d targets that with index %d was taken %d times", n, i, all[i].to)
		}
	}
}

// TestHelpersEndWithTheServer starts some; how many processors the program uses stays the same.
func TestHelpersEndWithTheServer(t *testing.T) {
	t.Parallel()
	s, err := NewServer(nil)
	okay(t, err)
	before := runtime.GOMAXPROCS(0)
	s.helpers.start(s, 2)
	if got := runtime.GOMAXPROCS(0); got != before || s.helpers.cores != before || s.helpers.count != 2 || s.helpers.least != sharedWork {
		t.Errorf("%d processors, %d before; %+v", got, before, &s.helpers)
	}
	close(s.quit)
	s.conns.Wait()
}
