//go:build unix

package process

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// TestPidFileOfAPipe writes the pid to pipes. Nothing waits for their readers, neither at the start nor
// at the end, and they stay.
func TestPidFileOfAPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(path, 0o600))
	if err := writePid(path); err == nil {
		t.Error("a pipe without a reader took the pid")
	}
	r, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer r.Close()
	var f Files
	must(t, f.WritePid(path))
	pid := strconv.Itoa(os.Getpid())
	got := make([]byte, len(pid))
	if _, err := r.Read(got); err != nil || string(got) != pid {
		t.Errorf("got %q, %v", got, err)
	}
	if failures := f.Remove(); len(failures) > 0 {
		t.Errorf("at the end: %v", failures)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the pipe is gone: %v", err)
	}
}
