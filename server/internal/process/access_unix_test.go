//go:build unix

package process

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestMayWriteKnowsThePermissions(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, file} {
		if err := MayWrite(path); err != nil {
			t.Errorf("%s may be written to: got %v", path, err)
		}
	}
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	for _, path := range []string{file, dir} {
		if err := os.Chmod(path, 0o500); err != nil {
			t.Fatal(err)
		}
		if err := MayWrite(path); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s may not be written to: got %v", path, err)
		}
	}
}
