package logger

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func testPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// TestStall has a pipe without a reader: callers do not wait, lines are counted, and once there is
// a reader one line reports how many.
func TestStall(t *testing.T) {
	t.Parallel()
	r, w := testPipe(t)
	const total, limit = 20000, 64 << 10
	l := New(w, Options{QueueSize: limit, Debug: true})
	for i := range total {
		l.Noticef("line %d", i)
	}
	lost := l.Dropped()
	if lost == 0 {
		t.Fatal("nothing lost")
	}
	if n := waitingBytes(l); n > limit+1<<10 {
		t.Errorf("%d bytes wait, the limit is %d", n, limit)
	}
	s := bufio.NewScanner(r)
	var next, reported uint64
	for next < total && s.Scan() {
		var n uint64
		if _, err := fmt.Sscanf(s.Text(), "[WRN] %d log lines lost: the log destination did not keep up", &n); err == nil {
			next += n
			reported += n
			continue
		}
		if want := fmt.Sprintf("[INF] line %d", next); s.Text() != want {
			t.Fatalf("got %q, want %q", s.Text(), want)
		}
		next++
	}
	if next != total || reported != lost {
		t.Errorf("%d lines written or reported as lost, want %d; %d reported, want %d", next, total, reported, lost)
	}
	for waitingBytes(l) > 0 { // the last write has yet to return
		runtime.Gosched()
	}
	l.Noticef("after")
	if !s.Scan() || s.Text() != "[INF] after" {
		t.Errorf("got %q after the loss", s.Text())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func waitingBytes(l *Logger) int {
	l.q.mu.Lock()
	defer l.q.mu.Unlock()
	return l.q.writing + l.q.waiting.size()
}

func TestStallLeavesRoomForErrors(t *testing.T) {
	t.Parallel()
	r, w := testPipe(t)
	l := New(w, Options{QueueSize: 256 << 10, Trace: true})
	for i := 0; l.Dropped() == 0; i++ {
		l.Tracef("->> [PUB foo %d]", i)
	}
	lost := l.Dropped()
	l.Errorf("it matters")
	if got := l.Dropped(); got != lost {
		t.Errorf("the error was lost: %d, want %d", got, lost)
	}
	found := make(chan bool)
	go func() { // ended by the end of the pipe
		ok := false
		for s := bufio.NewScanner(r); s.Scan(); {
			ok = ok || s.Text() == "[ERR] it matters"
		}
		found <- ok
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	w.Close()
	if !<-found {
		t.Error("the error is not in the log")
	}
}

func TestCloseOfAStalledPipe(t *testing.T) {
	t.Parallel()
	_, w := testPipe(t)
	l := New(w, Options{})
	l.q.patience = 100 * time.Millisecond
	for l.Dropped() == 0 {
		l.Noticef("%s", strings.Repeat("x", 5000))
	}
	if err := l.Close(); err == nil {
		t.Error("no error")
	}
	<-l.q.done // or the goroutine leaks, and the test times out
	if l.Flush() {
		t.Error("Flush after Close reports success")
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	var got lines
	l := New(&got, Options{})
	l.Noticef("x")
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	l.Noticef("too late")
	if l.Dropped() != 1 || got.String() != "[INF] x\n" {
		t.Errorf("%d dropped, got %q", l.Dropped(), got.String())
	}
}

// fullDisk takes room bytes and then fails.
type fullDisk struct {
	mu   sync.Mutex
	got  strings.Builder
	room int
}

func (w *fullDisk) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(p), w.room)
	w.room -= n
	w.got.Write(p[:n])
	if n < len(p) {
		return n, errors.New("disk full")
	}
	return n, nil
}

func (w *fullDisk) free(room int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = room
}

func TestRefusedLinesAreReportedWithTheReason(t *testing.T) {
	t.Parallel()
	w := &fullDisk{room: 15}
	l := New(w, Options{})
	for i := range 3 {
		l.Noticef("%d%d%d", i, i, i)
		l.Flush()
	}
	w.free(1000)
	l.Noticef("again")
	l.Close()
	if got := l.Dropped(); got != 2 {
		t.Errorf("%d dropped, want 2", got)
	}
	want := "[INF] 000\n[INF]\n[WRN] 2 log lines lost: disk full\n[INF] again\n"
	if got := w.got.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestManyWriters(t *testing.T) {
	t.Parallel()
	var got lines
	l := New(&got, Options{Debug: true, Time: true, PID: true})
	const writers, each = 8, 1000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				l.Debugf("writer %d line %d", w, i)
			}
		})
	}
	wg.Wait()
	l.Close()
	if l.Dropped() > 0 {
		t.Errorf("%d lines lost", l.Dropped())
	}
	var next [writers]int
	last := ""
	for line := range strings.Lines(got.String()) {
		_, rest, _ := strings.Cut(line, "] ")
		if at, _, _ := strings.Cut(rest, " ["); at < last {
			t.Errorf("%s after %s", at, last)
		} else {
			last = at
		}
		_, text, _ := strings.Cut(line, "[DBG] ")
		var w, i int
		if _, err := fmt.Sscanf(text, "writer %d line %d\n", &w, &i); err != nil || next[w] != i {
			t.Fatalf("line %q, want line %d: %v", line, next[w], err)
		}
		next[w]++
	}
	for w, n := range next {
		if n != each {
			t.Errorf("writer %d: %d lines, want %d", w, n, each)
		}
	}
}

func TestLongLinesAreCut(t *testing.T) {
	t.Parallel()
	var got lines
	l := New(&got, Options{MaxLine: 4})
	l.Noticef("%s", "12345678")
	l.Noticef("%s", "1234\n")
	l.Close()
	if want := "[INF] 1234... [4 bytes cut]\n[INF] 1234\n"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}
