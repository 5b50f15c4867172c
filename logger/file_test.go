package logger

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// backups returns the names of the rotated files, oldest first.
func backups(t *testing.T, name string) []string {
	t.Helper()
	m, err := filepath.Glob(name + ".2*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(m)
	return m
}

func TestBackupsOfOneMomentHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := &file{path: filepath.Join(t.TempDir(), "log")}
	now := time.Now()
	var names []string
	for _, moment := range []time.Time{now, now, now.Add(-time.Hour), now.Add(time.Hour)} {
		names = append(names, s.backup(moment))
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("got %q", names)
	}
	for _, name := range names {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = &file{path: s.path} // after a restart
	if name := s.backup(now); slices.Contains(names, name) {
		t.Errorf("%s is there already", name)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "gnatsd.log")
	const limit, total = 300, 100
	l := openTest(t, name, Options{SizeLimit: limit})
	for i := range total {
		l.Noticef("line %d", i)
	}
	l.Close()
	old := backups(t, name)
	shape := regexp.MustCompile(`gnatsd\.log\.\d{4}(\.\d\d){5}\.\d{9}$`)
	next := 0
	for i, f := range append(old, name) {
		if i < len(old) && !shape.MatchString(f) {
			t.Errorf("backup is named %q", f)
		}
		text := readFile(t, f)
		if len(text) > limit {
			t.Errorf("%s has %d bytes, the limit is %d", f, len(text), limit)
		}
		if i > 0 {
			first, rest, _ := strings.Cut(text, "\n")
			if want := fmt.Sprintf("[INF] Rotated log, backup saved as %q", old[i-1]); first != want {
				t.Errorf("first line\n%s, want\n%s", first, want)
			}
			text = rest
		}
		for line := range strings.Lines(text) {
			if want := fmt.Sprintf("[INF] line %d\n", next); line != want {
				t.Fatalf("got %q, want %q", line, want)
			}
			next++
		}
	}
	if next != total {
		t.Errorf("%d lines, want %d", next, total)
	}
}

func TestTheSizeLimitCanBeChanged(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "gnatsd.log")
	l := openTest(t, name, Options{})
	lines := func() {
		for i := range 20 {
			l.Noticef("line %d", i)
		}
		l.Flush()
	}
	for _, step := range []struct {
		limit   int64
		backups bool // whether there are more than before
	}{{0, false}, {300, true}, {0, false}} {
		before := len(backups(t, name))
		if err := l.SetSizeLimit(step.limit); err != nil {
			t.Fatal(err)
		}
		lines()
		if got := len(backups(t, name)); (got > before) != step.backups {
			t.Errorf("limit %d: got %d backups after %d", step.limit, got, before)
		}
	}
	l.Close()
	other := New(io.Discard, Options{})
	defer other.Close()
	if err := other.SetSizeLimit(1); err != ErrNotFile {
		t.Errorf("got %v without a file, want %v", err, ErrNotFile)
	}
}

func TestRotationKeepsTheNewestFiles(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "gnatsd.log")
	other := []string{name + ".keep", name + ".2020.01.01", name + "x.2020.01.01.00.00.00.000000000"}
	for _, f := range other {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	oldest := name + ".2020.01.01.00.00.00.000000000"
	if err := os.WriteFile(oldest, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := openTest(t, name, Options{SizeLimit: 300, MaxFiles: 3})
	for i := range 100 {
		l.Noticef("line %d", i)
	}
	l.Close()
	for _, f := range other {
		readFile(t, f)
	}
	if _, err := os.Stat(oldest); err == nil {
		t.Error("the oldest backup is still there")
	}
	if !strings.HasSuffix(readFile(t, name), "[INF] line 99\n") {
		t.Errorf("the file does not end in the last line")
	}
	got := slices.DeleteFunc(backups(t, name), func(f string) bool { return slices.Contains(other, f) })
	if len(got) != 2 {
		t.Errorf("backups %q, want 2", got)
	}
}

func TestRotationOfALineLargerThanTheLimit(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "gnatsd.log")
	l := openTest(t, name, Options{SizeLimit: 10})
	l.Noticef("%s", "longer than ten bytes")
	l.Close()
	if got, want := readFile(t, name), "[INF] longer than ten bytes\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(backups(t, name)) != 0 {
		t.Error("an empty file was rotated")
	}
}

func TestRotationOfAFileThatIsTooLargeAtStart(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "gnatsd.log")
	if err := os.WriteFile(name, []byte("0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := openTest(t, name, Options{SizeLimit: 10})
	l.Noticef("x")
	l.Close()
	old := backups(t, name)
	if len(old) == 0 || readFile(t, old[0]) != "0123456789\n" {
		t.Errorf("backups %q", old)
	}
}

func TestRotationThatFailsGoesOnWithTheOldFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a directory with an open file cannot be renamed")
	}
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := openTest(t, filepath.Join(dir, "log"), Options{SizeLimit: 100})
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		l.Noticef("line number %d", i)
	}
	l.Close()
	got := readFile(t, filepath.Join(dir+".moved", "log"))
	if !strings.Contains(got, "[ERR] Log file not rotated, still writing to ") || strings.Count(got, "line number") != 8 {
		t.Errorf("got %q", got)
	}
}

func TestRotationBehindASymbolicLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, link); err != nil {
		missing(t, err)
	}
	l := openTest(t, link, Options{SizeLimit: 40})
	l.Noticef("one, and it is rather long")
	l.Noticef("two, and it is rather long")
	l.Close()
	real, err := filepath.EvalSymlinks(link)
	if err != nil || filepath.Base(real) != "real" {
		t.Errorf("the link leads to %q (%v)", real, err)
	}
	if len(backups(t, name)) == 0 || len(backups(t, link)) != 0 {
		t.Errorf("backups %q and %q", backups(t, name), backups(t, link))
	}
}

func TestADeviceIsNotRotated(t *testing.T) {
	t.Parallel()
	r, w := testPipe(t)
	defer r.Close()
	s := &file{name: os.DevNull, limit: 1}
	if err := s.use(w); err != nil {
		t.Fatal(err)
	}
	if n := s.fit([]record{{to: 100}, {from: 100, to: 200}}); n != 2 {
		t.Errorf("%d of 2 lines before it is rotated", n)
	}
}

// TestALineAboutTheFileIsNotLost has the write fail that says that the file was opened again.
func TestALineAboutTheFileIsNotLost(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	s, err := newFile(name, func(buf []byte, _ time.Time, _ level, text []byte) []byte { return append(append(buf, text...), '\n') }, Options{})
	if err != nil {
		t.Fatal(err)
	}
	whole := s.f
	closed, err := os.Open(name) // for reading only: writes fail
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	s.out.w = closed
	s.line(notice, "about the file")
	s.out.w = whole
	if n, err := s.write([]byte("next\n"), []record{{to: 5}}); n != 1 || err != nil {
		t.Fatalf("got %d, %v", n, err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); string(got) != "about the file\nnext\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
