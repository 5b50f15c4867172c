package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestWritePidFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
	}{
		{"a new file", func(*testing.T, string) {}},
		{"over the longer pid of a dead process", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte("1234567890\n"), 0o600))
		}},
		{"after a crash in the middle of it", func(t *testing.T, path string) {
			dir, name := filepath.Split(path)
			must(t, os.WriteFile(filepath.Join(dir, "."+name+"."+strconv.Itoa(os.Getpid())+".tmp"), []byte("1"), 0o600))
		}},
		{"through a symbolic link", func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "target")
			if err := os.Symlink(target, path); err != nil {
				missing(t, "symbolic links: "+err.Error())
			}
			t.Cleanup(func() {
				if _, err := os.Stat(target); err != nil {
					t.Error("the link was replaced:", err)
				}
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "gnatsd.pid")
			tt.prepare(t, path)
			must(t, writePidFile(path))
			got, err := os.ReadFile(path)
			must(t, err)
			if want := strconv.Itoa(os.Getpid()); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if pid, err := targetPid(path); pid != os.Getpid() || err != nil {
				t.Errorf("read back: %d, %v", pid, err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("files beside it: %v", entries)
			}
		})
	}
}

func TestPidFilePermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "gnatsd.pid")
	must(t, writePidFile(path))
	info, err := os.Stat(path)
	must(t, err)
	// A file of the system's own making shows the umask.
	sample := filepath.Join(dir, "sample")
	must(t, os.WriteFile(sample, nil, 0o666))
	sampleInfo, err := os.Stat(sample)
	must(t, err)
	if got, want := info.Mode().Perm(), 0o660&sampleInfo.Mode().Perm(); got != want {
		t.Errorf("got %o, want %o", got, want)
	}
}

func TestPidFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "gnatsd.pid")
	err := writePidFile(path)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(errText(err), "open "+path+": ") {
		t.Errorf("got %v, want open %s: …", err, path)
	}
}

func TestPidFileOfADevice(t *testing.T) {
	t.Parallel()
	before, err := os.Stat(os.DevNull)
	must(t, err)
	must(t, writePidFile(os.DevNull))
	after, err := os.Stat(os.DevNull)
	must(t, err)
	if !os.SameFile(before, after) {
		t.Error("the device was replaced")
	}
}

func TestRemovePidFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, content string
		wantLeft      bool
	}{
		{"ours goes", strconv.Itoa(os.Getpid()), false},
		{"ours with a newline of an operator goes", strconv.Itoa(os.Getpid()) + "\n", false},
		{"another's stays", "1", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "gnatsd.pid")
			must(t, os.WriteFile(path, []byte(tt.content), 0o600))
			must(t, removePidFile(path))
			if _, err := os.Stat(path); (err == nil) != tt.wantLeft {
				t.Errorf("after it: %v, want left: %v", err, tt.wantLeft)
			}
		})
	}
	must(t, removePidFile(filepath.Join(t.TempDir(), "gone.pid")))
	if err := removePidFile(t.TempDir()); err == nil {
		t.Error("a directory was accepted")
	}
}
