package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
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
			must(t, writePid(path))
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
	must(t, writePid(path))
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
	err := writePid(path)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(errText(err), "open "+path+": ") {
		t.Errorf("got %v, want open %s: …", err, path)
	}
}

func TestPidFileOfADevice(t *testing.T) {
	t.Parallel()
	before, err := os.Stat(os.DevNull)
	must(t, err)
	must(t, writePid(os.DevNull))
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
			must(t, removePid(path))
			if _, err := os.Stat(path); (err == nil) != tt.wantLeft {
				t.Errorf("after it: %v, want left: %v", err, tt.wantLeft)
			}
		})
	}
	must(t, removePid(filepath.Join(t.TempDir(), "gone.pid")))
	if err := removePid(t.TempDir()); err == nil {
		t.Error("a directory was accepted")
	}
}

func TestPortsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var f Files
	path, err := f.WritePorts(dir, []byte("{}"))
	must(t, err)
	want := filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(os.Args[0]), os.Getpid()))
	if path != want {
		t.Errorf("path: got %s, want %s", path, want)
	}
	if got, err := os.ReadFile(path); string(got) != "{}" || err != nil {
		t.Errorf("got %s, %v, want {}", got, err)
	}
	must(t, f.RemovePorts())
	must(t, f.RemovePorts())
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	path, err = f.WritePorts(missing, nil)
	if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) != missing {
		t.Errorf("missing directory: got %s, %v", path, err)
	}
}

func TestThePidBehindALinkIsRemoved(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "link.pid"), filepath.Join(dir, "target.pid")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil && runtime.GOOS == "windows" {
		t.Skip("links need a privilege on Windows")
	} else if err != nil {
		t.Fatal(err)
	}
	f := &Files{}
	if err := f.WritePid(link); err != nil {
		t.Fatal(err)
	}
	if failures := f.Remove(); len(failures) > 0 {
		t.Error(failures)
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of the link: got %v", err)
	}
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("the link is gone: %v", err)
	}
}

func TestErrorsNameThePathThatWasAskedFor(t *testing.T) {
	f := &Files{}
	path, err := f.WritePorts(filepath.Join(t.TempDir(), "none"), nil)
	if err == nil || !strings.Contains(err.Error(), path+": ") {
		t.Errorf("got %v, want one about %s", err, path)
	}
}

func TestFilesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var f Files
	must(t, f.WritePid(""))
	for _, name := range []string{"a.pid", "b.pid", "a.pid"} {
		must(t, f.WritePid(filepath.Join(dir, name)))
	}
	_, err := f.WritePorts(dir, nil)
	must(t, err)
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("written: %v, want 3 files", entries)
	}
	if failures := f.Remove(); failures != nil {
		t.Errorf("got %v", failures)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// TestAPidFileIsNotOverwrittenWhereThatFailsAsWell has the reasons for which a file cannot be
// replaced: where the disk is full it keeps what it has.
func TestAPidFileIsNotOverwrittenWhereThatFailsAsWell(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		syscall.ENOSPC: true, syscall.EIO: true, syscall.EMFILE: true, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}: true,
		syscall.EACCES: false, syscall.EBUSY: false, syscall.EXDEV: false, fs.ErrNotExist: false,
	} {
		if got := exhausted(err); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
}

// TestNoPartOfAPidIsLeft writes to a disk that is full.
func TestNoPartOfAPidIsLeft(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	if err := overwrite("/dev/full", []byte("1234"), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Errorf("the device is gone: %v", err)
	}
}
