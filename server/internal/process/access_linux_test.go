package process

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestMayWriteKnowsThePermissions asks as a user who is not root, also where root runs the tests.
func TestMayWriteKnowsThePermissions(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "gnatsd-access") // a folder of t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	modes := func(ofFile, ofDir os.FileMode) {
		for path, mode := range map[string]os.FileMode{file: ofFile, dir: ofDir} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	modes(0o666, 0o777)
	for _, path := range []string{dir, file} {
		if err := asUser(path); err != nil {
			t.Errorf("%s may be written to: got %v", path, err)
		}
	}
	modes(0o555, 0o555)
	for _, path := range []string{dir, file} {
		if err := asUser(path); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s may not be written to: got %v", path, err)
		}
	}
}

// asUser is MayWrite on a thread whose user is not root. The thread ends with that.
func asUser(path string) error {
	answer := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the user is that of the thread
		if os.Getuid() == 0 {
			const nobody, unchanged = 65534, ^uintptr(0)
			if _, _, err := syscall.RawSyscall(syscall.SYS_SETREUID, nobody, unchanged, 0); err != 0 {
				answer <- err
				return
			}
		}
		answer <- MayWrite(path)
	}()
	return <-answer
}
