//go:build unix

package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// MayWrite returns an error if this process may not write to a file, or not create one in a folder.
func MayWrite(path string) error {
	mode := uint32(unix.W_OK)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		mode |= unix.X_OK
	}
	if err := unix.Faccessat(unix.AT_FDCWD, path, mode, 0); err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}
