package logger

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func openTest(t *testing.T, name string, o Options) *Logger {
	t.Helper()
	l, err := OpenFile(name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLevelsInOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"neither debug nor trace", Options{}, "[INF] 1\n[WRN] 2\n[ERR] 3\n[FTL] 6\n"},
		{"debug", Options{Debug: true}, "[INF] 1\n[WRN] 2\n[ERR] 3\n[DBG] 4\n[FTL] 6\n"},
		{"trace", Options{Trace: true}, "[INF] 1\n[WRN] 2\n[ERR] 3\n[TRC] 5\n[FTL] 6\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "log")
			l := openTest(t, name, c.o)
			l.Noticef("%d", 1)
			l.Warnf("%d\n", 2)
			l.Errorf("%d", 3)
			l.Debugf("%d", 4)
			l.Tracef("%d", 5)
			l.Fatalf("%d", 6)
			if got := readFile(t, name); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestFileLoggerAppends(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	for range 2 {
		l := NewFileLogger(name, true, false, false, true)
		l.Noticef("Server is ready")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	line := `\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[INF\] Server is ready\n`
	if got := readFile(t, name); !regexp.MustCompile("^" + line + line + "$").MatchString(got) {
		t.Errorf("got %q", got)
	}
}

func TestFileThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	_, err := OpenFile(filepath.Join(t.TempDir(), "no", "log"), Options{Time: true, PID: true})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestReopenWithoutFile(t *testing.T) {
	t.Parallel()
	l := NewStdLogger(true, false, false, false, true)
	defer l.Close()
	if err := l.Reopen(); err != ErrNotFile {
		t.Errorf("got %v, want %v", err, ErrNotFile)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	l := openTest(t, name, Options{})
	l.Noticef("before")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Noticef("after")
	l.Flush()
	if got, want := readFile(t, name+".1"), "[INF] before\n"; got != want {
		t.Errorf("old file: got %q, want %q", got, want)
	}
	if got, want := readFile(t, name), "[INF] File log re-opened\n[INF] after\n"; got != want {
		t.Errorf("new file: got %q, want %q", got, want)
	}
}

func TestReopenKeepsTheOldFileIfTheNewOneCannotBeOpened(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := openTest(t, filepath.Join(dir, "log"), Options{})
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	l.Noticef("still here")
	l.Flush()
	if got, want := readFile(t, filepath.Join(dir+".moved", "log")), "[INF] still here\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
