package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// What is said when a pid file cannot be written: on standard error at the start, in the log at a reload.
const (
	msgPidNotWritten   = "Could not write pidfile: %v"
	msgPidNotRewritten = "Failed to write pidfile: %v"
	msgPidNotRemoved   = "Error cleaning up pid file %s: %v"
)

// Permissions of the files about this process, before the umask.
const (
	pidFilePerm   = 0o660
	portsFilePerm = 0o666
)

// writePidFile writes the pid of this process to a file, in decimal, without a newline. Where it can, it replaces the
// file in one step, so that a reader never sees half a pid; where only the file itself may be written, or the path is no
// regular file, it overwrites it. The error is that of opening the path: callers say what they were doing, with one
// of the messages above.
func writePidFile(path string) error {
	pid := []byte(strconv.Itoa(os.Getpid()))
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
		if replaceFile(path, pid, pidFilePerm) == nil {
			return nil
		}
	}
	return os.WriteFile(path, pid, pidFilePerm)
}

// removePidFile removes a pid file at the end of an orderly stop. One that has come to hold another pid belongs to another
// process and stays, and one that is gone is fine.
func removePidFile(path string) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(content)) != strconv.Itoa(os.Getpid()) {
		return nil
	}
	return os.Remove(path)
}

// replaceFile puts a new file in the place of path in one step, so that readers see the old content or the new one. The new
// file is hidden until then, and removed if anything fails.
func replaceFile(path string, content []byte, perm os.FileMode) (err error) {
	dir, name := filepath.Split(path)
	temp := filepath.Join(dir, "."+name+"."+strconv.Itoa(os.Getpid())+".tmp")
	os.Remove(temp) // left by a crash: in a container the pid is always the same
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}
